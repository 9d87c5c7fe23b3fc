use std::num::NonZeroUsize;

use burn::tensor::Tensor;
use ithn_generator::config::Positive;

use crate::bounds::HardeningRange;
use crate::norm::nonzero_norms;

/// A feasible set around each negative of a batch.
pub(crate) enum Around {
    /// Balls of these radii, `[batch, 1]`.
    Balls(Tensor<2>),
    /// Lines from the negatives along these vectors, `[batch, width]`; a segment ends at negative +
    /// vector.
    Lines(Tensor<2>, HardeningRange),
}

impl Around {
    /// Length of a full step, `[batch, 1]`.
    fn scale(&self) -> Tensor<2> {
        match self {
            Around::Balls(radii) => radii.clone(),
            Around::Lines(along, _) => along.clone().square().sum_dim(1).sqrt(),
        }
    }

    /// The component of a gradient that is tangent to the feasible set.
    fn tangent(&self, gradient: Tensor<2>) -> Tensor<2> {
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
            Around::Lines(along, range) => {
                let place = coordinate(offset, along);
                along.clone()
                    * match range {
                        HardeningRange::Line => place,
                        HardeningRange::Segment => place.clamp(0.0, 1.0),
                    }
            }
        }
    }
}

/// Coordinate of each row's projection on the line along `along`, 0 at its start and 1 at its tip,
/// `[batch, 1]`.
fn coordinate(rows: Tensor<2>, along: &Tensor<2>) -> Tensor<2> {
    (rows * along.clone()).sum_dim(1) / nonzero_norms(along.clone()).square()
}

/// Projected gradient ascent on `loss` from the negatives, without autodiff.
///
/// Every row follows its own gradient with a step length of its own.
pub(crate) fn ascend(
    negatives: Tensor<2>,
    around: &Around,
    steps: NonZeroUsize,
    step_size: Positive,
    loss: impl Fn(Tensor<2>) -> Tensor<1>,
) -> Tensor<2> {
    let mut offset = negatives.zeros_like();
    let mut length = around.scale() * step_size.get();
    let mut previous = negatives.zeros_like();
    for _ in 0..steps.get() {
        let Some(gradient) = gradient(negatives.clone() + offset.clone(), &loss) else {
            return negatives;
        };
        let gradient = around.tangent(gradient);
        let turned = (gradient.clone() * previous).sum_dim(1).lower_elem(0.0);
        let halved = length.clone() * 0.5;
        length = length.mask_where(turned, halved);
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
