//! The contrast of likelihoods, by hand and as part of the total.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor, TensorData};
use ithn_generator::config::{NonNegative, Positive};

use super::support::{NEGATIVES, REPORTS, batch, model, number};
use crate::likelihood::Likelihoods;
use crate::{IthnConfig, LikelihoodContrast};

fn contrast(weight: f64) -> LikelihoodContrast {
    let [weight, scale] = [weight, 2.0].map(Positive::literal);
    LikelihoodContrast::new(weight, scale, NonNegative::literal(0.5))
}

fn configured(weight: f64) -> IthnConfig {
    IthnConfig::default().with_likelihood(Some(contrast(weight)))
}

#[test]
fn its_terms_by_hand() {
    let device = Device::default();
    let column = |values: [f32; 2]| {
        Tensor::<2>::from_data(TensorData::new(values.to_vec(), [2, 1]), &device)
    };
    let likelihoods = Likelihoods {
        reports: column([-1.0, -2.0]),
        negatives: column([-3.0, -1.5]),
    };
    let softplus = |x: f64| (1.0 + x.exp()).ln();
    // s (ℓ⁻ − ℓ + (1 − λ) m) with s = 2, m = 0.5.
    for (lambda, margin) in [(1.0, 0.0), (0.5, 0.25), (0.0, 0.5)] {
        let terms = [
            softplus(2.0 * (-2.0 + margin)),
            softplus(2.0 * (0.5 + margin)),
        ];
        let found = number(&contrast(1.0).loss(&likelihoods, None, lambda));
        assert!((f64::from(found) - (terms[0] + terms[1]) / 2.0).abs() < 1e-6);
        let equal = Tensor::<2>::from_data([[0.0], [1.0]], &device).bool();
        let found = number(&contrast(1.0).loss(&likelihoods, Some(&equal), lambda));
        assert!((f64::from(found) - terms[0] / 2.0).abs() < 1e-6);
    }
}

#[test]
fn it_compares_the_likelihoods_given_the_own_image_and_enters_the_total() {
    let device = Device::default();
    let plain = model(&IthnConfig::default(), &device);
    let losses = plain.losses(batch(&REPORTS, &NEGATIVES, &device), 0.5);
    assert!(losses.likelihood.is_none());
    let terms = model(&configured(0.3), &device).losses(batch(&REPORTS, &NEGATIVES, &device), 0.5);
    let loss = number(&terms.likelihood.expect("configured"));
    let difference = number(&terms.total) - number(&losses.total);
    assert!(
        (difference - 0.3 * loss).abs() < 1e-5,
        "{difference} {loss}"
    );

    use ithn_generator::ReportGenerator;
    let data = batch(&REPORTS, &NEGATIVES, &device);
    let encoded = plain.generator.encode(data.studies);
    let negatives = data.negatives.expect("a batch with negatives").reports;
    let of = |reports| -> Vec<f32> {
        let found = plain.log_likelihoods(&encoded, reports);
        found.into_data().try_to_vec().expect("floats")
    };
    let (own, other) = (of(&data.reports), of(&negatives));
    let term = |i: usize| (1.0 + (2.0 * (other[i] - own[i] + 0.25)).exp()).ln();
    let expected = (0..3).map(term).sum::<f32>() / 3.0;
    assert!((loss - expected).abs() < 1e-5, "{loss} {expected}");
}

#[test]
fn equal_reports_have_none_and_a_batch_without_negatives_neither() {
    let device = Device::default();
    let model = model(&configured(1.0), &device);
    let terms = model.losses(batch(&REPORTS, &REPORTS, &device), 0.5);
    assert_eq!(number(&terms.likelihood.expect("negatives")), 0.0);
    let mut data = batch(&REPORTS, &NEGATIVES, &device);
    data.negatives = None;
    assert!(model.losses(data, 0.5).likelihood.is_none());
}

/// Largest gradient of a module.
struct Largest<'a>(&'a burn::tensor::Gradients, f32);

impl ModuleVisitor for Largest<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = param.val().grad(self.0) {
            self.1 = self.1.max(gradient.abs().max().into_scalar::<f32>());
        }
    }
}

#[test]
fn it_trains_the_generator_and_no_projection_head() {
    let device = Device::default().autodiff();
    let model = model(&configured(1.0), &device);
    let terms = model.losses(batch(&REPORTS, &NEGATIVES, &device), 0.5);
    let gradients = terms.likelihood.expect("configured").backward();
    let largest = |module: &dyn Fn(&mut Largest)| {
        let mut largest = Largest(&gradients, 0.0);
        module(&mut largest);
        largest.1
    };
    assert!(largest(&|visitor| model.generator.visit(visitor)) > 1e-4);
    assert_eq!(largest(&|visitor| model.alignment.visit(visitor)), 0.0);
}
