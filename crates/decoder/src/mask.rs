use burn::tensor::{Bool, Int, Tensor};
use ithn_generator::BOUNDARY_TOKEN;

/// Attention mask of teacher forcing: later positions (causal mask) and padding are masked.
///
/// Token 0 at position 0 is the beginning of the report (BOS) and is not masked; any later zero is
/// padding.
///
/// # Shapes
///
/// - tokens: `[batch, length]`
/// - output: `[batch, length, length]`, true where query `i` must not attend to position `j`
pub fn teacher_forcing_mask(tokens: Tensor<2, Int>) -> Tensor<3, Bool> {
    let [batch, length] = tokens.dims();
    let device = tokens.device();
    let padding = tokens.equal_elem(BOUNDARY_TOKEN as i64);
    let begins = Tensor::<1, Int>::arange(0..length as i64, &device).equal_elem(0);
    let padding = padding.bool_and(begins.bool_not().unsqueeze::<2>().expand([batch, length]));
    let future = Tensor::<2, Bool>::tril_mask([length, length], 0, &device);
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
        let tokens = Tensor::<2, Int>::from_data([[0, 5, 0]], &device);
        let mask = teacher_forcing_mask(tokens).into_data();
        mask.assert_eq(
            &[[
                [false, true, true],
                [false, false, true],
                [false, false, true],
            ]]
            .into(),
            false,
        );
    }
}
