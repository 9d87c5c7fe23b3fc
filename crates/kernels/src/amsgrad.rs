use burn::tensor::Tensor;

/// One step of Adam with AMSGrad (Reddi et al., 2018) and an L2 penalty in the gradient:
///
/// `g ← g + decay · w`, `m ← β₁ m + (1 − β₁) g`, `v ← β₂ v + (1 − β₂) g²`, `l ← max(l, v)`,
/// `w ← w − rate · m̂ / (√l̂ + ε)` with `m̂ = m / (1 − β₁ᵗ)` and `l̂ = l / (1 − β₂ᵗ)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AmsGradStep {
    /// Learning rate.
    pub rate: f64,
    /// Decays β of the two moments.
    pub betas: [f64; 2],
    /// Added to the denominator.
    pub epsilon: f64,
    /// Factor of the L2 penalty.
    pub decay: f64,
    /// The step's number `t`, from 1.
    pub time: usize,
}

/// A weight and its AMSGrad state, all of one shape.
#[derive(Debug, Clone)]
pub struct AmsGradWeight<const D: usize> {
    /// The weight `w`.
    pub weight: Tensor<D>,
    /// First moment `m`: the moving average of the gradient.
    pub first: Tensor<D>,
    /// Second moment `v`: the moving average of the squared gradient.
    pub second: Tensor<D>,
    /// Largest `v` so far.
    pub largest: Tensor<D>,
}

impl AmsGradStep {
    /// Takes the step. On the CPU and on GPUs every tensor is read and written once, in place if it has
    /// no other owner.
    ///
    /// # Panics
    ///
    /// If shapes differ, or a tensor records gradients.
    pub fn apply<const D: usize>(
        &self,
        state: AmsGradWeight<D>,
        gradient: Tensor<D>,
    ) -> AmsGradWeight<D> {
        let tensors = [&state.weight, &state.first, &state.second, &state.largest];
        for tensor in tensors {
            assert_eq!(tensor.dims(), gradient.dims());
            assert!(!tensor.is_autodiff(), "an optimiser's step has no gradient");
        }
        #[cfg(feature = "flex")]
        if crate::cpu::is_ours(&gradient) && tensors.into_iter().all(crate::cpu::is_ours) {
            return fused::apply(*self, state, gradient);
        }
        #[cfg(feature = "cube")]
        if crate::cube::is_ours(&gradient) && tensors.into_iter().all(crate::cube::is_ours) {
            return on_gpu::apply(*self, state, gradient);
        }
        self.composed(state, gradient)
    }

    /// The step composed of Burn's public operations.
    fn composed<const D: usize>(
        &self,
        state: AmsGradWeight<D>,
        gradient: Tensor<D>,
    ) -> AmsGradWeight<D> {
        let [beta_1, beta_2] = self.betas;
        let [rate, epsilon] = self.corrected();
        let gradient = gradient + state.weight.clone() * self.decay;
        let first = state.first * beta_1 + gradient.clone() * (1.0 - beta_1);
        let second = state.second * beta_2 + gradient.square() * (1.0 - beta_2);
        let largest = state.largest.max_pair(second.clone());
        let change = first.clone() * rate / (largest.clone().sqrt() + epsilon);
        AmsGradWeight {
            weight: state.weight - change,
            first,
            second,
            largest,
        }
    }

    /// Rate and ε once the moments' bias `1 − βᵗ` is moved from the weights to them.
    fn corrected(&self) -> [f64; 2] {
        let bias = |beta: f64| 1.0 - beta.powi(self.time as i32);
        let deviation = bias(self.betas[1]).sqrt();
        [
            self.rate * deviation / bias(self.betas[0]),
            self.epsilon * deviation,
        ]
    }
}

#[cfg(feature = "cube")]
mod on_gpu;

#[cfg(feature = "flex")]
mod fused {
    use burn::backend::flex::FlexTensor;
    use burn::backend::tensor::FloatTensor;
    use burn::backend::{Backend, Dispatch, Flex, backend_extension};
    use rayon::prelude::*;

    use super::{AmsGradStep, AmsGradWeight, Tensor};
    use crate::cpu::{Contiguous, Kernel, owned, vectorised};

    /// Values that a thread takes at once.
    const BLOCK: usize = 1 << 14;

