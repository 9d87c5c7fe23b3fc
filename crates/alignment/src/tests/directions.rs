//! What a hard negative adds to the gradient of an image embedding.
//!
//! `a = e^{τ1}`, `b = e^{τ3}`, `ũ = u⁻ + t(u − u⁻)` with `t = (1 − λ) t̂` held constant, and `q` the
//! softmax weight of `ũ` in its row.

use burn::tensor::Device;
use ithn_negatives::{Ascent, Hardening, Projection};

use super::oracle::{Case, WIDTH, unit};
use crate::{AlignmentConfig, HardNegativePlacement};
use ithn_oracle::{Rows, assert_close, dot, moved, numbers};

fn config(placement: HardNegativePlacement) -> AlignmentConfig {
    AlignmentConfig {
        projection_width: 1,
        placement,
        ..AlignmentConfig::default()
    }
}

/// `B · ∂L/∂z_i` of every study, and `∂L/∂τ3`.
fn gradients(case: &Case, placement: HardNegativePlacement, lambda: f64) -> (Rows, f64) {
    let device = Device::default().autodiff();
    let inputs = case.tensors(&config(placement), &device);
    let terms = inputs.alignment.loss(&inputs.embeddings, None, lambda);
    let [images, .., temperatures] = inputs.gradients(terms.contrastive);
    let scaled = images.iter().map(|slope| slope * case.batch() as f64);
    let rows = scaled.collect::<Vec<f64>>();
    (
        rows.chunks(WIDTH).map(<[f64]>::to_vec).collect(),
        temperatures[1],
    )
}

/// `t = (1 − λ) (v·d)/‖d‖²` of a study.
fn place(case: &Case, i: usize, lambda: f64) -> f64 {
    let d = case.towards_report(i);
    let v = moved(&case.0[0][i], &case.0[3][i], -1.0);
    (1.0 - lambda) * dot(&v, &d) / dot(&d, &d)
}

/// Weights of row `i` of the image-to-report softmax: every report, then `ũ`.
fn row_weights(case: &Case, hardened: &Rows, i: usize) -> Vec<f64> {
    let [a, b] = case.scales();
    let image = &case.0[0][i];
    let reports = case.0[1]
        .iter()
        .map(|report| (a * dot(image, report)).exp());
    let candidate = (b * dot(image, &hardened[i])).exp();
    let all: Vec<f64> = reports.chain([candidate]).collect();
    let total: f64 = all.iter().sum();
    all.iter().map(|weight| weight / total).collect()
}

/// Weight of image `i` in the report-to-image softmax of report `j`.
fn column_weight(case: &Case, i: usize, j: usize) -> f64 {
    let [a, _] = case.scales();
    let weight = |image: usize| (a * dot(&case.0[0][image], &case.0[1][j])).exp();
    let total: f64 = (0..case.batch()).map(weight).sum();
    weight(i) / total
}

#[test]
fn candidate_adds_a_pull_from_report_to_negative_and_a_temperature_gap() {
    for temperatures in [[0.9, 0.9], [0.7, 1.1], [1.1, 0.2]] {
        let case = Case::new(4, temperatures);
        let [a, b] = case.scales();
        for lambda in [1.0, 0.4, 0.0] {
            let hardened = case.closed_form(Projection::PerSample, lambda);
            let (slopes, _) = gradients(&case, HardNegativePlacement::Candidate, lambda);
            for i in 0..case.batch() {
                let (u, un) = (&case.0[1], &case.0[3][i]);
                let weights = row_weights(&case, &hardened, i);
                // Both directions of the loss have the factor ½.
                let mut rest: Vec<f64> = slopes[i].iter().map(|slope| 2.0 * slope).collect();
                // The report-to-image direction, then the other reports of the row.
                rest = moved(&rest, &u[i], a);
                for j in 0..case.batch() {
                    rest = moved(&rest, &u[j], -a * column_weight(&case, i, j));
                    if j != i {
                        let away = moved(&u[j], &u[i], -1.0);
                        rest = moved(&rest, &away, -a * weights[j]);
                    }
                }
                let q = weights[case.batch()];
                let t = place(&case, i, lambda);
                let mut expected = moved(un, &u[i], -1.0);
                expected
                    .iter_mut()
                    .for_each(|slope| *slope *= b * (1.0 - t));
                if a != b {
                    expected = moved(&expected, &u[i], b - a);
                }
                expected.iter_mut().for_each(|slope| *slope *= q);
                assert_close(&rest, &expected, 1e-9);
            }
        }
    }
}

