use serde::{Deserialize, Serialize};

use crate::evaluation::SplitScores;
use ithn_checkpoint::EpochSums;

/// Results of an epoch; a line of `epochs.jsonl`.
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
    /// Batches skipped because their loss or gradient was not finite.
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

/// Measured hardness: the temperatures after an epoch, and mean similarities over it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct MeanAlignment {
    /// τ1, log inverse temperature of pairs.
    pub tau_1: f32,
    /// τ3, log inverse temperature of hardened negatives.
    pub tau_3: f32,
    /// Similarity of an image and its own report.
    pub positive_similarity: f32,
    /// Similarity of an image and its first negative.
    pub negative_similarity: f32,
    /// Similarity of an image and its hardened negative.
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

impl MeanLosses {
    pub(crate) fn of(sums: &EpochSums) -> Self {
        let [total, language, contrastive, separation, ..] = sums.means();
        MeanLosses {
            total,
            language,
            contrastive,
            separation,
        }
    }
}

impl MeanAlignment {
    pub(crate) fn of(sums: &EpochSums, tau_1: f32, tau_3: f32) -> Self {
        let [
            ..,
            positive_similarity,
            negative_similarity,
            hardened_similarity,
        ] = sums.means();
        MeanAlignment {
            tau_1,
            tau_3,
            positive_similarity,
            negative_similarity,
            hardened_similarity,
        }
    }
}

impl GradientNorms {
    pub(crate) fn of(sums: &EpochSums) -> Self {
        GradientNorms {
            mean: sums.gradient_norms.0 / sums.steps.max(1) as f64,
            largest: sums.largest_gradient_norm.0,
        }
    }
}
