use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig};
use burn::tensor::{Bool, Device, Tensor};

use crate::TransformerConfig;
use crate::attention::{MultiHeadAttention, MultiHeadAttentionConfig};
use crate::feed_forward::FeedForward;
use crate::norm::DeviationNorm;
use crate::patches::PatchFeatures;

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
                .with_dropout(config.attention_dropout.get())
                .init(device),
            self_attention_norm: DeviationNorm::init(config.d_model, device),
            feed_forward: FeedForward::init(config, device),
            feed_forward_norm: DeviationNorm::init(config.d_model, device),
            dropout: DropoutConfig::new(config.dropout.get()).init(),
        }
    }

    /// Self-attention among the patches, then the feed-forward layer, each with a residual.
    ///
    /// # Shapes
    ///
    /// - input and output: `[batch, patches, d_model]`
    /// - mask: `[batch, 1, patches]`, true at patches that no patch attends to
    pub fn forward(&self, x: Tensor<3>, mask: Option<&Tensor<3, Bool>>) -> Tensor<3> {
        let normed = self.self_attention_norm.forward(x.clone());
        let patches = self.self_attention.project(normed.clone());
        let attended = self.self_attention.forward(normed, &patches, mask);
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

    /// Encodes patch features. No patch attends to a masked one; the mask is passed on.
    ///
    /// # Shapes
    ///
    /// - patches and output: `[batch, patches, d_model]`
    pub fn forward(&self, patches: impl Into<PatchFeatures>) -> PatchFeatures {
        let patches = patches.into();
        let mask = patches.attention_mask();
        let layers = self.layers.iter();
        patches.map(|patches| {
            self.norm
                .forward(layers.fold(patches, |x, layer| layer.forward(x, mask.as_ref())))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Int, Tolerance};
    use ithn_generator::seeded::{seeded, values};

    /// Patches carry no positions: permuting them permutes the output.
    #[test]
    fn permuted_patches_give_permuted_output() {
        let device = Device::default();
        let config = TransformerConfig::new(8, 12, 2, 2);
        let encoder = seeded(Encoder::init(&config, &device), 1);
        let patches = values([2, 4, 8], 2, &device);
        let order = Tensor::<1, Int>::from_data([2, 0, 3, 1], &device);
        let encode = |patches: Tensor<3>| encoder.forward(patches).values;
        let encoded = encode(patches.clone()).select(1, order.clone());
        let permuted = encode(patches.select(1, order));
        permuted
            .into_data()
            .assert_approx_eq::<f32>(&encoded.into_data(), Tolerance::absolute(1e-4));
    }

    #[test]
    fn masked_patches_change_no_other() {
        let device = Device::default();
        let encoder = seeded(
            Encoder::init(&TransformerConfig::new(8, 12, 2, 2), &device),
            1,
        );
        let patches = values([2, 4, 8], 2, &device);
        let mask = [[false, true, false, true], [false; 4]];
        let encoded = encoder.forward(PatchFeatures {
            values: patches.clone(),
            mask: Some(Tensor::from_data(mask, &device)),
        });
        let kept = |tensor: Tensor<3>| {
            let order = Tensor::<1, Int>::from_data([0, 2], &device);
            tensor.narrow(0, 0, 1).select(1, order)
        };
        let alone = encoder.forward(kept(patches.clone())).values;
        let whole = encoder.forward(patches).values.narrow(0, 1, 1);
        for (masked, expected) in [
            (kept(encoded.values.clone()), alone),
            (encoded.values.narrow(0, 1, 1), whole),
        ] {
            masked
                .into_data()
                .assert_approx_eq::<f32>(&expected.into_data(), Tolerance::absolute(1e-5));
        }
    }
}
