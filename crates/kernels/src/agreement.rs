//! What the tests of every operation state: the fused operation in single precision equals the
//! composed one in double precision, gradients included, and central differences confirm the
//! gradients of the latter, one input at a time.

use burn::tensor::{DType, Device, Tensor, TensorData};

/// An operation on flat inputs with a flat output.
pub(crate) type Operation<'a> = &'a dyn Fn(&[Tensor<1>]) -> Tensor<1>;

/// Largest difference between single and double precision, relative to the largest value.
const SINGLE_PRECISION: f64 = 2e-5;

/// Step of the central differences.
const STEP: f64 = 1e-6;

/// Elements per input whose gradient is compared with a central difference.
const PLACES: usize = 200;

/// Largest difference between a gradient and a central difference, relative to the largest gradient:
/// rounding of a sum of some thousand terms, divided by the step.
const CENTRAL_DIFFERENCE: f64 = 1e-6;

/// Values of a standard normal distribution, the same on every machine: SplitMix64 and Box–Muller,
/// rounded to single precision.
pub(crate) fn normal_values(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut uniform = move || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    };
    (0..count)
        .map(|_| {
            let radius = (-2.0 * (1.0 - uniform()).ln()).sqrt();
            (radius * (std::f64::consts::TAU * uniform()).cos()) as f32
        })
        .collect()
}

/// A tensor of [`normal_values`] in single precision.
pub(crate) fn normal<const D: usize>(dims: [usize; D], seed: u64, device: &Device) -> Tensor<D> {
    let values = normal_values(dims.iter().product(), seed);
    Tensor::from_data(TensorData::new(values, dims), device)
}

/// Compares two implementations on seeded inputs of the given lengths.
pub(crate) fn assert_agree(lengths: &[usize], fused: Operation, composed: Operation) {
    let inputs: Vec<Vec<f64>> = lengths
        .iter()
        .zip(1..)
        .map(|(&length, seed)| widened(normal_values(length, seed)))
        .collect();
    let outputs = values(&composed(&tensors(&inputs, DType::F64)));
    let weights = widened(normal_values(outputs.len(), 99));

    let single = Run::of(fused, &inputs, &weights, DType::F32);
    let double = Run::of(composed, &inputs, &weights, DType::F64);
    assert_close("output", &single.output, &double.output, SINGLE_PRECISION);
    let untracked = values(&fused(&tensors(&inputs, DType::F32)));
    assert_close(
        "output without autodiff",
        &untracked,
        &double.output,
        SINGLE_PRECISION,
    );
    for (index, (ours, expected)) in single.gradients.iter().zip(&double.gradients).enumerate() {
        let what = format!("gradient of input {index}");
        assert_close(&what, ours, expected, SINGLE_PRECISION);
    }

    let loss = |inputs: &[Vec<f64>]| -> f64 {
        let output = values(&composed(&tensors(inputs, DType::F64)));
        output
            .iter()
            .zip(&weights)
            .map(|(value, weight)| value * weight)
            .sum()
    };
    for (index, gradient) in double.gradients.iter().enumerate() {
        // All places, or as many spread over a longer input.
        let count = gradient.len().min(PLACES);
        let places: Vec<usize> = (0..count).map(|at| at * gradient.len() / count).collect();
        let expected: Vec<f64> = places.iter().map(|&place| gradient[place]).collect();
        let differences: Vec<f64> = places
            .into_iter()
            .map(|place| {
                let mut moved = inputs.clone();
                moved[index][place] += STEP;
                let above = loss(&moved);
                moved[index][place] -= 2.0 * STEP;
                (above - loss(&moved)) / (2.0 * STEP)
            })
            .collect();
        let what = format!("central differences of input {index}");
        assert_close(&what, &differences, &expected, CENTRAL_DIFFERENCE);
    }
}

/// Output and gradients of the weighted sum of the output.
struct Run {
    output: Vec<f64>,
    gradients: Vec<Vec<f64>>,
}

impl Run {
    fn of(operation: Operation, inputs: &[Vec<f64>], weights: &[f64], dtype: DType) -> Self {
        let inputs: Vec<Tensor<1>> = tensors(inputs, dtype)
            .into_iter()
            .map(|input| input.autodiff().require_grad())
            .collect();
        let output = operation(&inputs);
        let weights = tensor(weights, dtype).autodiff();
        let gradients = (output.clone() * weights).sum().backward();
        Run {
            output: values(&output.inner()),
            gradients: inputs
                .iter()
                .map(|input| values(&input.grad(&gradients).expect("every input has a gradient")))
                .collect(),
        }
    }
}

fn tensor(values: &[f64], dtype: DType) -> Tensor<1> {
    let data = TensorData::new(values.to_vec(), [values.len()]);
    Tensor::from_data(data, (&Device::flex(), dtype))
}

fn tensors(inputs: &[Vec<f64>], dtype: DType) -> Vec<Tensor<1>> {
    inputs.iter().map(|values| tensor(values, dtype)).collect()
}

fn values(tensor: &Tensor<1>) -> Vec<f64> {
    tensor.to_data().iter::<f64>().collect()
}

fn widened(values: Vec<f32>) -> Vec<f64> {
    values.into_iter().map(f64::from).collect()
}

fn assert_close(what: &str, ours: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(ours.len(), expected.len(), "{what}");
    let largest = expected
        .iter()
        .fold(1.0, |most: f64, value| most.max(value.abs()));
    for (place, (ours, expected)) in ours.iter().zip(expected).enumerate() {
        assert!(
            (ours - expected).abs() <= tolerance * largest,
            "{what}, place {place}: {ours} is not {expected} (largest {largest})"
        );
    }
}
