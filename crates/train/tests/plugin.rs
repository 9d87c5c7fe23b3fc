//! The plug-in around every generator of the library.

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::store::ModuleRecord;
use burn::tensor::{Device, Tensor, TensorData};
use ithn_backbone::ResNetConfig;
use ithn_checkpoint::config::OptimizerConfig;
use ithn_decoder::TransformerConfig;
use ithn_generator::config::NonNegative;
use ithn_generator::{StudyBatch, TokenBatch};
use ithn_memory::CrossModalMemoryConfig;
use ithn_models::config::{GeneratorConfig, GeneratorTask, ModelConfig};
use ithn_models::{
    AttentiveLstmConfig, CnnLstmConfig, ImageFeature, LibraryGenerator, R2GenCmnConfig,
    R2GenConfig, RelationalMemoryConfig,
};
use ithn_negatives::TrainingPoint;
use ithn_plugin::{IthnConfig, NegativeBatch, TextPath, TrainingBatch};
use ithn_search::{SearchConfig, search};
use ithn_train::{init_optimizer, learning_rate_policy};

const VOCABULARY: usize = 9;

/// A small configuration of every generator, without dropout.
fn models(views: usize) -> Vec<ModelConfig> {
    let backbone = || ResNetConfig::narrow(4, vec![1, 1]);
    let transformer = || {
        TransformerConfig::new(8, 12, 2, 2)
            .with_dropout(0.0)
            .with_attention_dropout(0.0)
    };
    let generators: [GeneratorConfig; 4] = [
        R2GenCmnConfig::new(
            backbone(),
            CrossModalMemoryConfig::new(12, 8, 2, 3).with_dropout(0.0),
            transformer(),
        )
        .with_visual_dropout(0.0)
        .with_image_feature(ImageFeature::Backbone)
        .into(),
        R2GenCmnConfig::new(
            backbone(),
            CrossModalMemoryConfig::new(12, 8, 2, 3).with_dropout(0.0),
            transformer(),
        )
        .with_visual_dropout(0.0)
        .with_image_feature(ImageFeature::Encoder)
        .into(),
        R2GenConfig::new(
            backbone(),
            RelationalMemoryConfig::new(8, 2).with_dropout(0.0),
            transformer(),
        )
        .with_visual_dropout(0.0)
        .into(),
        CnnLstmConfig::new(
            backbone(),
            AttentiveLstmConfig::new(8, 10, 6).with_dropout(0.0),
        )
        .into(),
    ];
    generators
        .map(|generator| ModelConfig::new(generator, views))
        .into()
}

/// Runs a law on every generator, on `device`.
fn for_every<T: GeneratorTask<Output = ()> + Clone>(views: usize, device: &Device, law: T) {
    for model in models(views) {
        println!("{}", model.generator.name());
        model
            .build(VOCABULARY, device, law.clone())
            .expect("a generator of this library");
    }
}

fn studies(batch: usize, views: usize, device: &Device) -> StudyBatch {
    let dims = [batch, views, 3, 32, 32];
    let count = dims.iter().product::<usize>();
    let pixels: Vec<f32> = (0..count)
        .map(|at| (at as f32 * 12.9898).sin() * 1.4)
        .collect();
    StudyBatch::new(Tensor::from_data(TensorData::new(pixels, dims), device))
}

fn batch(device: &Device, with_negatives: bool) -> TrainingBatch {
    let reports = |first: [u32; 5], second: [u32; 4]| {
        TokenBatch::from_ids(&[first.to_vec(), second.to_vec()], device)
    };
    TrainingBatch {
        studies: studies(2, 1, device),
        reports: reports([0, 3, 2, 6, 0], [0, 1, 5, 0]),
        negatives: with_negatives.then(|| {
            NegativeBatch::new(
                studies(2, 1, device),
                reports([0, 3, 4, 6, 0], [0, 7, 5, 0]),
            )
        }),
    }
}

#[derive(Clone)]
struct Learns {
    device: Device,
    text_path: Option<TextPath>,
}

impl GeneratorTask for Learns {
    type Output = ();

    fn run<G: LibraryGenerator>(self, generator: G) {
        let config = IthnConfig::default()
            .with_projection_width(6)
            .with_text_path(self.text_path.unwrap_or(TextPath::WithImage));
        let mut optimizer = OptimizerConfig::default();
        optimizer.backbone_learning_rate = NonNegative::literal(3e-3);
        optimizer.learning_rate = NonNegative::literal(3e-3);
        let mut model = config.init(generator, &self.device).materialize();
        let mut state = init_optimizer(&optimizer);
        let batch = batch(&self.device, self.text_path.is_some());
        let mut losses = Vec::new();
        for step in 0..12 {
            let point = TrainingPoint {
                epoch: 1,
                step,
                total_steps: 12,
            };
            let terms = model.losses(batch.clone(), 0.5);
            assert_eq!(terms.alignment.is_some(), self.text_path.is_some());
            losses.push(terms.total.clone().into_scalar::<f32>());
            let gradients = GradientsParams::from_grads(terms.total.backward(), &model);
            model = state.step(learning_rate_policy(&optimizer, point), model, gradients);
        }
        assert!(losses.iter().all(|loss| loss.is_finite()), "{losses:?}");
        assert!(losses[11] < 0.9 * losses[0], "{losses:?}");
    }
}

#[test]
fn every_generator_learns_with_and_without_the_plugin() {
    let device = Device::default().autodiff();
    for text_path in [
        None,
        Some(TextPath::WithImage),
        Some(TextPath::SameImage),
        Some(TextPath::ReportAlone),
    ] {
        device.seed(7);
        let law = Learns {
            device: device.clone(),
            text_path,
        };
        for_every(1, &device, law);
    }
}

#[derive(Clone)]
struct PluginIsGoneAtInference(Device);

impl GeneratorTask for PluginIsGoneAtInference {
    type Output = ();

    fn run<G: LibraryGenerator>(self, generator: G) {
        let before = bytes(&generator);
        let weights = Module::num_params(&generator);
        let studies = studies(2, 1, &self.0);
        let options = SearchConfig::beam(6, 2);
        let write = |generator: &G| {
            let state = generator.start(studies.clone());
            search(generator, state, &["a", "b"], &options).expect("it writes")
        };
        let alone = write(&generator);

        let mut model = IthnConfig::default().init(generator, &self.0);
        assert!(model.num_params() > weights);
        // Heads and temperatures that would poison whatever touched them.
        let nan = |tensor: Tensor<2>| tensor.full_like(f32::NAN);
        let heads = &mut model.alignment.heads;
        heads.image.weight = heads.image.weight.clone().map(nan);
        heads.report.weight = heads.report.weight.clone().map(nan);
        let nan = |tensor: Tensor<1>| tensor.full_like(f32::NAN);
        let temperatures = &mut model.alignment.temperatures;
        temperatures.pairs = temperatures.pairs.clone().map(nan);
        temperatures.hardened = temperatures.hardened.clone().map(nan);
        let within = write(&model.generator);

        assert_eq!(within, alone);
        assert_eq!(Module::num_params(&model.generator), weights);
        assert_eq!(bytes(&model.generator), before);
    }
}

fn bytes<M: Module>(module: &M) -> Vec<u8> {
    let record: ModuleRecord = module.clone().into_record();
    record.into_bytes().expect("serialisable").to_vec()
}

#[test]
fn the_plugin_adds_no_weight_and_no_step_to_inference() {
    let device = Device::default();
    for_every(1, &device, PluginIsGoneAtInference(device.clone()));
}
