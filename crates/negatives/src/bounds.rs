use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::norm::nonzero_norms;

/// How far along its line a hardened negative may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HardeningRange {
    /// Anywhere on the line, as in the official code: a hard negative can pass the study's own report.
    #[default]
    Line,
    /// Between the first negative and the study's own report.
    Segment,
}

/// Norm of the hardened negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NegativeNorm {
    /// Hardening determines the norm, as in the official code.
    #[default]
    AsIs,
    /// 1: the hard negative is normalised to the unit sphere of the embeddings. A zero row stays
    /// zero.
    Unit,
}

impl NegativeNorm {
    /// Rows with this norm, `[batch, width]`.
    pub(crate) fn apply(self, hardened: Tensor<2>) -> Tensor<2> {
        match self {
            NegativeNorm::AsIs => hardened,
            NegativeNorm::Unit => {
                let norms = nonzero_norms(hardened.clone());
                hardened / norms
            }
        }
    }
}

/// The hardness `1 − λ`.
///
/// # Panics
///
/// If `lambda` lies outside `[0, 1]`.
pub(crate) fn hardness(lambda: f64) -> f64 {
    assert!(
        (0.0..=1.0).contains(&lambda),
        "lambda must lie in [0, 1], got {lambda}"
    );
    1.0 - lambda
}
