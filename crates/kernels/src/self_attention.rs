use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Bool, Tensor, TensorData, module};

/// Self-attention, `softmax(Q Kᵀ / √d) V` for each head (Vaswani et al., 2017), without dropout. Padding is
/// masked: every position attends to the tokens of its sequence alone.
///
/// Queries, keys and values come out of one projection. On the CPU, if no gradient is recorded, a fused
/// kernel computes the attention. It reads them without permuting or copying them, and skips padding.
///
/// # Shapes
///
/// - projected: `[batch, positions, 3 · width]`, all queries, then keys, then values; the columns of
///   each are the heads one after the other
/// - lengths: `[batch]`, tokens at the beginning of each sequence; what follows is padding
/// - output: `[batch, positions, width]`; rows of padding are finite but of no meaning
///
/// # Panics
///
/// If the last axis is not three times a multiple of `heads`, `lengths` has another batch size, or a
/// length is 0 or above the number of positions.
pub fn self_attention(projected: Tensor<3>, heads: usize, lengths: &[usize]) -> Tensor<3> {
    let [batch, positions, columns] = projected.dims();
    assert!(
        heads > 0 && columns.is_multiple_of(3 * heads),
        "{columns} columns are not queries, keys and values of {heads} heads"
    );
    assert_eq!(lengths.len(), batch, "one length for each sequence");
    assert!(
        lengths
            .iter()
            .all(|length| (1..=positions).contains(length)),
        "lengths lie in 1..={positions}"
    );
    #[cfg(feature = "flex")]
    if crate::cpu::is_ours(&projected) && !projected.is_autodiff() {
        return fused::forward(projected, heads, lengths.to_vec());
    }
    composed(projected, heads, lengths)
}

/// `[batch, 1, 1, positions]`, true where there is padding; `None` if there is none.
///
/// For attention to sequences whose first `lengths` positions hold tokens.
pub fn padding_mask(
    lengths: &[usize],
    positions: usize,
    device: &burn::tensor::Device,
) -> Option<Tensor<4, Bool>> {
    if lengths.iter().all(|&length| length == positions) {
        return None;
    }
    let is_padding: Vec<bool> = lengths
        .iter()
        .flat_map(|&length| (0..positions).map(move |position| position >= length))
        .collect();
    let data = TensorData::new(is_padding, [lengths.len(), 1, 1, positions]);
    Some(Tensor::from_data(data, device))
}

/// The operation composed of Burn's public operations.
fn composed(projected: Tensor<3>, heads: usize, lengths: &[usize]) -> Tensor<3> {
    let [batch, positions, columns] = projected.dims();
    let width = columns / 3;
    let mask = padding_mask(lengths, positions, &projected.device())
        .map(|mask| mask.expand([batch, 1, positions, positions]));
    let part = |index: usize| {
        projected
            .clone()
            .slice_dim(2, index * width..(index + 1) * width)
            .reshape([batch, positions, heads, width / heads])
            .swap_dims(1, 2)
    };
    let options = AttentionModuleOptions::default();
    module::attention(part(0), part(1), part(2), mask, None, options)
        .swap_dims(1, 2)
        .reshape([batch, positions, width])
}

#[cfg(feature = "flex")]
mod fused {
    use burn::backend::flex::FlexTensor;
    use burn::backend::tensor::FloatTensor;
    use burn::backend::{Backend, Dispatch, Flex, backend_extension};

    use super::Tensor;
    use crate::buffers::{Scratch, made_in_chunks};
    use crate::cpu::{Contiguous, Kernel, dims, tensor, vectorised};
    use crate::gemm::{Matrix, Target, Threads, multiply};

    #[backend_extension(Flex)]
    trait SelfAttentionOps: Backend {
        fn self_attention(
            projected: FloatTensor<Self>,
            heads: usize,
            lengths: Vec<usize>,
        ) -> FloatTensor<Self>;
    }

    pub(super) fn forward(projected: Tensor<3>, heads: usize, lengths: Vec<usize>) -> Tensor<3> {
        Tensor::from_dispatch(<Dispatch as SelfAttentionOps>::self_attention(
            projected.into_dispatch(),
            heads,
            lengths,
        ))
    }

