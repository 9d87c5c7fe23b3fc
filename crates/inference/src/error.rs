use ithn_checkpoint::CheckpointError;
use ithn_checkpoint::config::ConfigError;
use ithn_data::DataError;
use ithn_decoder::search::SearchError;
use thiserror::Error;

/// Why a report could not be written.
#[derive(Debug, Error)]
pub enum InferenceError {
    /// An image that cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A checkpoint that cannot be loaded.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A checkpoint of a generator that this library cannot build.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Options of the search that are out of range, or a generator that gives no probabilities.
    #[error(transparent)]
    Search(#[from] SearchError),
}
