//! From files to numbers: every layout gives the same studies, and every broken file is named.

mod floors;
mod ranking;
mod reading;
mod scoring;
mod tags;

use std::fs;
use std::path::{Path, PathBuf};

use ithn_metrics::evaluation::{ReportFiles, ScoredStudy};

/// A folder of small files.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

pub(crate) fn alone(predictions: &Path) -> ReportFiles<'_> {
    ReportFiles {
        predictions,
        references: None,
        full_references: None,
    }
}

pub(crate) fn pair<'a>(predictions: &'a Path, references: &'a Path) -> ReportFiles<'a> {
    ReportFiles {
        references: Some(references),
        ..alone(predictions)
    }
}

/// Prediction and reference of each study, without ids.
pub(crate) fn texts(studies: &[ScoredStudy]) -> Vec<(&str, &str)> {
    studies
        .iter()
        .map(|study| (study.prediction.as_str(), study.references[0].as_str()))
        .collect()
}

pub(crate) const EXPECTED: [(&str, &str); 2] = [
    ("small effusion , left .", "large \"left\" effusion ."),
    ("no edema .", "no edema ."),
];