    impl SelfAttentionOps for Flex {
        fn self_attention(projected: FlexTensor, heads: usize, lengths: Vec<usize>) -> FlexTensor {
            let [batch, positions, columns] = dims(&projected);
            let width = columns / 3;
            let projected = Contiguous::new(projected);
            let values = projected.values();
            let sequence = positions * width;
            // A task is a sequence: its rows lie in one run.
            let output = made_in_chunks(batch * sequence, sequence, |index, output| {
                let sequence = Sequence {
                    projected: &values[index * positions * columns..][..positions * columns],
                    heads,
                    width,
                    length: lengths[index],
                };
                sequence.attend(output);
            });
            tensor(output, [batch, positions, width])
        }
    }

    /// One sequence of a batch.
    struct Sequence<'a> {
        /// `[positions, 3 · width]`.
        projected: &'a [f32],
        heads: usize,
        width: usize,
        length: usize,
    }

    impl Sequence<'_> {
        /// Writes `[positions, width]`; rows of padding are left as they are.
        fn attend(&self, output: &mut [f32]) {
            let d_head = self.width / self.heads;
            let scale = 1.0 / (d_head as f32).sqrt();
            let mut scores = Scratch::take(self.length * self.length);
            for head in 0..self.heads {
                let first = head * d_head;
                let [queries, keys, values] =
                    [0, 1, 2].map(|part| self.part(part * self.width + first, d_head));
                multiply(
                    queries,
                    keys.transposed(),
                    &mut scores,
                    self.length,
                    Target::Replace,
                    Threads::One,
                );
                vectorised(Softmax {
                    scores: &mut scores,
                    row: self.length,
                    scale,
                });
                let weights = Matrix::rows(&scores, [self.length; 2]);
                multiply(
                    weights,
                    values,
                    &mut output[first..],
                    self.width,
                    Target::Replace,
                    Threads::One,
                );
            }
        }

        /// `[length, d_head]`, from a column of the projection on.
        fn part(&self, column: usize, d_head: usize) -> Matrix<'_> {
            Matrix::strided(
                &self.projected[column..],
                [self.length, d_head],
                3 * self.width,
            )
        }
    }

    /// Softmax of scaled rows, in place.
    struct Softmax<'a> {
        scores: &'a mut [f32],
        row: usize,
        scale: f32,
    }

    impl Kernel for Softmax<'_> {
        type Output = ();

        #[inline(always)]
        fn run(self) {
            for row in self.scores.chunks_exact_mut(self.row) {
                let highest = highest(row);
                for score in &mut *row {
                    *score = exp((*score - highest) * self.scale);
                }
                let factor = 1.0 / sum(row);
                for score in &mut *row {
                    *score *= factor;
                }
            }
        }
    }

    /// Values that are reduced side by side: the order of a single sum forbids vectors.
    const SIDE_BY_SIDE: usize = 16;

    #[inline(always)]
    fn highest(row: &[f32]) -> f32 {
        let mut lanes = [f32::NEG_INFINITY; SIDE_BY_SIDE];
        let chunks = row.chunks_exact(SIDE_BY_SIDE);
        let rest = chunks.remainder();
        for chunk in chunks {
            for (lane, &value) in lanes.iter_mut().zip(chunk) {
                *lane = if value > *lane { value } else { *lane };
            }
        }
        lanes.iter().chain(rest).copied().fold(f32::MIN, f32::max)
    }

    #[inline(always)]
    fn sum(row: &[f32]) -> f32 {
        let mut lanes = [0.0; SIDE_BY_SIDE];
        let chunks = row.chunks_exact(SIDE_BY_SIDE);
        let rest: f32 = chunks.remainder().iter().sum();
        for chunk in chunks {
            for (lane, value) in lanes.iter_mut().zip(chunk) {
                *lane += value;
            }
        }
        rest + lanes.iter().sum::<f32>()
    }

    /// Below this, exp is less than the smallest normal number and counts as that.
    const LOWEST: f32 = -87.0;

    /// exp of a number that is not positive: `2ⁿ · 2ᶠ` with |f| ≤ ½, the latter by a polynomial whose
    /// relative error is 2e-9 (Chebyshev fit).
    #[inline(always)]
    fn exp(x: f32) -> f32 {
        const COEFFICIENTS: [f32; 7] = [
            0.000_154_614_45,
            0.001_340_042_8,
            0.009_618_057,
            0.055_503_27,
            0.240_226_5,
            std::f32::consts::LN_2,
            1.0,
        ];
        /// Adding 1.5 · 2²³ leaves the nearest whole number in the lowest bits.
        const ROUND: f32 = 12_582_912.0;
        let x = if x > LOWEST { x } else { LOWEST };
        let shifted = f32::mul_add(x, std::f32::consts::LOG2_E, ROUND);
        let whole = shifted - ROUND;
        // log₂e in two parts, so that the fraction keeps its digits.
        const HIGH: f32 = 47_274.0 / 32_768.0;
        const LOW: f32 = (std::f64::consts::LOG2_E - HIGH as f64) as f32;
        let fraction = f32::mul_add(x, LOW, f32::mul_add(x, HIGH, -whole));
        let mut power = COEFFICIENTS[0];
        for &coefficient in &COEFFICIENTS[1..] {
            power = f32::mul_add(power, fraction, coefficient);
        }
        let exponent = shifted.to_bits().wrapping_sub(ROUND.to_bits());
        f32::from_bits(power.to_bits().wrapping_add(exponent << 23))
    }

    #[cfg(test)]
    mod tests {
        use super::exp;

        #[test]
        fn exp_is_exact_to_single_precision() {
            for step in 0..=870_000 {
                let x = -step as f32 * 1e-4;
                let expected = f64::from(x).exp();
                let error = (f64::from(exp(x)) / expected - 1.0).abs();
                assert!(error < 4e-7, "exp({x}): {error}");
            }
            assert_eq!(exp(0.0), 1.0);
            assert!(exp(f32::NEG_INFINITY) < 1e-37);
        }
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;
    use crate::agreement::normal;
    use burn::tensor::{Device, Tolerance};

    fn check(positions: usize, heads: usize, d_head: usize, lengths: &[usize], spread: f64) {
        let device = Device::flex();
        let width = heads * d_head;
        let projected = normal([lengths.len(), positions, 3 * width], 1, &device) * spread;
        let fused = self_attention(projected.clone(), heads, lengths);
        let composed = composed(projected, heads, lengths);
        for (index, &length) in lengths.iter().enumerate() {
            let rows = |all: &Tensor<3>| {
                all.clone()
                    .slice([index..index + 1, 0..length, 0..width])
                    .into_data()
            };
            rows(&fused).assert_approx_eq::<f32>(&rows(&composed), Tolerance::rel_abs(1e-5, 1e-5));
        }
    }

    #[test]
    fn fused_equals_composed_for_ragged_batches() {
        check(7, 3, 5, &[7, 1, 4], 1.0);
        check(40, 2, 16, &[33, 40], 1.0);
        check(19, 1, 8, &[19, 19], 6.0);
    }

    #[test]
    fn padding_changes_nothing() {
        let device = Device::flex();
        let shape = [1, 6, 3 * 8];
        let short = normal::<3>(shape, 1, &device);
        let junk = normal::<3>([1, 3, 3 * 8], 2, &device) * 50.0;
        let long = Tensor::cat(vec![short.clone(), junk], 1);
        let padded = self_attention(long, 2, &[6]).slice([0..1, 0..6, 0..8]);
        self_attention(short, 2, &[6])
            .into_data()
            .assert_eq(&padded.into_data(), true);
    }

    #[test]
    #[should_panic(expected = "lengths lie in 1..=4")]
    fn an_empty_sequence_is_refused() {
        self_attention(Tensor::zeros([1, 4, 6], &Device::flex()), 2, &[0]);
    }
}
