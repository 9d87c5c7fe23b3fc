//! Convolution on the CPU backend.

use std::sync::{Arc, Mutex, PoisonError};

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};

use rayon::prelude::*;

use super::{Convolution, Tensor};
use crate::cpu::{Contiguous, Kernel, dims, owned, tensor, vectorised};
use crate::geometry::Geometry;
use crate::{windows, winograd};

#[backend_extension(Flex, Autodiff)]
trait ConvolutionOps: Backend {
    fn convolve(
        input: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        convolution: Convolution,
        shortcut: Option<ShortcutGradient>,
    ) -> FloatTensor<Self>;

    /// `input`, which also went into the convolution that gave `output`.
    fn beside(
        input: FloatTensor<Self>,
        output: FloatTensor<Self>,
        shortcut: ShortcutGradient,
    ) -> FloatTensor<Self>;
}

/// Holds a shortcut's gradient until the backward step of the convolution that it bypasses.
#[derive(Debug, Clone, Default)]
struct ShortcutGradient(Arc<Mutex<Option<FlexTensor>>>);

impl ShortcutGradient {
    fn put(&self, gradient: FlexTensor) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(gradient);
    }

    fn take(&self) -> Option<FlexTensor> {
        let mut gradient = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        gradient.take()
    }
}

pub(super) fn forward(convolution: Convolution, input: Tensor<4>, weights: Tensor<4>) -> Tensor<4> {
    Tensor::from_dispatch(<Dispatch as ConvolutionOps>::convolve(
        input.into_dispatch(),
        weights.into_dispatch(),
        convolution,
        None,
    ))
}

pub(super) fn forward_beside(
    convolution: Convolution,
    input: Tensor<4>,
    weights: Tensor<4>,
) -> (Tensor<4>, Tensor<4>) {
    let shortcut = ShortcutGradient::default();
    let (input, weights) = (input.into_dispatch(), weights.into_dispatch());
    let output = <Dispatch as ConvolutionOps>::convolve(
        input.clone(),
        weights,
        convolution,
        Some(shortcut.clone()),
    );
    let input = <Dispatch as ConvolutionOps>::beside(input, output.clone(), shortcut);
    (Tensor::from_dispatch(output), Tensor::from_dispatch(input))
}

impl ConvolutionOps for Flex {
    fn convolve(
        input: FlexTensor,
        weights: FlexTensor,
        convolution: Convolution,
        _shortcut: Option<ShortcutGradient>,
    ) -> FlexTensor {
        Pass::new(input, weights, convolution).output()
    }

    fn beside(input: FlexTensor, _output: FlexTensor, _: ShortcutGradient) -> FlexTensor {
        input
    }
}

impl<C: CheckpointStrategy> ConvolutionOps for Autodiff<Flex, C> {
    fn convolve(
        input: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        convolution: Convolution,
        shortcut: Option<ShortcutGradient>,
    ) -> FloatTensor<Self> {
        let ((input, input_node), (weights, weight_node)) =
            (input.into_parts(), weights.into_parts());
        let pass = Pass::new(input, weights, convolution);
        let output = pass.output();
        match Gradient
            .prepare::<C>([input_node, weight_node])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => prep.finish((pass, shortcut), output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    /// Depends on the convolution's output for the order alone: its backward step comes first.
    fn beside(
        input: FloatTensor<Self>,
        output: FloatTensor<Self>,
        shortcut: ShortcutGradient,
    ) -> FloatTensor<Self> {
        let ((input, input_node), output_node) = (input.into_parts(), output.node());
        match Beside
            .prepare::<C>([input_node, output_node])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => prep.finish(shortcut, input),
            OpsKind::UnTracked(prep) => prep.finish(input),
        }
    }
}

/// What went in.
#[derive(Debug, Clone)]
struct Pass {
    input: FlexTensor,
    weights: FlexTensor,
    geometry: Geometry,
}

impl Pass {
    fn new(input: FlexTensor, weights: FlexTensor, convolution: Convolution) -> Self {
        let Convolution { stride, padding } = convolution;
        Pass {
            geometry: Geometry::new(dims(&input), dims(&weights), stride, padding),
            input: input.to_contiguous(),
            weights: weights.to_contiguous(),
        }
    }

