use serde::{Deserialize, Serialize};

use super::evaluation::SplitScores;
use crate::checkpoint::{EpochSums, Exact};

/// What an epoch came to; a line of `epochs.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Epoch, counted from 1.
    pub epoch: usize,
    /// Optimiser steps so far.
    pub step: usize,
    /// λ at the last step; `1 − λ` is the hardness.
    pub lambda: f64,
    /// Learning rates of the backbone and of the rest at the last step.
    pub learning_rates: [f64; 2],
    /// Mean losses.
    pub losses: MeanLosses,
    /// Temperatures and mean similarities, if negatives are used.
    pub alignment: Option<MeanAlignment>,
    /// Norms of all gradients together, before clipping.
    #[serde(default)]
    pub gradient_norm: GradientNorms,
    /// Batches left out because their loss or gradient was no finite number.
    #[serde(default)]
    pub skipped: usize,
    /// Scores on the validation split.
    pub validation: SplitScores,
    /// Whether it is the best epoch so far.
    pub is_best: bool,
    /// Training speed, in studies per second.
    pub studies_per_second: f64,
    /// Time of the epoch, validation included, in seconds.
    pub seconds: f64,
}

/// Losses, mean over an epoch's batches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct MeanLosses {
    /// The weighted sum.
    pub total: f32,
    /// Language loss.
    pub language: f32,
    /// Contrastive loss.
    pub contrastive: f32,
    /// Image separation loss.
    pub separation: f32,
}

/// Hardness actually reached: temperatures after, similarities averaged over, an epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct MeanAlignment {
    /// τ1, log inverse temperature of pairs.
    pub tau_1: f32,
    /// τ3, log inverse temperature of hardened negatives.
    pub tau_3: f32,
    /// Image with its own report.
    pub positive_similarity: f32,
    /// Image with its first negative.
    pub negative_similarity: f32,
    /// Image with its hardened negative.
    pub hardened_similarity: f32,
}

/// Gradient norms over an epoch's optimiser steps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct GradientNorms {
    /// Mean.
    pub mean: f64,
    /// Largest.
    pub largest: f64,
}

impl EpochSums {
    /// Adds a batch: losses and similarities in the order of [`values`](EpochSums::values).
    pub(super) fn add_batch(&mut self, values: &[f32; 7], studies: usize) {
        for (sum, value) in self.values.iter_mut().zip(values) {
            *sum = Exact(sum.0 + f64::from(*value));
        }
        self.batches += 1;
        self.studies += studies;
    }

    /// Adds an optimiser step.
    pub(super) fn add_step(&mut self, gradient_norm: f32, lambda: f64) {
        let norm = f64::from(gradient_norm);
        self.gradient_norms = Exact(self.gradient_norms.0 + norm);
        self.largest_gradient_norm = Exact(self.largest_gradient_norm.0.max(norm));
        self.lambda = Exact(lambda);
        self.steps += 1;
    }

    fn means(&self) -> [f32; 7] {
        self.values
            .map(|sum| (sum.0 / self.batches.max(1) as f64) as f32)
    }

    pub(super) fn losses(&self) -> MeanLosses {
        let [total, language, contrastive, separation, ..] = self.means();
        MeanLosses {
            total,
            language,
            contrastive,
            separation,
        }
    }

    pub(super) fn alignment(&self, tau_1: f32, tau_3: f32) -> MeanAlignment {
        let [
            ..,
            positive_similarity,
            negative_similarity,
            hardened_similarity,
        ] = self.means();
        MeanAlignment {
            tau_1,
            tau_3,
            positive_similarity,
            negative_similarity,
            hardened_similarity,
        }
    }

    pub(super) fn gradient_norm(&self) -> GradientNorms {
        GradientNorms {
            mean: self.gradient_norms.0 / self.steps.max(1) as f64,
            largest: self.largest_gradient_norm.0,
        }
    }

    pub(super) fn studies_per_second(&self) -> f64 {
        self.studies as f64 / self.seconds.0.max(1e-9)
    }
}
