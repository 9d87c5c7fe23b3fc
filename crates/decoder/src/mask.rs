use burn::tensor::{Bool, Tensor};
use ithn_generator::TokenBatch;

/// The causal and padding mask of teacher forcing: true where a query must not attend.
///
/// # Shapes
///
/// - output: `[batch, length, length]`, true where query `i` must not attend to position `j`:
///   future positions and padding
pub fn teacher_forcing_mask(reports: &TokenBatch) -> Tensor<3, Bool> {
    let [batch, length] = reports.dims();
    let padding = reports.mask().clone().equal_elem(0.0);
    let future = Tensor::<2, Bool>::tril_mask([length, length], 0, &padding.device());
    padding
        .unsqueeze_dim::<3>(1)
        .expand([batch, length, length])
        .bool_or(future.unsqueeze::<3>().expand([batch, length, length]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn the_future_and_padding_are_masked_but_not_the_beginning() {
        let device = Device::default();
        let reports = TokenBatch::from_ids(&[vec![0, 5, 0], vec![0, 6, 7, 0]], &device);
        let mask = teacher_forcing_mask(&reports).into_data();
        let (yes, no) = (true, false);
        mask.assert_eq(
            &[
                [[no, yes, yes], [no, no, yes], [no, no, yes]],
                [[no, yes, yes], [no, no, yes], [no, no, no]],
            ]
            .into(),
            false,
        );
    }
}
