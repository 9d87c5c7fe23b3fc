use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::labels::Labels;

/// Part of a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Split {
    /// Learnt from.
    #[serde(rename = "train")]
    Train,
    /// Chosen by.
    #[serde(rename = "val")]
    Validation,
    /// Reported on.
    #[serde(rename = "test")]
    Test,
}

impl Split {
    /// All three, in order.
    pub const ALL: [Split; 3] = [Split::Train, Split::Validation, Split::Test];

    /// `train`, `val` or `test`, as R2Gen's annotation calls it.
    pub fn name(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Validation => "val",
            Split::Test => "test",
        }
    }

    /// `train`, `validate` or `test`, as MIMIC-CXR-JPG's split table calls it.
    pub fn mimic_name(self) -> &'static str {
        match self {
            Split::Validation => "validate",
            other => other.name(),
        }
    }
}

/// One study: its images, its report, and where it belongs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Study {
    /// Identifier, unique within a dataset.
    pub id: String,
    /// Patient, so that a negative is never of the same one.
    pub patient: String,
    /// Image files, one per view, at least one; a study with fewer than the model's views lacks the
    /// last ones.
    pub images: Vec<PathBuf>,
    /// Report text as it stands.
    pub report: String,
    /// Part of the dataset.
    pub split: Split,
    /// Findings, if the dataset labels them.
    pub labels: Option<Labels>,
    /// A first negative, if the dataset brings one.
    pub negative: Option<NegativeStudy>,
}

/// A first negative that a dataset brings along.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NegativeStudy {
    /// Its report.
    pub report: String,
    /// Its images, one per view, at least one.
    pub images: Vec<PathBuf>,
}
