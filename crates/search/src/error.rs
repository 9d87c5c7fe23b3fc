use thiserror::Error;

/// A search configuration that cannot be used, or a generator whose output cannot be searched.
///
/// `option` names the key inside the search configuration, such as `strategy.width`.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum SearchError {
    /// A number outside its range.
    #[error("search option `{option}` is {value}; it must be {range}")]
    OutOfRange {
        /// Key of the option.
        option: &'static str,
        /// Its value.
        value: f64,
        /// The valid values.
        range: &'static str,
    },
    /// More hypotheses requested than the strategy keeps.
    #[error(
        "search option `{option}` is {returned}, but the search keeps only {kept}: ask for fewer \
         or widen the beams"
    )]
    TooManyReturned {
        /// Key of the option.
        option: &'static str,
        /// Hypotheses requested.
        returned: usize,
        /// Hypotheses that the search keeps, per study or per group.
        kept: usize,
    },
    /// A beam width for a strategy that has none.
    #[error(
        "a beam width of {width} cannot be set: the strategy is `{method}`; set \
         `strategy.method` to `beam` first"
    )]
    NoBeamWidth {
        /// The width requested.
        width: usize,
        /// The strategy's name in JSON.
        method: &'static str,
    },
    /// An official option without a counterpart here.
    #[error("official option `{option}` = `{value}` is not supported: {reason}")]
    Unsupported {
        /// Name of the official option.
        option: &'static str,
        /// Its value.
        value: String,
        /// The reason, and what to use instead.
        reason: &'static str,
    },
    /// A forbidden token outside the generator's vocabulary.
    #[error(
        "search option `forbidden` holds token {token}, but the generator's vocabulary has only \
         {vocabulary} tokens: take token ids from its own tokenizer"
    )]
    UnknownToken {
        /// The token id.
        token: u32,
        /// Size of the vocabulary, token 0 included.
        vocabulary: usize,
    },
    /// The generator returned NaN, a number above 0, or a row without any finite entry (`value` is
    /// then −∞).
    #[error(
        "the generator returned {value} as a log-probability for study {study}, token {step}; \
         check its weights and its log-softmax"
    )]
    NotLogProbabilities {
        /// Id of the study.
        study: String,
        /// Position of the token in its report, counted from 0.
        step: usize,
        /// The offending value.
        value: f32,
    },
}
