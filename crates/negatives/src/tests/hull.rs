//! The nearest point of a hull, by hand and by its optimality condition.

use std::num::NonZeroUsize;

use burn::tensor::{Device, Tensor};
use ithn_oracle::{Rows, assert_close, dot, moved, numbers, rows, tensor};

use crate::{Hardening, Hull, NegativeNorm, harden};

fn point(images: &Rows, negatives: &[Rows], lambda: f64) -> Vec<f64> {
    let device = Device::default();
    let corners: Vec<Tensor<2>> = negatives.iter().map(|it| tensor(it, &device)).collect();
    numbers(Hull::default().harden(tensor(images, &device), &corners, lambda))
}

fn row(values: &[f64]) -> Rows {
    vec![values.to_vec()]
}

#[test]
fn points_by_hand() {
    let corners = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]].map(|it| row(&it));
    // The foot of the perpendicular onto the side from the first corner to the second: weights 0.75 and 0.25.
    let near_side = row(&[0.5, 0.0, -3.0]);
    assert_close(
        &point(&near_side, &corners[..2], 0.0),
        &[0.75, 0.25, 0.0],
        1e-12,
    );
    // Half of the way.
    assert_close(
        &point(&near_side, &corners[..2], 0.5),
        &[0.875, 0.125, 0.0],
        1e-12,
    );
    // Beyond a corner, the corner; at λ = 1, the first negative whatever the image.
    let beyond = row(&[-5.0, 5.0, 0.0]);
    assert_close(&point(&beyond, &corners, 0.0), &[0.0, 1.0, 0.0], 1e-12);
    assert_close(&point(&beyond, &corners, 1.0), &[1.0, 0.0, 0.0], 0.0);
    // The triangle lies in the plane x + y + z = 1, which the middle is the nearest point of.
    let middle = row(&[0.0, 0.0, 0.0]);
    assert_close(&point(&middle, &corners, 0.0), &[1.0 / 3.0; 3], 1e-3);
    // One negative has no hull to move in.
    assert_close(&point(&beyond, &corners[..1], 0.0), &[1.0, 0.0, 0.0], 0.0);
}

/// `p` is nearest if no corner lies further along the way to the image: `(z − p)·(u_j − p) ≤ 0`.
#[test]
fn no_corner_is_nearer_than_the_point() {
    let images = rows(1, 6, 5);
    let corners: Vec<Rows> = (2..6).map(|seed| rows(seed, 6, 5)).collect();
    let device = Device::default();
    let tensors: Vec<Tensor<2>> = corners.iter().map(|it| tensor(it, &device)).collect();
    let hull = Hull::default().with_sweeps(NonZeroUsize::new(300).expect("not 0"));
    let found = numbers(hull.harden(tensor(&images, &device), &tensors, 0.0));
    for (index, found) in found.chunks(5).enumerate() {
        let away = moved(&images[index], found, -1.0);
        for corner in &corners {
            let towards = moved(&corner[index], found, -1.0);
            assert!(dot(&away, &towards) < 1e-6, "row {index}");
        }
    }
}

#[test]
fn it_has_no_history_and_a_unit_norm_if_asked() {
    let device = Device::default().autodiff();
    let negatives = [3, 4].map(|seed| tensor(&rows(seed, 2, 5), &device).require_grad());
    let images = tensor(&rows(9, 2, 5), &device).require_grad();
    let hull = Hull::default().with_norm(NegativeNorm::Unit);
    let found = hull.harden(images.clone(), &negatives, 0.3);
    let squares = numbers(found.clone().square().sum_dim(1));
    assert_close(&squares, &[1.0; 2], 1e-12);
    let gradients = (found * images.clone()).sum().backward();
    assert!(images.grad(&gradients).is_some());
    assert!(negatives.iter().all(|it| it.grad(&gradients).is_none()));
}

#[test]
fn json_names_it_and_refuses_options_of_others() {
    let read = |text: &str| serde_json::from_str::<Hardening>(text);
    assert_eq!(
        read("{\"kind\":\"hull\"}").expect("valid"),
        Hull::default().into()
    );
    let text = serde_json::to_string(&Hardening::Hull(Hull::default())).expect("JSON");
    assert_eq!(read(&text).expect("valid"), Hull::default().into());
    let error = read("{\"kind\":\"hull\",\"steps\":3}").expect_err("an option of ascent");
    assert!(error.to_string().contains("steps"), "{error}");
    let error = read("{\"kind\":\"ascent\",\"sweeps\":3}").expect_err("an option of the hull");
    assert!(error.to_string().contains("sweeps"), "{error}");
}

#[test]
fn with_one_negative_each_the_negatives_stay() {
    let device = Device::default();
    let [images, reports, negatives] = [1, 2, 3].map(|seed| tensor(&rows(seed, 3, 4), &device));
    let hardening = Hull::default().into();
    let found = harden(images, reports, negatives.clone(), 0.0, &hardening);
    assert_close(&numbers(found), &numbers(negatives), 0.0);
}
