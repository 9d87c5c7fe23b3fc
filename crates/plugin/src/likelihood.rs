use burn::tensor::activation::softplus;
use burn::tensor::{Bool, Tensor};
use ithn_generator::TokenBatch;
use ithn_generator::config::{NonNegative, Positive};
use serde::{Deserialize, Serialize};

use crate::language::target_log_probs;

/// Contrast of likelihoods: the decoder itself must find a study's own report likelier, given its image, than the report of
/// its first negative. Embeddings and projection heads take no part.
///
/// `L_ll = mean_i softplus(s (ℓ_i(r⁻_i) − ℓ_i(r_i) + (1 − λ) m))`, with `ℓ_i(r)` the mean log-probability per token of
/// report `r` given image `i`. Hardness `1 − λ` raises the margin `(1 − λ) m` by which the own report has to win; at
/// `λ = 1` there is none.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct LikelihoodContrast {
    /// Weight of the loss.
    pub weight: Positive,
    /// Scale `s` of the difference.
    pub scale: Positive,
    /// Margin `m` at full hardness, in nats per token.
    pub margin: NonNegative,
}

impl LikelihoodContrast {
    /// A contrast of this weight and scale, with this margin at full hardness.
    pub const fn new(weight: Positive, scale: Positive, margin: NonNegative) -> Self {
        LikelihoodContrast {
            weight,
            scale,
            margin,
        }
    }

    /// The loss, `[1]`, at hardness `1 − lambda`.
    pub(crate) fn loss(
        &self,
        likelihoods: &Likelihoods,
        own_negative: Option<&Tensor<2, Bool>>,
        lambda: f64,
    ) -> Tensor<1> {
        let margin = (1.0 - lambda) * self.margin.get();
        let behind = likelihoods.negatives.clone() - likelihoods.reports.clone() + margin;
        let mut losses = softplus(behind * self.scale.get(), 1.0);
        if let Some(equal) = own_negative {
            losses = losses.mask_fill(equal.clone(), 0.0);
        }
        losses.mean()
    }
}

/// Mean log-probabilities per token given each study's image, `[batch, 1]`.
#[derive(Debug, Clone)]
pub(crate) struct Likelihoods {
    /// Of the study's own report.
    pub(crate) reports: Tensor<2>,
    /// Of its first negative's.
    pub(crate) negatives: Tensor<2>,
}

/// Mean log-probability per token of reports, in nats, `[batch, 1]`.
///
/// # Shapes
///
/// - log_probs: `[batch, length, vocabulary]`
pub(crate) fn mean_log_probs(log_probs: Tensor<3>, reports: &TokenBatch) -> Tensor<2> {
    let mask = reports.mask().clone();
    (target_log_probs(log_probs, reports) * mask.clone()).sum_dim(1) / mask.sum_dim(1)
}
