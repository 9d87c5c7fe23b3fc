use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::norm::nonzero_norms;

/// Where ascent may take a negative.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FeasibleSet {
    /// A ball around the first negative that grows with the hardness: its radius is
    /// `(1 − λ) · reach · ‖u − u⁻‖`.
    Ball {
        /// Radius at full hardness, in distances from the negative to the true report.
        reach: f64,
    },
    /// The line through the negative and the true report, or the segment between them
    /// ([`HardeningRange`](crate::HardeningRange)). What ascent finds there counts with weight
    /// `1 − λ`, the negative with `λ`, as in the closed form.
    Line,
}

/// Projected gradient ascent on a negative.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AscentConfig {
    /// Gradient steps; each costs a pass of the alignment loss, never of the generator.
    pub steps: usize,
    /// Length of the first steps, in radii of the ball or, on the line, in distances from the
    /// negative to the true report. A row's steps shrink by half whenever its gradient turns back.
    pub step_size: f64,
    /// Where the negative may go.
    pub within: FeasibleSet,
}

impl Default for AscentConfig {
    /// 5 steps of half a radius, in a ball that reaches the true report at full hardness.
    fn default() -> Self {
        AscentConfig {
            steps: 5,
            step_size: 0.5,
            within: FeasibleSet::Ball { reach: 1.0 },
        }
    }
}

impl AscentConfig {
    /// Says which number is out of range, if one is.
    pub fn validate(&self) -> Result<(), String> {
        let positive = |name: &str, value: f64| {
            if value.is_finite() && value > 0.0 {
                Ok(())
            } else {
                Err(format!("{name} must be above 0, got {value}"))
            }
        };
        if self.steps == 0 {
            return Err("ascent needs at least 1 step".to_owned());
        }
        positive("step_size", self.step_size)?;
        match self.within {
            FeasibleSet::Ball { reach } => positive("reach", reach),
            FeasibleSet::Line => Ok(()),
        }
    }
}

/// A feasible set around each negative of a batch.
pub(crate) enum Around {
    /// Balls of these radii, `[batch, 1]`.
    Balls(Tensor<2>),
    /// Lines along these vectors, `[batch, width]`, their ends at the negative and the tip if `true`.
    Lines(Tensor<2>, bool),
}

impl Around {
    /// Length of a full step, `[batch, 1]`.
    fn scale(&self) -> Tensor<2> {
        match self {
            Around::Balls(radii) => radii.clone(),
            Around::Lines(along, _) => along.clone().square().sum_dim(1).sqrt(),
        }
    }

    /// The part of a gradient that the set lets a point follow.
    fn follow(&self, gradient: Tensor<2>) -> Tensor<2> {
        match self {
            Around::Balls(_) => gradient,
            Around::Lines(along, _) => along.clone() * coordinate(gradient, along),
        }
    }

    /// The point of the set nearest `start + offset`, as an offset from `start`.
    fn project(&self, offset: Tensor<2>) -> Tensor<2> {
        match self {
            Around::Balls(radii) => {
                let norms = nonzero_norms(offset.clone());
                offset * (radii.clone() / norms).clamp_max(1.0)
            }
            Around::Lines(along, bounded) => {
                let place = coordinate(offset, along);
                along.clone()
                    * if *bounded {
                        place.clamp(0.0, 1.0)
                    } else {
                        place
                    }
            }
        }
    }
}

/// Place of each row's foot on the line along `along`, 0 at its start and 1 at its tip, `[batch, 1]`.
fn coordinate(rows: Tensor<2>, along: &Tensor<2>) -> Tensor<2> {
    (rows * along.clone()).sum_dim(1) / nonzero_norms(along.clone()).square()
}

/// Where ascent on `loss` takes the negatives within the sets around them, without autodiff.
///
/// Every row follows its own gradient at steps of a length of its own.
pub(crate) fn ascend(
    negatives: Tensor<2>,
    around: &Around,
    config: &AscentConfig,
    loss: impl Fn(Tensor<2>) -> Tensor<1>,
) -> Tensor<2> {
    let mut offset = negatives.zeros_like();
    let mut length = around.scale() * config.step_size;
    let mut previous = negatives.zeros_like();
    for _ in 0..config.steps {
        let Some(gradient) = gradient(negatives.clone() + offset.clone(), &loss) else {
            return negatives;
        };
        let gradient = around.follow(gradient);
        let turned = (gradient.clone() * previous)
            .sum_dim(1)
            .lower_elem(0.0)
            .float();
        length = length * (turned * -0.5 + 1.0);
        let norms = nonzero_norms(gradient.clone());
        offset = around.project(offset + gradient.clone() / norms * length.clone());
        previous = gradient;
    }
    negatives + offset
}

/// Gradient of `loss` at `point`; `None` if the loss does not depend on it.
fn gradient(point: Tensor<2>, loss: impl Fn(Tensor<2>) -> Tensor<1>) -> Option<Tensor<2>> {
    let point = point.autodiff().require_grad();
    let value = loss(point.clone());
    if !value.is_tracked() {
        return None;
    }
    point.grad(&value.backward())
}