/// One study whose image lies along `u − u⁻`, so that the hardest point is past its report.
fn far_image() -> Case {
    let mut case = Case::new(1, [0.9, 0.9]);
    case.0[0][0] = unit(&case.towards_report(0));
    case
}

#[test]
fn at_equal_temperatures_the_pull_vanishes_at_the_report_and_turns_round_past_it() {
    let case = far_image();
    let hardest = place(&case, 0, 0.0);
    assert!(hardest > 1.0);
    let along = |lambda: f64| {
        let (slopes, _) = gradients(&case, HardNegativePlacement::Candidate, lambda);
        // Descent moves the image against its gradient, from the negative to the report.
        (-dot(&slopes[0], &case.towards_report(0)), slopes[0].clone())
    };
    assert!(along(1.0).0 > 0.01);
    let (_, at_report) = along(1.0 - 1.0 / hardest);
    assert_close(&at_report, &[0.0; WIDTH], 1e-12);
    assert!(along(0.0).0 < -0.01);
}

#[test]
fn full_hardness_halves_the_pull_where_report_and_negative_are_equally_near() {
    let mut case = Case::new(1, [0.9, 0.9]);
    let d = case.towards_report(0);
    let image = &case.0[0][0];
    case.0[0][0] = unit(&moved(image, &d, -dot(image, &d) / dot(&d, &d)));
    let slopes = |lambda| {
        gradients(&case, HardNegativePlacement::Candidate, lambda)
            .0
            .concat()
    };
    let half: Vec<f64> = slopes(1.0).iter().map(|slope| slope / 2.0).collect();
    assert!(dot(&half, &half) > 1e-4);
    assert_close(&slopes(0.0), &half, 1e-9);
}

#[test]
fn candidate_raises_the_gradient_of_its_temperature_by_its_score() {
    let case = Case::new(4, [0.7, 1.1]);
    let [_, b] = case.scales();
    for lambda in [1.0, 0.4, 0.0] {
        let hardened = case.closed_form(Projection::PerSample, lambda);
        let term = |i: usize| {
            let q = row_weights(&case, &hardened, i)[case.batch()];
            q * b * dot(&case.0[0][i], &hardened[i])
        };
        // ½ for the direction, and the mean over the batch.
        let expected = (0..4).map(term).sum::<f64>() / 8.0;
        let (_, slope) = gradients(&case, HardNegativePlacement::Candidate, lambda);
        assert_close(&[slope], &[expected], 1e-9);
    }
}

#[test]
fn pair_pulls_along_report_minus_negative_alone() {
    let case = Case::new(4, [0.7, 1.1]);
    let [_, b] = case.scales();
    for lambda in [1.0, 0.4, 0.0] {
        let hardened = case.closed_form(Projection::PerSample, lambda);
        let (slopes, _) = gradients(&case, HardNegativePlacement::Pair, lambda);
        for i in 0..case.batch() {
            let [z, u, ..] = &case.0;
            let advantage = b * (dot(&z[i], &hardened[i]) - dot(&z[i], &u[i]));
            let sigma = 1.0 / (1.0 + (-advantage).exp());
            let t = place(&case, i, lambda);
            let zero = [0.0; WIDTH];
            let expected = moved(&zero, &case.towards_report(i), -b * sigma * (1.0 - t));
            assert_close(&slopes[i], &expected, 1e-9);
        }
    }
}

#[test]
fn ascent_in_a_ball_moves_the_negative_along_the_image() {
    let device = Device::default();
    let case = Case::new(4, [0.7, 1.1]);
    for placement in [
        HardNegativePlacement::DiagonalPenalty,
        HardNegativePlacement::Candidate,
        HardNegativePlacement::Pair,
    ] {
        let config = AlignmentConfig {
            hardening: Hardening::Ascent(Ascent::default()),
            ..config(placement)
        };
        let inputs = case.tensors(&config, &device);
        let found = numbers(inputs.alignment.harden(&inputs.embeddings, None, 0.4));
        for i in 0..case.batch() {
            let image = &case.0[0][i];
            let step = moved(&found[i * WIDTH..(i + 1) * WIDTH], &case.0[3][i], -1.0);
            let along = dot(&step, image);
            assert!(along > 0.1);
            assert_close(&step, &moved(&[0.0; WIDTH], image, along), 1e-9);
        }
    }
}

