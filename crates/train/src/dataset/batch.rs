use burn::tensor::Device;
use ithn_data::LoadedBatch;
use ithn_inference::{study_batch, token_batch};
use ithn_plugin::{NegativeBatch, TrainingBatch};

use super::PreparedData;

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

impl PreparedData {
    /// Like [`training_batch`], with the sets of findings that the reports state where training needs them.
    pub fn training_batch(&self, loaded: LoadedBatch, device: &Device) -> TrainingBatch {
        let members = loaded.members.clone();
        let mut batch = training_batch(loaded, device);
        if let Some(sets) = &self.label_sets {
            let of = |indices: Vec<usize>| -> Vec<i64> {
                indices.into_iter().map(|index| sets[index]).collect()
            };
            let studies = members.iter().map(|member| member.study).collect();
            batch.reports = batch.reports.with_label_sets(&of(studies));
            batch.negatives = batch.negatives.map(|negatives| {
                let indices = members
                    .iter()
                    .filter_map(|member| member.negative)
                    .collect();
                NegativeBatch {
                    reports: negatives.reports.with_label_sets(&of(indices)),
                    ..negatives
                }
            });
        }
        batch
    }
}
