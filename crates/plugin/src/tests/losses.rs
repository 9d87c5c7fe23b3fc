use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor};
use ithn_alignment::HardNegativePlacement;

use super::support::{NEGATIVES, REPORTS, batch, model, number};
use crate::{IthnConfig, LossTerms, LossWeights, SamePatient};

const WEIGHTS: LossWeights = LossWeights::literal(0.25, 0.5, 2.0);

#[test]
fn the_total_is_the_weighted_sum() {
    let device = Device::default();
    let config = IthnConfig {
        weights: WEIGHTS,
        ..IthnConfig::official()
    };
    let LossTerms {
        total,
        language,
        alignment,
        ..
    } = model(&config, &device).losses(batch(&REPORTS, &NEGATIVES, &device), 0.5);
    let alignment = alignment.expect("negatives");
    let expected = 0.25 * number(&language)
        + 0.5 * number(&alignment.contrastive)
        + 2.0 * number(&alignment.separation);
    assert!((number(&total) - expected).abs() <= 1e-6 * expected);
}

#[test]
fn the_language_loss_has_its_weight_without_negatives_too() {
    let device = Device::default();
    let config = IthnConfig {
        weights: WEIGHTS,
        ..IthnConfig::default()
    };
    let mut batch = batch(&REPORTS, &NEGATIVES, &device);
    batch.negatives = None;
    let terms = model(&config, &device).losses(batch, 1.0);
    assert!(terms.alignment.is_none());
    assert_eq!(number(&terms.total), 0.25 * number(&terms.language));
}

#[test]
fn equal_reports_are_masked_where_the_option_is_on() {
    let device = Device::default();
    let contrastive = |reports: &[[u32; 4]], negatives: &[[u32; 4]], mask_equal_reports| {
        let config = IthnConfig {
            mask_equal_reports,
            ..IthnConfig::default()
        };
        let terms = model(&config, &device).losses(batch(reports, negatives, &device), 0.5);
        number(&terms.alignment.expect("negatives").contrastive)
    };
    let same = [REPORTS[0]; 3];
    assert_eq!(contrastive(&same, &same, true), 0.0);
    assert!(contrastive(&same, &same, false) > 0.1);
    let twins = [REPORTS[0], REPORTS[1], REPORTS[0]];
    let [masked, plain] = [true, false].map(|mask| contrastive(&twins, &NEGATIVES, mask));
    assert!(masked < plain - 0.01, "{masked}, {plain}");
    assert_eq!(
        contrastive(&REPORTS, &NEGATIVES, true),
        contrastive(&REPORTS, &NEGATIVES, false)
    );
}

#[test]
fn equal_labels_are_masked_where_the_option_is_on() {
    let device = Device::default();
    let contrastive = |sets: [&[i64; 3]; 2], mask_equal_labels| {
        let config = IthnConfig {
            mask_equal_labels,
            ..IthnConfig::default()
        };
        let mut batch = batch(&REPORTS, &NEGATIVES, &device);
        batch.reports = batch.reports.with_label_sets(sets[0]);
        let negatives = batch.negatives.as_mut().expect("it has them");
        negatives.reports = negatives.reports.clone().with_label_sets(sets[1]);
        let terms = model(&config, &device).losses(batch, 0.5);
        number(&terms.alignment.expect("negatives").contrastive)
    };
    // All state the same: nothing is a negative, though no two texts are equal.
    assert_eq!(contrastive([&[0; 3], &[0; 3]], true), 0.0);
    let plain = contrastive([&[0; 3], &[0; 3]], false);
    assert!(plain > 0.1);
    assert_eq!(contrastive([&[0, 1, 2], &[3, 4, 5]], true), plain);
    let own = contrastive([&[0, 1, 2], &[0, 4, 5]], true);
    assert!(0.0 < own && own < plain, "{own} {plain}");
}