#[test]
fn in_batch_contrast_does_not_know_the_negatives() {
    let device = Device::default().autodiff();
    let case = Case::new(4, [0.7, 1.1]);
    let of = |case: &Case, lambda| {
        let inputs = case.tensors(&config(HardNegativePlacement::InBatch), &device);
        let terms = inputs.alignment.loss(&inputs.embeddings, None, lambda);
        let value = numbers(terms.contrastive.clone());
        (value, inputs.gradients(terms.contrastive))
    };
    let (value, gradients) = of(&case, 1.0);
    let [
        images,
        reports,
        negative_images,
        negative_reports,
        temperatures,
    ] = &gradients;
    for known in [images, reports] {
        assert!(known.iter().any(|slope| slope.abs() > 1e-3));
    }
    for unknown in [negative_images, negative_reports] {
        assert!(unknown.iter().all(|&slope| slope == 0.0));
    }
    assert!(temperatures[0] != 0.0 && temperatures[1] == 0.0);
    // Neither other negatives nor hardness change a bit.
    let mut other = case.clone();
    other.0.swap(2, 3);
    for (case, lambda) in [(&case, 0.0), (&other, 1.0), (&other, 0.4)] {
        let (other_value, [other_images, other_reports, ..]) = of(case, lambda);
        assert_eq!(other_value, value);
        assert_eq!((&other_images, &other_reports), (images, reports));
    }
}

/// The component of `step` that is orthogonal to the unit vector `normal`.
fn tangent(step: &[f64], normal: &[f64]) -> Vec<f64> {
    moved(step, normal, -dot(step, normal))
}

#[test]
fn ascent_in_a_ball_reweights_the_pull_and_adds_nothing_along_the_sphere() {
    let device = Device::default().autodiff();
    let case = Case::new(4, [0.7, 1.1]);
    let slopes = |lambda| {
        let config = AlignmentConfig {
            hardening: Hardening::Ascent(Ascent::default()),
            ..config(HardNegativePlacement::Pair)
        };
        let inputs = case.tensors(&config, &device);
        let terms = inputs.alignment.loss(&inputs.embeddings, None, lambda);
        let [images, ..] = inputs.gradients(terms.contrastive);
        images
    };
    let (first, hardened) = (slopes(1.0), slopes(0.4));
    for i in 0..case.batch() {
        let image = &case.0[0][i];
        let row = |slopes: &[f64]| tangent(&slopes[i * WIDTH..(i + 1) * WIDTH], image);
        let (first, hardened) = (row(&first), row(&hardened));
        let weight = dot(&hardened, &first) / dot(&first, &first);
        assert!(weight > 1.0, "harder negatives weigh more: {weight}");
        let expected: Vec<f64> = first.iter().map(|slope| weight * slope).collect();
        assert_close(&hardened, &expected, 1e-9);
    }
}

#[test]
fn what_is_held_learns_nothing_from_hardness() {
    // With a detached hard negative, u⁻ has no gradient at all, and u only that of its own score and of the batch.
    let device = Device::default().autodiff();
    let case = Case::new(4, [0.7, 1.1]);
    for placement in [
        HardNegativePlacement::Candidate,
        HardNegativePlacement::Pair,
    ] {
        for lambda in [1.0, 0.4, 0.0] {
            let inputs = case.tensors(&config(placement), &device);
            let terms = inputs.alignment.loss(&inputs.embeddings, None, lambda);
            let [_, reports, _, negatives, _] = inputs.gradients(terms.contrastive);
            assert!(negatives.iter().all(|&slope| slope == 0.0));
            if placement == HardNegativePlacement::Pair {
                for i in 0..case.batch() {
                    // −b·σ·z_i / batch: hardness enters through σ alone.
                    let slope = &reports[i * WIDTH..(i + 1) * WIDTH];
                    let image = &case.0[0][i];
                    let along = dot(slope, image);
                    assert!(along < 0.0);
                    assert_close(slope, &moved(&[0.0; WIDTH], image, along), 1e-9);
                }
            }
        }
    }
}
