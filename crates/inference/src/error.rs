use ithn_checkpoint::CheckpointError;
use ithn_checkpoint::config::ConfigError;
use ithn_data::DataError;
use ithn_search::SearchError;
use thiserror::Error;

/// Why a report could not be written.
#[derive(Debug, Error)]
#[non_exhaustive]
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
    /// A study without a film.
    #[error("study {0} has no film")]
    NoFilm(String),
    /// Something that a study carries and the model does not read.
    #[error("study {study} has {part}, which this checkpoint does not read: leave it out")]
    Unread {
        /// The study.
        study: String,
        /// `projections`, `indication`, `previous films` or `previous report`.
        part: &'static str,
    },
    /// A search that returned no report.
    #[error("the search returned no report for study {0}: ask it for at least one")]
    NoReport(String),
    /// Options of the search that are out of range, or a generator that gives no probabilities.
    #[error(transparent)]
    Search(#[from] SearchError),
}
