use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig};
use burn::tensor::{Bool, Device, Tensor};
use ithn_decoder::{
    DeviationNorm, FeedForward, LayerCache, MultiHeadAttention, MultiHeadAttentionConfig,
    TransformerConfig,
};

use super::conditional_norm::ConditionalNorm;

/// A pre-norm decoder layer whose three norms follow the relational memory.
#[derive(Module, Debug)]
pub struct MemoryDecoderLayer {
    /// Attention to the words before.
    pub self_attention: MultiHeadAttention,
    /// Norm before it.
    pub self_attention_norm: ConditionalNorm,
    /// Attention to the encoded patches.
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

/// What earlier positions and the image left behind, layer by layer.
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
                .with_dropout(config.attention_dropout)
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
            dropout: DropoutConfig::new(config.dropout).init(),
        }
    }

    /// Adds the weights of cross-attention to `seen` if asked; they are computed only then.
    fn forward(
        &self,
        x: Tensor<3>,
        memory: &Tensor<3>,
        cache: &mut LayerCache,
        hidden: Option<&Tensor<3, Bool>>,
        seen: Option<&mut Vec<Tensor<4>>>,
    ) -> Tensor<3> {
        let normed = self.self_attention_norm.forward(x.clone(), memory.clone());
        let newest = self.self_attention.project(normed.clone());
        let words = cache.append(newest);
        let attended = self.self_attention.forward(normed, words, hidden);
        let x = x + self.dropout.forward(attended);

        let normed = self.cross_attention_norm.forward(x.clone(), memory.clone());
        if let Some(seen) = seen {
            let patches = cache.patches();
            seen.push(self.cross_attention.weights(normed.clone(), patches, None));
        }
        let attended = self.cross_attention.forward(normed, cache.patches(), None);
        let x = x + self.dropout.forward(attended);

        let normed = self.feed_forward_norm.forward(x.clone(), memory.clone());
        x + self.dropout.forward(self.feed_forward.forward(normed))
    }
}

impl MemoryDecoder {
    /// Creates `config.layers` layers that follow a memory of `slots` slots.
    pub fn init(config: &TransformerConfig, slots: usize, device: &Device) -> Self {
        MemoryDecoder {
            layers: (0..config.layers)
                .map(|_| MemoryDecoderLayer::init(config, slots, device))
                .collect(),
            norm: DeviationNorm::init(config.d_model, device),
        }
    }

    /// A cache that has seen the encoded patches, `[batch, patches, d_model]`, and no word.
    pub(super) fn start(&self, encoded: Tensor<3>) -> MemoryDecoderCache {
        let start = |layer: &MemoryDecoderLayer| {
            LayerCache::new(layer.cross_attention.project(encoded.clone()))
        };
        MemoryDecoderCache {
            layers: self.layers.iter().map(start).collect(),
            length: 0,
        }
    }

    /// Decodes the next positions and adds them to `cache`.
    ///
    /// # Shapes
    ///
    /// - words and output: `[batch, length, d_model]`
    /// - memory: `[batch, length, slots · d_model]`, the slots after each word
    /// - hidden: `[batch, length, cache.length() + length]`, true where a position must not be seen
    pub(super) fn forward(
        &self,
        words: Tensor<3>,
        memory: &Tensor<3>,
        cache: &mut MemoryDecoderCache,
        hidden: Option<&Tensor<3, Bool>>,
    ) -> Tensor<3> {
        let [_, length, _] = words.dims();
        let decoded = self
            .layers
            .iter()
            .zip(&mut cache.layers)
            .fold(words, |x, (layer, cache)| {
                layer.forward(x, memory, cache, hidden, None)
            });
        cache.length += length;
        self.norm.forward(decoded)
    }

    /// Where each word looks: cross-attention weights of every layer, first to last, each
    /// `[batch, heads, length, patches]`; arguments as for [`forward`](Self::forward).
    pub(super) fn cross_attention(
        &self,
        words: Tensor<3>,
        memory: &Tensor<3>,
        cache: &mut MemoryDecoderCache,
        hidden: Option<&Tensor<3, Bool>>,
    ) -> Vec<Tensor<4>> {
        let [_, length, _] = words.dims();
        let mut seen = Vec::with_capacity(self.layers.len());
        self.layers
            .iter()
            .zip(&mut cache.layers)
            .fold(words, |x, (layer, cache)| {
                layer.forward(x, memory, cache, hidden, Some(&mut seen))
            });
        cache.length += length;
        seen
    }
}
