use std::num::NonZeroUsize;

use burn::tensor::Tensor;
use ithn_generator::config::Positive;
use serde::{Deserialize, Serialize};

use crate::bounds::{HardeningRange, NegativeNorm, hardness};
use crate::climb::{Around, ascend};

/// Set in which ascent may move a negative.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum FeasibleSet {
    /// A ball around the first negative of radius `(1 − λ) · reach · ‖u − u⁻‖`.
    Ball {
        /// Radius at full hardness, in distances from the negative to the study's own report.
        reach: Positive,
    },
    /// The line through the first negative and the study's own report. The result is
    /// `λ u⁻ + (1 − λ) p` with `p` the point that ascent finds, as in the closed form.
    Line {
        /// How far along the line ascent may go; absent in a file means the whole line.
        #[serde(default)]
        range: HardeningRange,
    },
}

/// Hardening by projected gradient ascent on the alignment loss. No gradient passes through the
/// result.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Ascent {
    /// Gradient steps. Each costs a forward and backward pass of the alignment loss, not of the
    /// generator.
    pub steps: NonZeroUsize,
    /// Length of the first steps, in radii of the ball or, on the line, in distances from the
    /// negative to the study's own report. A row's step length is halved whenever its gradient turns
    /// against the one before.
    pub step_size: Positive,
    /// The feasible set of the negative.
    pub within: FeasibleSet,
    /// Norm of the result.
    pub norm: NegativeNorm,
}

impl Default for Ascent {
    /// 5 steps of half a radius, in a ball that reaches the study's own report at full hardness.
    fn default() -> Self {
        Ascent {
            steps: NonZeroUsize::new(5).expect("5 is not 0"),
            step_size: Positive::literal(0.5),
            within: FeasibleSet::Ball {
                reach: Positive::literal(1.0),
            },
            norm: NegativeNorm::AsIs,
        }
    }
}

impl Ascent {
    /// Sets [`steps`](Self::steps).
    #[must_use]
    pub fn with_steps(mut self, steps: NonZeroUsize) -> Self {
        self.steps = steps;
        self
    }

    /// Sets [`step_size`](Self::step_size).
    #[must_use]
    pub fn with_step_size(mut self, step_size: Positive) -> Self {
        self.step_size = step_size;
        self
    }

    /// Sets [`within`](Self::within).
    #[must_use]
    pub fn with_within(mut self, within: FeasibleSet) -> Self {
        self.within = within;
        self
    }

    /// Sets [`norm`](Self::norm).
    #[must_use]
    pub fn with_norm(mut self, norm: NegativeNorm) -> Self {
        self.norm = norm;
        self
    }

    /// Hard negatives, moved by ascent to increase `loss`, `[batch, width]`, without autograd
    /// history and on the device of `negatives`.
    ///
    /// `loss` maps hardened negatives, `[batch, width]`, to the loss of the batch, `[1]`. Its other
    /// inputs must be constant: pass tensors without autodiff ([`Tensor::inner`]) or detached ones.
    ///
    /// # Shapes
    ///
    /// - reports, negatives: `[batch, width]`, unit embeddings `u`, `u⁻`
    /// - lambda: in `[0, 1]`; 1 keeps the negatives
    ///
    /// # Panics
    ///
    /// If `lambda` lies outside `[0, 1]`.
    pub fn harden(
        &self,
        reports: Tensor<2>,
        negatives: Tensor<2>,
        lambda: f64,
        loss: impl Fn(Tensor<2>) -> Tensor<1>,
    ) -> Tensor<2> {
        let hardness = hardness(lambda);
        let with_autodiff = negatives.is_autodiff();
        let (reports, negatives) = (reports.inner(), negatives.inner());
        let towards_report = reports - negatives.clone();
        let hardened = match self.within {
            FeasibleSet::Ball { reach } => {
                let distances = towards_report.square().sum_dim(1).sqrt();
                let balls = Around::Balls(distances * (hardness * reach.get()));
                ascend(negatives, &balls, self.steps, self.step_size, loss)
            }
            FeasibleSet::Line { range } => {
                let lines = Around::Lines(towards_report, range);
                let start = negatives.clone();
                let hardest = ascend(start, &lines, self.steps, self.step_size, loss);
                negatives.clone() + (hardest - negatives) * hardness
            }
        };
        let hardened = self.norm.apply(hardened);
        if with_autodiff {
            hardened.autodiff()
        } else {
            hardened
        }
    }
}