    #[backend_extension(Flex)]
    trait AmsGradOps: Backend {
        fn amsgrad(
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
        let (weight, first, second, largest) = <Dispatch as AmsGradOps>::amsgrad(
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

    impl AmsGradOps for Flex {
        fn amsgrad(
            weight: FlexTensor,
            gradient: FlexTensor,
            first: FlexTensor,
            second: FlexTensor,
            largest: FlexTensor,
            step: AmsGradStep,
        ) -> (FlexTensor, FlexTensor, FlexTensor, FlexTensor) {
            let gradient = Contiguous::new(gradient);
            let [mut weight, mut first, mut second, mut largest] =
                [weight, first, second, largest].map(owned);
            let factors = Factors::of(&step);
            weight
                .storage_mut::<f32>()
                .par_chunks_mut(BLOCK)
                .zip(gradient.values().par_chunks(BLOCK))
                .zip(first.storage_mut::<f32>().par_chunks_mut(BLOCK))
                .zip(second.storage_mut::<f32>().par_chunks_mut(BLOCK))
                .zip(largest.storage_mut::<f32>().par_chunks_mut(BLOCK))
                .for_each(|((((weight, gradient), first), second), largest)| {
                    vectorised(Block {
                        factors,
                        weight,
                        gradient,
                        first,
                        second,
                        largest,
                    });
                });
            (weight, first, second, largest)
        }
    }

    #[derive(Debug, Clone, Copy)]
    struct Factors {
        rate: f32,
        epsilon: f32,
        betas: [f32; 2],
        /// `1 − β`.
        rests: [f32; 2],
        decay: f32,
    }

    impl Factors {
        fn of(step: &AmsGradStep) -> Self {
            let [rate, epsilon] = step.corrected().map(|value| value as f32);
            Factors {
                rate,
                epsilon,
                betas: step.betas.map(|value| value as f32),
                rests: step.betas.map(|value| (1.0 - value) as f32),
                decay: step.decay as f32,
            }
        }
    }

    /// Some weights, what is known of them, and their gradients.
    struct Block<'a> {
        factors: Factors,
        weight: &'a mut [f32],
        gradient: &'a [f32],
        first: &'a mut [f32],
        second: &'a mut [f32],
        largest: &'a mut [f32],
    }

    impl Kernel for Block<'_> {
        type Output = ();

        #[inline(always)]
        fn run(self) {
            let Factors {
                rate,
                epsilon,
                betas: [beta_1, beta_2],
                rests: [rest_1, rest_2],
                decay,
            } = self.factors;
            let moments = self.first.iter_mut().zip(self.second).zip(self.largest);
            for ((weight, &gradient), ((first, second), largest)) in
                self.weight.iter_mut().zip(self.gradient).zip(moments)
            {
                let gradient = gradient + decay * *weight;
                *first = beta_1 * *first + rest_1 * gradient;
                *second = beta_2 * *second + rest_2 * gradient * gradient;
                *largest = if *second > *largest {
                    *second
                } else {
                    *largest
                };
                *weight -= rate * *first / (largest.sqrt() + epsilon);
            }
        }
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;
    use crate::agreement::normal;
    use burn::tensor::{Device, Tolerance};

    #[test]
    fn the_fused_step_is_the_composed_one() {
        let device = Device::flex();
        let zeros = || Tensor::<2>::zeros([7, 5], &device);
        let mut fused = AmsGradWeight {
            weight: normal([7, 5], 0, &device),
            first: zeros(),
            second: zeros(),
            largest: zeros(),
        };
        let mut composed = fused.clone();
        for time in 1..=5 {
            let step = AmsGradStep {
                rate: 0.01,
                betas: [0.9, 0.98],
                epsilon: 1e-9,
                decay: 5e-5,
                time,
            };
            let gradient = normal([7, 5], time as u64, &device);
            fused = step.apply(fused, gradient.clone());
            composed = step.composed(composed, gradient);
        }
        for (ours, other) in [
            (fused.weight, composed.weight),
            (fused.first, composed.first),
            (fused.second, composed.second),
            (fused.largest, composed.largest),
        ] {
            ours.into_data()
                .assert_approx_eq::<f32>(&other.into_data(), Tolerance::rel_abs(1e-5, 1e-6));
        }
    }

    #[test]
    fn the_first_step_moves_every_weight_by_the_rate() {
        let device = Device::flex();
        let state = AmsGradWeight {
            weight: Tensor::<1>::zeros([2], &device),
            first: Tensor::zeros([2], &device),
            second: Tensor::zeros([2], &device),
            largest: Tensor::zeros([2], &device),
        };
        let step = AmsGradStep {
            rate: 0.25,
            betas: [0.9, 0.98],
            epsilon: 1e-9,
            decay: 0.0,
            time: 1,
        };
        let moved = step.apply(state, Tensor::from_floats([3.0, -0.1], &device));
        moved
            .weight
            .into_data()
            .assert_approx_eq::<f32>(&[-0.25, 0.25].into(), Tolerance::relative(1e-5));
    }
}
