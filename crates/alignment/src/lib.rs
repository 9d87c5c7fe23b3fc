#![doc = include_str!("../README.md")]

mod alignment;
mod contrast;
mod embedding;
mod pooling;
mod temperature;
#[cfg(test)]
mod tests;

pub use alignment::{Alignment, AlignmentConfig, AlignmentTerms, image_separation_loss};
pub use contrast::{Embeddings, EqualReports, HardNegativePlacement};
pub use embedding::{AlignmentHeads, AlignmentHeadsConfig, unit};
pub use pooling::Pooling;
pub use temperature::{TemperatureConfig, TemperatureTraining, Temperatures};
