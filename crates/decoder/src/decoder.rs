use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig};
use burn::tensor::{Bool, Device, Tensor};

use crate::TransformerConfig;
use crate::attention::{MultiHeadAttention, MultiHeadAttentionConfig};
use crate::cache::LayerCache;
use crate::feed_forward::FeedForward;
use crate::norm::DeviationNorm;

/// One pre-norm decoder layer: masked self-attention, cross-attention, feed-forward.
#[derive(Module, Debug)]
pub struct DecoderLayer {
    /// Attention to the words before.
    pub self_attention: MultiHeadAttention,
    /// Norm before it.
    pub self_attention_norm: DeviationNorm,
    /// Attention to the encoded patches.
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

/// What earlier positions and the image left behind, layer by layer.
///
/// Rows are reports in the making; search repeats, permutes and drops them with
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
    /// If there is no such row.
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
                .with_dropout(config.attention_dropout)
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
            dropout: DropoutConfig::new(config.dropout).init(),
        }
    }

    /// A cache that has seen the encoded patches, `[batch, patches, d_model]`, and no word.
    pub fn start(&self, encoded: Tensor<3>) -> LayerCache {
        LayerCache::new(self.cross_attention.project(encoded))
    }

    /// The layer's part of [`Decoder::forward`], with the same shapes and before the final norm.
    pub fn forward(
        &self,
        x: Tensor<3>,
        cache: &mut LayerCache,
        hidden: Option<&Tensor<3, Bool>>,
    ) -> Tensor<3> {
        self.forward_seen(x, cache, hidden, None)
    }

    /// Adds the weights of cross-attention to `seen` if asked; they are computed only then.
    fn forward_seen(
        &self,
        x: Tensor<3>,
        cache: &mut LayerCache,
        hidden: Option<&Tensor<3, Bool>>,
        seen: Option<&mut Vec<Tensor<4>>>,
    ) -> Tensor<3> {
        let normed = self.self_attention_norm.forward(x.clone());
        let newest = self.self_attention.project(normed.clone());
        let words = cache.append(newest);
        let attended = self.self_attention.attend(normed, words, hidden);
        let x = x + self.dropout.forward(attended);

        let normed = self.cross_attention_norm.forward(x.clone());
        if let Some(seen) = seen {
            let patches = cache.patches();
            seen.push(self.cross_attention.weights(normed.clone(), patches, None));
        }
        let attended = self.cross_attention.attend(normed, cache.patches(), None);
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

    /// A cache that has seen the encoded patches, `[batch, patches, d_model]`, and no word.
    pub fn start(&self, encoded: Tensor<3>) -> DecoderCache {
        DecoderCache {
            layers: self
                .layers
                .iter()
                .map(|layer| layer.start(encoded.clone()))
                .collect(),
            length: 0,
        }
    }

    /// Decodes the next positions and adds them to `cache`.
    ///
    /// A whole report in one call with its [mask](crate::teacher_forcing_mask) is teacher forcing;
    /// one word per call, without a mask, is generation. Both give the same hidden states.
    ///
    /// # Shapes
    ///
    /// - words: `[batch, length, d_model]`, embedded
    /// - hidden: `[batch, length, cache.length() + length]`, true where a position must not be seen
    /// - output: `[batch, length, d_model]`
    pub fn forward(
        &self,
        words: Tensor<3>,
        cache: &mut DecoderCache,
        hidden: Option<&Tensor<3, Bool>>,
    ) -> Tensor<3> {
        let [_, length, _] = words.dims();
        let decoded = self
            .layers
            .iter()
            .zip(&mut cache.layers)
            .fold(words, |x, (layer, cache)| layer.forward(x, cache, hidden));
        cache.length += length;
        self.norm.forward(decoded)
    }

    /// Where each word looks: cross-attention weights of every layer, first to last, each
    /// `[batch, heads, length, patches]`; arguments as for [`forward`](Self::forward).
    ///
    /// A report that search found is looked at by feeding it whole, with its
    /// [mask](crate::teacher_forcing_mask) and an empty cache: the weights are those that wrote it.
    pub fn cross_attention(
        &self,
        words: Tensor<3>,
        cache: &mut DecoderCache,
        hidden: Option<&Tensor<3, Bool>>,
    ) -> Vec<Tensor<4>> {
        let [_, length, _] = words.dims();
        let mut seen = Vec::with_capacity(self.layers.len());
        self.layers
            .iter()
            .zip(&mut cache.layers)
            .fold(words, |x, (layer, cache)| {
                layer.forward_seen(x, cache, hidden, Some(&mut seen))
            });
        cache.length += length;
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mask::teacher_forcing_mask;
    use burn::tensor::{Distribution, Int, Tolerance};
    use ithn_generator::TokenBatch;

    fn decoder(device: &Device) -> (Decoder, Tensor<3>, Tensor<3>) {
        let config = TransformerConfig::new(8, 12, 2, 2);
        let normal = Distribution::Normal(0.0, 1.0);
        (
            Decoder::init(&config, device),
            Tensor::random([2, 5, 8], normal, device),
            Tensor::random([2, 4, 8], normal, device),
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
    fn attention_of_a_whole_report_is_what_wrote_it() {
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
            let seen = decoder.cross_attention(word, &mut cache, None);
            for (seen, whole) in seen.into_iter().zip(&whole) {
                assert_eq!(seen.dims(), [2, 2, 1, 5]);
                seen.into_data().assert_approx_eq::<f32>(
                    &whole.clone().narrow(2, step, 1).into_data(),
                    Tolerance::absolute(1e-5),
                );
            }
        }
        let sums = whole[1].clone().sum_dim(3).into_data();
        let ones = Tensor::<4>::ones([2, 2, 4, 1], &device).into_data();
        sums.assert_approx_eq::<f32>(&ones, Tolerance::absolute(1e-5));
    }

    #[test]
    fn selecting_rows_permutes_what_follows() {
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
