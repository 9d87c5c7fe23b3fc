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

/// A scale and a shift per channel, a shortcut and an activation in one pass:
/// `y = f(scale · x + shift + shortcut)`; batch normalisation by fixed statistics.
///
/// Fused on the CPU where no gradient is recorded.
///
/// # Shapes
///
/// - input, shortcut, output: `[batch, height, width, channels]`
/// - scale, shift: `[channels]`
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
    let [batch, height, width, channels] = input.dims();
    assert_shape!(scale, [channels]);
    assert_shape!(shift, [channels]);
    if let Some(shortcut) = &shortcut {
        assert_shape!(shortcut, [batch, height, width, channels]);
    }
    #[cfg(feature = "flex")]
    if are_ours(&input, [&scale, &shift], shortcut.as_ref()) && !input.is_autodiff() {
        return fused::scale_shift(input, scale, shift, shortcut, activation);
    }
    composed(input, scale, shift, shortcut, activation)
}

/// The operation composed of Burn's public operations.
fn composed(
    input: Tensor<4>,
    scale: Tensor<1>,
    shift: Tensor<1>,
    shortcut: Option<Tensor<4>>,
    activation: Activation,
) -> Tensor<4> {
    let [_, _, _, channels] = input.dims();
    let per_channel = |x: Tensor<1>| x.reshape([1, 1, 1, channels]);
    let scaled = input * per_channel(scale) + per_channel(shift);
    join(scaled, shortcut, activation)
}

/// `f(x + shortcut)` from public operations.
pub(crate) fn join(
    input: Tensor<4>,
    shortcut: Option<Tensor<4>>,
    activation: Activation,
) -> Tensor<4> {
    let joined = match shortcut {
        Some(shortcut) => input + shortcut,
        None => input,
    };
    match activation {
        Activation::Identity => joined,
        Activation::Relu => relu(joined),
    }
}

/// Whether the fused operations take all of these.
#[cfg(feature = "flex")]
pub(crate) fn are_ours(
    input: &Tensor<4>,
    factors: [&Tensor<1>; 2],
    shortcut: Option<&Tensor<4>>,
) -> bool {
    use crate::cpu::is_ours;
    is_ours(input) && factors.into_iter().all(is_ours) && shortcut.is_none_or(is_ours)
}

#[cfg(feature = "flex")]
mod fused {
    use burn::backend::flex::FlexTensor;
    use burn::backend::tensor::FloatTensor;
    use burn::backend::{Backend, Dispatch, Flex, backend_extension};

    use super::{Activation, Tensor};
    use crate::channel_rows as rows;
    use crate::cpu::{Contiguous, dims, tensor};

    // An optional tensor cannot cross the dispatch, hence two operations.
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
        // The preceding convolution does not need its output again.
        if input.is_contiguous()
            && input.bytes().len() == 4 * input.layout().num_elements()
            && let Some(values) = input.try_storage_mut::<f32>()
        {
            factors.apply_in_place(values);
            return input;
        }
        let shape = dims::<4>(&input);
        let input = Contiguous::new(input);
        let mut output = Vec::with_capacity(input.values().len());
        factors.append(input.values(), &mut output);
        tensor(output, shape)
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;
    use crate::agreement::normal;
    use burn::tensor::{Device, Tolerance};

    const SHAPE: [usize; 4] = [3, 4, 5, 6];

    #[test]
    fn fixed_statistics_give_the_same_with_and_without_gradients() {
        let device = Device::flex();
        let input = normal(SHAPE, 1, &device);
        let scale = normal([6], 2, &device);
        for shortcut in [None, Some(normal(SHAPE, 3, &device))] {
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
