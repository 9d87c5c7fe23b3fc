use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig};
use burn::tensor::{Bool, Device, Tensor};

use crate::TransformerConfig;
use crate::attention::{MultiHeadAttention, MultiHeadAttentionConfig};
use crate::cache::LayerCache;
use crate::feed_forward::FeedForward;
use crate::norm::DeviationNorm;
use crate::patches::PatchFeatures;

/// One pre-norm decoder layer: masked self-attention, cross-attention, feed-forward.
#[derive(Module, Debug)]
pub struct DecoderLayer {
    /// Self-attention over earlier tokens.
    pub self_attention: MultiHeadAttention,
    /// Norm before it.
    pub self_attention_norm: DeviationNorm,
    /// Cross-attention to the encoded patches.
    pub cross_attention: MultiHeadAttention,
    /// Norm before it.
    pub cross_attention_norm: DeviationNorm,
    /// Position-wise layer.
    pub feed_forward: FeedForward,
    /// Norm before it.
    pub feed_forward_norm: DeviationNorm,
    dropout: Dropout,
}

/// Pre-norm decoder layers, then a norm.
#[derive(Module, Debug)]
pub struct Decoder {
    /// Layers, first to last.
    pub layers: Vec<DecoderLayer>,
    /// Final norm.
    pub norm: DeviationNorm,
}

/// Keys and values of earlier tokens and of the patches, layer by layer.
///
/// A row is a partial report. Search repeats, permutes and drops rows with
/// [`select`](DecoderCache::select).
#[derive(Debug, Clone)]
pub struct DecoderCache {
    layers: Vec<LayerCache>,
    length: usize,
}

impl DecoderCache {
    /// Positions decoded so far.
    pub fn length(&self) -> usize {
        self.length
    }

    /// The cache whose row `i` is row `rows[i]` of this one.
    ///
    /// # Panics
    ///
    /// If an index is out of range.
    pub fn select(self, rows: &[usize]) -> Self {
        let layers = self.layers.into_iter();
        DecoderCache {
            layers: layers.map(|layer| layer.select(rows)).collect(),
            length: self.length,
        }
    }
}

impl DecoderLayer {
    fn init(config: &TransformerConfig, device: &Device) -> Self {
        let attention = || {
            MultiHeadAttentionConfig::new(config.d_model, config.heads)
                .with_dropout(config.attention_dropout.get())
                .init(device)
        };
        let norm = || DeviationNorm::init(config.d_model, device);
        DecoderLayer {
            self_attention: attention(),
            self_attention_norm: norm(),
            cross_attention: attention(),
            cross_attention_norm: norm(),
            feed_forward: FeedForward::init(config, device),
            feed_forward_norm: norm(),
            dropout: DropoutConfig::new(config.dropout.get()).init(),
        }
    }

    /// A cache that holds no tokens yet, for one layer's attention to encoded patches
    /// `[batch, patches, d_model]` and their mask.
    pub fn start(&self, encoded: PatchFeatures) -> LayerCache {
        let mask = encoded.attention_mask();
        LayerCache::new(self.cross_attention.project(encoded.values), mask)
    }

    /// One layer of [`Decoder::forward`], with the same shapes and without the final norm.
    pub fn forward(
        &self,
        x: Tensor<3>,
        cache: &mut LayerCache,
        mask: Option<&Tensor<3, Bool>>,
    ) -> Tensor<3> {
        self.forward_with_weights(x, cache, mask, None)
    }

    /// Like [`forward`](Self::forward); appends the cross-attention weights to `weights` if given,
    /// and computes them only then.
    fn forward_with_weights(
        &self,
        x: Tensor<3>,
        cache: &mut LayerCache,
        mask: Option<&Tensor<3, Bool>>,
        weights: Option<&mut Vec<Tensor<4>>>,
    ) -> Tensor<3> {
        let normed = self.self_attention_norm.forward(x.clone());
        let newest = self.self_attention.project(normed.clone());
        let words = cache.append(newest);
        let attended = self.self_attention.forward(normed, words, mask);
        let x = x + self.dropout.forward(attended);

        let normed = self.cross_attention_norm.forward(x.clone());
        let (patches, patch_mask) = (cache.patches(), cache.patch_mask());
        if let Some(weights) = weights {
            let attention = &self.cross_attention;
            weights.push(attention.weights(normed.clone(), patches, patch_mask));
        }
        let attended = self.cross_attention.forward(normed, patches, patch_mask);
        let x = x + self.dropout.forward(attended);

        let normed = self.feed_forward_norm.forward(x.clone());
        x + self.dropout.forward(self.feed_forward.forward(normed))
    }
}

impl Decoder {
    /// Creates `config.layers` layers.
    pub fn init(config: &TransformerConfig, device: &Device) -> Self {
        Decoder {
            layers: (0..config.layers)
                .map(|_| DecoderLayer::init(config, device))
                .collect(),
            norm: DeviationNorm::init(config.d_model, device),
        }
    }

    /// A cache without tokens over encoded patches, `[batch, patches, d_model]`; cross-attention
    /// leaves out masked ones.
    pub fn start(&self, encoded: impl Into<PatchFeatures>) -> DecoderCache {
        let encoded = encoded.into();
        DecoderCache {
            layers: self
                .layers
                .iter()
                .map(|layer| layer.start(encoded.clone()))
                .collect(),
            length: 0,
        }
    }

