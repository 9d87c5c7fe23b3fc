//! Batches that real data contain and that break careless losses.

use burn::module::Module;
use burn::module::{ModuleVisitor, Param};
use burn::tensor::{Device, Gradients, Tensor};
use ithn_alignment::HardNegativePlacement;
use ithn_models::R2GenCmn;
use ithn_negatives::{Ascent, FeasibleSet, Hardening, HardeningRange};

use super::support::{REPORTS, batch, model, number};
use crate::{Ithn, IthnConfig, LossWeights, NegativeBatch, TextPath, TrainingBatch};

/// Every way to harden, every placement, every text path, with all loss terms; and the default.
pub(super) fn configs() -> Vec<IthnConfig> {
    let line = FeasibleSet::Line {
        range: HardeningRange::Line,
    };
    let hardenings = [
        Hardening::default(),
        Hardening::official(),
        Hardening::Ascent(Ascent::default()),
        Hardening::Ascent(Ascent::default().with_within(line)),
    ];
    let placements = [
        HardNegativePlacement::DiagonalPenalty,
        HardNegativePlacement::Candidate,
        HardNegativePlacement::Pair,
        HardNegativePlacement::Absent,
    ];
    let mut configs = vec![IthnConfig::default()];
    for hardening in hardenings {
        for placement in placements {
            for text_path in [
                TextPath::WithImage,
                TextPath::SameImage,
                TextPath::ReportAlone,
            ] {
                configs.push(IthnConfig {
                    hardening,
                    placement,
                    text_path,
                    hold_report_states: false,
                    mask_equal_reports: text_path != TextPath::SameImage,
                    weights: LossWeights::published(),
                    ..IthnConfig::default()
                });
            }
        }
    }
    configs
}

struct FiniteGradients<'a> {
    gradients: &'a Gradients,
    found: usize,
}

impl ModuleVisitor for FiniteGradients<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = param.val().grad(self.gradients) {
            self.found += 1;
            assert!(gradient.into_data().iter::<f32>().all(f32::is_finite));
        }
    }
}

fn losses_and_gradients_are_finite(model: &Ithn<R2GenCmn>, batch: &TrainingBatch) {
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
            assert!(number(value).is_finite(), "{:?}", model.alignment);
        }
        let gradients = terms.total.backward();
        let mut visitor = FiniteGradients {
            gradients: &gradients,
            found: 0,
        };
        model.visit(&mut visitor);
        assert!(visitor.found > 10);
    }
}

fn check(
    change: impl Fn(TrainingBatch) -> TrainingBatch,
    reports: &[[u32; 4]],
    negatives: &[[u32; 4]],
) {
    let device = Device::default().autodiff();
    let batch = change(batch(reports, negatives, &device));
    for config in configs() {
        losses_and_gradients_are_finite(&model(&config, &device), &batch);
    }
}

#[test]
fn one_study_is_a_batch() {
    check(|batch| batch, &[[0, 1, 2, 0]], &[[0, 1, 3, 0]]);
}

#[test]
fn a_negative_may_be_the_study_itself() {
    let same = |mut batch: TrainingBatch| {
        batch.negatives = Some(NegativeBatch::new(
            batch.studies.clone(),
            batch.reports.clone(),
        ));
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
    let batch = batch(&REPORTS, &REPORTS, &device);
    for config in configs() {
        let mut model = model(&config, &device);
        let zero = |weight: Tensor<2>| weight.zeros_like().detach().require_grad();
        let heads = &mut model.alignment.heads;
        heads.image.weight = heads.image.weight.clone().map(zero);
        heads.report.weight = heads.report.weight.clone().map(zero);
        losses_and_gradients_are_finite(&model, &batch);
    }
}
