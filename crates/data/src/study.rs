use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::labels::Labels;

/// Part of a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Split {
    /// Training.
    #[serde(rename = "train")]
    Train,
    /// Model selection.
    #[serde(rename = "val")]
    Validation,
    /// Reported scores.
    #[serde(rename = "test")]
    Test,
}

impl Split {
    /// All splits, in order.
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

/// One study: images, report and split.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Study {
    /// Identifier, unique within a dataset.
    pub id: String,
    /// Patient id; a negative never has the same one.
    pub patient: String,
    /// Image files, one per view, at least one; a study with fewer than the model's views lacks the
    /// last ones.
    pub images: Vec<PathBuf>,
    /// Raw report text.
    pub report: String,
    /// Part of the dataset.
    pub split: Split,
    /// CheXpert labels, if the dataset has them.
    pub labels: Option<Labels>,
    /// First negative, if the dataset provides one.
    pub negative: Option<NegativeStudy>,
}

/// A first negative provided by a dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NegativeStudy {
    /// Its report.
    pub report: String,
    /// Its images, one per view, at least one.
    pub images: Vec<PathBuf>,
}

/// A study ready to be loaded: tokens, and images still on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenizedStudy {
    /// Identifier.
    pub id: String,
    /// Image files, one per view, at least one; a study with fewer than the model's views lacks the
    /// last ones.
    pub images: Vec<PathBuf>,
    /// 0, the ids of the words, 0 (absent if the report was cut).
    pub tokens: Vec<u32>,
}
