//! Batches of several processes, contrasted with one another, are one larger batch.

use burn::module::{Module, ModuleVisitor, Param, ParamGroup};
use burn::tensor::{Device, Gradients, Tensor};
use ithn_models::R2GenCmn;

use super::batches::configs;
use super::support::{batch, model, number};
use crate::{Embeddings, Ithn, IthnConfig, LossWeights, NegativeBatch, Peers, TrainingBatch};

/// The first and the third are equal, and so are the fourth and its negative.
const REPORTS: [[u32; 4]; 5] = [
    [0, 1, 2, 0],
    [0, 3, 4, 0],
    [0, 1, 2, 0],
    [0, 5, 6, 0],
    [0, 7, 0, 0],
];
const NEGATIVES: [[u32; 4]; 5] = [
    [0, 1, 3, 0],
    [0, 3, 2, 0],
    [0, 6, 6, 0],
    [0, 5, 6, 0],
    [0, 6, 6, 0],
];

/// Contrast alone, and batch norm by its running statistics: the gradient of a study does not depend on its batch
/// otherwise.
fn contrast_alone(config: IthnConfig, device: &Device) -> Ithn<R2GenCmn> {
    let config = IthnConfig {
        weights: LossWeights::literal(0.0, 0.1, 0.2),
        ..config
    };
    let backbone = ParamGroup::from_predicate("generator.backbone.");
    model(&config, device).freeze_group(backbone)
}

/// Some rows of a batch, without padding that they do not need.
fn rows(whole: &TrainingBatch, first: usize, count: usize, device: &Device) -> TrainingBatch {
    let tokens = |all: [[u32; 4]; 5]| {
        let rows = &all[first..][..count];
        batch(rows, rows, device).reports
    };
    let mut part = whole.clone();
    part.studies.images = part.studies.images.narrow(0, first, count);
    part.reports = tokens(REPORTS);
    part.negatives = part.negatives.map(|negatives| {
        let mut studies = negatives.studies;
        studies.images = studies.images.narrow(0, first, count);
        NegativeBatch::new(studies, tokens(NEGATIVES))
    });
    part
}

/// All gradients of a module, 0 where there is none.
fn flat(model: &Ithn<R2GenCmn>, gradients: &Gradients) -> Vec<f32> {
    struct Flat<'a>(&'a Gradients, Vec<f32>);
    impl ModuleVisitor for Flat<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let value = param.val();
            let gradient = value.grad(self.0);
            let gradient = gradient.unwrap_or_else(|| value.inner().zeros_like());
            self.1.extend(gradient.into_data().iter::<f32>());
        }
    }
    let mut walk = Flat(gradients, Vec::new());
    model.visit(&mut walk);
    walk.1
}

fn constant(embeddings: &Embeddings) -> Embeddings {
    let constant = |rows: &Tensor<2>| rows.clone().detach();
    Embeddings {
        images: constant(&embeddings.images),
        reports: constant(&embeddings.reports),
        negative_images: embeddings.negative_images.as_ref().map(constant),
        negative_reports: constant(&embeddings.negative_reports),
        more_negative_reports: Vec::new(),
    }
}

fn assert_close(actual: &[f32], expected: &[f32], what: &str) {
    let largest = expected.iter().fold(0.0_f32, |most, it| most.max(it.abs()));
    assert!(largest > 1e-5, "{what}: no gradient");
    for (index, (actual, expected)) in actual.iter().zip(expected).enumerate() {
        let off = (actual - expected).abs();
        assert!(
            off <= 2e-4 * largest,
            "{what}: {index}: {actual}, {expected}"
        );
    }
}

/// Loss and gradient of the five studies in one batch, and in batches of these sizes at as many processes.
fn check(config: &IthnConfig, lambda: f64, sizes: &[usize]) {
    let device = Device::default().autodiff();
    let model = contrast_alone(config.clone(), &device);
    let whole = batch(&REPORTS, &NEGATIVES, &device);
    let one = model.losses(whole.clone(), lambda);
    let expected = flat(&model, &one.total.backward());

    let starts = sizes.iter().scan(0, |next, size| {
        *next += size;
        Some(*next - size)
    });
    let passes: Vec<_> = starts
        .zip(sizes)
        .map(|(first, &count)| model.forward(rows(&whole, first, count, &device)))
        .collect();
    let gathered: Vec<Embeddings> = passes
        .iter()
        .map(|pass| constant(pass.embeddings().expect("negatives")))
        .collect();
    let mut sum = vec![0.0_f32; expected.len()];
    for (rank, pass) in passes.iter().enumerate() {
        let peers = Peers {
            before: gathered[..rank].to_vec(),
            after: gathered[rank + 1..].to_vec(),
            reports: whole.reports.clone(),
            negatives: whole.negatives.clone().expect("negatives").reports,
        };
        let among = model.losses_among(pass, peers, lambda);
        let (own, all) = (number(&among.terms.total), number(&one.total));
        assert!((own - all).abs() <= 1e-5, "{sizes:?}: {own}, {all}");
        let gradient = flat(&model, &among.objective.backward());
        sum.iter_mut().zip(gradient).for_each(|(a, b)| *a += b);
    }
    let mean: Vec<f32> = sum.iter().map(|it| it / sizes.len() as f32).collect();
    assert_close(&mean, &expected, &format!("{sizes:?} of {config:?}"));
}

#[test]
fn gradients_of_all_processes_add_up_to_those_of_one_with_the_larger_batch() {
    for config in configs() {
        check(&config, 0.4, &[2, 3]);
    }
}

#[test]
fn batches_may_have_any_size() {
    for config in [IthnConfig::default(), IthnConfig::official()] {
        let config = config.with_hold_report_states(false);
        for sizes in [&[5][..], &[4, 1], &[1, 2, 2], &[1, 1, 1, 1, 1]] {
            check(&config, 1.0, sizes);
            check(&config, 0.0, sizes);
        }
    }
}

#[test]
fn equal_reports_of_two_processes_are_no_negatives_of_each_other() {
    let device = Device::default().autodiff();
    let contrastive = |mask_equal_reports| {
        let config = IthnConfig::default().with_mask_equal_reports(mask_equal_reports);
        let model = contrast_alone(config, &device);
        let whole = batch(&REPORTS, &NEGATIVES, &device);
        // The first study alone, and all others.
        let passes = [(0, 1), (1, 4)]
            .map(|(first, count)| model.forward(rows(&whole, first, count, &device)));
        let peers = Peers {
            before: Vec::new(),
            after: vec![constant(passes[1].embeddings().expect("negatives"))],
            reports: whole.reports,
            negatives: whole.negatives.expect("negatives").reports,
        };
        let terms = model.losses_among(&passes[0], peers, 0.5).terms;
        number(&terms.alignment.expect("negatives").contrastive)
    };
    let [masked, plain] = [true, false].map(contrastive);
    assert!(masked < plain - 0.01, "{masked}, {plain}");
}
