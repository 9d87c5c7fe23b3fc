use super::*;
use crate::agreement::{assert_agree, normal};
use burn::tensor::{Device, Tolerance};

const SHAPE: [usize; 4] = [4, 4, 5, 6];
const VALUES: usize = 4 * 4 * 5 * 6;

fn norm(batches: usize, activation: Activation) -> BatchNormTraining {
    BatchNormTraining {
        epsilon: 1e-5,
        batches,
        activation,
    }
}

/// As fused and as composed from the definition, batch by batch.
fn check(batches: usize, with_shortcut: bool, activation: Activation) {
    let shortcut = |x: &[Tensor<1>]| with_shortcut.then(|| x[3].clone().reshape(SHAPE));
    let norm = norm(batches, activation);
    let lengths = [VALUES, 6, 6, VALUES];
    assert_agree(
        &lengths[..if with_shortcut { 4 } else { 3 }],
        &|x| {
            let (gamma, beta) = (x[1].clone(), x[2].clone());
            let input = x[0].clone().reshape(SHAPE);
            let normed = norm.forward(input, gamma, beta, shortcut(x));
            assert_eq!(normed.mean.dims(), [batches, 6]);
            normed.output.reshape([-1])
        },
        &|x| {
            let batch = |index: usize| {
                let images = SHAPE[0] / batches;
                let input = x[0].clone().reshape(SHAPE);
                let input = input.narrow(0, index * images, images);
                let rows = input.clone().reshape([-1, 6]);
                let mean = rows.clone().mean_dim(0);
                let variance = (rows - mean.clone()).square().mean_dim(0);
                let deviation = (variance + 1e-5).sqrt().reshape([1, 1, 1, 6]);
                let gamma = x[1].clone().reshape([1, 1, 1, 6]);
                (input - mean.reshape([1, 1, 1, 6])) / deviation * gamma
            };
            let normed = Tensor::cat((0..batches).map(batch).collect(), 0);
            let normed = normed + x[2].clone().reshape([1, 1, 1, 6]);
            join(normed, shortcut(x), activation).reshape([-1])
        },
    );
}

#[test]
fn training_normalises_joins_and_rectifies() {
    check(1, false, Activation::Identity);
    check(1, false, Activation::Relu);
    check(1, true, Activation::Relu);
}

#[test]
fn batches_are_normalised_each_by_its_own_statistics() {
    check(2, false, Activation::Identity);
    check(2, true, Activation::Relu);
    check(4, true, Activation::Identity);
}

#[test]
fn statistics_agree_with_those_of_public_operations() {
    let device = Device::flex();
    let input = normal(SHAPE, 1, &device);
    let ones = Tensor::<1>::ones([6], &device);
    let norm = norm(2, Activation::Identity);
    let fused = norm.forward(input.clone(), ones.clone(), ones.clone(), None);
    let composed = norm.composed(input, ones.clone(), ones, None);
    for (fused, composed) in [
        (fused.mean, composed.mean),
        (fused.variance, composed.variance),
    ] {
        fused
            .into_data()
            .assert_approx_eq::<f32>(&composed.into_data(), Tolerance::absolute(1e-5));
    }
}

#[test]
fn statistics_lose_no_digits_far_from_zero() {
    let device = Device::flex();
    let input = normal([4, 40, 40, 6], 1, &device) * 0.1 + 1000.0;
    let ones = Tensor::<1>::ones([6], &device);
    let normed =
        norm(1, Activation::Identity).forward(input.clone(), ones.clone(), ones.zeros_like(), None);
    let rows = (input - 1000.0).reshape([-1, 6]);
    let (variance, _) = rows.var_mean_bias(0);
    normed
        .variance
        .into_data()
        .assert_approx_eq::<f32>(&variance.into_data(), Tolerance::relative(1e-3));
}
