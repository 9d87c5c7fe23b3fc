use burn::tensor::{Tensor, activation};

/// The exact Gaussian error linear unit, `x · Φ(x) = x/2 · (1 + erf(x/√2))` (Hendrycks and Gimpel,
/// 2016), not its tanh approximation.
///
/// Fused on the CPU where no gradient is recorded: in place if the input has no other owner, on all
/// threads, within 5e-7 of the exact value relative to max(1, |x|).
///
/// # Shapes
///
/// - input, output: any, the same
pub fn gelu<const D: usize>(input: Tensor<D>) -> Tensor<D> {
    #[cfg(feature = "flex")]
    if crate::cpu::is_ours(&input) && !input.is_autodiff() {
        return fused::gelu(input);
    }
    activation::gelu(input)
}

#[cfg(feature = "flex")]
mod fused {
    use std::f32::consts::FRAC_1_SQRT_2;

    use burn::backend::flex::FlexTensor;
    use burn::backend::tensor::FloatTensor;
    use burn::backend::{Backend, Dispatch, Flex, backend_extension};
    use rayon::prelude::*;

    use super::Tensor;
    use crate::cpu::{Kernel, owned, vectorised};

    /// Values that one task takes: its share stays in the second-level cache.
    const CHUNK: usize = 1 << 14;

    #[backend_extension(Flex)]
    trait GeluOps: Backend {
        fn gelu(input: FloatTensor<Self>) -> FloatTensor<Self>;
    }

    pub(super) fn gelu<const D: usize>(input: Tensor<D>) -> Tensor<D> {
        Tensor::from_dispatch(<Dispatch as GeluOps>::gelu(input.into_dispatch()))
    }

    impl GeluOps for Flex {
        fn gelu(input: FlexTensor) -> FlexTensor {
            let mut output = owned(input);
            output
                .storage_mut::<f32>()
                .par_chunks_mut(CHUNK)
                .for_each(|values| vectorised(Gelu(values)));
            output
        }
    }

    struct Gelu<'a>(&'a mut [f32]);

    impl Kernel for Gelu<'_> {
        type Output = ();

        #[inline(always)]
        fn run(self) {
            for value in self.0 {
                *value *= 0.5 * (1.0 + erf(*value * FRAC_1_SQRT_2));
            }
        }
    }

    /// From here on erf rounds to ±1.
    const SATURATED: f32 = 3.92;

    /// Rational approximation `x P(x²) / Q(x²)`, within 1.7e-8 of erf in exact arithmetic: a weighted
    /// least-squares fit on Chebyshev nodes, iterated towards the smallest largest error.
    #[inline(always)]
    fn erf(x: f32) -> f32 {
        const P: [f32; 6] = [
            std::f32::consts::FRAC_2_SQRT_PI,
            0.192_760_93,
            0.053_060_05,
            0.003_868_186,
            0.000_287_475_06,
            2.034_746_6e-6,
        ];
        const Q: [f32; 6] = [
            1.0,
            0.504_161_6,
            0.115_083_314,
            0.015_172_018,
            0.001_188_078_4,
            3.807_052_8e-5,
        ];
        let square = x * x;
        let inner = x * horner(square, &P) / horner(square, &Q);
        if x.abs() < SATURATED {
            inner
        } else {
            1f32.copysign(x)
        }
    }

    /// `c₀ + c₁ x + c₂ x² + …`.
    #[inline(always)]
    fn horner(x: f32, coefficients: &[f32]) -> f32 {
        let mut sum = 0.0;
        for &coefficient in coefficients.iter().rev() {
            sum = f32::mul_add(sum, x, coefficient);
        }
        sum
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;
    use burn::tensor::{Device, Tolerance};

    #[test]
    fn fused_equals_composed_from_one_tail_to_the_other() {
        let device = Device::flex();
        let grid: Vec<f32> = (-60_000..=60_000).map(|at| at as f32 * 1e-4).collect();
        let input = Tensor::<1>::from_floats(grid.as_slice(), &device);
        let expected = activation::gelu(input.clone()).into_data();
        gelu(input)
            .into_data()
            .assert_approx_eq::<f32>(&expected, Tolerance::absolute(1e-6));
    }

    #[test]
    fn large_inputs_saturate_and_nan_stays() {
        let device = Device::flex();
        let input = Tensor::<1>::from_floats([-1e4, -0.0, 0.0, 1e4, f32::INFINITY], &device);
        let values: Vec<f32> = gelu(input).into_data().try_into_vec().unwrap();
        assert_eq!(values, [0.0, 0.0, 0.0, 1e4, f32::INFINITY]);
        let nan: Vec<f32> = gelu(Tensor::<1>::from_floats([f32::NAN], &device))
            .into_data()
            .try_into_vec()
            .unwrap();
        assert!(nan[0].is_nan());
    }

    #[test]
    fn a_shared_input_is_left_alone() {
        let device = Device::flex();
        let input = Tensor::<2>::from_floats([[1.0, -2.0], [3.0, 0.5]], &device);
        let _ = gelu(input.clone());
        let values: Vec<f32> = input.into_data().try_into_vec().unwrap();
        assert_eq!(values, [1.0, -2.0, 3.0, 0.5]);
    }
}
