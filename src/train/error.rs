use std::path::PathBuf;

use ithn_data::DataError;
use ithn_decoder::search::SearchError;
use ithn_metrics::MetricsError;
use ithn_negatives::mine::MiningError;
use thiserror::Error;

use crate::checkpoint::CheckpointError;
use crate::config::ConfigError;
use crate::device::DeviceError;
use crate::import::ImportError;

/// Why a run ended before its end.
#[derive(Debug, Error)]
pub enum TrainError {
    /// Data that cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A device that does not exist.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// A configuration that cannot be run.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Weights that do not fit.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// A checkpoint that cannot be saved or loaded.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Negatives that cannot be mined.
    #[error(transparent)]
    Mining(#[from] MiningError),
    /// Reports that cannot be written.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// Reports that cannot be scored.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// More studies a step than there are.
    #[error(
        "a batch of {batch_size} is larger than the training split of {studies} studies: \
         lower --batch-size"
    )]
    BatchTooLarge {
        /// Studies per step.
        batch_size: usize,
        /// Training studies.
        studies: usize,
    },
    /// A loss that is no number.
    #[error(
        "the {term} loss became {value} at step {step} (epoch {epoch}), in the batch of {studies}; \
         the weights before it are in {checkpoint}; lower the learning rate or look at these studies"
    )]
    NonFiniteLoss {
        /// Which term.
        term: &'static str,
        /// What it became.
        value: f32,
        /// Optimiser step, counted from 1.
        step: usize,
        /// Epoch, counted from 1.
        epoch: usize,
        /// Ids of the batch.
        studies: String,
        /// Where the last good weights are, or a sentence that there are none yet.
        checkpoint: String,
    },
    /// The output folder holds another run.
    #[error("{0} already holds a run: choose another --out, or continue it with --resume")]
    OutputInUse(PathBuf),
    /// Nothing to resume.
    #[error("{0} holds no run to resume: it has no {1}")]
    NothingToResume(PathBuf, &'static str),
    /// A file of the run that cannot be written or read.
    #[error("{path}: {source}")]
    Output {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}
