//! A step of AMSGrad on GPUs: one kernel for a weight, in place.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, backend_extension};
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use burn_cubecl::{CubeBackend, cubecl};

use super::{AmsGradStep, AmsGradWeight, Tensor};
use crate::cube::{elements, threads, vector_size};

#[backend_extension(Cube, Fusion)]
trait AmsGradInPlace: Backend {
    #[fusion(meta = |weight, _gradient, first, second, largest, _step| {
        (weight.clone(), first.clone(), second.clone(), largest.clone())
    })]
    fn amsgrad_in_place(
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        largest: FloatTensor<Self>,
        step: AmsGradStep,
    ) -> (
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
    );
}

pub(super) fn apply<const D: usize>(
    step: AmsGradStep,
    state: AmsGradWeight<D>,
    gradient: Tensor<D>,
) -> AmsGradWeight<D> {
    let (weight, first, second, largest) = Dispatch::amsgrad_in_place(
        state.weight.into_dispatch(),
        gradient.into_dispatch(),
        state.first.into_dispatch(),
        state.second.into_dispatch(),
        state.largest.into_dispatch(),
        step,
    );
    AmsGradWeight {
        weight: Tensor::from_dispatch(weight),
        first: Tensor::from_dispatch(first),
        second: Tensor::from_dispatch(second),
        largest: Tensor::from_dispatch(largest),
    }
}

impl AmsGradInPlace for CubeBackend {
    fn amsgrad_in_place(
        weight: CubeTensor,
        gradient: CubeTensor,
        first: CubeTensor,
        second: CubeTensor,
        largest: CubeTensor,
        step: AmsGradStep,
    ) -> (CubeTensor, CubeTensor, CubeTensor, CubeTensor) {
        let [weight, first, second, largest] = [weight, first, second, largest].map(owned);
        let gradient = into_contiguous(gradient);
        let length = weight.meta.num_elements();
        if length > 0 {
            let size = vector_size(length);
            let (count, cube) = threads(&weight, length / size);
            let [rate, epsilon] = step.corrected();
            let parts = [&weight, &first, &second, &largest].map(|x| x.clone().into_buffer_arg());
            let [weights, firsts, seconds, largests] = parts;
            let number = |value: f64| InputScalar::new(value, elements(&weight));

            step_kernel::launch(
                &weight.client,
                count,
                cube,
                size,
                weights,
                gradient.into_buffer_arg(),
                firsts,
                seconds,
                largests,
                number(rate),
                number(epsilon),
                number(step.decay),
                number(step.betas[0]),
                number(step.betas[1]),
                number(1.0 - step.betas[0]),
                number(1.0 - step.betas[1]),
                elements(&weight),
            );
        }
        (weight, first, second, largest)
    }
}

/// A contiguous tensor that nobody else reads.
fn owned(tensor: CubeTensor) -> CubeTensor {
    let tensor = into_contiguous(tensor);
    match tensor.can_mut() {
        true => tensor,
        false => tensor.copy(),
    }
}

#[cube(launch)]
fn step_kernel<F: Float, N: Size>(
    weight: &mut [Vector<F, N>],
    gradient: &[Vector<F, N>],
    first: &mut [Vector<F, N>],
    second: &mut [Vector<F, N>],
    largest: &mut [Vector<F, N>],
    rate: InputScalar,
    epsilon: InputScalar,
    decay: InputScalar,
    beta_1: InputScalar,
    beta_2: InputScalar,
    rest_1: InputScalar,
    rest_2: InputScalar,
    #[define(F)] _type: ElemType,
) {
    let at = ABSOLUTE_POS;
    if at >= weight.len() {
        terminate!();
    }
    let old = weight[at];
    let slope = gradient[at] + old * Vector::new(decay.get::<F>());
    let mean = first[at] * Vector::new(beta_1.get::<F>()) + slope * Vector::new(rest_1.get::<F>());
    let square = second[at] * Vector::new(beta_2.get::<F>())
        + slope * slope * Vector::new(rest_2.get::<F>());
    let before = largest[at];
    let most = select_many(before.less_than(&square), square, before);
    first[at] = mean;
    second[at] = square;
    largest[at] = most;
    let deviation = Vector::sqrt(most) + Vector::new(epsilon.get::<F>());
    weight[at] = old - mean * Vector::new(rate.get::<F>()) / deviation;
}
