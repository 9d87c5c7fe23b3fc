use serde::{Deserialize, Serialize};

/// One optimiser step: losses and similarities are means over its batches. A line of `steps.jsonl`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Epoch, counted from 1.
    pub epoch: usize,
    /// Optimiser steps so far, this one included.
    pub step: usize,
    /// Batches whose gradients the step averages.
    pub batches: usize,
    /// λ; `1 − λ` is the hardness.
    pub lambda: f64,
    /// Learning rates of the backbone and of the rest.
    pub learning_rates: [f64; 2],
    /// Norm of all gradients together, before clipping.
    pub gradient_norm: f32,
    /// The weighted sum.
    pub total: f32,
    /// Language loss.
    pub language: f32,
    /// Contrastive loss, if negatives are used.
    pub contrastive: f32,
    /// Image separation loss, if negatives are used.
    pub separation: f32,
    /// Image with its own report, if negatives are used.
    pub positive_similarity: f32,
    /// Image with its first negative, if negatives are used.
    pub negative_similarity: f32,
    /// Image with its hardened negative, if negatives are used.
    pub hardened_similarity: f32,
}

impl StepRecord {
    /// Losses and similarities of some batches; the rest is 0.
    pub(crate) fn mean_of(batches: &[[f32; 7]]) -> Self {
        let mean = |index: usize| {
            let sum: f32 = batches.iter().map(|values| values[index]).sum();
            sum / batches.len().max(1) as f32
        };
        StepRecord {
            total: mean(0),
            language: mean(1),
            contrastive: mean(2),
            separation: mean(3),
            positive_similarity: mean(4),
            negative_similarity: mean(5),
            hardened_similarity: mean(6),
            ..StepRecord::default()
        }
    }
}
