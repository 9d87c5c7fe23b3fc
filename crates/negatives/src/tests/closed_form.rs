use burn::tensor::{Device, Tensor};

use crate::{
    ClosedForm, GradientFlow, Hardening, HardeningRange, NegativeNorm, Projection, harden,
};
use ithn_oracle::{Rows, assert_close, dot, moved, numbers, rows, slopes, tensor};

/// `z`, `u`, `u⁻` of four studies in six dimensions.
fn batch() -> [Rows; 3] {
    [1, 2, 3].map(|seed| rows(seed, 4, 6))
}

/// `λ u⁻ + (1 − λ) p` in loops.
fn expected([z, u, n]: &[Rows; 3], lambda: f64, form: &ClosedForm) -> Rows {
    let towards_report: Rows = (0..z.len()).map(|i| moved(&u[i], &n[i], -1.0)).collect();
    (0..z.len())
        .map(|i| {
            let towards_image = moved(&z[i], &n[i], -1.0);
            let mut hardest = n[i].clone();
            match form.projection {
                Projection::PerSample => {
                    let d = &towards_report[i];
                    let mut along = dot(&towards_image, d) / dot(d, d);
                    if form.range == HardeningRange::Segment {
                        along = along.clamp(0.0, 1.0);
                    }
                    hardest = moved(&hardest, d, along);
                }
                Projection::BatchMixed => {
                    for d in &towards_report {
                        let along = dot(&towards_image, d) / dot(d, d).sqrt();
                        hardest = moved(&hardest, d, along);
                    }
                }
            }
            let mixed: Vec<f64> = (n[i].iter().zip(&hardest))
                .map(|(first, hardest)| lambda * first + (1.0 - lambda) * hardest)
                .collect();
            let norm = match form.norm {
                NegativeNorm::AsIs => 1.0,
                NegativeNorm::Unit => dot(&mixed, &mixed).sqrt(),
            };
            mixed.iter().map(|element| element / norm).collect()
        })
        .collect()
}

/// Every valid combination of projection, range and norm, with gradients.
fn forms() -> Vec<ClosedForm> {
    let mut forms = Vec::new();
    for norm in [NegativeNorm::AsIs, NegativeNorm::Unit] {
        for (projection, range) in [
            (Projection::PerSample, HardeningRange::Line),
            (Projection::PerSample, HardeningRange::Segment),
            (Projection::BatchMixed, HardeningRange::Line),
        ] {
            forms.push(ClosedForm {
                projection,
                gradient: GradientFlow::Through,
                range,
                norm,
            });
        }
    }
    forms
}

#[test]
fn both_projections_are_their_equations() {
    let device = Device::default();
    let batch = batch();
    for form in forms() {
        form.validate().expect("a valid combination");
        for lambda in [0.0, 0.3, 1.0] {
            let [z, u, n] = batch.each_ref().map(|rows| tensor(rows, &device));
            let hardened = harden(z, u, n, lambda, &Hardening::ClosedForm(form));
            let expected = expected(&batch, lambda, &form).concat();
            assert_close(&numbers(hardened), &expected, 1e-12);
        }
    }
}

#[test]
fn gradients_through_both_projections_are_slopes_of_their_equations() {
    let device = Device::default().autodiff();
    let batch = batch();
    let weights = rows(4, 4, 6);
    for form in forms() {
        let [z, u, n] = batch
            .each_ref()
            .map(|rows| tensor(rows, &device).require_grad());
        let hardened = form.harden(z.clone(), u.clone(), n.clone(), 0.3);
        let gradients = (hardened * tensor(&weights, &device)).sum().backward();
        for (index, input) in [z, u, n].into_iter().enumerate() {
            let slopes = slopes(&batch[index], |rows| {
                let mut batch = batch.clone();
                batch[index].clone_from(rows);
                dot(&expected(&batch, 0.3, &form).concat(), &weights.concat())
            });
            let gradient = input.grad(&gradients).expect("the input is tracked");
            assert_close(&numbers(gradient), &slopes, 1e-9);
        }
    }
}

#[test]
fn the_hardest_point_of_the_line_is_nearest_the_image() {
    let device = Device::default();
    let batch = batch();
    let [z, u, n] = batch.each_ref().map(|rows| tensor(rows, &device));
    let hardest = numbers(harden(z, u, n, 0.0, &Hardening::default()));
    let [z, u, n] = batch;
    for i in 0..z.len() {
        let distance = |point: &[f64]| {
            let away = moved(&z[i], point, -1.0);
            dot(&away, &away)
        };
        let nearest = distance(&hardest[i * 6..(i + 1) * 6]);
        let d = moved(&u[i], &n[i], -1.0);
        for along in [-1.0, -0.1, 0.0, 0.3, 0.5, 1.0, 2.0] {
            assert!(distance(&moved(&n[i], &d, along)) >= nearest);
        }
    }
}

#[test]
fn lambda_one_keeps_the_negative_to_the_bit() {
    let device = Device::default();
    for form in [ClosedForm::default(), ClosedForm::official()] {
        let batch = batch();
        let [z, u, n] = batch.each_ref().map(|rows| tensor(rows, &device));
        assert_eq!(numbers(form.harden(z, u, n, 1.0)), batch[2].concat());
    }
}

#[test]
fn a_negative_equal_to_its_report_stays_with_finite_gradients() {
    let device = Device::default().autodiff();
    for projection in [Projection::PerSample, Projection::BatchMixed] {
        let form = ClosedForm {
            projection,
            ..ClosedForm::official()
        };
        let z = Tensor::<2>::ones([2, 3], &device).require_grad();
        let u = z.clone().mul_scalar(0.5).detach().require_grad();
        let hardened = form.harden(z, u.clone(), u.clone(), 0.0);
        assert_eq!(numbers(hardened.clone()), [0.5; 6]);
        let gradients = hardened.sum().backward();
        let gradient = u.grad(&gradients).expect("the report is tracked");
        assert!(numbers(gradient).iter().all(|slope| slope.is_finite()));
    }
}

#[test]
fn detached_negatives_pass_no_gradient() {
    let device = Device::default().autodiff();
    let [z, u, n] = batch().map(|rows| tensor(&rows, &device).require_grad());
    let weight = z.clone().sum();
    let hardened = ClosedForm::default().harden(z, u.clone(), n.clone(), 0.5);
    let gradients = (hardened.sum() * weight).backward();
    assert!(u.grad(&gradients).is_none() && n.grad(&gradients).is_none());
}
