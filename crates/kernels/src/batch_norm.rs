use burn::tensor::activation::relu;
use burn::tensor::{Tensor, assert_shape};

/// What follows a normalisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    Identity,
    /// `max(0, ·)`.
    Relu,
}

/// Output and statistics of [`batch_norm_train`].
#[derive(Debug, Clone)]
pub struct BatchNormOutput {
    /// Normalised, shortcut added, activated: as the input.
    pub output: Tensor<4>,
    /// Mean of the batch, `[channels]`, without gradient.
    pub mean: Tensor<1>,
    /// Biased variance of the batch, `[channels]`, without gradient.
    pub variance: Tensor<1>,
}

/// Batch normalisation in training, a shortcut and an activation in one pass:
/// `y = f(γ (x − mean) / √(variance + ε) + β + shortcut)`.
///
/// # Shapes
///
/// - input, shortcut, output: `[batch, height, width, channels]`
/// - gamma, beta: `[channels]`
///
/// # Panics
///
/// If shapes disagree.
pub fn batch_norm_train(
    input: Tensor<4>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
    shortcut: Option<Tensor<4>>,
    activation: Activation,
) -> BatchNormOutput {
    check(&input, &gamma, &beta, shortcut.as_ref());
    #[cfg(feature = "flex")]
    if are_ours(&input, &gamma, &beta, shortcut.as_ref()) {
        return fused::train(input, gamma, beta, epsilon, shortcut, activation);
    }
    let [_, _, _, channels] = input.dims();
    let rows = input.clone().reshape([-1, channels as i32]);
    let (variance, mean) = rows.var_mean_bias(0);
    let (variance, mean) = (variance.reshape([channels]), mean.reshape([channels]));
    let deviation = (variance.clone() + epsilon).sqrt();
    let scale = gamma / deviation;
    let shift = beta - mean.clone() * scale.clone();
    BatchNormOutput {
        output: composed(input, scale, shift, shortcut, activation),
        mean: mean.detach(),
        variance: variance.detach(),
    }
}

/// A scale and a shift per channel, a shortcut and an activation in one pass:
/// `y = f(scale · x + shift + shortcut)`; batch normalisation by fixed statistics.
///
/// Fused on the CPU where no gradient is recorded.
///
/// # Shapes
///
/// As for [`batch_norm_train`], with `scale` and `shift` `[channels]`.
///
/// # Panics
///
/// If shapes disagree.
pub fn scale_shift(
    input: Tensor<4>,
    scale: Tensor<1>,
    shift: Tensor<1>,
    shortcut: Option<Tensor<4>>,
    activation: Activation,
) -> Tensor<4> {
    check(&input, &scale, &shift, shortcut.as_ref());
    #[cfg(feature = "flex")]
    if are_ours(&input, &scale, &shift, shortcut.as_ref()) && !input.is_autodiff() {
        return fused::scale_shift(input, scale, shift, shortcut, activation);
    }
    composed(input, scale, shift, shortcut, activation)
}

fn check(input: &Tensor<4>, scale: &Tensor<1>, shift: &Tensor<1>, shortcut: Option<&Tensor<4>>) {
    let [batch, height, width, channels] = input.dims();
    assert_shape!(scale, [channels]);
    assert_shape!(shift, [channels]);
    if let Some(shortcut) = shortcut {
        assert_shape!(shortcut, [batch, height, width, channels]);
    }
}

#[cfg(feature = "flex")]
fn are_ours(
    input: &Tensor<4>,
    scale: &Tensor<1>,
    shift: &Tensor<1>,
    shortcut: Option<&Tensor<4>>,
) -> bool {
    use crate::cpu::is_ours;
    is_ours(input) && is_ours(scale) && is_ours(shift) && shortcut.is_none_or(is_ours)
}

