use burn::tensor::{Tensor, assert_shape};

use crate::scale_shift::{Activation, join};

/// Batch normalisation in training, a shortcut and an activation in one pass:
/// `y = f(γ (x − mean) / √(variance + ε) + β + shortcut)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BatchNormTraining {
    /// ε, added to the variance.
    pub epsilon: f64,
    /// Number of batches, all of the same size, that are concatenated in the input. Each is normalised by
    /// its own statistics.
    pub batches: usize,
    /// `f`.
    pub activation: Activation,
}

/// Output and statistics of [`BatchNormTraining`].
#[derive(Debug, Clone)]
pub struct BatchNormOutput {
    /// Normalised, shortcut added, activated: as the input.
    pub output: Tensor<4>,
    /// Mean of each batch, `[batches, channels]`, without gradient.
    pub mean: Tensor<2>,
    /// Biased variance of each batch, `[batches, channels]`, without gradient.
    pub variance: Tensor<2>,
}

impl BatchNormTraining {
    /// # Shapes
    ///
    /// - input, shortcut, output: `[batches · batch, height, width, channels]`
    /// - gamma, beta: `[channels]`
    ///
    /// # Panics
    ///
    /// If shapes disagree, or the rows of the input are no multiple of the batches.
    pub fn forward(
        &self,
        input: Tensor<4>,
        gamma: Tensor<1>,
        beta: Tensor<1>,
        shortcut: Option<Tensor<4>>,
    ) -> BatchNormOutput {
        let [rows, height, width, channels] = input.dims();
        assert_shape!(gamma, [channels]);
        assert_shape!(beta, [channels]);
        if let Some(shortcut) = &shortcut {
            assert_shape!(shortcut, [rows, height, width, channels]);
        }
        assert!(
            self.batches > 0 && rows.is_multiple_of(self.batches),
            "{rows} images are not {} batches of one size",
            self.batches
        );
        #[cfg(feature = "flex")]
        if crate::scale_shift::are_ours(&input, [&gamma, &beta], shortcut.as_ref()) {
            return fused::forward(*self, input, gamma, beta, shortcut);
        }
        #[cfg(feature = "cube")]
        if crate::cube::is_ours(&input) {
            return passes::forward(*self, input, gamma, beta, shortcut);
        }
        self.composed(input, gamma, beta, shortcut)
    }

    /// [`forward`](Self::forward) composed of Burn's public operations.
    fn composed(
        &self,
        input: Tensor<4>,
        gamma: Tensor<1>,
        beta: Tensor<1>,
        shortcut: Option<Tensor<4>>,
    ) -> BatchNormOutput {
        let (shape, batches) = (input.dims(), self.batches);
        let [images, height, width, channels] = shape;
        let positions = images / batches * height * width;
        let rows = input.reshape([batches, positions, channels]);
        let (variance, mean) = rows.clone().var_mean_bias(1);
        let scale = gamma.reshape([1, 1, channels]) / (variance.clone() + self.epsilon).sqrt();
        let shift = beta.reshape([1, 1, channels]) - mean.clone() * scale.clone();
        let normed = (rows * scale + shift).reshape(shape);
        BatchNormOutput {
            output: join(normed, shortcut, self.activation),
            mean: mean.squeeze_dim(1).detach(),
            variance: variance.squeeze_dim(1).detach(),
        }
    }
}

#[cfg(feature = "flex")]
mod fused {
    use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
    use burn::backend::autodiff::grads::Gradients;
    use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
    use burn::backend::flex::FlexTensor;
    use burn::backend::tensor::FloatTensor;
    use burn::backend::{Autodiff, AutodiffBackend, Backend, Dispatch, Flex, backend_extension};

    use super::{Activation, BatchNormOutput, BatchNormTraining, Tensor};
    use crate::channel_rows as rows;
    use crate::cpu::{Contiguous, dims, owned, tensor};

    // An optional tensor cannot cross the dispatch, hence two operations.
    #[backend_extension(Flex, Autodiff)]
    trait BatchNormOps: Backend {
        fn norm(
            input: FloatTensor<Self>,
            gamma: FloatTensor<Self>,
            beta: FloatTensor<Self>,
            config: BatchNormTraining,
        ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

        fn norm_and_join(
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
            None => Dispatch::norm(input, gamma, beta, config),
            Some(shortcut) => {
                Dispatch::norm_and_join(input, gamma, beta, shortcut.into_dispatch(), config)
            }
        };
        BatchNormOutput {
            output: Tensor::from_dispatch(output),
            mean: Tensor::from_dispatch(mean),
            variance: Tensor::from_dispatch(variance),
        }
    }

    type Normed<B> = (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>);

    impl BatchNormOps for Flex {
        fn norm(
            input: FlexTensor,
            gamma: FlexTensor,
            beta: FlexTensor,
            config: BatchNormTraining,
        ) -> Normed<Flex> {
            let (pass, mean, variance) = Pass::run(input, gamma, beta, None, config);
            (pass.output, mean, variance)
        }