    fn output(&self) -> FlexTensor {
        let geometry = &self.geometry;
        let (input, weights) = (self.input.clone(), self.weights.clone());
        let (input, weights) = (Contiguous::new(input), Contiguous::new(weights));
        let forward = match winograd::suits(geometry) {
            true => winograd::forward,
            false => windows::forward,
        };
        let output = forward(input.values(), weights.values(), geometry);
        let [height, width] = geometry.output;
        tensor(output, [geometry.batch, height, width, geometry.filters])
    }

    fn input_gradient(&self, gradient: &Contiguous) -> FlexTensor {
        let geometry = &self.geometry;
        let weights = Contiguous::new(self.weights.clone());
        let backward = match winograd::suits(geometry) {
            true => winograd::input_gradient,
            false => windows::input_gradient,
        };
        let input = backward(gradient.values(), weights.values(), geometry);
        tensor(input, dims::<4>(&self.input))
    }

    /// Adds the convolution's gradient of the input to the shortcut's.
    fn add_input_gradient(&self, gradient: &Contiguous, shortcut: FlexTensor) -> FlexTensor {
        let mut sum = owned(shortcut);
        let values = sum.storage_mut::<f32>();
        if self.geometry.is_pointwise() {
            let weights = Contiguous::new(self.weights.clone());
            let (gradient, weights) = (gradient.values(), weights.values());
            windows::add_pointwise_input_gradient(gradient, weights, &self.geometry, values);
        } else {
            let input = Contiguous::new(self.input_gradient(gradient));
            let parts = values.par_chunks_mut(CHUNK);
            parts
                .zip(input.values().par_chunks(CHUNK))
                .for_each(|(sum, added)| {
                    vectorised(Sum { sum, added });
                });
        }
        sum
    }

    fn weight_gradient(&self, gradient: &Contiguous) -> FlexTensor {
        let geometry = &self.geometry;
        let input = Contiguous::new(self.input.clone());
        let backward = match winograd::suits(geometry) {
            true => winograd::weight_gradient,
            false => windows::weight_gradient,
        };
        let weights = backward(input.values(), gradient.values(), geometry);
        tensor(weights, dims::<4>(&self.weights))
    }
}

#[derive(Debug)]
struct Gradient;

impl Backward<Flex, 2> for Gradient {
    type State = (Pass, Option<ShortcutGradient>);

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let (pass, shortcut) = ops.state;
        let gradient = Contiguous::new(gradients.consume::<Flex>(&ops.node));
        let [input, weights] = ops.parents;
        if let Some(node) = input {
            let input = match shortcut.and_then(|shortcut| shortcut.take()) {
                Some(shortcut) => pass.add_input_gradient(&gradient, shortcut),
                None => pass.input_gradient(&gradient),
            };
            gradients.register::<Flex>(node.id, input);
        }
        if let Some(node) = weights {
            gradients.register::<Flex>(node.id, pass.weight_gradient(&gradient));
        }
    }
}

/// Backward step of the shortcut: stores its gradient, which the convolution's backward step
/// then adds to the gradient of the input.
#[derive(Debug)]
struct Beside;

impl Backward<Flex, 2> for Beside {
    type State = ShortcutGradient;

    fn backward(
        self,
        ops: Ops<ShortcutGradient, 2>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let gradient = gradients.consume::<Flex>(&ops.node);
        if let [Some(_), _] = ops.parents {
            ops.state.put(gradient);
        }
    }
}

/// Values that a thread adds at once.
const CHUNK: usize = 1 << 14;

struct Sum<'a> {
    sum: &'a mut [f32],
    added: &'a [f32],
}

impl Kernel for Sum<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for (sum, added) in self.sum.iter_mut().zip(self.added) {
            *sum += added;
        }
    }
}
