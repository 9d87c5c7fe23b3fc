//! Laws that every generator keeps.

use burn::tensor::{Device, Distribution, Tensor, Tolerance};
use ithn_backbone::ResNetConfig;
use ithn_decoder::TransformerConfig;
use ithn_generator::{StudyBatch, TokenBatch};
use ithn_memory::CrossModalMemoryConfig;

use crate::config::{GeneratorConfig, GeneratorTask, ModelConfig};
use crate::{
    AttentiveLstmConfig, CnnLstmConfig, ImageFeature, LibraryGenerator, R2GenCmnConfig,
    R2GenConfig, RelationalMemoryConfig,
};

const VOCABULARY: usize = 9;

/// A small configuration of every generator, without dropout.
fn models(views: usize) -> Vec<ModelConfig> {
    let backbone = || ResNetConfig::narrow(4, vec![1, 1]);
    let transformer = || {
        TransformerConfig::new(8, 12, 2, 2)
            .with_dropout(0.0)
            .with_attention_dropout(0.0)
    };
    let r2gen_cmn = |image_feature| -> GeneratorConfig {
        let memory = CrossModalMemoryConfig::new(12, 8, 2, 3).with_dropout(0.0);
        R2GenCmnConfig::new(backbone(), memory, transformer())
            .with_visual_dropout(0.0)
            .with_image_feature(image_feature)
            .into()
    };
    let generators = [
        r2gen_cmn(ImageFeature::Backbone),
        r2gen_cmn(ImageFeature::Encoder),
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

fn studies(batch: usize, views: usize, device: &Device) -> StudyBatch {
    let dims = [batch, views, 3, 32, 32];
    StudyBatch::new(Tensor::random(dims, Distribution::Normal(0.0, 1.0), device))
}

fn reports<const LENGTH: usize>(tokens: &[[u32; LENGTH]], device: &Device) -> TokenBatch {
    let reports: Vec<Vec<u32>> = tokens.iter().map(|report| report.to_vec()).collect();
    TokenBatch::from_ids(&reports, device)
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
        let studies = studies(2, views, &device);
        let reports = reports(&[[0, 3, 2, 0], [0, 1, 5, 0]], &device);
        let encoded = generator.encode(studies.clone());
        let forced = generator.log_probs(generator.hidden_states(&encoded.context, &reports));
        assert_eq!(encoded.pooled.dims(), [2, generator.pooled_width()]);
        close(encoded.pooled, generator.pooled(studies.clone()));

        let mut state = generator.start(studies);
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
        let mut state = generator.start(studies(2, 1, &self.0));
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
        let studies = studies(1, views, &device);
        let looks = |tokens: Vec<u32>| {
            let reports = TokenBatch::from_ids(&[tokens], &device);
            let evidence = generator.explain(studies.clone(), &reports);
            evidence.expect("it attends to patches").attention
        };
        let whole = looks(vec![0, 3, 2, 5, 0]);
        let begun = looks(vec![0, 3, 2]);
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
        let encoded = generator.encode(studies(2, 1, &self.0));
        let first = |reports: &TokenBatch| -> Tensor<2> {
            let hidden = generator.force(&encoded.context, reports).hidden;
            hidden.narrow(0, 0, 1).narrow(1, 0, 3).squeeze_dim(0)
        };
        let short = vec![0, 3, 2, 0];
        let alone = [short.clone(), vec![0, 1, 5, 0]];
        let beside_a_longer_one = [short, vec![0, 1, 5, 4, 6, 0]];
        close(
            first(&TokenBatch::from_ids(&alone, &self.0)),
            first(&TokenBatch::from_ids(&beside_a_longer_one, &self.0)),
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
        let batches = [0, 1].map(|_| studies(2, views, &device));
        let reports = reports(&[[0, 3, 2, 0], [0, 1, 5, 0]], &device);
        let both = generator.encode_both(batches.clone());
        for (together, studies) in both.into_iter().zip(batches) {
            let alone = generator.encode(studies);
            close(together.pooled, alone.pooled);
            let hidden = |context: &G::Context| {
                let hidden = generator.hidden_states(context, &reports);
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
        let reports = reports(&[[0, 3, 2, 0], [0, 3, 2, 0]], &self.0);
        let context = generator.imageless_context(2);
        let hidden = generator.hidden_states(&context, &reports);
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
