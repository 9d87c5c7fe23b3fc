//! Padding reports beyond the longest changes no loss and no gradient.

use std::collections::HashSet;

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData, Tolerance};
use ithn_alignment::Pooling;
use ithn_backbone::ResNetConfig;
use ithn_checkpoint::config::Preset;
use ithn_data::phantom::{PhantomConfig, write_phantom_dataset};
use ithn_data::{
    BatchMember, ImageBlock, LoadedBatch, OnBadStudy, TokenBlock, TokenizedContext, TokenizedStudy,
    pad_tokens, shuffled_order,
};
use ithn_decoder::TransformerConfig;
use ithn_generator::seeded::seeded;
use ithn_memory::CrossModalMemoryConfig;
use ithn_models::config::{GeneratorConfig, GeneratorTask, ModelConfig};
use ithn_models::{
    AttentiveLstmConfig, CnnLstmConfig, LibraryGenerator, R2GenCmnConfig, R2GenConfig,
    RelationalMemoryConfig,
};
use ithn_plugin::{IthnConfig, TextPath};
use ithn_train::{DataSource, Dataset, PreparedData, training_batch};

const VOCABULARY: usize = 9;

/// Side of the films.
const SIDE: usize = 32;

/// Generators without dropout, which would draw other numbers for other shapes.
fn generators() -> [GeneratorConfig; 3] {
    let backbone = || ResNetConfig::narrow(4, vec![1, 1]);
    let transformer = || {
        TransformerConfig::new(8, 12, 2, 2)
            .with_dropout(0.0)
            .with_attention_dropout(0.0)
    };
    let memory = CrossModalMemoryConfig::new(12, 8, 2, 3).with_dropout(0.0);
    [
        R2GenCmnConfig::new(backbone(), memory, transformer())
            .with_visual_dropout(0.0)
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
    ]
}

fn block(reports: [&[u32]; 2]) -> TokenBlock {
    let studies = reports.map(|tokens| TokenizedStudy {
        id: "study".to_owned(),
        images: Vec::new(),
        tokens: tokens.to_vec(),
        context: TokenizedContext::default(),
    });
    pad_tokens(&studies.each_ref())
}

fn films(seed: u64) -> ImageBlock {
    let dims = [2, 1, 3, SIDE, SIDE];
    let pixels = (0..dims.iter().product::<usize>() as u64)
        .map(|at| ((at + seed * 7).wrapping_mul(2_654_435_761) >> 16) as u8)
        .collect();
    ImageBlock {
        dims,
        pixels,
        features: None,
        present: vec![true; 2],
        context: None,
    }
}

/// Two studies whose reports are 4 and 3 positions long, their negatives' 6 and 2.
fn loaded() -> LoadedBatch {
    let member = |study, negative| BatchMember {
        study,
        negative: Some(negative),
    };
    LoadedBatch {
        members: vec![member(0, 2), member(1, 3)],
        images: films(1),
        tokens: block([&[0, 3, 2, 6, 0], &[0, 1, 5, 0]]),
        negatives: Some((films(2), block([&[0, 3, 4, 6, 2, 1, 0], &[0, 7, 0]]))),
    }
}

#[test]
fn both_sides_of_a_batch_are_padded_to_one_multiple() {
    let batch = loaded();
    assert_eq!(batch.clone().padded_to_multiple(1), batch);
    for (multiple, tokens) in [(2, 7), (4, 9), (6, 7), (16, 17)] {
        let padded = batch.clone().padded_to_multiple(multiple);
        let (_, negatives) = padded.negatives.as_ref().expect("as before");
        assert_eq!([padded.tokens.dims, negatives.dims], [[2, tokens]; 2]);
        assert_eq!(padded.tokens.lengths, [5, 4]);
        let row = &padded.tokens.ids[tokens..];
        assert_eq!(row[..4], [0, 1, 5, 0]);
        assert!(row[4..].iter().all(|id| *id == 0));
    }
}