        fn norm_and_join(
            input: FlexTensor,
            gamma: FlexTensor,
            beta: FlexTensor,
            shortcut: FlexTensor,
            config: BatchNormTraining,
        ) -> Normed<Flex> {
            let (pass, mean, variance) = Pass::run(input, gamma, beta, Some(shortcut), config);
            (pass.output, mean, variance)
        }
    }

    impl<C: CheckpointStrategy> BatchNormOps for Autodiff<Flex, C> {
        fn norm(
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

        fn norm_and_join(
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

    /// Values of the forward pass that the backward pass needs.
    #[derive(Debug, Clone)]
    struct Pass {
        input: FlexTensor,
        output: FlexTensor,
        gamma: FlexTensor,
        /// `mean` and `1 / √(variance + ε)` of each batch.
        statistics: Vec<[Vec<f32>; 2]>,
        activation: Activation,
    }

    impl Pass {
        fn run(
            input: FlexTensor,
            gamma: FlexTensor,
            beta: FlexTensor,
            shortcut: Option<FlexTensor>,
            config: BatchNormTraining,
        ) -> (Self, FlexTensor, FlexTensor) {
            let shape = dims::<4>(&input);
            let input = input.to_contiguous();
            let gamma = gamma.to_contiguous();
            let (x, g, b) = (
                Contiguous::new(input.clone()),
                Contiguous::new(gamma.clone()),
                Contiguous::new(beta),
            );
            let shortcut = shortcut.map(Contiguous::new);
            let [_, _, _, channels] = shape;
            let values = x.values();
            let batch = values.len() / config.batches;
            let (mut means, mut variances) = (Vec::new(), Vec::new());
            let mut statistics = Vec::with_capacity(config.batches);
            let mut output = Vec::with_capacity(values.len());
            for (index, values) in values.chunks_exact(batch).enumerate() {
                let (mean, variance) = rows::moments(values, channels);
                let inverse: Vec<f32> = variance
                    .iter()
                    .map(|&variance| (1.0 / (f64::from(variance) + config.epsilon).sqrt()) as f32)
                    .collect();
                let scale: Vec<f32> = g
                    .values()
                    .iter()
                    .zip(&inverse)
                    .map(|(g, i)| g * i)
                    .collect();
                let shift: Vec<f32> = b
                    .values()
                    .iter()
                    .zip(mean.iter().zip(&scale))
                    .map(|(b, (mean, scale))| b - mean * scale)
                    .collect();
                rows::Affine {
                    scale: &scale,
                    shift: &shift,
                    shortcut: shortcut
                        .as_ref()
                        .map(|shortcut| &shortcut.values()[index * batch..][..batch]),
                    rectify: config.activation == Activation::Relu,
                }
                .append(values, &mut output);
                means.extend_from_slice(&mean);
                variances.extend(variance);
                statistics.push([mean, inverse]);
            }
            let pass = Pass {
                input,
                output: tensor(output, shape),
                gamma,
                statistics,
                activation: config.activation,
            };
            let shape = [config.batches, channels];
            (pass, tensor(means, shape), tensor(variances, shape))
        }

        /// Gradients of input, gamma, beta and shortcut from that of the output. Map-sized
        /// gradients overwrite their source buffers.
        fn gradients(self, gradient: FlexTensor) -> [FlexTensor; 4] {
            let [_, _, _, channels] = dims(&self.input);
            let (scale, output) = (Contiguous::new(self.gamma), Contiguous::new(self.output));
            let (mut gradient, mut input) = (owned(gradient), owned(self.input));
            let (mut gamma, mut beta) = (vec![0.0; channels], vec![0.0; channels]);
            let values = output.values();
            let batch = values.len() / self.statistics.len();
            let batches = gradient.storage_mut::<f32>().chunks_exact_mut(batch);
            for (((gradient, input), output), [mean, inverse]) in batches
                .zip(input.storage_mut::<f32>().chunks_exact_mut(batch))
                .zip(values.chunks_exact(batch))
                .zip(&self.statistics)
            {
                let found = rows::NormGradient {
                    rectified: (self.activation == Activation::Relu).then_some(output),
                    gamma: scale.values(),
                    mean,
                    inverse,
                }
                .of(gradient, input);
                for (sum, found) in [&mut gamma, &mut beta].into_iter().zip(found) {
                    for (sum, found) in sum.iter_mut().zip(found) {
                        *sum += found;
                    }
                }
            }
            [
                input,
                tensor(gamma, [channels]),
                tensor(beta, [channels]),
                gradient,
            ]
        }
    }

    #[derive(Debug)]
    struct Gradient;

    impl<const N: usize> Backward<Flex, N> for Gradient {
        type State = Pass;

        fn backward(
            self,
            ops: Ops<Pass, N>,
            gradients: &mut Gradients,
            _checkpointer: &mut Checkpointer,
        ) {
            let gradient = gradients.consume::<Flex>(&ops.node);
            let found = ops.state.gradients(gradient);
            for (parent, gradient) in ops.parents.into_iter().zip(found) {
                if let Some(node) = parent {
                    gradients.register::<Flex>(node.id, gradient);
                }
            }
        }
    }
}

#[cfg(feature = "cube")]
mod on_gpu;
#[cfg(feature = "cube")]
mod passes;

#[cfg(all(test, feature = "flex"))]
mod tests;
