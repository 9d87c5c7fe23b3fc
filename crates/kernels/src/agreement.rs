//! What the tests of every operation state: fused and composed are equal, and so are gradients,
//! which finite differences confirm.

use burn::tensor::{Device, Distribution, Tensor, Tolerance};

/// An operation on flat inputs with a flat output.
pub(crate) type Operation<'a> = &'a dyn Fn(&[Tensor<1>]) -> Tensor<1>;

fn normal(length: usize, device: &Device) -> Tensor<1> {
    Tensor::random([length], Distribution::Normal(0.0, 1.0), device)
}

/// Compares two implementations on random inputs of the given lengths, and gradients with slopes: on
/// other inputs if these may lie where the loss jumps, as when two rows compete for one place.
pub(crate) fn assert_agree(lengths: &[usize], fused: Operation, composed: Operation) {
    const DRAWS: usize = 3;
    let found: Vec<String> = (0..DRAWS)
        .map_while(|_| assert_equal(lengths, fused, composed).err())
        .collect();
    assert!(found.len() < DRAWS, "{}", found.join("; "));
}

/// Asserts that outputs and gradients are equal on random inputs; fails if slopes are not what the
/// gradients say.
fn assert_equal(lengths: &[usize], fused: Operation, composed: Operation) -> Result<(), String> {
    let device = Device::flex();
    let values: Vec<Tensor<1>> = lengths
        .iter()
        .map(|&length| normal(length, &device))
        .collect();
    let weights = normal(fused(&values).dims()[0], &device);

    let run = |operation: Operation| {
        let inputs: Vec<Tensor<1>> = values
            .iter()
            .map(|value| value.clone().autodiff().require_grad())
            .collect();
        let output = operation(&inputs);
        let gradients = (output.clone() * weights.clone().autodiff())
            .sum()
            .backward();
        let gradients: Vec<Tensor<1>> = inputs
            .iter()
            .map(|input| input.grad(&gradients).expect("every input has a gradient"))
            .collect();
        (output.inner(), gradients)
    };
    let close = |ours: Tensor<1>, other: Tensor<1>| {
        let tolerance = Tolerance::rel_abs(1e-3, 1e-3);
        ours.into_data()
            .assert_approx_eq::<f32>(&other.into_data(), tolerance);
    };
    let (output, gradients) = run(fused);
    let (expected, expected_gradients) = run(composed);
    close(output.clone(), expected);
    close(fused(&values), output);
    for (gradient, expected) in gradients.iter().zip(expected_gradients) {
        close(gradient.clone(), expected);
    }
    compare_slopes(fused, &values, &gradients, &weights)
}

/// The change of the loss along random directions is what the gradients say, along most of them: a step
/// may cross the edge of a ReLU or of a selection, where the loss has no one slope.
fn compare_slopes(
    operation: Operation,
    values: &[Tensor<1>],
    gradients: &[Tensor<1>],
    weights: &Tensor<1>,
) -> Result<(), String> {
    // Shorter, rounding would be seen; longer, some of a hundred selections would change at every step.
    const STEP: f64 = 1e-4;
    const DIRECTIONS: usize = 5;
    for (changed, gradient) in gradients.iter().enumerate() {
        let mut others = Vec::new();
        for _ in 0..DIRECTIONS {
            let direction = normal(gradient.dims()[0], &weights.device());
            let loss = |step: f64| -> f64 {
                let mut inputs = values.to_vec();
                inputs[changed] = inputs[changed].clone() + direction.clone() * step;
                let terms = (operation(&inputs) * weights.clone()).into_data();
                terms.iter::<f64>().sum()
            };
            let measured = (loss(STEP) - loss(-STEP)) / (2.0 * STEP);
            let terms = (gradient.clone() * direction.clone()).into_data();
            let expected: f64 = terms.iter::<f64>().sum();
            let scale: f64 = terms.iter::<f64>().map(|term| term * term).sum();
            if (measured - expected).abs() > 0.05 * scale.sqrt() + 0.05 * expected.abs() {
                others.push((measured, expected));
            }
        }
        if 2 * others.len() > DIRECTIONS {
            return Err(format!(
                "input {changed}: slopes beside what gradients say {others:?}"
            ));
        }
    }
    Ok(())
}
