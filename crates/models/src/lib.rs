//! Report generators that come with the library.
//!
//! | generator | from | configured by |
//! |---|---|---|
//! | [`R2GenCmn`] | Chen et al., ACL-IJCNLP 2021 | `r2gen_cmn` |
//! | [`R2Gen`] | Chen et al., EMNLP 2020 | `r2gen` |
//! | [`CnnLstm`] | Xu et al., ICML 2015 | `cnn_lstm` |
//!
//! All meet the rest of the library at the two traits of [`ithn_generator`] and nowhere
//! else; a generator from outside does the same.
//!
//! # Adding a generator
//!
//! One file with the generator, its configuration, and [`LibraryGenerator`] and
//! [`config::LibraryConfig`] for them; its `mod` and `pub use` lines below and a row of the table
//! above; and one line of `generators!` in `config/generators.rs`, its name in `config.json` and its
//! configuration: kinds, JSON, presets' sizes, building and validation follow.

mod cnn_lstm;
mod r2gen;
mod r2gen_cmn;
#[cfg(test)]
mod tests;
mod views;

pub mod config;

use ithn_backbone::ResNet;
use ithn_generator::TrainableGenerator;

pub use cnn_lstm::{
    AnnotationVectors, AttentiveLstm, AttentiveLstmConfig, AttentiveState, CnnLstm, CnnLstmConfig,
};
pub use r2gen::{
    ConditionalNorm, MemoryDecoder, MemoryDecoderLayer, MemoryState, R2Gen, R2GenConfig,
    RelationalMemory, RelationalMemoryConfig,
};
pub use r2gen_cmn::{ImageFeature, R2GenCmn, R2GenCmnConfig, R2GenCmnContext, WritingState};

/// A generator of this library: its backbone can be given weights from elsewhere.
pub trait LibraryGenerator: TrainableGenerator + 'static {
    /// Its backbone.
    fn backbone_mut(&mut self) -> &mut ResNet;
}
