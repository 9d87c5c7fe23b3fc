//! Batches that a data set can really bring, and that break careless losses.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Distribution, Gradients, Int, Tensor};
use ithn_alignment::HardNegativePlacement;
use ithn_backbone::ResNetConfig;
use ithn_decoder::TransformerConfig;
use ithn_memory::CrossModalMemoryConfig;
use ithn_negatives::{AscentConfig, FeasibleSet, HardeningConfig, MaxStep};

use super::*;
use ithn_models::{R2GenCmn, R2GenCmnConfig};

fn generator(device: &Device) -> R2GenCmn {
    R2GenCmnConfig::new(
        ResNetConfig::narrow(4, vec![1]),
        CrossModalMemoryConfig::new(6, 8, 2, 3),
        TransformerConfig::new(8, 8, 2, 1),
    )
    .init(9, 1, device)
}

/// Every way to harden, every place for the hardened negative, every text path, with all loss terms;
/// and the default.
fn configs() -> Vec<IthnConfig> {
    let ascent = |within| HardeningConfig {
        max_step: MaxStep::Ascent(AscentConfig {
            within,
            ..AscentConfig::default()
        }),
        ..HardeningConfig::default()
    };
    let hardenings = [
        HardeningConfig::default(),
        HardeningConfig::released(),
        ascent(FeasibleSet::Ball { reach: 1.0 }),
        ascent(FeasibleSet::Line),
    ];
    let placements = [
        HardNegativePlacement::DiagonalPenalty,
        HardNegativePlacement::Candidate,
        HardNegativePlacement::Pair,
        HardNegativePlacement::Absent,
    ];
    let mut configs = vec![IthnConfig {
        projection_width: 4,
        ..IthnConfig::default()
    }];
    for hardening in hardenings {
        for placement in placements {
            for text_path in [
                TextPath::WithImage,
                TextPath::SameImage,
                TextPath::ReportAlone,
            ] {
                configs.push(IthnConfig {
                    projection_width: 4,
                    hardening,
                    placement,
                    text_path,
                    hold_report_states: false,
                    weights: LossWeights::published(),
                    ..IthnConfig::default()
                });
            }
        }
    }
    configs
}

fn batch(reports: &[[i64; 4]], negatives: &[[i64; 4]], device: &Device) -> TrainingBatch {
    let studies = |rows| {
        let dims = [rows, 1, 3, 16, 16];
        StudyBatch::new(Tensor::random(dims, Distribution::Normal(0.0, 1.0), device))
    };
    TrainingBatch {
        studies: studies(reports.len()),
        reports: token_batch(reports, device),
        negatives: Some(NegativeBatch {
            studies: studies(negatives.len()),
            reports: token_batch(negatives, device),
        }),
    }
}

/// Reports whose zeros behind the closing one are padding.
fn token_batch(reports: &[[i64; 4]], device: &Device) -> TokenBatch {
    let rows = reports.len();
    let mask: Vec<f32> = reports
        .iter()
        .flat_map(|report| {
            let words = report.iter().rposition(|&token| token != 0).unwrap_or(0);
            (0..4).map(move |position| f32::from(position <= words + 1))
        })
        .collect();
    TokenBatch::new(
        Tensor::<1, Int>::from_data(reports.concat().as_slice(), device).reshape([rows, 4]),
        Tensor::<1>::from_data(mask.as_slice(), device).reshape([rows, 4]),
    )
}

struct FiniteGradients<'a> {
    gradients: &'a Gradients,
    seen: usize,
}

impl ModuleVisitor for FiniteGradients<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = param.val().grad(self.gradients) {
            self.seen += 1;
            assert!(gradient.into_data().iter::<f32>().all(f32::is_finite));
        }
    }
}

fn losses_and_gradients_are_finite(model: &Ithn<R2GenCmn>, batch: TrainingBatch) {
    for lambda in [1.0, 0.4, 0.0] {
        let terms = model.losses(batch.clone(), lambda);
        let alignment = terms.alignment.as_ref().expect("there are negatives");
        for value in [
            &terms.total,
            &terms.language,
            &alignment.contrastive,
            &alignment.separation,
            &alignment.positive_similarity,
            &alignment.negative_similarity,
            &alignment.hardened_similarity,
        ] {
            let value: f32 = value.clone().into_scalar();
            assert!(value.is_finite(), "{:?}: {value}", model.config);
        }
        let gradients = terms.total.backward();
        let mut visitor = FiniteGradients {
            gradients: &gradients,
            seen: 0,
        };
        model.visit(&mut visitor);
        assert!(visitor.seen > 10);
    }
}

