use burn::tensor::Device;
use ithn_data::LoadedBatch;
use ithn_inference::{study_batch, token_batch};
use ithn_plugin::{NegativeBatch, TrainingBatch};

/// Moves a batch to `device` and normalises it there.
pub fn training_batch(loaded: LoadedBatch, device: &Device) -> TrainingBatch {
    TrainingBatch {
        studies: study_batch(loaded.images, device),
        reports: token_batch(loaded.tokens, device),
        negatives: loaded.negatives.map(|(images, tokens)| NegativeBatch {
            studies: study_batch(images, device),
            reports: token_batch(tokens, device),
        }),
    }
}
