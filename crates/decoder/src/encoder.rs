use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig};
use burn::tensor::{Device, Tensor};

use crate::TransformerConfig;
use crate::attention::{MultiHeadAttention, MultiHeadAttentionConfig};
use crate::feed_forward::FeedForward;
use crate::norm::DeviationNorm;

/// One pre-norm encoder layer: self-attention, feed-forward.
#[derive(Module, Debug)]
pub struct EncoderLayer {
    /// Attention among the patches.
    pub self_attention: MultiHeadAttention,
    /// Norm before it.
    pub self_attention_norm: DeviationNorm,
    /// Position-wise layer.
    pub feed_forward: FeedForward,
    /// Norm before it.
    pub feed_forward_norm: DeviationNorm,
    dropout: Dropout,
}

/// Pre-norm encoder layers, then a norm.
#[derive(Module, Debug)]
pub struct Encoder {
    /// Layers, first to last.
    pub layers: Vec<EncoderLayer>,
    /// Final norm.
    pub norm: DeviationNorm,
}

impl EncoderLayer {
    fn init(config: &TransformerConfig, device: &Device) -> Self {
        EncoderLayer {
            self_attention: MultiHeadAttentionConfig::new(config.d_model, config.heads)
                .with_dropout(config.attention_dropout)
                .init(device),
            self_attention_norm: DeviationNorm::init(config.d_model, device),
            feed_forward: FeedForward::init(config, device),
            feed_forward_norm: DeviationNorm::init(config.d_model, device),
            dropout: DropoutConfig::new(config.dropout).init(),
        }
    }

    /// Self-attention among the patches, then the feed-forward layer, each with a residual.
    ///
    /// # Shapes
    ///
    /// - input and output: `[batch, patches, d_model]`
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let normed = self.self_attention_norm.forward(x.clone());
        let patches = self.self_attention.project(normed.clone());
        let attended = self.self_attention.forward(normed, &patches, None);
        let x = x + self.dropout.forward(attended);
        let normed = self.feed_forward_norm.forward(x.clone());
        x + self.dropout.forward(self.feed_forward.forward(normed))
    }
}

impl Encoder {
    /// Creates `config.layers` layers.
    pub fn init(config: &TransformerConfig, device: &Device) -> Self {
        Encoder {
            layers: (0..config.layers)
                .map(|_| EncoderLayer::init(config, device))
                .collect(),
            norm: DeviationNorm::init(config.d_model, device),
        }
    }

    /// Encodes patch features.
    ///
    /// # Shapes
    ///
    /// - patches and output: `[batch, patches, d_model]`
    pub fn forward(&self, patches: Tensor<3>) -> Tensor<3> {
        let encoded = self
            .layers
            .iter()
            .fold(patches, |x, layer| layer.forward(x));
        self.norm.forward(encoded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seeded::{seeded, values};
    use burn::tensor::{Int, Tolerance};

    /// Patches carry no positions: permuting them permutes the output.
    #[test]
    fn permuted_patches_give_permuted_output() {
        let device = Device::default();
        let config = TransformerConfig::new(8, 12, 2, 2);
        let encoder = seeded(Encoder::init(&config, &device), 1);
        let patches = values([2, 4, 8], 2, &device);
        let order = Tensor::<1, Int>::from_data([2, 0, 3, 1], &device);
        let encoded = encoder.forward(patches.clone()).select(1, order.clone());
        let permuted = encoder.forward(patches.select(1, order));
        permuted
            .into_data()
            .assert_approx_eq::<f32>(&encoded.into_data(), Tolerance::absolute(1e-4));
    }
}
