//! Convolution on GPUs as matrix products, gradients included.
//!
//! Burn's own convolutions either time a dozen kernels for each new shape before its first use, or take
//! a direct form, which was two thirds of a training step's time on an H200. Matrix products are fast there
//! without timing.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Cube, Dispatch, TensorMetadata, backend_extension};
use burn::tensor::{Shape, Slice};

use super::windows_on_gpu::Windows;
use super::{Convolution, Tensor};
use crate::cube::divisor;

/// Tiles of 64 × 64 values that a product should have, so that every processor of a GPU has some.
const TILES: usize = 512;
const TILE: usize = 64;
/// Terms of a sum that are worth a tile of their own.
const TERMS: usize = 256;

#[backend_extension(Cube, Autodiff)]
trait ConvolutionProducts: Backend {
    fn convolve_by_products(
        input: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        convolution: Convolution,
    ) -> FloatTensor<Self>;
}

pub(super) fn forward(convolution: Convolution, input: Tensor<4>, weights: Tensor<4>) -> Tensor<4> {
    Tensor::from_dispatch(Dispatch::convolve_by_products(
        input.into_dispatch(),
        weights.into_dispatch(),
        convolution,
    ))
}

impl Convolution {
    /// `[batch, height', width', filters]`.
    pub(super) fn output(&self, input: [usize; 4], weights: [usize; 4]) -> [usize; 4] {
        let [batch, height, width, _] = input;
        let [filters, _, kernel, _] = weights;
        let along = |side: usize| (side + 2 * self.padding - kernel) / self.stride + 1;
        [batch, along(height), along(width), filters]
    }

    fn is_pointwise(&self, kernel: usize) -> bool {
        kernel == 1 && self.padding == 0
    }
}

impl ConvolutionProducts for Cube {
    fn convolve_by_products(
        input: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        convolution: Convolution,
    ) -> FloatTensor<Self> {
        convolution.run(input, weights)
    }
}

impl<C: CheckpointStrategy> ConvolutionProducts for Autodiff<Cube, C> {
    fn convolve_by_products(
        input: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        convolution: Convolution,
    ) -> FloatTensor<Self> {
        let ((input, input_node), (weights, weights_node)) =
            (input.into_parts(), weights.into_parts());
        let output = convolution.run(input.clone(), weights.clone());
        match Gradient
            .prepare::<C>([input_node, weights_node])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => prep.finish((input, weights, convolution), output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }
}

/// Every `step`-th row and column of a map.
fn grid(step: usize, [batch, height, width, channels]: [usize; 4]) -> [Slice; 4] {
    let every = |length: usize, step: usize| Slice::new(0, Some(length as isize), step as isize);
    [
        every(batch, 1),
        every(height, step),
        every(width, step),
        every(channels, 1),
    ]
}

/// Filters `[filters, channels, kernel, kernel]` as `[filters, kernel · kernel · channels]`.
fn by_tap(weights: FloatTensor<Cube>) -> FloatTensor<Cube> {
    let [filters, channels, kernel, _] = weights.shape().dims();
    let taps = kernel * kernel * channels;
    Cube::float_reshape(
        Cube::float_permute(weights, &[0, 2, 3, 1]),
        Shape::from([filters, taps]),
    )
}

impl Convolution {
    fn run(&self, input: FloatTensor<Cube>, weights: FloatTensor<Cube>) -> FloatTensor<Cube> {
        let filter: [usize; 4] = weights.shape().dims();
        let shape = Shape::from(self.output(input.shape().dims(), filter));
        let windows = self.windows(input, filter[2]);
        let filters = Cube::float_swap_dims(by_tap(weights), 0, 1);
        Cube::float_reshape(Cube::float_matmul(windows, filters), shape)
    }

