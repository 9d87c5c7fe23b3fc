use std::fmt;

use ithn_data::Tokenizer;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::card::Card;
use crate::config::ExperimentConfig;

/// Everything in a checkpoint but the tensors.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CheckpointHeader {
    /// Version of the library that wrote it.
    pub library_version: String,
    /// The run's configuration.
    pub config: ExperimentConfig,
    /// Cleaning rules and vocabulary.
    pub tokenizer: Tokenizer,
    /// How far training had come.
    pub progress: TrainingProgress,
    /// What else the file says about itself; none in files of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card: Option<Card>,
}

impl CheckpointHeader {
    /// A header by this version of the library.
    pub fn new(config: ExperimentConfig, tokenizer: Tokenizer, progress: TrainingProgress) -> Self {
        CheckpointHeader {
            library_version: env!("CARGO_PKG_VERSION").to_owned(),
            config,
            tokenizer,
            progress,
            card: None,
        }
    }
}

/// Progress of training: the state of a run except weights and optimizer state.
///
/// It holds no random-number state because training keeps none: the order of an epoch, its crops
/// and the dropout of every batch are functions of the seed, the epoch and the batch's number.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TrainingProgress {
    /// Epochs completed, validation included.
    pub epoch: usize,
    /// Optimiser steps taken.
    pub step: usize,
    /// Batches of the epoch after [`epoch`](Self::epoch) that have been learnt from (or skipped).
    pub batch: usize,
    /// Sums of losses and similarities over those batches.
    pub partial: EpochSums,
    /// The best epoch so far; patience counts from it.
    pub best: Option<BestEpoch>,
    /// Batches skipped so far because their loss or gradient was not finite.
    pub skipped: usize,
    /// Lines of `epochs.jsonl`, as written.
    pub history: Vec<String>,
    /// CRC-32 of the training studies and their negatives in order, so that another dataset is
    /// noticed; none before training.
    pub data: Option<u32>,
    /// Batches that a step averages at all ranks of the run together; none in earlier files and before
    /// training.
    #[serde(default)]
    pub batches_per_step: Option<usize>,
}

/// The best value of the monitored metric, and where it was reached.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BestEpoch {
    /// Value of the metric.
    pub score: Exact,
    /// Epoch, counted from 1.
    pub epoch: usize,
}

impl BestEpoch {
    /// Whether an epoch of this score, a later one, takes its place: also if it is as good, since early
    /// epochs that find nothing all score 0.
    pub fn gives_way_to(&self, score: f64) -> bool {
        score >= self.score.0
    }
}

/// Sums over batches of an epoch.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EpochSums {
    /// In this order: total, language, contrastive and separation loss, then the similarity of the image to its own
    /// report, to its first negative and to its hard negative.
    pub values: [Exact; 7],
    /// Batches in [`values`](Self::values).
    pub batches: usize,
    /// Studies in them.
    pub studies: usize,
    /// Global gradient norms, one per optimiser step.
    pub gradient_norms: Exact,
    /// The largest of them.
    pub largest_gradient_norm: Exact,
    /// Optimiser steps.
    pub steps: usize,
    /// Batches left out.
    pub skipped: usize,
    /// λ at the last step.
    pub lambda: Exact,
    /// Time spent, in seconds.
    pub seconds: Exact,
}

impl EpochSums {
    /// Adds a batch: losses and similarities in the order of [`values`](EpochSums::values).
    pub fn add_batch(&mut self, values: &[f32; 7], studies: usize) {
        for (sum, value) in self.values.iter_mut().zip(values) {
            *sum = Exact(sum.0 + f64::from(*value));
        }
        self.batches += 1;
        self.studies += studies;
    }

    /// Adds an optimiser step.
    pub fn add_step(&mut self, gradient_norm: f32, lambda: f64) {
        let norm = f64::from(gradient_norm);
        self.gradient_norms = Exact(self.gradient_norms.0 + norm);
        self.largest_gradient_norm = Exact(self.largest_gradient_norm.0.max(norm));
        self.lambda = Exact(lambda);
        self.steps += 1;
    }

    /// [`values`](EpochSums::values), averaged over the batches.
    pub fn means(&self) -> [f32; 7] {
        self.values
            .map(|sum| (sum.0 / self.batches.max(1) as f64) as f32)
    }

    /// Training speed, in studies per second.
    pub fn studies_per_second(&self) -> f64 {
        self.studies as f64 / self.seconds.0.max(1e-9)
    }
}

/// A number that survives JSON bit for bit: its bits are stored as an integer.
#[derive(Clone, Copy, Default, PartialEq, PartialOrd)]
pub struct Exact(pub f64);

impl fmt::Debug for Exact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Serialize for Exact {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0.to_bits())
    }
}

impl<'de> Deserialize<'de> for Exact {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u64::deserialize(deserializer).map(|bits| Exact(f64::from_bits(bits)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_equal_epochs_the_later_is_the_best() {
        let best = BestEpoch {
            score: Exact(0.0),
            epoch: 1,
        };
        assert!(best.gives_way_to(0.0) && best.gives_way_to(0.1));
        assert!(!best.gives_way_to(-0.1) && !best.gives_way_to(f64::NAN));
    }

    #[test]
    fn numbers_come_back_to_the_last_bit() {
        let mut value = 0.1_f64;
        for _ in 0..200 {
            value = (value * 1.7).sin() + f64::EPSILON;
            let json = serde_json::to_string(&Exact(value)).expect("serialisable");
            let read: Exact = serde_json::from_str(&json).expect("readable");
            assert_eq!(read.0.to_bits(), value.to_bits());
        }
        let json = serde_json::to_string(&Exact(f64::NAN)).expect("serialisable");
        let read: Exact = serde_json::from_str(&json).expect("readable");
        assert!(read.0.is_nan());
    }
}
