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
#[cfg(test)]
mod seeded;

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

/// Sizes and dropout rates shared by the encoder and the decoder.
#[derive(Config, Debug, PartialEq)]
#[non_exhaustive]
pub struct TransformerConfig {
    /// Width of the hidden states; even (512 as published).
    pub d_model: usize,
    /// Width inside the feed-forward layers (512 as published).
    pub d_ff: usize,
    /// Attention heads; must divide `d_model` (8 as published).
    pub heads: usize,
    /// Layers of the encoder, and of the decoder (3 as published).
    pub layers: usize,
    /// Dropout after every sublayer, inside the feed-forward layers and on embedded positions; in
    /// [0, 1).
    #[config(default = 0.1)]
    pub dropout: f64,
    /// Dropout on attention weights; in [0, 1). The official code uses 0.1 whatever `dropout` is.
    #[config(default = 0.1)]
    pub attention_dropout: f64,
}
