#![doc = include_str!("../README.md")]
//!
//! # Parts
//!
//! - [`Encoder`] and [`Decoder`]: pre-norm layers, then a norm.
//! - [`DecoderCache`]: keys and values of earlier positions and of the patches. Teacher forcing is a
//!   single call with an empty cache.
//! - [`TokenEmbedding`], [`SinusoidalPosition`], [`MultiHeadAttention`], [`FeedForward`],
//!   [`DeviationNorm`]: their parts.

mod attention;
mod cache;
mod decoder;
mod embedding;
mod encoder;
mod feed_forward;
mod linear;
mod mask;
mod norm;
mod patches;
mod position;

pub use attention::{MultiHeadAttention, MultiHeadAttentionConfig};
pub use cache::{KeyValues, LayerCache};
pub use decoder::{Decoder, DecoderCache, DecoderLayer};
pub use embedding::TokenEmbedding;
pub use encoder::{Encoder, EncoderLayer};
pub use feed_forward::FeedForward;
pub use linear::xavier_linear;
pub use mask::teacher_forcing_mask;
pub use norm::{DeviationNorm, standardise};
pub use patches::PatchFeatures;
pub use position::SinusoidalPosition;

use burn::config::Config;
use ithn_generator::config::{
    ConfigError, LARGEST_WIDTH, MOST_LAYERS, Probability, check_count, check_heads,
};
use serde::{Deserialize, Serialize};

/// Sizes and dropout rates shared by the encoder and the decoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TransformerConfig {
    /// Width of the hidden states; even, at most 65,536 (512 as published).
    pub d_model: usize,
    /// Width inside the feed-forward layers, at most 65,536 (512 as published).
    pub d_ff: usize,
    /// Attention heads; must divide `d_model` (8 as published).
    pub heads: usize,
    /// Layers of the encoder, and of the decoder, 1 to 1,000 (3 as published).
    pub layers: usize,
    /// Dropout after every sublayer, inside the feed-forward layers and on embedded positions.
    pub dropout: Probability,
    /// Dropout on attention weights. The official code uses 0.1 whatever `dropout` is.
    pub attention_dropout: Probability,
}

impl Config for TransformerConfig {}

impl TransformerConfig {
    /// These sizes, with both dropout rates 0.1.
    pub fn new(d_model: usize, d_ff: usize, heads: usize, layers: usize) -> Self {
        TransformerConfig {
            d_model,
            d_ff,
            heads,
            layers,
            dropout: Probability::literal(0.1),
            attention_dropout: Probability::literal(0.1),
        }
    }

    /// Sets [`dropout`](Self::dropout).
    ///
    /// # Panics
    ///
    /// If it lies outside `[0, 1)`.
    pub fn with_dropout(mut self, dropout: f64) -> Self {
        self.dropout = Probability::literal(dropout);
        self
    }

    /// Sets [`attention_dropout`](Self::attention_dropout).
    ///
    /// # Panics
    ///
    /// If it lies outside `[0, 1)`.
    pub fn with_attention_dropout(mut self, attention_dropout: f64) -> Self {
        self.attention_dropout = Probability::literal(attention_dropout);
        self
    }

    /// Checks all sizes.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming the key, such as `heads`.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check_heads(self.d_model, self.heads)?;
        if !self.d_model.is_multiple_of(2) {
            return Err(ConfigError::new(
                "d_model",
                format!("must be even, got {}", self.d_model),
            ));
        }
        check_count("d_ff", self.d_ff, LARGEST_WIDTH)?;
        check_count("layers", self.layers, MOST_LAYERS)
    }
}
