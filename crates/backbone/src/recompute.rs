//! Activations that are computed again in the backward pass instead of being kept (Chen et al., 2016).

use std::cell::RefCell;

use burn::module::Module;
use burn::tensor::{Gradients, Tensor};

use crate::running::hold_running_states;

thread_local! {
    /// Chains of the forward pass on this thread; `None` while activations are kept.
    static CHAINS: RefCell<Option<Vec<Chain>>> = const { RefCell::new(None) };
}

/// A layer of a chain, or several: its output, with or without a record for gradients.
type Run = Box<dyn Fn(Tensor<4>, Records) -> Tensor<4>>;

#[derive(Clone, Copy, PartialEq)]
enum Records {
    Gradients,
    Nothing,
}

/// One step of a chain.
pub(crate) struct Step(Run);

impl Step {
    /// `run` of a module; it must depend on the module and the map alone.
    pub(crate) fn new<M: Module + 'static>(
        module: &M,
        run: impl Fn(&M, Tensor<4>) -> Tensor<4> + 'static,
    ) -> Self {
        let module = module.clone();
        Step(Box::new(move |map, records| match records {
            Records::Gradients => run(&module, map),
            Records::Nothing => run(&module.clone().no_grad(), map),
        }))
    }
}

/// Steps one after the other, of which only the inputs are kept.
struct Chain {
    steps: Vec<Step>,
    inputs: Vec<Tensor<4>>,
    /// A leaf: what comes after the chain leaves its gradient here.
    output: Tensor<4>,
}

/// What [`record_chains`] recorded.
#[must_use = "without its backward pass the networks in it get no gradient"]
#[derive(Default)]
pub struct RecordedChains(Vec<Chain>);

/// Runs `forward` without keeping the activations inside of backbones: [`RecordedChains::backward`] computes
/// them again, block by block, from the blocks' inputs.
///
/// Only networks of this crate that run in training mode on the calling thread are recorded. `forward` must not call
/// `record_chains` itself.
pub fn record_chains<T>(forward: impl FnOnce() -> T) -> (T, RecordedChains) {
    /// Ends the recording, also if `forward` panics.
    struct Recording;
    impl Drop for Recording {
        fn drop(&mut self) {
            CHAINS.take();
        }
    }
    let _recording = Recording;
    CHAINS.set(Some(Vec::new()));
    let output = forward();
    (output, RecordedChains(CHAINS.take().unwrap_or_default()))
}

/// Whether a network is to run as a [`chain`]: if chains are recorded, and the images are those of training.
pub(crate) fn records_chains(images: &Tensor<4>) -> bool {
    images.device().is_autodiff() && CHAINS.with_borrow(Option::is_some)
}

/// Runs steps on images, which get no gradient.
pub(crate) fn chain(images: Tensor<4>, steps: Vec<Step>) -> Tensor<4> {
    let mut inputs = Vec::with_capacity(steps.len());
    let mut map = images.detach();
    for Step(run) in &steps {
        inputs.push(map.clone());
        map = run(map, Records::Nothing).detach();
    }
    let output = map.require_grad();
    CHAINS.with_borrow_mut(|chains| {
        if let Some(chains) = chains {
            chains.push(Chain {
                steps,
                inputs,
                output: output.clone(),
            });
        }
    });
    output
}

impl RecordedChains {
    /// Whether no network ran in the recording.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Goes on with the backward pass that gave `gradients`, through the networks of the recording: every block
    /// runs once more, and `each` is given its gradients. They are those of a pass that keeps its
    /// activations; a parameter of a network that ran twice occurs twice, and its gradients are to be added.
    pub fn backward(self, gradients: &Gradients, mut each: impl FnMut(Gradients)) {
        for chain in self.0 {
            let Some(gradient) = chain.output.grad(gradients) else {
                continue;
            };
            let mut gradient = Some(gradient);
            let steps = chain.steps.into_iter().zip(chain.inputs).enumerate();
            for (index, (Step(run), input)) in steps.collect::<Vec<_>>().into_iter().rev() {
                let Some(above) = gradient.take() else {
                    break;
                };
                let input = match index {
                    0 => input,
                    _ => input.require_grad(),
                };
                let output = hold_running_states(|| run(input.clone(), Records::Gradients));
                let gradients = (output * above.autodiff()).sum().backward();
                if index > 0 {
                    gradient = input.grad(&gradients);
                }
                each(gradients);
            }
        }
    }
}