fn check(
    change: impl Fn(TrainingBatch) -> TrainingBatch,
    reports: &[[i64; 4]],
    negatives: &[[i64; 4]],
) {
    let device = Device::default().autodiff();
    for config in configs() {
        let model = config.init(generator(&device), &device).materialize();
        losses_and_gradients_are_finite(&model, change(batch(reports, negatives, &device)));
    }
}

const REPORTS: [[i64; 4]; 3] = [[0, 1, 2, 0], [0, 3, 4, 0], [0, 5, 0, 0]];

#[test]
fn one_study_is_a_batch() {
    check(|batch| batch, &[[0, 1, 2, 0]], &[[0, 1, 3, 0]]);
}

#[test]
fn a_negative_may_be_the_positive_itself() {
    let same = |mut batch: TrainingBatch| {
        batch.negatives = Some(NegativeBatch {
            studies: batch.studies.clone(),
            reports: batch.reports.clone(),
        });
        batch
    };
    check(same, &REPORTS, &REPORTS);
}

#[test]
fn all_reports_may_be_equal() {
    let reports = [[0, 1, 2, 0]; 3];
    check(|batch| batch, &reports, &reports);
}

#[test]
fn images_may_be_black_and_reports_empty() {
    let black = |mut batch: TrainingBatch| {
        batch.studies.images = batch.studies.images.zeros_like();
        batch
    };
    check(black, &[[0, 0, 0, 0]; 2], &[[0, 1, 0, 0]; 2]);
}

#[test]
fn embeddings_may_be_zero() {
    let device = Device::default().autodiff();
    for config in configs() {
        let mut model = config.init(generator(&device), &device).materialize();
        let zero = |weight: Tensor<2>| weight.zeros_like().detach().require_grad();
        model.heads.image.weight = model.heads.image.weight.map(zero);
        model.heads.report.weight = model.heads.report.weight.map(zero);
        losses_and_gradients_are_finite(&model, batch(&REPORTS, &REPORTS, &device));
    }
}

/// Sum of absolute gradients that the alignment loss alone sends into a generator's backbone and into
/// its decoder.
fn alignment_gradients(config: &IthnConfig, batch: TrainingBatch, device: &Device) -> [f32; 2] {
    let model = config.init(generator(device), device).materialize();
    let alignment = model.losses(batch, 0.5).alignment.expect("negatives");
    let gradients = alignment.contrastive.backward();
    let mut backbone = AbsoluteGradients(&gradients, 0.0);
    model.generator.backbone.visit(&mut backbone);
    let mut decoder = AbsoluteGradients(&gradients, 0.0);
    model.generator.decoder.visit(&mut decoder);
    [backbone.1, decoder.1]
}

struct AbsoluteGradients<'a>(&'a Gradients, f32);

impl ModuleVisitor for AbsoluteGradients<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = param.val().grad(self.0) {
            self.1 += gradient.abs().sum().into_scalar::<f32>();
        }
    }
}

#[test]
fn held_report_states_leave_the_decoder_to_the_language_loss() {
    let device = Device::default().autodiff();
    let negatives = [[0, 1, 3, 0], [0, 3, 2, 0], [0, 6, 0, 0]];
    for text_path in [
        TextPath::WithImage,
        TextPath::SameImage,
        TextPath::ReportAlone,
    ] {
        let config = |hold_report_states| IthnConfig {
            projection_width: 4,
            text_path,
            hold_report_states,
            ..IthnConfig::default()
        };
        let gradients = |hold| {
            let batch = batch(&REPORTS, &negatives, &device);
            alignment_gradients(&config(hold), batch, &device)
        };
        let [backbone, decoder] = gradients(true);
        assert!(backbone > 0.0 && decoder == 0.0, "{backbone}, {decoder}");
        let [backbone, decoder] = gradients(false);
        assert!(backbone > 0.0 && decoder > 0.0, "{backbone}, {decoder}");
    }
}

#[test]
fn the_image_of_a_negative_is_seen_only_where_a_loss_compares_it() {
    let device = Device::default().autodiff();
    let unseen = |config: IthnConfig| {
        let mut batch = batch(&REPORTS, &REPORTS, &device);
        let negatives = batch.negatives.as_mut().expect("negatives");
        negatives.studies.images = negatives.studies.images.full_like(f32::NAN);
        let config = IthnConfig {
            projection_width: 4,
            ..config
        };
        let model = config.init(generator(&device), &device).materialize();
        let total: f32 = model.losses(batch, 0.5).total.into_scalar();
        total.is_finite()
    };
    assert!(unseen(IthnConfig::default()));
    assert!(!unseen(IthnConfig {
        weights: LossWeights::published(),
        ..IthnConfig::default()
    }));
    assert!(!unseen(IthnConfig {
        placement: HardNegativePlacement::Absent,
        ..IthnConfig::default()
    }));
}
