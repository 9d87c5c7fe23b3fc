use std::cell::Cell;

use burn::tensor::{DType, FloatDType, Tensor};

thread_local! {
    static IN_BFLOAT16: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work` with the factors of its matrix products and convolutions rounded to bfloat16, gradients
/// included.
///
/// Only what this crate multiplies is affected: [`linear`](crate::linear), [`product`],
/// [`Convolution`](crate::Convolution) and [`TopKAttention`](crate::TopKAttention). Weights,
/// gradients, sums, normalisation and softmax stay in single precision (mixed precision: Micikevicius
/// et al., 2018). The backward pass follows the forward pass wherever it is run.
///
/// The setting holds for the calling thread.
pub fn in_bfloat16<T>(work: impl FnOnce() -> T) -> T {
    struct Before(bool);
    impl Drop for Before {
        fn drop(&mut self) {
            IN_BFLOAT16.set(self.0);
        }
    }
    let _before = Before(IN_BFLOAT16.replace(true));
    work()
}

/// Whether products of single precision are to be rounded on this thread.
pub(crate) fn rounds<const D: usize>(tensor: &Tensor<D>) -> bool {
    IN_BFLOAT16.get() && tensor.dtype() == DType::F32
}

pub(crate) fn rounded<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    tensor.cast(FloatDType::BF16)
}

pub(crate) fn single<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    tensor.cast(FloatDType::F32)
}

/// The matrix product `left × right` over the last two axes. Inside [`in_bfloat16`], single-precision
/// factors are first rounded to bfloat16; the product is in single precision.
///
/// # Shapes
///
/// - left: `[.., rows, inner]`
/// - right: `[.., inner, columns]`
/// - output: `[.., rows, columns]`
///
/// # Panics
///
/// If the inner sizes or the axes before differ.
pub fn product<const D: usize>(left: Tensor<D>, right: Tensor<D>) -> Tensor<D> {
    if rounds(&left) {
        return single(rounded(left).matmul(rounded(right)));
    }
    left.matmul(right)
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;
    use crate::agreement::normal;
    use crate::{Convolution, TopKAttention, linear};
    use burn::nn::LinearConfig;
    use burn::tensor::{Device, Tolerance};

    /// ‖rounded − exact‖ / ‖exact‖ of an operation and of the gradient of its input.
    fn errors<const D: usize, const R: usize>(
        input: Tensor<D>,
        operation: impl Fn(Tensor<D>) -> Tensor<R>,
    ) -> [f64; 2] {
        let run = |rounds: bool| {
            let input = input.clone().autodiff().require_grad();
            let output = match rounds {
                true => in_bfloat16(|| operation(input.clone())),
                false => operation(input.clone()),
            };
            assert_eq!(output.dtype(), DType::F32);
            let gradients = output.clone().square().sum().backward();
            let gradient = input.grad(&gradients).expect("it was required");
            assert_eq!(gradient.dtype(), DType::F32);
            [output.inner().into_data(), gradient.into_data()]
        };
        let (exact, rounded) = (run(false), run(true));
        [0, 1].map(|index| {
            let [exact, rounded] =
                [&exact, &rounded].map(|data| data[index].iter::<f64>().collect::<Vec<_>>());
            let norm = |values: &mut dyn Iterator<Item = f64>| {
                values.map(|value| value * value).sum::<f64>().sqrt()
            };
            let mut differences = exact.iter().zip(&rounded).map(|(a, b)| a - b);
            norm(&mut differences) / norm(&mut exact.iter().copied())
        })
    }

    /// Half a unit in the last of bfloat16's 8 bits is 2⁻⁹ of a number; sums do not add to it much.
    fn assert_rounded(errors: [f64; 2]) {
        for error in errors {
            assert!((1e-4..2e-2).contains(&error), "{errors:?}");
        }
    }

    #[test]
    fn products_and_convolutions_round_their_factors_alone() {
        let device = Device::flex();
        let right = normal::<2>([24, 16], 1, &device);
        assert_rounded(errors(normal::<2>([20, 24], 0, &device), |left| {
            product(left, right.clone().autodiff())
        }));
        let layer = LinearConfig::new(24, 16).init(&device.clone().autodiff());
        assert_rounded(errors(normal::<3>([2, 5, 24], 2, &device), |input| {
            linear(&layer, input)
        }));
        let filters = normal::<4>([6, 8, 3, 3], 3, &device);
        let convolution = Convolution {
            stride: 2,
            padding: 1,
        };
        assert_rounded(errors(normal::<4>([2, 9, 9, 8], 4, &device), |images| {
            convolution.forward(images, filters.clone().autodiff())
        }));
    }

    #[test]
    fn rounding_ends_with_its_scope_and_changes_what_top_k_keeps_little() {
        let device = Device::flex();
        let [queries, keys, values] = [0, 1, 2].map(|seed| normal::<2>([40, 16], seed, &device));
        let attention = TopKAttention {
            heads: 2,
            top_k: 40,
            dropout: 0.0,
        };
        let attend = || attention.forward(queries.clone(), keys.clone(), values.clone());
        let before = attend().into_data();
        in_bfloat16(attend)
            .into_data()
            .assert_approx_eq::<f32>(&before, Tolerance::absolute(0.2));
        assert_eq!(attend().into_data(), before);
        let thrown = std::panic::catch_unwind(|| in_bfloat16(|| panic!("on purpose")));
        assert!(thrown.is_err() && !IN_BFLOAT16.get());
    }
}