/// Shapes of the first 100 batches of the default training: without rounding, a device that compiles kernels for each
/// of them compiles most of the time. `cargo test -p ithn-train --test report_lengths shapes -- --nocapture` prints the numbers.
#[test]
fn rounding_leaves_few_shapes() {
    let folder = tempfile::tempdir().expect("a folder");
    let cohort = PhantomConfig::new(800, 2, 2).with_image_size(16);
    write_phantom_dataset(folder.path(), &cohort).expect("drawn");
    let source = DataSource::mimic(folder.path().to_owned());
    let dataset = Dataset::load(&source, 1, None, OnBadStudy::Stop).expect("readable");
    let config = Preset::Phantom.config();
    let data = PreparedData::new(&dataset, &config, None).expect("prepared");
    let block = |indices: Vec<usize>| {
        let studies: Vec<&TokenizedStudy> = indices.iter().map(|at| &data.training[*at]).collect();
        pad_tokens(&studies)
    };
    let order = shuffled_order(data.members.len(), config.training.seed, 1);
    let members = order.chunks(config.training.batch_size).map(|batch| {
        let members = batch.iter().map(|at| data.members[*at]);
        members.collect::<Vec<_>>()
    });
    let batches: Vec<LoadedBatch> = members
        .map(|members| LoadedBatch {
            images: films(1),
            tokens: block(members.iter().map(|it| it.study).collect()),
            negatives: Some((
                films(2),
                block(members.iter().filter_map(|it| it.negative).collect()),
            )),
            members,
        })
        .collect();
    assert_eq!(batches.len(), 100);
    let shapes = |multiple: usize| {
        let shapes = batches.iter().cloned().map(|batch| {
            let batch = batch.padded_to_multiple(multiple);
            let negatives = batch.negatives.map(|(_, block)| block.dims);
            (batch.tokens.dims, negatives)
        });
        shapes.collect::<HashSet<_>>().len()
    };
    let counts = [1, 8, 16].map(shapes);
    println!("shapes of 100 batches, rounded up to multiples of 1, 8 and 16: {counts:?}");
    assert!(counts[0] > 40 && counts[2] <= 4, "{counts:?}");
}

#[derive(Clone)]
struct PaddingChangesNothing {
    device: Device,
    config: IthnConfig,
}

struct Gradients<'a> {
    of: &'a GradientsParams,
    found: Vec<(ParamId, TensorData)>,
}

impl ModuleVisitor for Gradients<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.of.get::<D>(param.id) {
            self.found.push((param.id, gradient.into_data()));
        }
    }
}

impl GeneratorTask for PaddingChangesNothing {
    type Output = ();

    fn run<G: LibraryGenerator>(self, generator: G) {
        let model = seeded(self.config.init(generator, &self.device), 5);
        let learn = |multiple: usize| {
            let model = model.clone().fork(&self.device);
            let loaded = loaded().padded_to_multiple(multiple);
            let terms = model.losses(training_batch(loaded, &self.device), 0.5);
            let alignment = terms.alignment.as_ref().expect("there are negatives");
            let losses = [&terms.total, &terms.language, &alignment.contrastive];
            let losses = losses.map(|loss| loss.clone().into_data());
            let of = GradientsParams::from_grads(terms.total.backward(), &model);
            let mut gradients = Gradients {
                of: &of,
                found: Vec::new(),
            };
            model.visit(&mut gradients);
            (losses, gradients.found)
        };
        let (losses, gradients) = learn(1);
        assert!(gradients.len() > 20);
        let tolerance = || Tolerance::<f32>::absolute(2e-6).set_relative(2e-4);
        for multiple in [2, 16] {
            let (padded, padded_gradients) = learn(multiple);
            for (found, expected) in padded.iter().zip(&losses) {
                found.assert_approx_eq::<f32>(expected, Tolerance::relative(1e-5));
            }
            assert_eq!(padded_gradients.len(), gradients.len());
            for ((id, found), (expected_id, expected)) in padded_gradients.iter().zip(&gradients) {
                assert_eq!(id, expected_id);
                found.assert_approx_eq::<f32>(expected, tolerance());
            }
        }
    }
}

#[test]
fn padding_changes_neither_losses_nor_gradients() {
    let device = Device::default().autodiff();
    for (text_path, pooling) in [
        (TextPath::WithImage, Pooling::AllPositions),
        (TextPath::SameImage, Pooling::ReportTokens),
        (TextPath::ReportAlone, Pooling::AllPositions),
        (TextPath::ReportAlone, Pooling::ReportTokens),
    ] {
        for generator in generators() {
            println!("{}, {text_path:?}, {pooling:?}", generator.name());
            let law = PaddingChangesNothing {
                device: device.clone(),
                config: IthnConfig::default()
                    .with_projection_width(6)
                    .with_text_path(text_path)
                    .with_pooling(pooling),
            };
            ModelConfig::new(generator, 1)
                .build(VOCABULARY, &device, law)
                .expect("a generator of this library");
        }
    }
}
