use burn::tensor::Device;
use ithn_negatives::{
    Ascent, ClosedForm, FeasibleSet, GradientFlow, Hardening, HardeningRange, Projection,
};

use super::oracle::{Case, PLACEMENTS, Same};
use crate::{AlignmentConfig, HardNegativePlacement, image_separation_loss};
use ithn_oracle::{Rows, assert_close, dot, numbers, slopes};

const PROJECTIONS: [Projection; 2] = [Projection::PerSample, Projection::BatchMixed];

fn closed_form(projection: Projection, gradient: GradientFlow) -> Hardening {
    ClosedForm::default()
        .with_projection(projection)
        .with_gradient(gradient)
        .into()
}

fn config(placement: HardNegativePlacement, hardening: Hardening) -> AlignmentConfig {
    AlignmentConfig {
        projection_width: 1,
        hardening,
        placement,
        ..AlignmentConfig::default()
    }
}

/// Nothing equal; one pair each among studies and negatives, and one own negative.
fn masks() -> [Option<Same>; 2] {
    [None, Some(Same::of(&[1, 2, 1, 3], &[4, 2, 5, 5]))]
}

#[test]
fn every_placement_is_its_equation_under_both_projections() {
    let device = Device::default();
    for batch in [1, 4] {
        let case = Case::new(batch, [0.7, 1.1]);
        for placement in PLACEMENTS {
            for projection in PROJECTIONS {
                for lambda in [1.0, 0.4, 0.0] {
                    let hardening = closed_form(projection, GradientFlow::Detached);
                    let inputs = case.tensors(&config(placement, hardening), &device);
                    let terms = inputs.alignment.loss(&inputs.embeddings, None, lambda);
                    let hardened = case.closed_form(projection, lambda);
                    let expected = case.loss(&hardened, placement, None);
                    assert_close(&numbers(terms.contrastive), &[expected], 1e-9);

                    let mean = |other: &Rows| {
                        let similarity = |i: usize| dot(&case.0[0][i], &other[i]);
                        (0..batch).map(similarity).sum::<f64>() / batch as f64
                    };
                    let [_, u, _, un, _] = &case.0;
                    assert_close(&numbers(terms.positive_similarity), &[mean(u)], 1e-9);
                    assert_close(&numbers(terms.negative_similarity), &[mean(un)], 1e-9);
                    assert_close(
                        &numbers(terms.hardened_similarity),
                        &[mean(&hardened)],
                        1e-9,
                    );
                }
            }
        }
    }
}

#[test]
fn every_gradient_is_the_slope_of_its_equation_in_every_direction() {
    let device = Device::default().autodiff();
    let case = Case::new(4, [0.7, 1.1]);
    for same in masks() {
        let equal = same.as_ref().map(|same| same.tensors(&device));
        for placement in PLACEMENTS {
            for projection in PROJECTIONS {
                for flow in [GradientFlow::Through, GradientFlow::Detached] {
                    let config = config(placement, closed_form(projection, flow));
                    let inputs = case.tensors(&config, &device);
                    let terms = inputs
                        .alignment
                        .loss(&inputs.embeddings, equal.as_ref(), 0.4);
                    let gradients = inputs.gradients(terms.contrastive);
                    let constant = case.closed_form(projection, 0.4);
                    for (index, gradient) in gradients.iter().enumerate() {
                        let slopes = slopes(&case.0[index], |rows| {
                            let mut other = case.clone();
                            other.0[index].clone_from(rows);
                            let hardened = match flow {
                                GradientFlow::Through => other.closed_form(projection, 0.4),
                                GradientFlow::Detached => constant.clone(),
                                other => panic!("no oracle for {other:?}"),
                            };
                            other.loss(&hardened, placement, same.as_ref())
                        });
                        assert_close(gradient, &slopes, 1e-9);
                    }
                }
            }
        }
    }
}

#[test]
fn ascent_reaches_the_end_of_its_line_and_the_rim_of_its_ball() {
    let device = Device::default().autodiff();
    let case = Case::new(4, [0.7, 1.1]);
    let sets = [
        FeasibleSet::Line {
            range: HardeningRange::Line,
        },
        FeasibleSet::Line {
            range: HardeningRange::Segment,
        },
        Ascent::default().within,
    ];
    for same in masks() {
        let equal = same.as_ref().map(|same| same.tensors(&device));
        for placement in PLACEMENTS {
            for within in sets {
                let hardening = Ascent::default().with_within(within).into();
                let inputs = case.tensors(&config(placement, hardening), &device);
                let (alignment, embeddings) = (&inputs.alignment, &inputs.embeddings);
                let found = alignment.harden(embeddings, equal.as_ref(), 0.4);
                let mut expected = match within {
                    FeasibleSet::Line { range } => case.line(range, 0.4),
                    FeasibleSet::Ball { .. } => case.ball(0.4),
                    other => panic!("no oracle for {other:?}"),
                };
                for (i, expected) in expected.iter_mut().enumerate() {
                    let is_own = same.as_ref().is_some_and(|same| same.own_negative[i]);
                    // The loss does not depend on these hard negatives.
                    let is_without = matches!(
                        placement,
                        HardNegativePlacement::Absent | HardNegativePlacement::InBatch
                    );
                    if is_own || is_without {
                        expected.clone_from(&case.0[3][i]);
                    }
                }
                assert_close(&numbers(found), &expected.concat(), 1e-9);

                let terms = alignment.loss(embeddings, equal.as_ref(), 0.4);
                let loss = case.loss(&expected, placement, same.as_ref());
                assert_close(&numbers(terms.contrastive.clone()), &[loss], 1e-9);
                let gradients = inputs.gradients(terms.contrastive);
                for (index, gradient) in gradients.iter().enumerate() {
                    let slopes = slopes(&case.0[index], |rows| {
                        let mut other = case.clone();
                        other.0[index].clone_from(rows);
                        other.loss(&expected, placement, same.as_ref())
                    });
                    assert_close(gradient, &slopes, 1e-9);
                }
            }
        }
    }
}

