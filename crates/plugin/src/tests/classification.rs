//! The classification loss, and smoothed targets.

use burn::module::{Module, ModuleVisitor, Param};
use burn::nn::Linear;
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use ithn_generator::config::{Fraction, Positive};
use ithn_generator::{StudyBatch, TokenBatch};

use super::support::{NEGATIVES, REPORTS, batch, model, number};
use crate::classification::classification_loss;
use crate::{Classification, IthnConfig, TrainingBatch, language_loss, smoothed_language_loss};

const FINDINGS: [[f32; 2]; 3] = [[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]];

fn configured(weight: f64) -> IthnConfig {
    let classification = Classification::new(Positive::literal(weight), 2);
    IthnConfig::default().with_classification(Some(classification))
}

fn told(device: &Device) -> TrainingBatch {
    let batch = batch(&REPORTS, &NEGATIVES, device);
    TrainingBatch {
        studies: batch
            .studies
            .with_findings(Tensor::from_data(FINDINGS, device)),
        ..batch
    }
}

/// All gradients of a model, one after the other; `None` where there is none.
struct Collected<'a>(&'a Gradients, Vec<Option<TensorData>>);

impl ModuleVisitor for Collected<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let gradient = param.val().grad(self.0);
        self.1.push(gradient.map(Tensor::into_data));
    }
}

fn gradients(module: &impl Module, loss: Tensor<1>) -> Vec<Option<TensorData>> {
    let gradients = loss.backward();
    let mut collected = Collected(&gradients, Vec::new());
    module.visit(&mut collected);
    collected.1
}

#[test]
fn the_loss_is_the_mean_cross_entropy_and_enters_the_total_at_its_weight() {
    let device = Device::default();
    let plain = model(&IthnConfig::default(), &device).losses(told(&device), 0.5);
    assert!(plain.classification.is_none());
    let with = model(&configured(0.3), &device);
    let terms = with.losses(told(&device), 0.5);
    let loss = number(&terms.classification.expect("configured"));
    let difference = number(&terms.total) - number(&plain.total);
    assert!(
        (difference - 0.3 * loss).abs() < 1e-5,
        "{difference} {loss}"
    );

    let head = with.findings_head.as_ref().expect("configured");
    let pooled = Tensor::from_data([[0.5, -1.0, 2.0, 0.0, 1.0, -0.5, 0.25, 3.0]], &device);
    let logits: Vec<f32> = head
        .forward(pooled.clone())
        .into_data()
        .try_to_vec()
        .expect("floats");
    let findings = Tensor::from_data([[1.0, 0.0]], &device);
    let found = number(&classification_loss(head, pooled, findings));
    let softplus = |x: f64| (1.0 + x.exp()).ln();
    let expected = (softplus(-f64::from(logits[0])) + softplus(f64::from(logits[1]))) / 2.0;
    assert!(
        (f64::from(found) - expected).abs() < 1e-5,
        "{found} {expected}"
    );
}

/// Central differences of the loss along every weight of the head.
#[test]
fn gradients_of_the_head_are_those_of_the_loss() {
    let device = Device::default().autodiff();
    let model = model(&configured(1.0), &device);
    let head = model.findings_head.clone().expect("configured");
    let pooled = model.generator_pooled(&device);
    let findings = Tensor::<2>::from_data(FINDINGS, &device);
    let loss = |head: &Linear| classification_loss(head, pooled.clone(), findings.clone());
    let found = gradients(&head, loss(&head));
    let found: Vec<f32> = found[0]
        .clone()
        .expect("trained")
        .try_to_vec()
        .expect("floats");
    let [rows, columns] = head.weight.dims();
    const STEP: f32 = 1e-2;
    for (place, gradient) in found.iter().enumerate() {
        let moved = |by: f32| {
            let mut head = head.clone();
            let mut values = vec![0.0; rows * columns];
            values[place] = by;
            let shift = Tensor::<2>::from_data(TensorData::new(values, [rows, columns]), &device);
            head.weight = head.weight.map(|weight| weight + shift);
            number(&loss(&head))
        };
        let slope = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
        assert!(
            (slope - gradient).abs() < 1e-3,
            "{place}: {slope} {gradient}"
        );
    }
}

impl crate::Ithn<ithn_models::R2GenCmn> {
    /// Pooled features of the batch's studies, without a history.
    fn generator_pooled(&self, device: &Device) -> Tensor<2> {
        use ithn_generator::ReportGenerator;
        self.generator.pooled(told(device).studies).detach()
    }
}

#[test]
fn the_loss_trains_what_comes_before_the_head() {
    let device = Device::default().autodiff();
    let model = model(&configured(1.0), &device);
    let terms = model.losses(told(&device), 0.5);
    let loss = terms.classification.expect("configured");
    let found = gradients(&model.generator.backbone, loss);
    assert!(found.iter().any(Option::is_some));
}

#[test]
fn without_it_losses_and_gradients_are_the_same_to_the_last_bit() {
    let device = Device::default().autodiff();
    let config = IthnConfig::default();
    let terms = |studies: fn(StudyBatch, &Device) -> StudyBatch| {
        let model = model(&config, &device);
        let plain = batch(&REPORTS, &NEGATIVES, &device);
        let batch = TrainingBatch {
            studies: studies(plain.studies, &device),
            ..plain
        };
        let total = model.losses(batch, 0.5).total;
        (number(&total).to_bits(), gradients(&model, total))
    };
    let plain = terms(|studies, _| studies);
    let told = terms(|studies, device| studies.with_findings(Tensor::from_data(FINDINGS, device)));
    assert_eq!(plain, told);
    let weights = Module::num_params(&model(&config, &device));
    let more = Module::num_params(&model(&configured(1.0), &device));
    assert_eq!(more - weights, 2 * (8 + 1));
}

#[test]
#[should_panic(expected = "with_findings")]
fn it_needs_findings() {
    let device = Device::default();
    model(&configured(1.0), &device).losses(batch(&REPORTS, &NEGATIVES, &device), 0.5);
}

#[test]
fn smoothing_mixes_the_mean_over_the_vocabulary_in() {
    let device = Device::default();
    let probabilities = [[[0.5f32, 0.25, 0.25], [0.1, 0.8, 0.1]]];
    let log_probs = Tensor::<3>::from_data(probabilities, &device).log();
    let reports = TokenBatch::from_ids(&[vec![0, 1, 0]], &device);
    let plain = number(&language_loss(log_probs.clone(), &reports));
    let loss = |smoothing| {
        number(&smoothed_language_loss(
            log_probs.clone(),
            &reports,
            smoothing,
        ))
    };
    assert_eq!(loss(0.0).to_bits(), plain.to_bits());
    let even: f32 = probabilities[0]
        .iter()
        .map(|row| -row.iter().map(|p| p.ln()).sum::<f32>() / 3.0)
        .sum::<f32>()
        / 2.0;
    assert!((loss(0.1) - (0.9 * plain + 0.1 * even)).abs() < 1e-6);
    let smoothed = IthnConfig::default().with_label_smoothing(Fraction::literal(0.1));
    let losses = [IthnConfig::default(), smoothed].map(|config| {
        let batch = batch(&REPORTS, &NEGATIVES, &device);
        number(&model(&config, &device).losses(batch, 0.5).language)
    });
    assert!((losses[0] - losses[1]).abs() > 1e-4, "{losses:?}");
}
