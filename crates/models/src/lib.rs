#![doc = include_str!("../README.md")]
//!
//! # Adding a generator
//!
//! One file with the generator, its configuration, and [`LibraryGenerator`] and
//! [`config::LibraryConfig`] for them; its `mod` and `pub use` lines below, and a row of the table
//! above; and one line of `generators!` in `config/generators.rs`: its name in `config.json` and its
//! configuration. Kinds, JSON, presets' sizes, building and validation follow. The tests of that list
//! (`config/generators/tests.rs`) are such a file.
//!
//! A generator outside this crate is on no list. It implements the traits of [`ithn_generator`], and
//! its model is a [`config::ModelConfig::custom`]. `run_experiment_with` of `ithn-train` trains,
//! saves, resumes and evaluates it; `ReportWriter::from_checkpoint_with` of `ithn-inference` loads its
//! checkpoints. Both get the function that builds it. Only generators of the list can be chosen by
//! name, sized by a preset, given pretrained backbone weights, and loaded without that function.

mod cnn_lstm;
mod context;
mod finding_prompts;
mod r2gen;
mod r2gen_cmn;
#[cfg(test)]
mod tests;
mod views;

pub mod config;

use ithn_backbone::Backbone;
use ithn_generator::TrainableGenerator;

pub use cnn_lstm::{
    AnnotationVectors, AttentiveLstm, AttentiveLstmConfig, AttentiveLstmState, CnnLstm,
    CnnLstmConfig, ContextVectors,
};
pub use context::{ContextConfig, ContextEmbedding};
pub use finding_prompts::{FindingPrompts, FindingPromptsConfig};
pub use r2gen::{
    ConditionalNorm, MemoryDecoder, MemoryDecoderLayer, R2Gen, R2GenConfig, R2GenState,
    RelationalMemory, RelationalMemoryConfig,
};
pub use r2gen_cmn::{ImageFeature, R2GenCmn, R2GenCmnConfig, R2GenCmnContext, R2GenCmnState};
pub use views::StudyFeatures;

/// A generator of this library, whose backbone can be loaded with other weights.
pub trait LibraryGenerator: TrainableGenerator + 'static {
    /// Its backbone.
    fn backbone(&self) -> &Backbone;

    /// Its backbone, to be changed.
    fn backbone_mut(&mut self) -> &mut Backbone;

    /// The part that reads findings and tells them to the decoder, if it has one, to be changed.
    fn finding_prompts_mut(&mut self) -> Option<&mut FindingPrompts> {
        None
    }
}
