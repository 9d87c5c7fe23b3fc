use std::num::NonZeroUsize;

use burn::tensor::{Device, Tensor};
use ithn_generator::config::Positive;

use crate::{Ascent, ClosedForm, FeasibleSet, Hardening, HardeningRange, NegativeNorm, harden};
use ithn_oracle::{Rows, assert_close, dot, moved, numbers, rows, tensor};

fn ascent(steps: usize, within: FeasibleSet) -> Ascent {
    Ascent {
        steps: NonZeroUsize::new(steps).expect("at least 1 step"),
        within,
        ..Ascent::default()
    }
}

const BALL: FeasibleSet = FeasibleSet::Ball {
    reach: Positive::literal(1.0),
};

fn line(range: HardeningRange) -> FeasibleSet {
    FeasibleSet::Line { range }
}

/// `z`, `u`, `u⁻` of five studies in six dimensions.
fn batch() -> [Rows; 3] {
    [5, 6, 7].map(|seed| rows(seed, 5, 6))
}

fn norm(row: &[f64]) -> f64 {
    dot(row, row).sqrt()
}

#[test]
fn nearness_on_the_line_leads_to_the_closed_form() {
    let device = Device::default();
    for range in [HardeningRange::Line, HardeningRange::Segment] {
        for lambda in [0.0, 0.3, 1.0] {
            let tensors = || batch().map(|rows| tensor(&rows, &device));
            let [z, u, n] = tensors();
            let closed = ClosedForm {
                range,
                ..ClosedForm::default()
            };
            let expected = closed.harden(z, u, n, lambda);
            let [z, u, n] = tensors();
            let climbing = Hardening::Ascent(ascent(120, line(range)));
            let found = harden(z, u, n, lambda, &climbing);
            assert_close(&numbers(found), &numbers(expected), 1e-9);
        }
    }
}

#[test]
fn similarity_on_the_line_climbs_at_full_steps_and_on_the_segment_to_its_end() {
    let device = Device::default();
    let [z, u, n] = batch();
    let images = tensor(&z, &device);
    for (range, steps, lambda) in [
        (HardeningRange::Line, 3, 0.25),
        (HardeningRange::Segment, 3, 0.0),
        (HardeningRange::Segment, 1, 0.6),
    ] {
        let found = ascent(steps, line(range)).harden(
            tensor(&u, &device),
            tensor(&n, &device),
            lambda,
            |hardened| (images.clone() * hardened).sum(),
        );
        let mut expected = Vec::new();
        for i in 0..z.len() {
            let d = moved(&u[i], &n[i], -1.0);
            // Steps of half the distance, always the same way, since the slope is constant.
            let mut along = 0.5 * steps as f64 * dot(&z[i], &d).signum();
            if range == HardeningRange::Segment {
                along = along.clamp(0.0, 1.0);
            }
            expected.extend(moved(&n[i], &d, (1.0 - lambda) * along));
        }
        assert_close(&numbers(found), &expected, 1e-9);
    }
}

#[test]
fn similarity_in_a_ball_is_largest_at_its_rim_towards_the_image() {
    let device = Device::default();
    let [z, u, n] = batch();
    let images = tensor(&z, &device);
    for (lambda, reach) in [(0.0, 1.0), (0.4, 0.7), (1.0, 1.0)] {
        let within = FeasibleSet::Ball {
            reach: Positive::literal(reach),
        };
        let found = ascent(5, within).harden(
            tensor(&u, &device),
            tensor(&n, &device),
            lambda,
            |hardened| (images.clone() * hardened).sum(),
        );
        let mut expected = Vec::new();
        for i in 0..z.len() {
            let radius = (1.0 - lambda) * reach * norm(&moved(&u[i], &n[i], -1.0));
            expected.extend(moved(&n[i], &z[i], radius / norm(&z[i])));
        }
        assert_close(&numbers(found), &expected, 1e-9);
    }
}

#[test]
fn ascent_stays_in_the_ball_and_raises_the_loss_of_every_row() {
    let device = Device::default();
    let [z, u, n] = batch();
    let images = tensor(&z, &device);
    // Not concave, and different for every row.
    let found = ascent(20, BALL).harden(tensor(&u, &device), tensor(&n, &device), 0.5, |point| {
        (point * images.clone() * 3.0).sin().sum()
    });
    let found = numbers(found);
    let loss = |point: &[f64], image: &[f64]| -> f64 {
        (point.iter().zip(image))
            .map(|(point, image)| (3.0 * point * image).sin())
            .sum()
    };
    for i in 0..z.len() {
        let point = &found[i * 6..(i + 1) * 6];
        let radius = 0.5 * norm(&moved(&u[i], &n[i], -1.0));
        assert!(norm(&moved(point, &n[i], -1.0)) <= radius + 1e-12);
        assert!(loss(point, &z[i]) > loss(&n[i], &z[i]));
    }
}

#[test]
fn a_loss_without_the_negative_keeps_it() {
    let device = Device::default();
    let [z, u, n] = batch();
    let images = tensor(&z, &device);
    let found = ascent(3, BALL).harden(tensor(&u, &device), tensor(&n, &device), 0.0, |_| {
        images.clone().sum()
    });
    assert_eq!(numbers(found), n.concat());
}

#[test]
fn unit_norm_puts_the_result_on_the_sphere() {
    let device = Device::default();
    let [z, u, n] = batch();
    let config = Ascent {
        norm: NegativeNorm::Unit,
        ..ascent(3, BALL)
    };
    let images = tensor(&z, &device);
    let found = config.harden(tensor(&u, &device), tensor(&n, &device), 0.2, |hardened| {
        (images.clone() * hardened).sum()
    });
    for row in numbers(found).chunks(6) {
        assert!((norm(row) - 1.0).abs() < 1e-12);
    }
}

#[test]
fn equal_and_zero_embeddings_stay_where_they_are() {
    let device = Device::default().autodiff();
    for within in [BALL, line(HardeningRange::Line)] {
        for value in [0.0, 0.5] {
            let z = Tensor::<2>::full([2, 3], value, &device).require_grad();
            let u = Tensor::<2>::full([2, 3], value, &device).require_grad();
            let hardening = Hardening::Ascent(ascent(3, within));
            let found = harden(z, u.clone(), u, 0.0, &hardening);
            assert!(!found.is_tracked());
            assert_eq!(numbers(found), [value; 6]);
        }
    }
}

#[test]
fn ascent_passes_no_gradient_and_stays_on_the_autodiff_device() {
    let device = Device::default().autodiff();
    let [z, u, n] = batch().map(|rows| tensor(&rows, &device).require_grad());
    let weight = z.clone().sum();
    let found = harden(z, u.clone(), n, 0.5, &Hardening::Ascent(ascent(3, BALL)));
    assert!(found.is_autodiff());
    let gradients = (found.sum() * weight).backward();
    assert!(u.grad(&gradients).is_none());
}
