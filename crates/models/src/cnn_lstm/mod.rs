//! Show, Attend and Tell: an LSTM with soft attention over patches.

mod attentive_lstm;
mod generator;

pub use attentive_lstm::{
    AnnotationVectors, AttentiveLstm, AttentiveLstmConfig, AttentiveLstmState,
};
pub use generator::{CnnLstm, CnnLstmConfig, ContextVectors};
