#![doc = include_str!("../README.md")]

pub mod config;
mod file;
pub mod import;

pub use file::{
    BestEpoch, Checkpoint, CheckpointError, CheckpointHeader, EpochSums, Exact, FORMAT_VERSION,
    SavedModel, TrainingProgress,
};