fn composed(
    input: Tensor<4>,
    scale: Tensor<1>,
    shift: Tensor<1>,
    shortcut: Option<Tensor<4>>,
    activation: Activation,
) -> Tensor<4> {
    let [_, _, _, channels] = input.dims();
    let per_channel = |x: Tensor<1>| x.reshape([1, 1, 1, channels]);
    let normed = input * per_channel(scale) + per_channel(shift);
    let joined = match shortcut {
        Some(shortcut) => normed + shortcut,
        None => normed,
    };
    match activation {
        Activation::Identity => joined,
        Activation::Relu => relu(joined),
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

    use super::{Activation, BatchNormOutput, Tensor};
    use crate::channel_rows as rows;
    use crate::cpu::{Contiguous, dims, owned, tensor};

    // An optional tensor cannot cross the dispatch, hence two operations of each kind.
    #[backend_extension(Flex, Autodiff)]
    trait BatchNormOps: Backend {
        fn norm(
            input: FloatTensor<Self>,
            gamma: FloatTensor<Self>,
            beta: FloatTensor<Self>,
            epsilon: f64,
            activation: Activation,
        ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

        fn norm_and_join(
            input: FloatTensor<Self>,
            gamma: FloatTensor<Self>,
            beta: FloatTensor<Self>,
            shortcut: FloatTensor<Self>,
            epsilon: f64,
            activation: Activation,
        ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
    }

    #[backend_extension(Flex)]
    trait ScaleShiftOps: Backend {
        fn scale_shift(
            input: FloatTensor<Self>,
            scale: FloatTensor<Self>,
            shift: FloatTensor<Self>,
            activation: Activation,
        ) -> FloatTensor<Self>;

        fn scale_shift_and_join(
            input: FloatTensor<Self>,
            scale: FloatTensor<Self>,
            shift: FloatTensor<Self>,
            shortcut: FloatTensor<Self>,
            activation: Activation,
        ) -> FloatTensor<Self>;
    }

    pub(super) fn train(
        input: Tensor<4>,
        gamma: Tensor<1>,
        beta: Tensor<1>,
        epsilon: f64,
        shortcut: Option<Tensor<4>>,
        activation: Activation,
    ) -> BatchNormOutput {
        let [input, gamma, beta] = [
            input.into_dispatch(),
            gamma.into_dispatch(),
            beta.into_dispatch(),
        ];
        let (output, mean, variance) = match shortcut {
            None => Dispatch::norm(input, gamma, beta, epsilon, activation),
            Some(shortcut) => {
                let shortcut = shortcut.into_dispatch();
                Dispatch::norm_and_join(input, gamma, beta, shortcut, epsilon, activation)
            }
        };
        BatchNormOutput {
            output: Tensor::from_dispatch(output),
            mean: Tensor::from_dispatch(mean),
            variance: Tensor::from_dispatch(variance),
        }
    }

    pub(super) fn scale_shift(
        input: Tensor<4>,
        scale: Tensor<1>,
        shift: Tensor<1>,
        shortcut: Option<Tensor<4>>,
        activation: Activation,
    ) -> Tensor<4> {
        let [input, scale, shift] = [
            input.into_dispatch(),
            scale.into_dispatch(),
            shift.into_dispatch(),
        ];
        Tensor::from_dispatch(match shortcut {
            None => Dispatch::scale_shift(input, scale, shift, activation),
            Some(shortcut) => {
                let shortcut = shortcut.into_dispatch();
                Dispatch::scale_shift_and_join(input, scale, shift, shortcut, activation)
            }
        })
    }

    impl ScaleShiftOps for Flex {
        fn scale_shift(
            input: FlexTensor,
            scale: FlexTensor,
            shift: FlexTensor,
            activation: Activation,
        ) -> FlexTensor {
            scaled(input, scale, shift, None, activation)
        }

        fn scale_shift_and_join(
            input: FlexTensor,
            scale: FlexTensor,
            shift: FlexTensor,
            shortcut: FlexTensor,
            activation: Activation,
        ) -> FlexTensor {
            scaled(input, scale, shift, Some(shortcut), activation)
        }
    }

    fn scaled(
        mut input: FlexTensor,
        scale: FlexTensor,
        shift: FlexTensor,
        shortcut: Option<FlexTensor>,
        activation: Activation,
    ) -> FlexTensor {
        let (scale, shift) = (Contiguous::new(scale), Contiguous::new(shift));
        let shortcut = shortcut.map(Contiguous::new);
        let factors = rows::Affine {
            scale: scale.values(),
            shift: shift.values(),
            shortcut: shortcut.as_ref().map(Contiguous::values),
            rectify: activation == Activation::Relu,
        };
        // The convolution that came before has no other use for its output.
        if input.is_contiguous()
            && input.bytes().len() == 4 * input.layout().num_elements()
            && let Some(values) = input.try_storage_mut::<f32>()
        {
            factors.apply_in_place(values);
            return input;
        }
        let shape = dims::<4>(&input);
        let input = Contiguous::new(input);
        tensor(factors.apply(input.values()), shape)
    }

    type Normed<B> = (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>);

    impl BatchNormOps for Flex {
        fn norm(
            input: FlexTensor,
            gamma: FlexTensor,
            beta: FlexTensor,
            epsilon: f64,
            activation: Activation,
        ) -> Normed<Flex> {
            let (pass, mean, variance) = Pass::run(input, gamma, beta, None, epsilon, activation);
            (pass.output, mean, variance)
        }

        fn norm_and_join(
            input: FlexTensor,
            gamma: FlexTensor,
            beta: FlexTensor,
            shortcut: FlexTensor,
            epsilon: f64,
            activation: Activation,
        ) -> Normed<Flex> {
            let (pass, mean, variance) =
                Pass::run(input, gamma, beta, Some(shortcut), epsilon, activation);
            (pass.output, mean, variance)
        }
    }

    impl<C: CheckpointStrategy> BatchNormOps for Autodiff<Flex, C> {
        fn norm(
            input: FloatTensor<Self>,
            gamma: FloatTensor<Self>,
            beta: FloatTensor<Self>,
            epsilon: f64,
            activation: Activation,
        ) -> Normed<Self> {
            let ((input, input_node), (gamma, gamma_node), (beta, beta_node)) =
                (input.into_parts(), gamma.into_parts(), beta.into_parts());
            let (pass, mean, variance) = Pass::run(input, gamma, beta, None, epsilon, activation);
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
            epsilon: f64,
            activation: Activation,
        ) -> Normed<Self> {
            let ((input, input_node), (gamma, gamma_node), (beta, beta_node)) =
                (input.into_parts(), gamma.into_parts(), beta.into_parts());
            let (shortcut, shortcut_node) = shortcut.into_parts();
            let (pass, mean, variance) =
                Pass::run(input, gamma, beta, Some(shortcut), epsilon, activation);
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

    /// What the gradient needs of a forward pass.
    #[derive(Debug, Clone)]
    struct Pass {
        input: FlexTensor,
        output: FlexTensor,
        gamma: FlexTensor,
        mean: Vec<f32>,
        /// `1 / √(variance + ε)`.
        inverse: Vec<f32>,
        activation: Activation,
    }

    impl Pass {
        fn run(
            input: FlexTensor,
            gamma: FlexTensor,
            beta: FlexTensor,
            shortcut: Option<FlexTensor>,
            epsilon: f64,
            activation: Activation,
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
            let (mean, variance) = rows::moments(x.values(), channels);
            let inverse: Vec<f32> = variance
                .iter()
                .map(|&variance| (1.0 / (f64::from(variance) + epsilon).sqrt()) as f32)
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
            let output = rows::Affine {
                scale: &scale,
                shift: &shift,
                shortcut: shortcut.as_ref().map(Contiguous::values),
                rectify: activation == Activation::Relu,
            }
            .apply(x.values());
            let pass = Pass {
                input,
                output: tensor(output, shape),
                gamma,
                mean: mean.clone(),
                inverse,
                activation,
            };
            (pass, tensor(mean, [channels]), tensor(variance, [channels]))
        }

        /// Gradients of input, gamma, beta and shortcut from that of the output, those of a map's size in
        /// the place of what they come from.
        fn gradients(self, gradient: FlexTensor) -> [FlexTensor; 4] {
            let [_, _, _, channels] = dims(&self.input);
            let (gamma, output) = (Contiguous::new(self.gamma), Contiguous::new(self.output));
            let (mut gradient, mut input) = (owned(gradient), owned(self.input));
            let [gamma, beta] = rows::NormGradient {
                rectified: (self.activation == Activation::Relu).then(|| output.values()),
                gamma: gamma.values(),
                mean: &self.mean,
                inverse: &self.inverse,
            }
            .of(gradient.storage_mut::<f32>(), input.storage_mut::<f32>());
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

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;
    use crate::agreement::assert_agree;
    use burn::tensor::{Device, Distribution, Tolerance};

    const SHAPE: [usize; 4] = [3, 4, 5, 6];
    const VALUES: usize = 3 * 4 * 5 * 6;

    /// In training, as fused and as composed from the definition.
    fn check(with_shortcut: bool, activation: Activation) {
        let shortcut = |x: &[Tensor<1>]| with_shortcut.then(|| x[3].clone().reshape(SHAPE));
        let lengths = [VALUES, 6, 6, VALUES];
        assert_agree(
            &lengths[..if with_shortcut { 4 } else { 3 }],
            &|x| {
                let (gamma, beta) = (x[1].clone(), x[2].clone());
                let input = x[0].clone().reshape(SHAPE);
                batch_norm_train(input, gamma, beta, 1e-5, shortcut(x), activation)
                    .output
                    .reshape([-1])
            },
            &|x| {
                let input = x[0].clone().reshape(SHAPE);
                let rows = input.clone().reshape([60, 6]);
                let mean = rows.clone().mean_dim(0);
                let variance = (rows - mean.clone()).square().mean_dim(0);
                let scale = x[1].clone() / (variance.reshape([6]) + 1e-5).sqrt();
                let shift = x[2].clone() - mean.reshape([6]) * scale.clone();
                composed(input, scale, shift, shortcut(x), activation).reshape([-1])
            },
        );
    }

    #[test]
    fn training_normalises_joins_and_rectifies() {
        check(false, Activation::Identity);
        check(false, Activation::Relu);
        check(true, Activation::Relu);
    }

    #[test]
    fn statistics_lose_no_digits_far_from_zero() {
        let device = Device::flex();
        let input = Tensor::<4>::random([4, 40, 40, 6], Distribution::Normal(1000.0, 0.1), &device);
        let ones = Tensor::<1>::ones([6], &device);
        let normed = batch_norm_train(
            input.clone(),
            ones.clone(),
            ones.zeros_like(),
            1e-5,
            None,
            Activation::Identity,
        );
        let rows = (input - 1000.0).reshape([-1, 6]);
        let (variance, _) = rows.var_mean_bias(0);
        normed.variance.into_data().assert_approx_eq::<f32>(
            &variance.reshape([6]).into_data(),
            Tolerance::relative(1e-3),
        );
    }

    #[test]
    fn fixed_statistics_give_the_same_with_and_without_gradients() {
        let device = Device::flex();
        let normal = Distribution::Normal(0.0, 1.0);
        let input = Tensor::<4>::random(SHAPE, normal, &device);
        let scale = Tensor::<1>::random([6], normal, &device);
        for shortcut in [None, Some(Tensor::<4>::random(SHAPE, normal, &device))] {
            let fused = scale_shift(
                input.clone(),
                scale.clone(),
                scale.clone(),
                shortcut.clone(),
                Activation::Relu,
            );
            let composed = composed(
                input.clone(),
                scale.clone(),
                scale.clone(),
                shortcut,
                Activation::Relu,
            );
            fused
                .into_data()
                .assert_approx_eq::<f32>(&composed.into_data(), Tolerance::absolute(1e-5));
        }
    }
}
