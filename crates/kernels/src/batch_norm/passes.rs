//! Batch normalisation on GPUs as Burn's autodiff sees it.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{
    Autodiff, AutodiffBackend, Backend, Cube, Dispatch, TensorMetadata, backend_extension,
};
use burn::tensor::Shape;

use super::on_gpu::NormKernels;
use super::{BatchNormOutput, BatchNormTraining, Tensor};

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
        let (pass, mean, variance) = Pass::run(input, gamma, beta, None, config);
        (pass.output, mean, variance)
    }

    fn norm_by_passes_and_join(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        shortcut: FloatTensor<Self>,
        config: BatchNormTraining,
    ) -> Normed<Self> {
        let (pass, mean, variance) = Pass::run(input, gamma, beta, Some(shortcut), config);
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
        let (pass, mean, variance) = Pass::run(input, gamma, beta, None, config);
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
        let (pass, mean, variance) = Pass::run(input, gamma, beta, Some(shortcut), config);
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

/// What the backward pass needs.
#[derive(Debug, Clone)]
struct Pass {
    config: BatchNormTraining,
    /// `[images, height, width, channels]`.
    input: FloatTensor<Cube>,
    /// Likewise.
    output: FloatTensor<Cube>,
    /// `[batches, channels]`.
    mean: FloatTensor<Cube>,
    /// `1 / √(variance + ε)`, `[batches, channels]`.
    inverse: FloatTensor<Cube>,
    /// `[channels]`.
    gamma: FloatTensor<Cube>,
}

impl Pass {
    fn run(
        input: FloatTensor<Cube>,
        gamma: FloatTensor<Cube>,
        beta: FloatTensor<Cube>,
        shortcut: Option<FloatTensor<Cube>>,
        config: BatchNormTraining,
    ) -> (Self, FloatTensor<Cube>, FloatTensor<Cube>) {
        let (x, g) = (input.clone(), gamma.clone());
        let (output, mean, variance, inverse) = match shortcut {
            None => Cube::norm_on_gpu(x, g, beta, config),
            Some(shortcut) => Cube::norm_and_join_on_gpu(x, g, beta, shortcut, config),
        };
        let pass = Pass {
            config,
            input,
            output,
            mean: mean.clone(),
            inverse,
            gamma,
        };
        (pass, mean, variance)
    }

    /// Gradients of input, gamma and beta from that of the output, and of the shortcut if one is wanted.
    fn gradients(self, gradient: FloatTensor<Cube>, joins: bool) -> Vec<FloatTensor<Cube>> {
        let Pass {
            config,
            input,
            output,
            mean,
            inverse,
            gamma,
        } = self;
        let (of_input, of_gamma, of_beta, of_shortcut) = match joins {
            true => {
                let (x, g, b, s) = Cube::norm_gradient_with_shortcut(
                    input, output, gradient, mean, inverse, gamma, config,
                );
                (x, g, b, Some(s))
            }
            false => {
                let (x, g, b) =
                    Cube::norm_gradient(input, output, gradient, mean, inverse, gamma, config);
                (x, g, b, None)
            }
        };
        let [of_gamma, of_beta] = [of_gamma, of_beta].map(|of_batches| {
            let [_, channels] = of_batches.shape().dims();
            Cube::float_reshape(Cube::float_sum_dim(of_batches, 0), Shape::from([channels]))
        });
        [of_input, of_gamma, of_beta]
            .into_iter()
            .chain(of_shortcut)
            .collect()
    }
}

#[derive(Debug)]
struct Gradient;

impl<const N: usize> Backward<Cube, N> for Gradient {
    type State = Pass;

    fn backward(
        self,
        ops: Ops<Pass, N>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let gradient = gradients.consume::<Cube>(&ops.node);
        let found = ops.state.gradients(gradient, N == 4);
        for (parent, gradient) in ops.parents.into_iter().zip(found) {
            if let Some(node) = parent {
                gradients.register::<Cube>(node.id, gradient);
            }
        }
    }
}
