//! Laws of the max step by ascent.

use burn::tensor::{Device, Distribution, Tensor, Tolerance};

use crate::{
    AscentConfig, FeasibleSet, HardeningConfig, HardeningRange, MaxStep, NegativeNorm, harden,
    harden_against,
};

fn ascent(steps: usize, within: FeasibleSet) -> HardeningConfig {
    HardeningConfig {
        max_step: MaxStep::Ascent(AscentConfig {
            steps,
            step_size: 0.5,
            within,
        }),
        ..HardeningConfig::default()
    }
}

const BALL: FeasibleSet = FeasibleSet::Ball { reach: 1.0 };

fn batch(device: &Device) -> [Tensor<2>; 3] {
    [(); 3].map(|()| Tensor::random([5, 6], Distribution::Normal(0.0, 1.0), device))
}

fn norms(rows: Tensor<2>) -> Tensor<2> {
    rows.square().sum_dim(1).sqrt()
}

#[test]
fn nearness_on_the_line_leads_to_the_closed_form() {
    let device = Device::default();
    for range in [HardeningRange::Line, HardeningRange::Segment] {
        for lambda in [0.0, 0.3, 1.0] {
            let [z, u, n] = batch(&device);
            let closed = HardeningConfig {
                range,
                ..HardeningConfig::default()
            };
            let climbing = HardeningConfig {
                range,
                ..ascent(80, FeasibleSet::Line)
            };
            let expected = harden(z.clone(), u.clone(), n.clone(), lambda, &closed);
            harden(z, u, n, lambda, &climbing)
                .into_data()
                .assert_approx_eq::<f32>(&expected.into_data(), Tolerance::absolute(1e-4));
        }
    }
}

#[test]
fn similarity_in_a_ball_is_largest_at_its_rim_towards_the_image() {
    let device = Device::default();
    for lambda in [0.0, 0.4, 1.0] {
        let [z, u, n] = batch(&device);
        let similarity = |hardened: Tensor<2>| (z.clone() * hardened).sum();
        let found = harden_against(
            z.clone(),
            u.clone(),
            n.clone(),
            lambda,
            &ascent(5, BALL),
            similarity,
        );
        let radii = norms(u - n.clone()) * (1.0 - lambda);
        let expected = n + z.clone() / norms(z.clone()) * radii;
        found
            .into_data()
            .assert_approx_eq::<f32>(&expected.into_data(), Tolerance::absolute(1e-5));
    }
}

#[test]
fn ascent_never_leaves_the_ball_and_never_lowers_the_loss() {
    let device = Device::default();
    let [z, u, n] = batch(&device);
    // Not concave, and different for every row.
    let loss = |point: Tensor<2>| (point * z.clone() * 3.0).sin().sum();
    let found = harden_against(
        z.clone(),
        u.clone(),
        n.clone(),
        0.5,
        &ascent(20, BALL),
        loss,
    );
    let outside: f32 = (norms(found.clone() - n.clone()) - norms(u - n.clone()) * 0.5)
        .max()
        .into_scalar();
    assert!(outside <= 1e-5, "{outside}");
    let gained: f32 = (loss(found) - loss(n)).into_scalar();
    assert!(gained > 0.0, "{gained}");
}

#[test]
fn a_loss_that_does_not_know_the_negative_leaves_it() {
    let device = Device::default();
    let [z, u, n] = batch(&device);
    let found = harden_against(z.clone(), u, n.clone(), 0.0, &ascent(3, BALL), |_| {
        z.clone().sum()
    });
    found.into_data().assert_eq(&n.into_data(), true);
}

#[test]
fn equal_and_zero_embeddings_stay_with_finite_numbers() {
    let device = Device::default().autodiff();
    for within in [BALL, FeasibleSet::Line] {
        for value in [0.0, 0.5] {
            let z = Tensor::<2>::full([2, 3], value, &device).require_grad();
            let u = Tensor::<2>::full([2, 3], value, &device).require_grad();
            let config = HardeningConfig {
                norm: NegativeNorm::Unit,
                ..ascent(3, within)
            };
            let found = harden(z, u.clone(), u.clone(), 0.0, &config);
            assert!(!found.is_tracked());
            assert!(found.into_data().iter::<f32>().all(f32::is_finite));
        }
    }
}

#[test]
fn ascent_passes_no_gradient_and_stays_on_the_device_of_training() {
    let device = Device::default().autodiff();
    let [z, u, n] = batch(&device).map(Tensor::require_grad);
    let weight = z.clone().sum();
    let found = harden(z, u.clone(), n, 0.5, &ascent(3, BALL));
    assert!(found.is_autodiff());
    let gradients = (found.sum() * weight).backward();
    assert!(u.grad(&gradients).is_none());
}

#[test]
fn earlier_configurations_are_the_closed_form() {
    let read: HardeningConfig = serde_json::from_str(
        r#"{"projection":"per_sample","gradient":"detached","range":"line","norm":"as_is"}"#,
    )
    .expect("readable");
    assert_eq!(read, HardeningConfig::default());
    assert!(ascent(0, BALL).validate().is_err());
}