    /// What each position of the output looks at: `[batch · height' · width', kernel · kernel ·
    /// channels]`.
    fn windows(&self, input: FloatTensor<Cube>, kernel: usize) -> FloatTensor<Cube> {
        let dims: [usize; 4] = input.shape().dims();
        let [batch, down, across, _] = self.output(dims, [1, dims[3], kernel, kernel]);
        let columns = kernel * kernel * dims[3];
        if !self.is_pointwise(kernel) {
            return Cube::windows_on_gpu(input, kernel, *self);
        }
        let looked_at = match self.stride {
            1 => input,
            stride => Cube::float_slice(input, &grid(stride, dims)),
        };
        Cube::float_reshape(looked_at, Shape::from([batch * down * across, columns]))
    }

    /// `∂x`: the gradient, spread over the positions that a stride passed over, goes through the
    /// filters turned by half a turn.
    fn input_gradient(
        &self,
        gradient: FloatTensor<Cube>,
        weights: FloatTensor<Cube>,
        input: [usize; 4],
    ) -> FloatTensor<Cube> {
        let [batch, height, width, channels] = input;
        let [filters, _, kernel, _] = weights.shape().dims();
        if self.is_pointwise(kernel) {
            let [_, down, across, _] = gradient.shape().dims();
            let rows = Shape::from([batch * down * across, filters]);
            let found = Cube::float_matmul(Cube::float_reshape(gradient, rows), by_tap(weights));
            let shape = Shape::from([batch, down, across, channels]);
            return self.spread(Cube::float_reshape(found, shape), input);
        }
        let along = |side: usize| side + 2 * self.padding + 1 - kernel;
        let spread = self.spread(gradient, [batch, along(height), along(width), filters]);
        let turned = Cube::float_swap_dims(Cube::float_flip(weights, &[2, 3]), 0, 1);
        let back = Convolution {
            stride: 1,
            padding: kernel - 1 - self.padding,
        };
        back.run(spread, turned)
    }

    /// A map of the given sizes with zeros between the values of `map`.
    fn spread(&self, map: FloatTensor<Cube>, dims: [usize; 4]) -> FloatTensor<Cube> {
        if self.stride == 1 {
            return map;
        }
        let zeros = Cube::float_zeros(Shape::from(dims), &map.device(), map.dtype().into());
        Cube::float_slice_assign(zeros, &grid(self.stride, dims), map)
    }

    /// `∂w = gᵀ · windows`, the long sum over positions divided among tiles.
    fn weights_gradient(
        &self,
        input: FloatTensor<Cube>,
        gradient: FloatTensor<Cube>,
        weights: [usize; 4],
    ) -> FloatTensor<Cube> {
        let [filters, channels, kernel, _] = weights;
        let windows = self.windows(input, kernel);
        let [positions, columns] = windows.shape().dims();
        let tiles = filters.div_ceil(TILE) * columns.div_ceil(TILE);
        let slices = divisor(positions, (TILES / tiles).min(positions / TERMS));
        let sliced = |rows, width| {
            let shape = Shape::from([slices, positions / slices, width]);
            Cube::float_reshape(rows, shape)
        };
        let gradient = Cube::float_swap_dims(sliced(gradient, filters), 1, 2);
        let products = Cube::float_matmul(gradient, sliced(windows, columns));
        let total = match slices {
            1 => products,
            _ => Cube::float_sum_dim(products, 0),
        };
        let total = Cube::float_reshape(total, Shape::from([filters, kernel, kernel, channels]));
        Cube::float_permute(total, &[0, 3, 1, 2])
    }
}

#[derive(Debug)]
struct Gradient;

impl Backward<Cube, 2> for Gradient {
    type State = (FloatTensor<Cube>, FloatTensor<Cube>, Convolution);

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let gradient = gradients.consume::<Cube>(&ops.node);
        let (input, weights, convolution) = ops.state;
        let (dims, filter) = (input.shape().dims(), weights.shape().dims());
        let [input_node, weights_node] = ops.parents;
        if let Some(node) = input_node {
            let found = convolution.input_gradient(gradient.clone(), weights, dims);
            gradients.register::<Cube>(node.id, found);
        }
        if let Some(node) = weights_node {
            let found = convolution.weights_gradient(input, gradient, filter);
            gradients.register::<Cube>(node.id, found);
        }
    }
}
