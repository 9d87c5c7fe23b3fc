use burn::module::Initializer;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::Device;

/// A linear layer from `d_input` to `d_output` with Xavier-uniform weights and Burn's default biases,
/// the initialisation of every matrix in the Transformer.
pub fn xavier_linear(d_input: usize, d_output: usize, device: &Device) -> Linear {
    let mut linear = LinearConfig::new(d_input, d_output).init(device);
    linear.weight = Initializer::XavierUniform { gain: 1.0 }.init_with(
        [d_input, d_output],
        Some(d_input),
        Some(d_output),
        device,
    );
    linear
}