    /// Hidden states of the next positions, whose keys and values are appended to `cache`.
    ///
    /// A whole report in one call with its [mask](crate::teacher_forcing_mask) is teacher forcing;
    /// one token per call, without a mask, is generation. Both give the same hidden states.
    ///
    /// # Shapes
    ///
    /// - words: `[batch, length, d_model]`, embedded tokens
    /// - mask: `[batch, length, cache.length() + length]`, true where self-attention is masked
    /// - output: `[batch, length, d_model]`
    pub fn forward(
        &self,
        words: Tensor<3>,
        cache: &mut DecoderCache,
        mask: Option<&Tensor<3, Bool>>,
    ) -> Tensor<3> {
        let [_, length, _] = words.dims();
        let decoded = self
            .layers
            .iter()
            .zip(&mut cache.layers)
            .fold(words, |x, (layer, cache)| layer.forward(x, cache, mask));
        cache.length += length;
        self.norm.forward(decoded)
    }

    /// Cross-attention weights of every layer, first to last, each `[batch, heads, length, patches]`,
    /// 0 at masked patches; arguments as for [`forward`](Self::forward).
    ///
    /// To explain a generated report, feed it whole with its [mask](crate::teacher_forcing_mask) and
    /// an empty cache: the weights equal those of its generation.
    pub fn cross_attention(
        &self,
        words: Tensor<3>,
        cache: &mut DecoderCache,
        mask: Option<&Tensor<3, Bool>>,
    ) -> Vec<Tensor<4>> {
        let [_, length, _] = words.dims();
        let mut weights = Vec::with_capacity(self.layers.len());
        self.layers
            .iter()
            .zip(&mut cache.layers)
            .fold(words, |x, (layer, cache)| {
                layer.forward_with_weights(x, cache, mask, Some(&mut weights))
            });
        cache.length += length;
        weights
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mask::teacher_forcing_mask;
    use burn::tensor::{Int, Tolerance};
    use ithn_generator::TokenBatch;
    use ithn_generator::seeded::{seeded, values};

    fn decoder(device: &Device) -> (Decoder, Tensor<3>, Tensor<3>) {
        let config = TransformerConfig::new(8, 12, 2, 2);
        (
            seeded(Decoder::init(&config, device), 1),
            values([2, 5, 8], 2, device),
            values([2, 4, 8], 3, device),
        )
    }

    #[test]
    fn cached_decoding_equals_teacher_forcing() {
        let device = Device::default();
        let (decoder, patches, words) = decoder(&device);
        let reports = [vec![0, 3, 2, 1, 0], vec![0, 1, 1, 4, 0]];
        let mask = teacher_forcing_mask(&TokenBatch::from_ids(&reports, &device));
        let mut cache = decoder.start(patches.clone());
        let whole = decoder.forward(words.clone(), &mut cache, Some(&mask));

        let mut cache = decoder.start(patches);
        let steps = (0..4)
            .map(|step| decoder.forward(words.clone().narrow(1, step, 1), &mut cache, None))
            .collect();
        Tensor::cat(steps, 1)
            .into_data()
            .assert_approx_eq::<f32>(&whole.into_data(), Tolerance::absolute(1e-5));
        assert_eq!(cache.length(), 4);
    }

    #[test]
    fn attention_of_a_whole_report_equals_that_of_its_generation() {
        let device = Device::default();
        let (decoder, patches, words) = decoder(&device);
        let reports = [vec![0, 3, 2, 1, 0], vec![0, 1, 1, 4, 0]];
        let mask = teacher_forcing_mask(&TokenBatch::from_ids(&reports, &device));
        let mut cache = decoder.start(patches.clone());
        let whole = decoder.cross_attention(words.clone(), &mut cache, Some(&mask));
        assert_eq!(whole.len(), 2);

        let mut cache = decoder.start(patches.clone());
        for step in 0..4 {
            let word = words.clone().narrow(1, step, 1);
            let weights = decoder.cross_attention(word, &mut cache, None);
            for (weights, whole) in weights.into_iter().zip(&whole) {
                assert_eq!(weights.dims(), [2, 2, 1, 5]);
                weights.into_data().assert_approx_eq::<f32>(
                    &whole.clone().narrow(2, step, 1).into_data(),
                    Tolerance::absolute(1e-5),
                );
            }
        }
    }

    #[test]
    fn selected_rows_continue_like_the_rows_they_came_from() {
        let device = Device::default();
        let (decoder, patches, words) = decoder(&device);
        let mut cache = decoder.start(patches);
        decoder.forward(words.clone().narrow(1, 0, 2), &mut cache, None);
        let swapped = Tensor::<1, Int>::from_data([1, 0, 1], &device);
        let mut reordered = cache.clone().select(&[1, 0, 1]);
        let next = words.narrow(1, 2, 1);
        let after = decoder.forward(next.clone(), &mut cache, None);
        let after_reordered =
            decoder.forward(next.select(0, swapped.clone()), &mut reordered, None);
        after_reordered.into_data().assert_approx_eq::<f32>(
            &after.select(0, swapped).into_data(),
            Tolerance::absolute(1e-6),
        );
    }
}
