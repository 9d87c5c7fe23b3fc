use std::num::NonZeroUsize;

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::bounds::{NegativeNorm, hardness};
use crate::norm::nonzero_norms;

/// Hardening towards the point of the convex hull of `k` mined negatives that lies nearest the image:
/// `ũ = λ u⁻₁ + (1 − λ) p` with `p = argmin ‖z − Σ_j w_j u⁻_j‖` over weights `w_j ≥ 0` of sum 1.
///
/// Unlike the line through `u⁻` and `u`, the hull holds no part of the study's own report, and its directions are those of
/// other reports. No gradient passes through the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Hull {
    /// Sweeps over all pairs of negatives. In each pair, weight moves from one to the other until the point is nearest the
    /// image (exact line search), so that two negatives need a single sweep.
    pub sweeps: NonZeroUsize,
    /// Norm of the result.
    pub norm: NegativeNorm,
}

impl Default for Hull {
    /// 8 sweeps, the norm as it comes.
    fn default() -> Self {
        Hull {
            sweeps: NonZeroUsize::new(8).expect("8 is not 0"),
            norm: NegativeNorm::AsIs,
        }
    }
}

impl Hull {
    /// Sets [`sweeps`](Self::sweeps).
    #[must_use]
    pub fn with_sweeps(mut self, sweeps: NonZeroUsize) -> Self {
        self.sweeps = sweeps;
        self
    }

    /// Sets [`norm`](Self::norm).
    #[must_use]
    pub fn with_norm(mut self, norm: NegativeNorm) -> Self {
        self.norm = norm;
        self
    }

    /// Hardened negatives `ũ`, `[batch, width]`, without autograd history.
    ///
    /// # Shapes
    ///
    /// - images: `[batch, width]`, unit embeddings `z`
    /// - negatives: `k` times `[batch, width]`, unit embeddings `u⁻_j`, the first negative first; a single one stays as it is
    /// - lambda: in `[0, 1]`; 1 keeps the first negatives
    ///
    /// # Panics
    ///
    /// If `lambda` lies outside `[0, 1]`, or there is no negative.
    pub fn harden(&self, images: Tensor<2>, negatives: &[Tensor<2>], lambda: f64) -> Tensor<2> {
        let hardness = hardness(lambda);
        let images = images.detach();
        let corners: Vec<Tensor<2>> = negatives.iter().map(|it| it.clone().detach()).collect();
        let first = corners.first().expect("at least one negative").clone();
        let [batch, _] = first.dims();
        let mut point = first.clone();
        let mut weights =
            vec![Tensor::<2>::zeros([batch, 1], (&first.device(), first.dtype())); corners.len()];
        weights[0] = weights[0].ones_like();
        for _ in 0..self.sweeps.get() {
            for from in 0..corners.len() {
                for to in from + 1..corners.len() {
                    let along = corners[to].clone() - corners[from].clone();
                    let squared = nonzero_norms(along.clone()).square();
                    let away = images.clone() - point.clone();
                    let step = (away * along.clone()).sum_dim(1) / squared;
                    let step = step
                        .min_pair(weights[from].clone())
                        .max_pair(-weights[to].clone());
                    weights[from] = weights[from].clone() - step.clone();
                    weights[to] = weights[to].clone() + step.clone();
                    point = point + along * step;
                }
            }
        }
        self.norm.apply(first.clone() + (point - first) * hardness)
    }
}
