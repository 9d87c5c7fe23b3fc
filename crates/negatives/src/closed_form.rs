use burn::tensor::Tensor;
use ithn_generator::config::ConfigError;
use serde::{Deserialize, Serialize};

use crate::bounds::{HardeningRange, NegativeNorm, hardness};
use crate::norm::nonzero_norms;

/// Projection of the image onto the line through the first negative and the report.
///
/// With `d_i = u_i − u⁻_i` and `v_i = z_i − u⁻_i`:
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Projection {
    /// `p_i = u⁻_i + ((v_i·d_i)/‖d_i‖²) d_i`, the method as published.
    #[default]
    PerSample,
    /// `p_i = u⁻_i + Σ_j (v_i·d_j) d_j/‖d_j‖`, the official code. It mixes the samples of a batch and
    /// omits one division by `‖d_j‖`; it exists to reproduce official curves.
    BatchMixed,
}

/// Whether gradients pass through the hardened negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum GradientFlow {
    /// No: the negative is the inner variable of a min-max problem, and constant in the step of the
    /// weights.
    #[default]
    Detached,
    /// Yes, as in the official code: the weights can also make the negative easier.
    Through,
}

/// Hardening in closed form: `ũ = u⁻ + (1 − λ)(p − u⁻)` with `p` from a [`Projection`].
///
/// The default is the method as published. `p_i = u⁻_i` where `u_i = u⁻_i`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ClosedForm {
    /// Projection of the image.
    pub projection: Projection,
    /// Whether gradients pass through the result.
    pub gradient: GradientFlow,
    /// Range of `p` on the line. [`Projection::BatchMixed`] defines no line per sample and needs
    /// [`HardeningRange::Line`].
    pub range: HardeningRange,
    /// Norm of the result.
    pub norm: NegativeNorm,
}

impl ClosedForm {
    /// What the official code computes: mixed projection, gradients through it, no bounds.
    pub fn official() -> Self {
        ClosedForm {
            projection: Projection::BatchMixed,
            gradient: GradientFlow::Through,
            range: HardeningRange::Line,
            norm: NegativeNorm::AsIs,
        }
    }

    /// Sets [`projection`](Self::projection).
    #[must_use]
    pub fn with_projection(mut self, projection: Projection) -> Self {
        self.projection = projection;
        self
    }

    /// Sets [`gradient`](Self::gradient).
    #[must_use]
    pub fn with_gradient(mut self, gradient: GradientFlow) -> Self {
        self.gradient = gradient;
        self
    }

    /// Sets [`range`](Self::range).
    #[must_use]
    pub fn with_range(mut self, range: HardeningRange) -> Self {
        self.range = range;
        self
    }

    /// Sets [`norm`](Self::norm).
    #[must_use]
    pub fn with_norm(mut self, norm: NegativeNorm) -> Self {
        self.norm = norm;
        self
    }

    /// Checks the combination of options.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] at `range` for a segment with the mixed projection, which would ignore it.
    pub fn validate(&self) -> Result<(), ConfigError> {
        match (self.projection, self.range) {
            (Projection::BatchMixed, HardeningRange::Segment) => Err(ConfigError::new(
                "range",
                "must be \"line\" with the projection \"batch_mixed\", which has no segment",
            )),
            _ => Ok(()),
        }
    }

    /// Hardened negatives `ũ`, `[batch, width]`.
    ///
    /// # Shapes
    ///
    /// - images, reports, negatives: `[batch, width]`, unit embeddings `z`, `u`, `u⁻`
    /// - lambda: in `[0, 1]`; 1 keeps the negatives
    ///
    /// # Panics
    ///
    /// If `lambda` lies outside `[0, 1]`.
    pub fn harden(
        &self,
        images: Tensor<2>,
        reports: Tensor<2>,
        negatives: Tensor<2>,
        lambda: f64,
    ) -> Tensor<2> {
        let hardness = hardness(lambda);
        let (images, reports, negatives) = match self.gradient {
            GradientFlow::Through => (images, reports, negatives),
            GradientFlow::Detached => (images.detach(), reports.detach(), negatives.detach()),
        };
        let towards_image = images - negatives.clone();
        let towards_report = reports - negatives.clone();
        let step = match self.projection {
            Projection::PerSample => per_sample(towards_image, towards_report, self.range),
            Projection::BatchMixed => batch_mixed(towards_image, towards_report),
        };
        self.norm.apply(negatives + step * hardness)
    }
}

/// `((v_i·d_i)/‖d_i‖²) d_i`.
fn per_sample(
    towards_image: Tensor<2>,
    towards_report: Tensor<2>,
    range: HardeningRange,
) -> Tensor<2> {
    let squared = nonzero_norms(towards_report.clone()).square();
    let along = (towards_image * towards_report.clone()).sum_dim(1) / squared;
    let along = match range {
        HardeningRange::Line => along,
        HardeningRange::Segment => along.clamp(0.0, 1.0),
    };
    towards_report * along
}

/// `Σ_j (v_i·d_j) d_j/‖d_j‖`.
fn batch_mixed(towards_image: Tensor<2>, towards_report: Tensor<2>) -> Tensor<2> {
    let directions = towards_report.clone() / nonzero_norms(towards_report.clone());
    towards_image
        .matmul(towards_report.transpose())
        .matmul(directions)
}
