use thiserror::Error;

/// Why a search could not be configured, or could not go on.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum SearchError {
    /// A count that must be at least 1.
    #[error("search option `{option}` is 0; it must be at least 1")]
    Zero {
        /// Name of the option.
        option: &'static str,
    },
    /// A number outside its range.
    #[error("search option `{option}` is {value}; it must be {range}")]
    OutOfRange {
        /// Name of the option.
        option: &'static str,
        /// What it was.
        value: f64,
        /// What it may be.
        range: &'static str,
    },
    /// More hypotheses asked for than the strategy keeps.
    #[error("search option `returned` is {returned}, but the strategy keeps only {kept}")]
    TooManyReturned {
        /// Hypotheses asked for.
        returned: usize,
        /// Hypotheses that there can be.
        kept: usize,
    },
    /// A released option that this search does not have.
    #[error("released option `{option}` = `{value}` is not supported: {reason}")]
    Unsupported {
        /// Name of the released option.
        option: &'static str,
        /// Its value.
        value: String,
        /// Why not, and what to do.
        reason: &'static str,
    },
    /// The generator returned something that is no log-probability: NaN, a number above 0, or a
    /// row without any finite entry (`value` is then −∞).
    #[error(
        "the generator gave {value} as a log-probability for study {study}, token {step}; \
         check its weights and its log-softmax"
    )]
    NotLogProbabilities {
        /// Position of the token in its report, from 0.
        step: usize,
        /// The study.
        study: usize,
        /// The offending value.
        value: f32,
    },
}
