use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use ithn_kernels::linear;

use crate::TransformerConfig;
use crate::linear::xavier_linear;

/// `W_2 · dropout(relu(W_1 x))` at every position.
#[derive(Module, Debug)]
pub struct FeedForward {
    /// `d_model` to `d_ff`.
    pub inner: Linear,
    /// `d_ff` to `d_model`.
    pub outer: Linear,
    dropout: Dropout,
}

impl FeedForward {
    /// Creates both layers with Xavier-uniform weights.
    pub fn init(config: &TransformerConfig, device: &Device) -> Self {
        FeedForward {
            inner: xavier_linear(config.d_model, config.d_ff, device),
            outer: xavier_linear(config.d_ff, config.d_model, device),
            dropout: DropoutConfig::new(config.dropout.get()).init(),
        }
    }

    /// Applies both layers.
    ///
    /// # Shapes
    ///
    /// - input and output: `[batch, length, d_model]`
    pub fn forward(&self, input: Tensor<3>) -> Tensor<3> {
        let hidden = self.dropout.forward(relu(linear(&self.inner, input)));
        linear(&self.outer, hidden)
    }
}
