use std::io;
use std::path::PathBuf;

use crate::error::MetricsError;

/// Predictions, references or labels could not be read, matched or scored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluationError {
    /// A file cannot be opened, read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A file has no reports.
    #[error("{path}: no reports in it")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A file as a whole is not what was expected.
    #[error("{path}: {reason}")]
    Layout {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// A row is not what was expected.
    #[error("{path}, row {row}: {reason}")]
    Row {
        /// The file.
        path: PathBuf,
        /// The row of a CSV file (a header is row 1), or the place in a JSON list, counted from 1.
        row: usize,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// A column is missing.
    #[error("{path}: no column for {what}: expected one of {expected}; found {found}")]
    Column {
        /// The file.
        path: PathBuf,
        /// What the column should hold.
        what: &'static str,
        /// The names it may have.
        expected: String,
        /// The names found.
        found: String,
    },
    /// Two rows have the same id.
    #[error("{path}, row {row}: id '{id}' is already in row {first}")]
    DuplicateId {
        /// The file.
        path: PathBuf,
        /// The second row with the id.
        row: usize,
        /// The first.
        first: usize,
        /// The id.
        id: String,
    },
    /// Ids of one file are not in another.
    #[error(
        "{path}, row {row}: id '{id}' is not in {other} ({count} such ids): both must have the same studies"
    )]
    Unmatched {
        /// The file with the id.
        path: PathBuf,
        /// The first row whose id the other file lacks.
        row: usize,
        /// Its id.
        id: String,
        /// The file without it.
        other: PathBuf,
        /// Number of such ids.
        count: usize,
    },
    /// Files without ids differ in length, so their rows cannot belong together.
    #[error(
        "{left} has {left_rows} reports and {right} has {right_rows}, and there are no ids to match them by"
    )]
    RowCount {
        /// The first file.
        left: PathBuf,
        /// Its number of reports.
        left_rows: usize,
        /// The second file.
        right: PathBuf,
        /// Its number of reports.
        right_rows: usize,
    },
    /// A metric refused its input.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
}
