use std::path::PathBuf;

use thiserror::Error;

/// What is wrong with data from outside: which file, which row or key, and what to do.
#[derive(Debug, Error)]
pub enum DataError {
    /// A file or folder cannot be opened, read or written.
    #[error("{action} {path}: {source}")]
    Io {
        /// What was being done, such as `cannot read`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A folder that should hold a dataset does not.
    #[error("{path} is no folder of {layout}: there is no {missing}")]
    Layout {
        /// The folder.
        path: PathBuf,
        /// What was expected, such as `MIMIC-CXR-JPG` or `images`.
        layout: &'static str,
        /// What is absent.
        missing: String,
    },
    /// JSON that cannot be understood.
    #[error("{path}: {reason}")]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        reason: String,
    },
    /// A CSV row that cannot be understood.
    #[error("{path}, line {line}: {reason}")]
    Csv {
        /// The file.
        path: PathBuf,
        /// Line of the row, counted from 1.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// A CSV without a column that is needed.
    #[error("{path}: no column '{column}' (it has {found})")]
    Column {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// The columns there are.
        found: String,
    },
    /// Images that a dataset names and the disk does not have.
    #[error(
        "{missing} of {total} images are missing, the first {first}: check the images folder, or have \
         broken studies skipped"
    )]
    MissingImages {
        /// How many.
        missing: usize,
        /// Of how many.
        total: usize,
        /// The first of them.
        first: PathBuf,
    },
    /// Not one report of a MIMIC-CXR-JPG folder is there.
    #[error(
        "{path} has none of the {studies} reports: MIMIC-CXR-JPG comes without them; download \
         mimic-cxr-reports.zip from MIMIC-CXR (https://physionet.org/content/mimic-cxr/) and put it \
         there, or say where it is"
    )]
    NoReports {
        /// Where they were looked for.
        path: PathBuf,
        /// How many studies the tables list.
        studies: usize,
    },
    /// A preparation that leaves out every study.
    #[error("{path}: no study is left, so no annotation was written; {left_out}")]
    NoStudies {
        /// Where the reasons are listed: `exclusions.csv`.
        path: PathBuf,
        /// How many studies were left out for each reason.
        left_out: String,
    },
    /// An image path that leaves the dataset's folder.
    #[error("{path}, study {study}: image path '{image}' leaves the images folder")]
    EscapingPath {
        /// The annotation.
        path: PathBuf,
        /// The study.
        study: String,
        /// The path as written.
        image: String,
    },
    /// An image that cannot be decoded.
    #[error("cannot decode image {path}: {reason}")]
    Image {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A report that cannot be read as text.
    #[error("cannot read report {path}: {reason}")]
    Report {
        /// The file, inside its archive if it lies in one.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A zip archive that cannot be read.
    #[error("cannot read archive {path}: {reason}")]
    Archive {
        /// The archive.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// XML that cannot be understood.
    #[error("{path}: {reason}")]
    Xml {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        reason: String,
    },
    /// A shard of an image cache that is damaged or of another version.
    #[error("{path}: {reason}; delete the file, it will be made again")]
    Cache {
        /// The shard.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// An output folder that holds a dataset prepared in another way.
    #[error(
        "{path} was prepared from other files, with other options or by another version: choose another \
         folder"
    )]
    PreparedOtherwise {
        /// The folder.
        path: PathBuf,
    },
    /// A study without images.
    #[error("study {study} has no image; leave the study out")]
    NoImage {
        /// The study.
        study: String,
    },
    /// A worker thread that ended without a word, which only a panic does.
    #[error("the worker loading study {study} panicked; its message is on standard error")]
    Worker {
        /// The first study of its batch.
        study: String,
    },
    /// A report of which cleaning leaves nothing.
    #[error("study {study}: its report is empty after cleaning; leave the study out")]
    EmptyReport {
        /// The study.
        study: String,
    },
    /// A split without studies.
    #[error("the {split} split of {path} is empty")]
    EmptySplit {
        /// Which split.
        split: &'static str,
        /// The dataset.
        path: PathBuf,
    },
    /// No word occurs often enough.
    #[error("no word of the training reports occurs at least {minimum} times; lower the threshold")]
    EmptyVocabulary {
        /// The threshold.
        minimum: usize,
    },
}

impl DataError {
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> DataError {
        let path = path.into();
        move |source| DataError::Io {
            action,
            path,
            source,
        }
    }
}

/// What is wrong with JSON, and where.
pub(crate) fn json_reason(error: &serde_json::Error) -> String {
    match error.is_eof() {
        true => format!("{error}: the file may be cut short"),
        false => error.to_string(),
    }
}
