use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig};
use burn::tensor::{Bool, Device, Tensor};
use ithn_decoder::{
    DeviationNorm, FeedForward, LayerCache, MultiHeadAttention, MultiHeadAttentionConfig,
    PatchFeatures, TransformerConfig,
};

use super::conditional_norm::ConditionalNorm;

/// A pre-norm decoder layer whose three norms are conditioned on the relational memory.
#[derive(Module, Debug)]
pub struct MemoryDecoderLayer {
    /// Self-attention over earlier tokens.
    pub self_attention: MultiHeadAttention,
    /// Norm before it.
    pub self_attention_norm: ConditionalNorm,
    /// Cross-attention to the encoded patches.
    pub cross_attention: MultiHeadAttention,
    /// Norm before it.
    pub cross_attention_norm: ConditionalNorm,
    /// Position-wise layer.
    pub feed_forward: FeedForward,
    /// Norm before it.
    pub feed_forward_norm: ConditionalNorm,
    dropout: Dropout,
}

/// Memory-driven decoder layers, then a plain norm.
#[derive(Module, Debug)]
pub struct MemoryDecoder {
    /// Layers, first to last.
    pub layers: Vec<MemoryDecoderLayer>,
    /// Final norm.
    pub norm: DeviationNorm,
}

/// Keys and values of earlier tokens and of the patches, layer by layer.
#[derive(Debug, Clone)]
pub(super) struct MemoryDecoderCache {
    layers: Vec<LayerCache>,
    length: usize,
}

impl MemoryDecoderCache {
    /// Positions decoded so far.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// The cache whose row `i` is row `rows[i]` of this one.
    pub(super) fn select(self, rows: &[usize]) -> Self {
        let layers = self.layers.into_iter();
        MemoryDecoderCache {
            layers: layers.map(|layer| layer.select(rows)).collect(),
            length: self.length,
        }
    }
}

impl MemoryDecoderLayer {
    fn init(config: &TransformerConfig, slots: usize, device: &Device) -> Self {
        let attention = || {
            MultiHeadAttentionConfig::new(config.d_model, config.heads)
                .with_dropout(config.attention_dropout.get())
                .init(device)
        };
        let norm = || ConditionalNorm::init(config.d_model, slots, device);
        MemoryDecoderLayer {
            self_attention: attention(),
            self_attention_norm: norm(),
            cross_attention: attention(),
            cross_attention_norm: norm(),
            feed_forward: FeedForward::init(config, device),
            feed_forward_norm: norm(),
            dropout: DropoutConfig::new(config.dropout.get()).init(),
        }
    }

    /// Appends the cross-attention weights to `weights` if given, and computes them only then.
    fn forward(
        &self,
        x: Tensor<3>,
        memory: &Tensor<3>,
        cache: &mut LayerCache,
        mask: Option<&Tensor<3, Bool>>,
        weights: Option<&mut Vec<Tensor<4>>>,
    ) -> Tensor<3> {
        let normed = self.self_attention_norm.forward(x.clone(), memory.clone());
        let newest = self.self_attention.project(normed.clone());
        let words = cache.append(newest);
        let attended = self.self_attention.forward(normed, words, mask);
        let x = x + self.dropout.forward(attended);

        let normed = self.cross_attention_norm.forward(x.clone(), memory.clone());
        let (patches, patch_mask) = (cache.patches(), cache.patch_mask());
        if let Some(weights) = weights {
            let attention = &self.cross_attention;
            weights.push(attention.weights(normed.clone(), patches, patch_mask));
        }
        let attended = self.cross_attention.forward(normed, patches, patch_mask);
        let x = x + self.dropout.forward(attended);

        let normed = self.feed_forward_norm.forward(x.clone(), memory.clone());
        x + self.dropout.forward(self.feed_forward.forward(normed))
    }
}

impl MemoryDecoder {
    /// Creates `config.layers` layers, conditioned on a memory of `slots` slots.
    pub fn init(config: &TransformerConfig, slots: usize, device: &Device) -> Self {
        MemoryDecoder {
            layers: (0..config.layers)
                .map(|_| MemoryDecoderLayer::init(config, slots, device))
                .collect(),
            norm: DeviationNorm::init(config.d_model, device),
        }
    }

    /// A cache without tokens over encoded patches, `[batch, patches, d_model]`; cross-attention
    /// leaves out masked ones.
    pub(super) fn start(&self, encoded: PatchFeatures) -> MemoryDecoderCache {
        let start = |layer: &MemoryDecoderLayer| {
            let patches = layer.cross_attention.project(encoded.values.clone());
            LayerCache::new(patches, encoded.attention_mask())
        };
        MemoryDecoderCache {
            layers: self.layers.iter().map(start).collect(),
            length: 0,
        }
    }

    /// Hidden states of the next positions, whose keys and values are appended to `cache`.
    ///
    /// # Shapes
    ///
    /// - words and output: `[batch, length, d_model]`, embedded tokens and hidden states
    /// - memory: `[batch, length, slots · d_model]`, the slots after each token
    /// - mask: `[batch, length, cache.length() + length]`, true where self-attention is masked
    pub(super) fn forward(
        &self,
        words: Tensor<3>,
        memory: &Tensor<3>,
        cache: &mut MemoryDecoderCache,
        mask: Option<&Tensor<3, Bool>>,
    ) -> Tensor<3> {
        let [_, length, _] = words.dims();
        let decoded = self
            .layers
            .iter()
            .zip(&mut cache.layers)
            .fold(words, |x, (layer, cache)| {
                layer.forward(x, memory, cache, mask, None)
            });
        cache.length += length;
        self.norm.forward(decoded)
    }

    /// Cross-attention weights of every layer, first to last, each `[batch, heads, length, patches]`,
    /// 0 at masked patches; arguments as for [`forward`](Self::forward).
    pub(super) fn cross_attention(
        &self,
        words: Tensor<3>,
        memory: &Tensor<3>,
        cache: &mut MemoryDecoderCache,
        mask: Option<&Tensor<3, Bool>>,
    ) -> Vec<Tensor<4>> {
        let [_, length, _] = words.dims();
        let mut weights = Vec::with_capacity(self.layers.len());
        self.layers
            .iter()
            .zip(&mut cache.layers)
            .fold(words, |x, (layer, cache)| {
                layer.forward(x, memory, cache, mask, Some(&mut weights))
            });
        cache.length += length;
        weights
    }
}
