#![doc = include_str!("../README.md")]

mod batch;
mod classification;
mod config;
mod ithn;
mod language;
mod likelihood;
mod module;
mod peers;
#[cfg(test)]
mod tests;

pub use batch::{NegativeBatch, TrainingBatch};
pub use config::{Classification, IthnConfig, LossWeights, SamePatient, TextPath};
pub use ithn::{ForwardPass, Ithn, LossTerms};
pub use ithn_alignment::{AlignmentTerms, Embeddings};
pub use language::{language_loss, smoothed_language_loss};
pub use likelihood::LikelihoodContrast;
pub use peers::{Peers, TermsAmong};