#[test]
fn separation_is_the_mean_absolute_cosine_and_zero_without_negative_images() {
    let device = Device::default();
    let case = Case::new(4, [0.7, 1.1]);
    let config = AlignmentConfig {
        projection_width: 1,
        ..AlignmentConfig::default()
    };
    let mut inputs = case.tensors(&config, &device);
    let images = inputs.embeddings.images.clone();
    let negatives = inputs
        .embeddings
        .negative_images
        .clone()
        .expect("a case has them");
    let cosines = (0..4).map(|i| dot(&case.0[0][i], &case.0[2][i]).abs());
    let expected = cosines.sum::<f64>() / 4.0;
    assert_close(
        &numbers(image_separation_loss(images, negatives)),
        &[expected],
        1e-12,
    );

    inputs.embeddings.negative_images = None;
    let terms = inputs.alignment.loss(&inputs.embeddings, None, 0.4);
    assert_eq!(numbers(terms.separation), [0.0]);
}

#[test]
fn what_cannot_work_is_refused_by_key() {
    let config = AlignmentConfig {
        projection_width: 0,
        ..AlignmentConfig::default()
    };
    assert_eq!(config.validate().unwrap_err().key(), "projection_width");
    let mut config = AlignmentConfig::default();
    config.temperatures.pairs = f64::INFINITY;
    assert_eq!(config.validate().unwrap_err().key(), "temperatures.pairs");
    let config = AlignmentConfig {
        hardening: ClosedForm::official()
            .with_range(HardeningRange::Segment)
            .into(),
        ..AlignmentConfig::default()
    };
    assert_eq!(config.validate().unwrap_err().key(), "hardening.range");
}

/// Row `i` of the image-to-report softmax has `e^{τ3} z_i·u⁻_ij` of every further negative, and the other direction none.
#[test]
fn further_negatives_are_candidates_as_they_are() {
    let device = Device::default();
    let case = Case::new(4, [0.7, 1.1]);
    let more: Vec<Rows> = [15, 16]
        .map(|seed| ithn_oracle::rows(seed, 4, super::oracle::WIDTH))
        .into();
    let losses = [
        HardNegativePlacement::Candidate,
        HardNegativePlacement::Candidates,
    ]
    .map(|placement| {
        let hardening = closed_form(Projection::PerSample, GradientFlow::Detached);
        let mut inputs = case.tensors(&config(placement, hardening), &device);
        let tensors = more.iter().map(|rows| ithn_oracle::tensor(rows, &device));
        inputs.embeddings.more_negative_reports = tensors.collect();
        let terms = inputs.alignment.loss(&inputs.embeddings, None, 0.4);
        numbers(terms.contrastive)[0]
    });
    let hardened = case.closed_form(Projection::PerSample, 0.4);
    let [z, u, ..] = &case.0;
    let [a, b] = case.scales();
    let growth = |i: usize| {
        let reports: f64 = u.iter().map(|report| (a * dot(&z[i], report)).exp()).sum();
        let before = reports + (b * dot(&z[i], &hardened[i])).exp();
        let further: f64 = more
            .iter()
            .map(|rows| (b * dot(&z[i], &rows[i])).exp())
            .sum();
        (1.0 + further / before).ln()
    };
    let expected = (0..4).map(growth).sum::<f64>() / 8.0;
    let plain = case.loss(&hardened, HardNegativePlacement::Candidate, None);
    assert_close(&losses, &[plain, plain + expected], 1e-9);
}

/// The hull of both negatives of each study: the foot of the image's perpendicular, between them.
#[test]
fn the_hull_is_that_of_first_and_further_negatives() {
    let device = Device::default();
    let case = Case::new(3, [0.7, 1.1]);
    let config = config(
        HardNegativePlacement::Candidate,
        ithn_negatives::Hull::default().into(),
    );
    let mut inputs = case.tensors(&config, &device);
    let other = ithn_oracle::rows(15, 3, super::oracle::WIDTH);
    inputs.embeddings.more_negative_reports = vec![ithn_oracle::tensor(&other, &device)];
    let foot = |i: usize| {
        let first = &case.0[3][i];
        let along = ithn_oracle::moved(&other[i], first, -1.0);
        let away = ithn_oracle::moved(&case.0[0][i], first, -1.0);
        let weight = (dot(&away, &along) / dot(&along, &along)).clamp(0.0, 1.0);
        ithn_oracle::moved(first, &along, 0.6 * weight)
    };
    let expected: Rows = (0..3).map(foot).collect();
    let found = inputs.alignment.harden(&inputs.embeddings, None, 0.4);
    assert_close(&numbers(found), &expected.concat(), 1e-9);
    let terms = inputs.alignment.loss(&inputs.embeddings, None, 0.4);
    let loss = case.loss(&expected, HardNegativePlacement::Candidate, None);
    assert_close(&numbers(terms.contrastive), &[loss], 1e-9);
}
