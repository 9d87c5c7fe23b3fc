//! Laws that every generator keeps.

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::store::ModuleRecord;
use burn::tensor::{Device, Distribution, Int, Tensor, Tolerance};
use ithn_backbone::ResNetConfig;
use ithn_decoder::TransformerConfig;
use ithn_memory::CrossModalMemoryConfig;
use ithn_negatives::TrainingPoint;
use ithn_search::{SearchConfig, search};

use crate::config::GeneratorTask;
use crate::config::{GeneratorConfig, ModelConfig};
use crate::generators::{
    AttentiveLstmConfig, ImageFeature, LibraryGenerator, RelationalMemoryConfig,
};
use crate::plugin::{IthnConfig, NegativeBatch, TextPath, TrainingBatch};
use crate::train::OptimizerConfig;

const VOCABULARY: usize = 9;

/// A small configuration of every generator, without dropout.
fn models(views: usize) -> Vec<ModelConfig> {
    let backbone = || ResNetConfig::narrow(4, vec![1, 1]);
    let transformer = || {
        TransformerConfig::new(8, 12, 2, 2)
            .with_dropout(0.0)
            .with_attention_dropout(0.0)
    };
    let generators = [
        GeneratorConfig::R2GenCmn {
            backbone: backbone(),
            memory: CrossModalMemoryConfig::new(12, 8, 2, 3).with_dropout(0.0),
            transformer: transformer(),
            visual_dropout: 0.0,
            image_feature: ImageFeature::Backbone,
        },
        GeneratorConfig::R2GenCmn {
            backbone: backbone(),
            memory: CrossModalMemoryConfig::new(12, 8, 2, 3).with_dropout(0.0),
            transformer: transformer(),
            visual_dropout: 0.0,
            image_feature: ImageFeature::Encoder,
        },
        GeneratorConfig::R2Gen {
            backbone: backbone(),
            memory: RelationalMemoryConfig::new(8, 2).with_dropout(0.0),
            transformer: transformer(),
            visual_dropout: 0.0,
        },
        GeneratorConfig::CnnLstm {
            backbone: backbone(),
            lstm: AttentiveLstmConfig::new(8, 10, 6).with_dropout(0.0),
        },
    ];
    generators
        .map(|generator| ModelConfig { views, generator })
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

fn images(batch: usize, views: usize, device: &Device) -> Tensor<5> {
    let dims = [batch, views, 3, 32, 32];
    Tensor::random(dims, Distribution::Normal(0.0, 1.0), device)
}

fn close(actual: Tensor<2>, expected: Tensor<2>) {
    actual
        .into_data()
        .assert_approx_eq::<f32>(&expected.into_data(), Tolerance::absolute(1e-5));
}

#[derive(Clone)]
struct StepsEqualTeacherForcing(usize, Device);

impl GeneratorTask for StepsEqualTeacherForcing {
    type Output = ();

    fn run<G: LibraryGenerator>(self, generator: G) {
        let StepsEqualTeacherForcing(views, device) = self;
        let images = images(2, views, &device);
        let tokens = Tensor::<2, Int>::from_data([[0, 3, 2], [0, 1, 5]], &device);
        let encoded = generator.encode(images.clone());
        let forced = generator.log_probs(generator.hidden_states(&encoded.context, tokens));
        assert_eq!(encoded.pooled.dims(), [2, generator.pooled_width()]);
        close(encoded.pooled, generator.pooled(images.clone()));

        let mut state = generator.start(images);
        for (position, words) in [[0, 0], [3, 1], [2, 5]].iter().enumerate() {
            let step = generator.step(words, &mut state);
            close(step, forced.clone().narrow(1, position, 1).squeeze_dim(1));
        }
    }
}

#[test]
fn writing_word_by_word_equals_teacher_forcing() {
    let device = Device::default();
    for views in [1, 2] {
        for_every(
            views,
            &device,
            StepsEqualTeacherForcing(views, device.clone()),
        );
    }
}

#[derive(Clone)]
struct ReorderMovesRows(Device);

impl GeneratorTask for ReorderMovesRows {
    type Output = ();

    fn run<G: LibraryGenerator>(self, generator: G) {
        let mut state = generator.start(images(2, 1, &self.0));
        generator.step(&[0, 0], &mut state);
        let rows = [1, 0, 1];
        let mut moved = generator.reorder(state.clone(), &rows);
        for words in [[3, 6], [2, 2]] {
            let next = generator.step(&words, &mut state);
            let moved_words = rows.map(|row| words[row]);
            let moved_next = generator.step(&moved_words, &mut moved);
            let rows = ithn_generator::row_indices(&rows, &self.0);
            close(moved_next, next.select(0, rows));
        }
    }
}

#[test]
fn reordering_repeats_and_permutes_what_follows() {
    let device = Device::default();
    for_every(1, &device, ReorderMovesRows(device.clone()));
}

#[derive(Clone)]
struct EveryWordLooks(usize, Device);

impl GeneratorTask for EveryWordLooks {
    type Output = ();

    fn run<G: LibraryGenerator>(self, generator: G) {
        let EveryWordLooks(views, device) = self;
        let images = images(1, views, &device);
        let looks = |tokens: Tensor<2, Int>| {
            let evidence = generator.explain(images.clone(), tokens);
            evidence.expect("it attends to patches").attention
        };
        let whole = looks(Tensor::from_data([[0, 3, 2, 5]], &device));
        let begun = looks(Tensor::from_data([[0, 3]], &device));
        assert_eq!(whole.len(), begun.len());
        for (whole, begun) in whole.into_iter().zip(begun) {
            let [_, heads, length, patches] = whole.dims();
            assert_eq!((length, patches), (4, 16 * views));
            // What was looked at before a word does not depend on the words after it.
            let first: Tensor<2> = whole.clone().narrow(2, 0, 2).reshape([heads * 2, patches]);
            close(begun.reshape([heads * 2, patches]), first);
            let sums: Tensor<2> = whole.sum_dim(3).reshape([heads, length]);
            close(sums.clone(), sums.ones_like());
        }
    }
}

#[test]
fn every_word_looks_at_patches() {
    let device = Device::default();
    for views in [1, 2] {
        for_every(views, &device, EveryWordLooks(views, device.clone()));
    }
}

#[derive(Clone)]
struct PaddingIsUnseen(Device);

impl GeneratorTask for PaddingIsUnseen {
    type Output = ();

    fn run<G: LibraryGenerator>(self, generator: G) {
        let encoded = generator.encode(images(1, 1, &self.0));
        let hidden = |tokens: Tensor<2, Int>| -> Tensor<2> {
            generator
                .force(&encoded.context, tokens)
                .hidden
                .narrow(1, 0, 3)
                .squeeze_dim(0)
        };
        let padded = Tensor::from_data([[0, 3, 2, 0, 0]], &self.0);
        close(
            hidden(Tensor::from_data([[0, 3, 2]], &self.0)),
            hidden(padded),
        );
    }
}

#[test]
fn padding_does_not_change_the_words_before_it() {
    let device = Device::default();
    for_every(1, &device, PaddingIsUnseen(device.clone()));
}

#[derive(Clone)]
struct BothAreEachAlone(usize, Device);

impl GeneratorTask for BothAreEachAlone {
    type Output = ();

    fn run<G: LibraryGenerator>(self, generator: G) {
        let BothAreEachAlone(views, device) = self;
        let batches = [0, 1].map(|_| images(2, views, &device));
        let tokens = Tensor::<2, Int>::from_data([[0, 3, 2], [0, 1, 5]], &device);
        let both = generator.encode_both(batches.clone());
        for (together, images) in both.into_iter().zip(batches) {
            let alone = generator.encode(images);
            close(together.pooled, alone.pooled);
            let hidden = |context: &G::Context| {
                let hidden = generator.hidden_states(context, tokens.clone());
                hidden.flatten::<2>(0, 1)
            };
            close(hidden(&together.context), hidden(&alone.context));
        }
    }
}

#[test]
fn two_batches_encoded_together_are_each_encoded_alone() {
    let device = Device::default();
    for views in [1, 2] {
        for_every(views, &device, BothAreEachAlone(views, device.clone()));
    }
}

#[derive(Clone)]
struct AloneMeansAlone(Device);

impl GeneratorTask for AloneMeansAlone {
    type Output = ();

    fn run<G: LibraryGenerator>(self, generator: G) {
        let tokens = Tensor::<2, Int>::from_data([[0, 3, 2], [0, 3, 2]], &self.0);
        let context = generator.imageless_context(2);
        let hidden = generator.hidden_states(&context, tokens);
        let row = |row: usize| hidden.clone().narrow(0, row, 1).squeeze_dim::<2>(0);
        close(row(0), row(1));
        assert_eq!(hidden.dims(), [2, 3, generator.hidden_width()]);
    }
}

#[test]
fn without_an_image_equal_reports_have_equal_states() {
    let device = Device::default();
    for_every(1, &device, AloneMeansAlone(device.clone()));
}

fn batch(device: &Device, with_negatives: bool) -> TrainingBatch {
    let tokens = |tokens: [[i64; 5]; 2]| Tensor::<2, Int>::from_data(tokens, device);
    TrainingBatch {
        images: images(2, 1, device),
        tokens: tokens([[0, 3, 2, 6, 0], [0, 1, 5, 0, 0]]),
        token_mask: Tensor::from_data(
            [[1.0, 1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0, 0.0]],
            device,
        ),
        negatives: with_negatives.then(|| NegativeBatch {
            images: images(2, 1, device),
            tokens: tokens([[0, 3, 4, 6, 0], [0, 7, 5, 0, 0]]),
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
        let config = IthnConfig {
            projection_width: 6,
            text_path: self.text_path.unwrap_or(TextPath::WithImage),
            ..IthnConfig::default()
        };
        let optimizer = OptimizerConfig {
            backbone_learning_rate: 3e-3,
            learning_rate: 3e-3,
            ..OptimizerConfig::default()
        };
        let mut model = config.init(generator, &self.device).materialize();
        let mut state = optimizer.init();
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
            model = state.step(optimizer.policy(point), model, gradients);
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
        let images = images(2, 1, &self.0);
        let options = SearchConfig::beam(6, 2);
        let write = |generator: &G| {
            let state = generator.start(images.clone());
            search(generator, state, &["a", "b"], &options).expect("it writes")
        };
        let alone = write(&generator);

        let mut model = IthnConfig::default().init(generator, &self.0);
        assert!(model.num_params() > weights);
        // Heads and temperatures that would poison whatever touched them.
        let nan = |tensor: Tensor<2>| tensor.full_like(f32::NAN);
        model.heads.image.weight = model.heads.image.weight.map(nan);
        model.heads.report.weight = model.heads.report.weight.map(nan);
        let nan = |tensor: Tensor<1>| tensor.full_like(f32::NAN);
        model.temperatures.pairs = model.temperatures.pairs.map(nan);
        model.temperatures.hardened = model.temperatures.hardened.map(nan);
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
