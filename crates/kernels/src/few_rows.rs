use crate::buffers::prefetch;
use crate::cpu::Kernel;
use crate::gemm::Matrix;
use crate::lanes::Lanes;

/// Rows up to which a product is bound by reading the other matrix, and packing that would only cost.
pub(crate) const FEW: usize = 8;

/// Rows of weights that are read at once.
const AT_ONCE: usize = 8;

/// Adds `input · weight` to `sums`, for a few rows of input.
///
/// Some rows of weights at a time, all columns of each: memory is read once, nearly in the order in
/// which it lies, and the few sums stay in the nearest cache. The rows that come next are asked for
/// ahead: they are too short for the processor to foresee.
pub(crate) struct AddProduct<'a> {
    /// `[rows, d_input]`, with contiguous rows.
    pub(crate) input: Matrix<'a>,
    /// `[d_input, columns]`, with contiguous rows.
    pub(crate) weight: Matrix<'a>,
    /// `[rows, columns]`.
    pub(crate) sums: &'a mut [f32],
}

impl Kernel for AddProduct<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let AddProduct {
            input,
            weight,
            sums,
        } = self;
        let ([rows, d_input], [_, columns]) = (input.dims(), weight.dims());
        let together = d_input / AT_ONCE * AT_ONCE;
        let whole = columns / Lanes::COUNT * Lanes::COUNT;
        for start in (0..together).step_by(AT_ONCE) {
            let mut by_row: [&[f32]; AT_ONCE] = [&[]; AT_ONCE];
            let mut ahead: [&[f32]; AT_ONCE] = [&[]; AT_ONCE];
            for (offset, (weights, ahead)) in by_row.iter_mut().zip(&mut ahead).enumerate() {
                *weights = weight.row(start + offset);
                *ahead = weight.row((start + AT_ONCE + offset).min(d_input - 1));
            }
            for column in (0..whole).step_by(Lanes::COUNT) {
                let mut lanes = [Lanes::ZERO; AT_ONCE];
                for ((lanes, weights), ahead) in lanes.iter_mut().zip(by_row).zip(ahead) {
                    *lanes = Lanes::load(weights, column);
                    prefetch(ahead, column);
                }
                for row in 0..rows {
                    let factors = &input.row(row)[start..start + AT_ONCE];
                    let mut sum = Lanes::load(sums, row * columns + column);
                    for (lanes, factor) in lanes.iter().zip(factors) {
                        sum = lanes.mul_add(*factor, sum);
                    }
                    sum.store(sums, row * columns + column);
                }
            }
        }
        for row in 0..rows {
            for (place, factor) in input.row(row).iter().enumerate() {
                // What the blocks above have left.
                let first = if place < together { whole } else { 0 };
                let sums = &mut sums[row * columns + first..(row + 1) * columns];
                for (sum, weight) in sums.iter_mut().zip(&weight.row(place)[first..]) {
                    *sum += factor * weight;
                }
            }
        }
    }
}
