//! Seeded matrices in double precision, and their rows on the host.

use burn::tensor::{DType, Device, Tensor, TensorData};

/// A matrix on the host.
pub type Rows = Vec<Vec<f64>>;

/// Rows whose elements lie in `(-1, 1)`, the same for the same seed on every machine (splitmix64).
pub fn rows(seed: u64, batch: usize, width: usize) -> Rows {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    };
    (0..batch)
        .map(|_| (0..width).map(|_| next()).collect())
        .collect()
}

/// The matrix as a tensor in double precision.
pub fn tensor(rows: &Rows, device: &Device) -> Tensor<2> {
    let dims = [rows.len(), rows[0].len()];
    Tensor::from_data(TensorData::new(rows.concat(), dims), (device, DType::F64))
}

/// A tensor's elements, row by row.
pub fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

/// Fails unless all numbers agree within `tolerance`.
pub fn assert_close(actual: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(actual.len(), expected.len());
    for (index, (actual, expected)) in actual.iter().zip(expected).enumerate() {
        assert!(
            (actual - expected).abs() <= tolerance,
            "element {index}: {actual}, expected {expected}"
        );
    }
}

/// Inner product.
pub fn dot(left: &[f64], right: &[f64]) -> f64 {
    left.iter()
        .zip(right)
        .map(|(left, right)| left * right)
        .sum()
}

/// `start + factor · step`.
pub fn moved(start: &[f64], step: &[f64], factor: f64) -> Vec<f64> {
    start
        .iter()
        .zip(step)
        .map(|(start, step)| start + factor * step)
        .collect()
}

/// Derivative of `value` with respect to every element of `rows`, row by row, by central differences
/// of fourth order.
pub fn slopes(rows: &Rows, value: impl Fn(&Rows) -> f64) -> Vec<f64> {
    const STEP: f64 = 2e-4;
    let mut slopes = Vec::new();
    for row in 0..rows.len() {
        for column in 0..rows[row].len() {
            let at = |steps: f64| {
                let mut other = rows.clone();
                other[row][column] += steps * STEP;
                value(&other)
            };
            slopes.push((8.0 * (at(1.0) - at(-1.0)) - (at(2.0) - at(-2.0))) / (12.0 * STEP));
        }
    }
    slopes
}
