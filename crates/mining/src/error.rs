use thiserror::Error;

/// Why negatives cannot be mined.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MiningError {
    /// There is nothing to take negatives from.
    #[error("the training set is empty: negatives are taken from it")]
    EmptyTrainingSet,
    /// A report in which the embedding finds nothing to compare.
    #[error("the report of study '{id}' has no words to compare: drop the study or give it a text")]
    EmptyReport {
        /// The study.
        id: String,
    },
    /// An embedding with an infinite or undefined component.
    #[error("the embedding of study '{id}' is not finite: check the model that made it")]
    NotFinite {
        /// The study.
        id: String,
    },
    /// An embedding that cannot be compared with those before it.
    #[error("the embedding of study '{id}' is {found}, those before it are {expected}")]
    Incomparable {
        /// The study.
        id: String,
        /// What it is, such as `dense of length 384`.
        found: String,
        /// What the first one is.
        expected: String,
    },
}
