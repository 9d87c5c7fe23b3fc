use burn::optim::{
    AdamState, AdaptiveMomentumState, LearningRate, Optimizer, RecordState, StateSink, StateSource,
};
use burn::tensor::{Device, Tensor};
use ithn_kernels::{AmsGradStep, AmsGradWeight};

use super::read_on_cpu::reading_device;

/// Burn's Adam with AMSGrad and L2, in one pass over memory; its state is Burn's own.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AmsGrad {
    pub(crate) betas: [f64; 2],
    pub(crate) epsilon: f64,
    pub(crate) weight_decay: f64,
}

/// Burn's state of Adam, and its record.
#[derive(Clone)]
pub(crate) struct AmsGradState<const D: usize>(AdamState<D>);

impl<const D: usize> RecordState for AmsGradState<D> {
    fn state_flatten(&self, prefix: &str, sink: &mut StateSink) {
        self.0.state_flatten(prefix, sink);
    }

    fn state_unflatten(prefix: &str, source: &mut StateSource, device: &Device) -> Option<Self> {
        AdamState::state_unflatten(prefix, source, &reading_device(device)).map(AmsGradState)
    }
}

impl Optimizer for AmsGrad {
    type State<const D: usize> = AmsGradState<D>;

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        weight: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<AmsGradState<D>>,
    ) -> (Tensor<D>, Option<AmsGradState<D>>) {
        let zeros = || gradient.zeros_like();
        let (time, first, second, largest) = match state {
            None => (0, zeros(), zeros(), zeros()),
            Some(AmsGradState(AdamState { momentum })) => {
                // A state that was saved without AMSGrad starts from its present moment.
                let largest = momentum.max_moment_2;
                let largest = largest.unwrap_or_else(|| momentum.moment_2.clone());
                (momentum.time, momentum.moment_1, momentum.moment_2, largest)
            }
        };
        let step = AmsGradStep {
            rate,
            betas: self.betas,
            epsilon: self.epsilon,
            decay: self.weight_decay,
            time: time + 1,
        };
        let taken = step.apply(
            AmsGradWeight {
                weight,
                first,
                second,
                largest,
            },
            gradient,
        );
        let mut momentum = AdaptiveMomentumState::new(step.time, taken.first, taken.second);
        momentum.max_moment_2 = Some(taken.largest);
        (taken.weight, Some(AmsGradState(AdamState::new(momentum))))
    }

    fn to_device<const D: usize>(state: AmsGradState<D>, device: &Device) -> AmsGradState<D> {
        let AmsGradState(AdamState { momentum }) = state;
        AmsGradState(AdamState::new(momentum.to_device(device)))
    }
}
