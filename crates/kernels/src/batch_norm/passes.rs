//! Batch normalisation on GPUs: Burn's operations, which it fuses into few passes, with the gradient
//! written out.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{
    Autodiff, AutodiffBackend, Backend, Cube, Dispatch, TensorMetadata, backend_extension,
};
use burn::tensor::Shape;

use super::{Activation, BatchNormOutput, BatchNormTraining, Tensor};
use crate::cube::divisor;

/// Most terms that one thread of a GPU adds up before another sum of such sums.
const TERMS: usize = 64;

// An optional tensor cannot cross the dispatch, hence two operations.
#[backend_extension(Cube, Autodiff)]
trait BatchNormPasses: Backend {
    fn norm_by_passes(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        config: BatchNormTraining,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    fn norm_by_passes_and_join(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        shortcut: FloatTensor<Self>,
        config: BatchNormTraining,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

pub(super) fn forward(
    config: BatchNormTraining,
    input: Tensor<4>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    shortcut: Option<Tensor<4>>,
) -> BatchNormOutput {
    let [input, gamma, beta] = [
        input.into_dispatch(),
        gamma.into_dispatch(),
        beta.into_dispatch(),
    ];
    let (output, mean, variance) = match shortcut {
        None => Dispatch::norm_by_passes(input, gamma, beta, config),
        Some(shortcut) => {
            Dispatch::norm_by_passes_and_join(input, gamma, beta, shortcut.into_dispatch(), config)
        }
    };
    BatchNormOutput {
        output: Tensor::from_dispatch(output),
        mean: Tensor::from_dispatch(mean),
        variance: Tensor::from_dispatch(variance),
    }
}

type Normed<B> = (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>);

impl BatchNormPasses for Cube {
    fn norm_by_passes(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        config: BatchNormTraining,
    ) -> Normed<Self> {
        let (pass, mean, variance) = Pass::<Self>::run(input, gamma, beta, None, config);
        (pass.output, mean, variance)
    }

    fn norm_by_passes_and_join(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        shortcut: FloatTensor<Self>,
        config: BatchNormTraining,
    ) -> Normed<Self> {
        let (pass, mean, variance) = Pass::<Self>::run(input, gamma, beta, Some(shortcut), config);
        (pass.output, mean, variance)
    }
}

impl<C: CheckpointStrategy> BatchNormPasses for Autodiff<Cube, C> {
    fn norm_by_passes(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        config: BatchNormTraining,
    ) -> Normed<Self> {
        let ((input, input_node), (gamma, gamma_node), (beta, beta_node)) =
            (input.into_parts(), gamma.into_parts(), beta.into_parts());
        let (pass, mean, variance) = Pass::<Cube>::run(input, gamma, beta, None, config);
        let output = pass.output.clone();
        let output = match Gradient
            .prepare::<C>([input_node, gamma_node, beta_node])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => prep.finish(pass, output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        };
        (output, Self::from_inner(mean), Self::from_inner(variance))
    }

    fn norm_by_passes_and_join(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        shortcut: FloatTensor<Self>,
        config: BatchNormTraining,
    ) -> Normed<Self> {
        let ((input, input_node), (gamma, gamma_node), (beta, beta_node)) =
            (input.into_parts(), gamma.into_parts(), beta.into_parts());
        let (shortcut, shortcut_node) = shortcut.into_parts();
        let (pass, mean, variance) = Pass::<Cube>::run(input, gamma, beta, Some(shortcut), config);
        let output = pass.output.clone();
        let output = match Gradient
            .prepare::<C>([input_node, gamma_node, beta_node, shortcut_node])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => prep.finish(pass, output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        };
        (output, Self::from_inner(mean), Self::from_inner(variance))
    }
}

/// Values of the forward pass that the backward pass needs; maps are `[batches, positions,
/// channels]`, the rest `[batches, 1, channels]`.
#[derive(Debug, Clone)]
struct Pass<B: Backend> {
    input: FloatTensor<B>,
    output: FloatTensor<B>,
    mean: FloatTensor<B>,
    /// `1 / √(variance + ε)`.
    inverse: FloatTensor<B>,
    /// `[1, 1, channels]`.
    gamma: FloatTensor<B>,
    activation: Activation,
    /// Of the maps: `[images, height, width, channels]`.
    shape: Shape,
}

impl<B: Backend> Pass<B> {
    fn run(
        input: FloatTensor<B>,
        gamma: FloatTensor<B>,
        beta: FloatTensor<B>,
        shortcut: Option<FloatTensor<B>>,
        config: BatchNormTraining,
    ) -> (Self, FloatTensor<B>, FloatTensor<B>) {
        let shape = input.shape();
        let [images, height, width, channels] = shape.dims();
        let positions = images / config.batches * height * width;
        let divided = Shape::from([config.batches, positions, channels]);
        let by_channel = |factors| B::float_reshape(factors, Shape::from([1, 1, channels]));
        let input = B::float_reshape(input, divided.clone());
        let share = 1.0 / positions as f64;
        let mean = B::float_mul_scalar(sums::<B>(input.clone()), share.into());
        let centred = B::float_sub(input.clone(), mean.clone());
        let squares = B::float_mul(centred.clone(), centred.clone());
        let variance = B::float_mul_scalar(sums::<B>(squares), share.into());
        let deviation = B::float_add_scalar(variance.clone(), config.epsilon.into());
        let inverse = B::float_recip(B::float_sqrt(deviation));
        let (gamma, beta) = (by_channel(gamma), by_channel(beta));
        let scale = B::float_mul(inverse.clone(), gamma.clone());
        let normed = B::float_add(B::float_mul(centred, scale), beta);
        let joined = match shortcut {
            None => normed,
            Some(shortcut) => B::float_add(normed, B::float_reshape(shortcut, divided)),
        };
        let output = match config.activation {
            Activation::Identity => joined,
            Activation::Relu => B::relu(joined),
        };
        let output = B::float_reshape(output, shape.clone());
        let of_batches = |values| B::float_reshape(values, Shape::from([config.batches, channels]));
        let (means, variances) = (of_batches(mean.clone()), of_batches(variance));
        let pass = Pass {
            input,
            output,
            mean,
            inverse,
            gamma,
            activation: config.activation,
            shape,
        };
        (pass, means, variances)
    }

    /// Gradients of input, gamma, beta and shortcut from that of the output: with
    /// `x̂ = (x − mean) / √(variance + ε)` and `g` what the activation lets through,
    /// `∂β = Σ g`, `∂γ = Σ g x̂` and `∂x = γ (g − (∂β + x̂ ∂γ) / n) / √(variance + ε)`.
    fn gradients(self, gradient: FloatTensor<B>) -> [FloatTensor<B>; 4] {
        let divided = self.input.shape();
        let [batches, positions, channels] = divided.dims();
        let gradient = match self.activation {
            Activation::Identity => gradient,
            Activation::Relu => B::relu_backward(self.output, gradient),
        };
        let shortcut = gradient.clone();
        let gradient = B::float_reshape(gradient, divided);
        let centred = B::float_sub(self.input, self.mean);
        let normed = B::float_mul(centred, self.inverse.clone());
        let beta = sums::<B>(gradient.clone());
        let gamma = sums::<B>(B::float_mul(gradient.clone(), normed.clone()));
        let share = 1.0 / positions as f64;
        let along = B::float_add(beta.clone(), B::float_mul(normed, gamma.clone()));
        let rest = B::float_sub(gradient, B::float_mul_scalar(along, share.into()));
        let scale = B::float_mul(self.gamma, self.inverse);
        let input = B::float_reshape(B::float_mul(rest, scale), self.shape);
        let [gamma, beta] = [gamma, beta].map(|of_batches| {
            let of_batches = B::float_reshape(of_batches, Shape::from([batches, channels]));
            B::float_reshape(B::float_sum_dim(of_batches, 0), Shape::from([channels]))
        });
        [input, gamma, beta, shortcut]
    }
}

/// Sums over positions, `[batches, positions, channels]` to `[batches, 1, channels]`, in rounds: one
/// thread per channel would add a hundred thousand terms up while the others wait.
fn sums<B: Backend>(values: FloatTensor<B>) -> FloatTensor<B> {
    let [batches, positions, channels] = values.shape().dims();
    match divisor(positions, TERMS) {
        1 => B::float_sum_dim(values, 1),
        terms => {
            let shape = Shape::from([batches, positions / terms, terms, channels]);
            let partial = B::float_sum_dim(B::float_reshape(values, shape), 2);
            let shape = Shape::from([batches, positions / terms, channels]);
            match positions / terms {
                1 => B::float_reshape(partial, shape),
                _ => sums::<B>(B::float_reshape(partial, shape)),
            }
        }
    }
}

#[derive(Debug)]
struct Gradient;

impl<const N: usize> Backward<Cube, N> for Gradient {
    type State = Pass<Cube>;

    fn backward(
        self,
        ops: Ops<Pass<Cube>, N>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let gradient = gradients.consume::<Cube>(&ops.node);
        let found = ops.state.gradients(gradient);
        for (parent, gradient) in ops.parents.into_iter().zip(found) {
            if let Some(node) = parent {
                gradients.register::<Cube>(node.id, gradient);
            }
        }
    }
}
