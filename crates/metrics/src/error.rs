//! Errors in the inputs of a metric.

/// A metric could not be computed from its inputs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetricsError {
    /// Two lists that describe the same studies differ in length.
    #[error(
        "{left} has {left_len} entries but {right} has {right_len}: they must describe the same studies in the same order"
    )]
    LengthMismatch {
        /// Name of the first list.
        left: &'static str,
        /// Its length.
        left_len: usize,
        /// Name of the second list.
        right: &'static str,
        /// Its length.
        right_len: usize,
    },
    /// There is nothing to score.
    #[error("nothing to score: {what} is empty")]
    Empty {
        /// Name of the empty list.
        what: &'static str,
    },
    /// A study has no reference report.
    #[error(
        "study {index} (counting from 0) has no reference report: drop it or give it at least one"
    )]
    NoReference {
        /// Position of the study in the corpus.
        index: usize,
    },
    /// A class index is outside the set of classes.
    #[error("class {index} does not exist: there are {classes} classes, counted from 0")]
    UnknownClass {
        /// The index asked for.
        index: usize,
        /// How many classes there are.
        classes: usize,
    },
    /// More classes than one study's bit set can hold.
    #[error("{classes} classes are more than the {max} that can be counted together")]
    TooManyClasses {
        /// How many classes were given.
        classes: usize,
        /// How many are supported.
        max: usize,
    },
    /// A study's id does not say which study of the Open-i collection it is.
    #[error(
        "study '{id}' has no Open-i uid: an id is the number, or begins with CXR and the number, as CXR2384_IM-0942 does"
    )]
    UnknownStudy {
        /// The id.
        id: String,
    },
    /// A score is NaN or infinite.
    #[error("{what} holds a value that is not finite at position {index}")]
    NotFinite {
        /// Name of the list.
        what: &'static str,
        /// Position of the first such value.
        index: usize,
    },
}

/// Fails unless two lists over the same studies agree in length and are not empty.
pub(crate) fn check_paired(
    (left, left_len): (&'static str, usize),
    (right, right_len): (&'static str, usize),
) -> Result<(), MetricsError> {
    if left_len != right_len {
        return Err(MetricsError::LengthMismatch {
            left,
            left_len,
            right,
            right_len,
        });
    }
    if left_len == 0 {
        return Err(MetricsError::Empty { what: left });
    }
    Ok(())
}
