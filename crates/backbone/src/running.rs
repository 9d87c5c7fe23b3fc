//! Running statistics of several processes, applied in the order of one.

use std::cell::{Cell, RefCell};

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId, RunningState};
use burn::tensor::Tensor;

thread_local! {
    /// Updates recorded on this thread; `None` while layers update their own states.
    static RECORDED: RefCell<Option<Vec<RunningUpdate>>> = const { RefCell::new(None) };
    /// Whether layers on this thread leave their running states alone.
    static HELD: Cell<bool> = const { Cell::new(false) };
}

/// Runs a layer that has run on the same batch before: its statistics are in the running states already.
pub(crate) fn hold_running_states<T>(again: impl FnOnce() -> T) -> T {
    /// Lets them go, also if `again` panics.
    struct Holding;
    impl Drop for Holding {
        fn drop(&mut self) {
            HELD.set(false);
        }
    }
    let _holding = Holding;
    HELD.set(true);
    again()
}

/// A batch's statistics `s` on their way into a running state `r`: `r ← (1 − momentum) r + momentum s`.
#[derive(Debug, Clone)]
pub struct RunningUpdate {
    /// The state.
    pub state: ParamId,
    /// Weight of the batch, in `[0, 1]`.
    pub momentum: f64,
    /// The batch's statistics, `[channels]`, on the device of the state.
    pub newest: Tensor<1>,
}

/// Runs `forward` with the running states of every [`BatchNorm`](crate::BatchNorm) held still, and returns the updates
/// that they would have taken, in order. [`apply_running_updates`] with the same updates gives the
/// same bits as `forward` alone would have.
///
/// It holds for layers that run on the calling thread. Calls do not nest: an inner one ends the outer one's
/// recording.
pub fn record_running_updates<T>(forward: impl FnOnce() -> T) -> (T, Vec<RunningUpdate>) {
    /// Ends the recording, also if `forward` panics.
    struct Recording;
    impl Drop for Recording {
        fn drop(&mut self) {
            RECORDED.take();
        }
    }
    let _recording = Recording;
    RECORDED.set(Some(Vec::new()));
    let output = forward();
    (output, RECORDED.take().unwrap_or_default())
}

/// Moves the running states of a module by some updates, in their order; those of states that the module lacks
/// have no effect.
pub fn apply_running_updates<M: Module>(module: M, updates: &[RunningUpdate]) -> M {
    struct Apply<'a>(&'a [RunningUpdate]);
    impl ModuleMapper for Apply<'_> {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let id = param.id;
            if !self.0.iter().any(|update| update.state == id) {
                return param;
            }
            param.map(|mut running| {
                for update in self.0.iter().filter(|update| update.state == id) {
                    let newest = update.newest.clone().reshape(running.dims());
                    running = averaged(running, newest, update.momentum);
                }
                running
            })
        }
    }
    module.map(&mut Apply(updates))
}

/// Takes a batch's statistics into a running state, or records that they are to be.
pub(crate) fn average(running: &RunningState<Tensor<1>>, newest: Tensor<1>, momentum: f64) {
    if HELD.get() {
        return;
    }
    let newest = newest.detach();
    let recorded = RECORDED.with_borrow_mut(|recorded| match recorded {
        None => false,
        Some(updates) => {
            updates.push(RunningUpdate {
                state: id_of(running),
                momentum,
                newest: newest.clone(),
            });
            true
        }
    });
    if !recorded {
        running.update(averaged(running.value_sync(), newest, momentum));
    }
}

fn averaged<const D: usize>(running: Tensor<D>, newest: Tensor<D>, momentum: f64) -> Tensor<D> {
    let kept = running.mul_scalar(1.0 - momentum);
    (kept + newest.mul_scalar(momentum)).detach()
}

/// A running state tells its identifier to visitors only.
fn id_of(running: &RunningState<Tensor<1>>) -> ParamId {
    struct Find(Option<ParamId>);
    impl ModuleVisitor for Find {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0 = Some(param.id);
        }
    }
    let mut find = Find(None);
    running.visit(&mut find);
    find.0.expect("a running state is visited as one tensor")
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;
    use crate::{BatchNorm, BatchNormConfig};

    fn batch(seed: usize, device: &Device) -> Tensor<4> {
        let values: Vec<f32> = (0..2 * 3 * 4)
            .map(|index| ((index * 7 + seed * 13) % 11) as f32 * 0.37 - 1.1)
            .collect();
        Tensor::from_data(TensorData::new(values, [2, 3, 2, 2]), device)
    }

    fn states(norm: &BatchNorm) -> Vec<u32> {
        [&norm.running_mean, &norm.running_var]
            .into_iter()
            .flat_map(|state| {
                state
                    .value_sync()
                    .into_data()
                    .iter::<f32>()
                    .collect::<Vec<_>>()
            })
            .map(f32::to_bits)
            .collect()
    }

    #[test]
    fn recorded_updates_give_the_bits_of_the_forward_passes() {
        let device = Device::default().autodiff();
        let config = BatchNormConfig::new(3);
        let alone = config.init(&device);
        let mut together = config.init(&device);
        let before = states(&together);
        let mut updates = Vec::new();
        for seed in 0..3 {
            alone.forward(batch(seed, &device));
            let (_, recorded) = record_running_updates(|| together.forward(batch(seed, &device)));
            assert_eq!(recorded.len(), 2);
            updates.extend(recorded);
        }
        assert_eq!(states(&together), before, "a recording moves no state");
        together = apply_running_updates(together, &updates);
        assert_eq!(states(&together), states(&alone));
        assert_ne!(states(&together), before);
    }

    #[test]
    fn a_panic_ends_the_recording() {
        let device = Device::default().autodiff();
        let norm = BatchNormConfig::new(3).init(&device);
        let before = states(&norm);
        let panicked = std::panic::catch_unwind(|| record_running_updates(|| panic!("no room")));
        assert!(panicked.is_err());
        norm.forward(batch(1, &device));
        assert_ne!(states(&norm), before);
    }
}
