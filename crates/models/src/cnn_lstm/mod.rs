//! Show, Attend and Tell: an LSTM that looks at one part of the image for every word.

mod attentive_lstm;
mod generator;

pub use attentive_lstm::{AnnotationVectors, AttentiveLstm, AttentiveLstmConfig, AttentiveState};
pub use generator::{CnnLstm, CnnLstmConfig};
