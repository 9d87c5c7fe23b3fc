use burn::tensor::Tensor;

/// Squared norm below which a row is treated as zero.
const ZERO_SQUARED_NORM: f64 = 1e-24;

/// Row norms `[batch, 1]`, 1 where a row is zero.
pub(crate) fn nonzero_norms(rows: Tensor<2>) -> Tensor<2> {
    let squared = rows.square().sum_dim(1);
    let zero = squared.clone().lower_elem(ZERO_SQUARED_NORM);
    squared.mask_fill(zero, 1.0).sqrt()
}
