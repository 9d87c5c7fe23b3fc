use burn::module::Initializer;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::Device;

/// A linear layer with Xavier-uniform weights and the framework's usual biases: every matrix inside
/// the Transformer starts so.
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
