use std::path::PathBuf;

use thiserror::Error;

/// Invalid input data: names the file and the row or key, and how to fix it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file or folder cannot be opened, read or written.
    #[error("{action} {path}: {source}")]
    Io {
        /// The failed action, such as `cannot read`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// A folder does not hold the expected dataset.
    #[error("{path} is no folder of {layout}: there is no {missing}")]
    Layout {
        /// The folder.
        path: PathBuf,
        /// Expected layout, such as `MIMIC-CXR-JPG` or `images`.
        layout: &'static str,
        /// The missing file.
        missing: String,
    },
    /// Invalid JSON.
    #[error("{path}: {reason}")]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        reason: String,
    },
    /// An invalid CSV row.
    #[error("{path}, line {line}: {reason}")]
    Csv {
        /// The file.
        path: PathBuf,
        /// Line of the row, counted from 1.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// A CSV without a required column.
    #[error("{path}: no column '{column}' (it has {found})")]
    Column {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// The columns that it has.
        found: String,
    },
    /// Images that a dataset names do not exist.
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
    /// A MIMIC-CXR-JPG folder without any report.
    #[error(
        "{path} has none of the {studies} reports: MIMIC-CXR-JPG comes without them; download \
         mimic-cxr-reports.zip from MIMIC-CXR (https://physionet.org/content/mimic-cxr/) and put it \
         there, or say where it is"
    )]
    NoReports {
        /// Folder or archive that was searched.
        path: PathBuf,
        /// Number of studies in the tables.
        studies: usize,
    },
    /// A preparation that excludes every study.
    #[error("{path}: no study is left, so no annotation was written; {left_out}")]
    NoStudies {
        /// The list of reasons, `exclusions.csv`.
        path: PathBuf,
        /// Number of studies excluded for each reason.
        left_out: String,
    },
    /// An image path outside the images folder.
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
        /// The file, with its path inside the archive.
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
    /// Invalid XML.
    #[error("{path}: {reason}")]
    Xml {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        reason: String,
    },
    /// A shard of an image cache that is damaged or has another version.
    #[error("{path}: {reason}; delete the file, it will be made again")]
    Cache {
        /// The shard.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// An output folder with a dataset that was prepared differently.
    #[error(
        "{path} was prepared from other files, with other options or by another version: choose another \
         folder"
    )]
    PreparedOtherwise {
        /// The folder.
        path: PathBuf,
    },
    /// A previous study of another patient.
    #[error(
        "{path}: study {study} of patient {} has the study {prior} of patient {} as its previous one: give \
         it one of its own patient (subject_id), or none",
        patients[0], patients[1]
    )]
    ForeignPrior {
        /// The annotation.
        path: PathBuf,
        /// The study.
        study: String,
        /// The previous study.
        prior: String,
        /// The patients of both, in this order.
        patients: Box<[String; 2]>,
    },
    /// A study of ReXrank's input that cannot be read.
    #[error("{path}: study {study}: {reason}")]
    Rexrank {
        /// The input.
        path: PathBuf,
        /// The study.
        study: String,
        /// What is wrong, with the key.
        reason: String,
    },
    /// A previous study that cannot be one.
    #[error("{path}: study {study}, previous study {prior}: {reason}")]
    BadPrior {
        /// The annotation.
        path: PathBuf,
        /// The study.
        study: String,
        /// The previous study.
        prior: String,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// A study without images.
    #[error("study {study} has no image; leave the study out")]
    NoImage {
        /// The study.
        study: String,
    },
    /// A worker thread that panicked.
    #[error("the worker loading study {study} panicked; its message is on standard error")]
    Worker {
        /// The first study of its batch.
        study: String,
    },
    /// A report that is empty after cleaning.
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
    /// No word reaches the minimum count.
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

/// Describes a JSON error; its position is part of the message.
pub(crate) fn json_reason(error: &serde_json::Error) -> String {
    match error.is_eof() {
        true => format!("{error}: the file may be cut short"),
        false => error.to_string(),
    }
}
