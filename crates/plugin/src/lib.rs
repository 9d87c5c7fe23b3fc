#![doc = include_str!("../README.md")]

mod batch;
mod classification;
mod config;
mod ithn;
mod language;
mod module;
#[cfg(test)]
mod tests;

pub use batch::{NegativeBatch, TrainingBatch};
pub use config::{Classification, IthnConfig, LossWeights, TextPath};
pub use ithn::{Ithn, LossTerms};
pub use ithn_alignment::AlignmentTerms;
pub use language::{language_loss, smoothed_language_loss};
