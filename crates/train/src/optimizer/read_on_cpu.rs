//! Optimizer state on a machine that lacks Burn's default device.

use burn::optim::{LearningRate, Optimizer, RecordState, StateSink, StateSource};
use burn::tensor::{Device, Tensor};

/// One of Burn's optimisers, whose saved state is read into the processor's memory; its record is Burn's own.
#[derive(Debug, Clone)]
pub(crate) struct ReadOnCpu<O>(pub(crate) O);

/// State of such an optimiser.
#[derive(Debug, Clone)]
pub(crate) struct CpuState<S>(S);

/// Where a saved state is read: the processor's memory, if the build has its backend. Burn names its default device,
/// which a build for GPUs may have and a machine lack; the first step moves the state to its weight's device.
pub(super) fn reading_device(named: &Device) -> Device {
    #[cfg(feature = "flex")]
    {
        let _ = named;
        Device::flex()
    }
    #[cfg(not(feature = "flex"))]
    named.clone()
}

impl<S: RecordState> RecordState for CpuState<S> {
    fn state_flatten(&self, prefix: &str, sink: &mut StateSink) {
        self.0.state_flatten(prefix, sink);
    }

    fn state_unflatten(prefix: &str, source: &mut StateSource, device: &Device) -> Option<Self> {
        S::state_unflatten(prefix, source, &reading_device(device)).map(CpuState)
    }
}

impl<O: Optimizer> Optimizer for ReadOnCpu<O> {
    type State<const D: usize> = CpuState<O::State<D>>;

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        weight: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<CpuState<O::State<D>>>,
    ) -> (Tensor<D>, Option<CpuState<O::State<D>>>) {
        let state = state.map(|CpuState(state)| state);
        let (weight, state) = self.0.step(rate, weight, gradient, state);
        (weight, state.map(CpuState))
    }

    fn to_device<const D: usize>(
        CpuState(state): CpuState<O::State<D>>,
        device: &Device,
    ) -> CpuState<O::State<D>> {
        CpuState(O::to_device(state, device))
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;
    use crate::optimizer::init_optimizer;
    use burn::module::Module;
    use burn::nn::{Linear, LinearConfig};
    use burn::optim::{GradientsParams, ModuleOptimizer};
    use ithn_checkpoint::config::OptimizerConfig;
    use ithn_generator::seeded::seeded;

    /// A state that keeps the device which it was read onto.
    #[derive(Clone)]
    struct Seen(Device);

    impl RecordState for Seen {
        fn state_flatten(&self, _prefix: &str, _sink: &mut StateSink) {}

        fn state_unflatten(_: &str, _: &mut StateSource, device: &Device) -> Option<Self> {
            Some(Seen(device.clone()))
        }
    }

    #[test]
    fn a_state_is_read_on_the_processor_whatever_device_is_named() {
        let named = Device::flex().autodiff();
        let mut source = StateSource::new(Default::default());
        let state = CpuState::<Seen>::state_unflatten("", &mut source, &named);
        let CpuState(Seen(device)) = state.expect("it reads nothing");
        assert_eq!(device, Device::flex());
    }

    fn step(optimizer: &mut ModuleOptimizer, layer: Linear, device: &Device) -> Linear {
        let x = Tensor::<2>::from_data([[3.0, -4.0]], device);
        let loss = layer.forward(x).square().sum();
        let gradients = GradientsParams::from_grads(loss.backward(), &layer);
        optimizer.step(0.01, layer, gradients)
    }

    /// Each kind of optimiser goes on from its saved state as if it had not been saved.
    #[test]
    fn every_optimizer_continues_from_its_record() {
        let _turn = crate::take_turns();
        let device = Device::flex().autodiff();
        for (amsgrad, decoupled) in [(true, false), (false, false), (false, true), (true, true)] {
            let mut config = OptimizerConfig::default();
            config.amsgrad = amsgrad;
            config.decoupled_weight_decay = decoupled;
            let mut first = init_optimizer(&config);
            let layer = seeded(LinearConfig::new(2, 3).init(&device), 1);
            let layer = step(&mut first, layer, &device);
            let record = first.into_bytes().expect("serialisable");
            let mut second = init_optimizer(&config);
            second = second.from_bytes(record).expect("as saved");
            let weights = |optimizer: &mut ModuleOptimizer| {
                let layer = layer.clone().fork(&device);
                step(optimizer, layer, &device).weight.val().into_data()
            };
            let (expected, found) = (weights(&mut first), weights(&mut second));
            found.assert_eq(&expected, true);
            assert_ne!(expected, layer.weight.val().into_data());
        }
    }
}
