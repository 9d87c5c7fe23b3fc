//! A backbone whose activations are computed again gives the same features, gradients and running statistics as one
//! that keeps them, to the last bit.

use std::collections::HashMap;

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use ithn_backbone::{
    Backbone, BackboneConfig, BlockKind, DenseNetConfig, ImageEncoder, ImageFeatures,
    RecordedChains, ResNetConfig, record_chains, record_running_updates,
};
use ithn_generator::seeded::{seeded, values};

fn networks() -> [BackboneConfig; 3] {
    let mut dense = DenseNetConfig::torchxrayvision121();
    (dense.growth, dense.width, dense.bottleneck) = (4, 8, 2);
    dense.depths = vec![2, 1, 2];
    [
        ResNetConfig::narrow(4, vec![2, 1]).into(),
        ResNetConfig::new(BlockKind::Bottleneck, vec![1, 2])
            .with_width(4)
            .into(),
        dense.into(),
    ]
}

/// Sums of gradients by parameter.
#[derive(Default)]
struct Sums(HashMap<ParamId, Vec<f32>>);

impl Sums {
    fn add(&mut self, network: &Backbone, gradients: &Gradients) {
        struct Add<'a>(&'a mut Sums, &'a Gradients);
        impl ModuleVisitor for Add<'_> {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                let Some(gradient) = param.val().grad(self.1) else {
                    return;
                };
                let added: Vec<f32> = gradient.into_data().iter().collect();
                let sums = &mut self.0.0;
                let sum = sums
                    .entry(param.id)
                    .or_insert_with(|| vec![0.0; added.len()]);
                sum.iter_mut().zip(added).for_each(|(sum, it)| *sum += it);
            }
        }
        network.visit(&mut Add(self, gradients));
    }
}

/// Values of every parameter and running state, in order.
fn state(network: &Backbone) -> Vec<TensorData> {
    struct All(Vec<TensorData>);
    impl ModuleVisitor for All {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.push(param.val().into_data());
        }
    }
    let mut all = All(Vec::new());
    network.visit(&mut all);
    all.0
}

/// A loss of two batches that are looked at together, and of other ones in each further pass.
fn loss(network: &Backbone, passes: u64, device: &Device) -> Tensor<1> {
    let of_features = |features: &ImageFeatures| {
        // Another weight for every value, so that no two gradients can be swapped unseen.
        let weights = values(features.patches.dims(), 3, device);
        (features.patches.clone() * weights).sum() + features.pooled.clone().square().mean()
    };
    let of_pass = |pass: u64| {
        let images = |seed| values([2, 3, 40, 32], seed, device);
        let features = network.forward_each(vec![images(pass), images(pass + 10)]);
        of_features(&features[0]) + of_features(&features[1]) * 0.5
    };
    let losses = (0..passes).map(of_pass);
    losses.reduce(|a, b| a + b).expect("one pass or more")
}

/// The loss, the gradients and the updates of running statistics, which are left undone.
fn learn(network: &Backbone, passes: u64, recomputes: bool) -> (TensorData, Sums, Vec<TensorData>) {
    let device = Device::default().autodiff();
    let forward = || loss(network, passes, &device);
    // The updates of the backward pass would be recorded too.
    let ((loss, gradients), updates) = record_running_updates(|| {
        let (loss, chains) = match recomputes {
            true => record_chains(forward),
            false => (forward(), RecordedChains::default()),
        };
        assert_eq!(chains.is_empty(), !recomputes);
        let recorded = loss.backward();
        let mut gradients = Sums::default();
        chains.backward(&recorded, |block| gradients.add(network, &block));
        gradients.add(network, &recorded);
        (loss.into_data(), gradients)
    });
    let updates = updates.into_iter();
    let updates = updates.map(|update| update.newest.into_data()).collect();
    (loss, gradients, updates)
}

#[test]
fn losses_gradients_and_updates_are_the_same_to_the_bit() {
    let device = Device::default().autodiff();
    for config in networks() {
        let network = seeded(config.init(&device), 11);
        let (loss, gradients, updates) = learn(&network, 1, false);
        assert!(gradients.0.len() > 8 && !updates.is_empty());
        let (again, same_gradients, same_updates) = learn(&network, 1, true);
        assert_eq!((again, same_updates), (loss, updates));
        assert_eq!(same_gradients.0, gradients.0);
    }
}

#[test]
fn gradients_of_several_passes_add_up() {
    let device = Device::default().autodiff();
    let network = seeded(networks()[1].init(&device), 12);
    let (loss, gradients, _) = learn(&network, 2, false);
    let (again, same, _) = learn(&network, 2, true);
    assert_eq!(again, loss);
    assert_eq!(same.0.len(), gradients.0.len());
    for (id, found) in &same.0 {
        for (found, expected) in found.iter().zip(&gradients.0[id]) {
            let error = (found - expected).abs();
            assert!(
                error <= 1e-4 * (1.0 + expected.abs()),
                "{found} for {expected}"
            );
        }
    }
}

#[test]
fn running_statistics_move_once() {
    let device = Device::default().autodiff();
    let moved = |recomputes: bool| {
        let network = seeded(networks()[0].init(&device), 13);
        let before = state(&network);
        let forward = || loss(&network, 1, &device);
        let (loss, chains) = match recomputes {
            true => record_chains(forward),
            false => (forward(), RecordedChains::default()),
        };
        chains.backward(&loss.backward(), |_| {});
        let after = state(&network);
        assert_ne!(after, before);
        after
    };
    assert_eq!(moved(true), moved(false));
}

#[test]
fn inference_and_a_pass_outside_of_a_recording_keep_no_chain() {
    let device = Device::default();
    let network = networks()[0].init(&device);
    let images = values([1, 3, 32, 32], 1, &device);
    let (_, chains) = record_chains(|| network.forward(images));
    assert!(chains.is_empty());
}
