//! Configurations and presets ([`config`]), checkpoints (one file for weights, optimizer state,
//! vocabulary and position) and their [`card`]s, and weights from PyTorch files and back ([`import`]).
//!
//! The features `flex` (default, the CPU), `cuda`, `wgpu` and `ndarray` choose Burn's backends; without any, tensor
//! operations panic.

pub mod card;
pub mod config;
mod file;
pub mod import;

pub use file::{
    BestEpoch, Checkpoint, CheckpointError, CheckpointHeader, EpochSums, Exact, FORMAT_VERSION,
    SavedModel, TrainingProgress,
};

/// The examples of the README are tested.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