#[test]
fn a_patients_other_studies_are_no_negatives_unless_they_are_the_hardest() {
    let device = Device::default();
    let contrastive = |patients: [&[i64; 3]; 2], same_patient, placement| {
        let config = IthnConfig {
            same_patient,
            placement,
            ..IthnConfig::default()
        };
        let mut batch = batch(&REPORTS, &NEGATIVES, &device);
        batch.reports = batch.reports.with_patients(patients[0]);
        let negatives = batch.negatives.as_mut().expect("it has them");
        negatives.reports = negatives.reports.clone().with_patients(patients[1]);
        let terms = model(&config, &device).losses(batch, 0.5);
        number(&terms.alignment.expect("negatives").contrastive)
    };
    let candidate = HardNegativePlacement::Candidate;
    let of = |patients, option| contrastive(patients, option, candidate);
    let (masked, hardest) = (SamePatient::Masked, SamePatient::Hardest);
    let strangers: [&[i64; 3]; 2] = [&[0, 1, 2], &[3, 4, 5]];
    let plain = of(strangers, SamePatient::Ordinary);
    // One patient alone has no negative; strangers are as before.
    assert_eq!(of([&[0; 3], &[0; 3]], masked), 0.0);
    assert_eq!(of(strangers, masked), plain);
    // Two studies of one patient, or a study and its first negative.
    let (pair, own): ([&[i64; 3]; 2], [&[i64; 3]; 2]) =
        ([&[0, 1, 0], &[3, 4, 5]], [&[0, 1, 2], &[0, 4, 5]]);
    for patients in [pair, own] {
        let without = of(patients, masked);
        assert!(0.0 < without && without < plain, "{without} {plain}");
        assert_eq!(of(patients, hardest), plain);
        assert_eq!(of(patients, SamePatient::Ordinary), plain);
    }
    // Negatives of one patient, where negatives are compared with each other.
    let negatives: [&[i64; 3]; 2] = [&[0, 1, 2], &[3, 4, 3]];
    let absent = HardNegativePlacement::Absent;
    let with = contrastive(negatives, SamePatient::Ordinary, absent);
    assert!(contrastive(negatives, masked, absent) < with);
    // Patients that nobody states are all different.
    let terms =
        model(&IthnConfig::default(), &device).losses(batch(&REPORTS, &NEGATIVES, &device), 0.5);
    assert_eq!(
        number(&terms.alignment.expect("negatives").contrastive),
        plain
    );
}

#[test]
#[should_panic(expected = "with_label_sets")]
fn masking_labels_needs_labels() {
    let device = Device::default();
    let config = IthnConfig {
        mask_equal_labels: true,
        ..IthnConfig::default()
    };
    model(&config, &device).losses(batch(&REPORTS, &NEGATIVES, &device), 0.5);
}

#[test]
fn ascent_respects_the_mask() {
    let device = Device::default().autodiff();
    let config = IthnConfig {
        hardening: ithn_negatives::Hardening::Ascent(Default::default()),
        placement: HardNegativePlacement::Pair,
        ..IthnConfig::default()
    };
    let terms = model(&config, &device).losses(batch(&REPORTS, &REPORTS, &device), 0.0);
    let terms = terms.alignment.expect("negatives");
    assert_eq!(number(&terms.contrastive), 0.0);
    assert_eq!(
        number(&terms.hardened_similarity),
        number(&terms.negative_similarity)
    );
}

#[derive(Default)]
struct Paths {
    path: Vec<String>,
    found: Vec<String>,
}

impl ModuleVisitor for Paths {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, _param: &Param<Tensor<D>>) {
        self.found.push(self.path.join("."));
    }
}

#[test]
fn parameters_have_the_paths_of_every_checkpoint() {
    let device = Device::default();
    let model = model(&IthnConfig::default(), &device);
    let mut paths = Paths::default();
    model.visit(&mut paths);
    let own: Vec<&str> = (paths.found.iter().map(String::as_str))
        .filter(|path| !path.starts_with("generator."))
        .collect();
    assert_eq!(
        own,
        [
            "heads.image.weight",
            "heads.report.weight",
            "temperatures.pairs",
            "temperatures.hardened"
        ]
    );
    let weights = Module::num_params(&model.generator);
    assert_eq!(
        Module::num_params(&model),
        weights + 4 * (model.alignment.heads.image.weight.dims()[0] + 8) + 2
    );
}

#[test]
fn a_record_fills_a_model_of_other_weights() {
    let device = Device::default();
    let model = model(&IthnConfig::default(), &device);
    let other = super::support::model(&IthnConfig::default(), &device);
    let zero = |weight: Tensor<2>| weight.zeros_like();
    let mut other = other;
    let heads = &mut other.alignment.heads;
    heads.image.weight = heads.image.weight.clone().map(zero);
    let restored = other.load_record(model.clone().into_record());
    let weight = |model: &crate::Ithn<ithn_models::R2GenCmn>| {
        model.alignment.heads.image.weight.val().into_data()
    };
    weight(&restored).assert_eq(&weight(&model), true);
}
