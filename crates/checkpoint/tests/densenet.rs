//! A DenseNet of PyTorch with one input channel, as torchxrayvision's: its files are read, and features,
//! gradients and running statistics are PyTorch's. `fixtures/densenet/write.py` wrote the files.

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData, Tolerance};
use ithn_backbone::{Backbone, BackboneConfig, DenseNet, DenseNetConfig, ImageEncoder, PixelScale};
use ithn_checkpoint::import::{NamedTensors, load_backbone};

fn fixture(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/densenet");
    folder.join(name)
}

fn config() -> DenseNetConfig {
    let mut config = DenseNetConfig::narrow(4, vec![2, 3]);
    config.width = 6;
    config.bottleneck = 2;
    config
}

fn loaded(file: &str, device: &Device) -> DenseNet {
    let tensors = NamedTensors::read(&fixture(file)).expect("readable");
    let backbone = BackboneConfig::from(config()).init(device);
    match load_backbone(backbone, &tensors).expect("it fits") {
        Backbone::DenseNet(network) => network,
        other => panic!("{other:?}"),
    }
}

/// Gray images as the library hands them on: three equal planes less ImageNet's mean, over its deviation.
fn images(expected: &NamedTensors, device: &Device) -> Tensor<4> {
    let levels = Tensor::<3>::from_data(expected.tensors["levels"].clone(), device);
    let plane = |mean: f32, deviation: f32| (levels.clone() / 255.0 - mean) / deviation;
    let [r, g, b] = [(0.485, 0.229), (0.456, 0.224), (0.406, 0.225)].map(|(m, d)| plane(m, d));
    Tensor::stack(vec![r, g, b], 1)
}

fn close(found: Tensor<1>, expected: &TensorData, absolute: f64) {
    let shape = [found.dims()[0]];
    let values: Vec<f32> = expected.iter::<f32>().collect();
    let tolerance = Tolerance::absolute(absolute as f32).set_relative(1e-3);
    found
        .into_data()
        .assert_approx_eq::<f32>(&TensorData::new(values, shape), tolerance);
}

#[test]
fn a_pickled_module_and_a_state_give_pytorchs_features() {
    let device = Device::default();
    let expected = NamedTensors::read(&fixture("expected.safetensors")).expect("readable");
    for file in ["module.pt", "state.pt"] {
        let patches = loaded(file, &device)
            .forward(images(&expected, &device))
            .patches;
        assert_eq!(patches.dims(), [2, 30, 19]);
        close(patches.reshape([-1]), &expected.tensors["evaluation"], 1e-4);
    }
}

#[test]
fn training_has_pytorchs_features_gradients_and_running_statistics() {
    let device = Device::default().autodiff();
    let expected = NamedTensors::read(&fixture("expected.safetensors")).expect("readable");
    let network = loaded("module.pt", &device);
    let patches = network.forward(images(&expected, &device)).patches;
    let gradients = patches.clone().square().mean().backward();
    close(patches.reshape([-1]), &expected.tensors["training"], 2e-4);
    let gradient = network.stem.weight.grad(&gradients).expect("it is trained");
    close(
        gradient.reshape([-1]),
        &expected.tensors["conv0.gradient"],
        1e-6,
    );
    let norm = &network.norm;
    for (state, name) in [
        (&norm.running_mean, "norm5.running_mean"),
        (&norm.running_var, "norm5.running_var"),
    ] {
        close(state.value_sync(), &expected.tensors[name], 1e-4);
    }
}

#[test]
fn another_size_or_three_channels_are_refused_by_name() {
    let tensors = NamedTensors::read(&fixture("state.pt")).expect("readable");
    let load = |config: DenseNetConfig| {
        let backbone = BackboneConfig::from(config).init(&Device::default());
        let loaded = load_backbone(backbone, &tensors).map(|_| ());
        loaded.expect_err("it does not fit").to_string()
    };
    let error = load(config().with_pixels(PixelScale::ImageNet));
    assert!(
        error.contains("features.conv0.weight: [6, 1, 7, 7] in the file"),
        "{error}"
    );
    let mut deeper = config();
    deeper.depths = vec![2, 4];
    let error = load(deeper);
    assert!(
        error.contains("features.denseblock2.denselayer4.norm1.weight"),
        "{error}"
    );
}
