use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::context::{Projection, StudyContext};
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
    /// Projections, indication, comparison and previous study, as far as they are known.
    #[serde(default)]
    pub context: StudyContext,
}

impl Study {
    /// Every image that belongs to it: its own, those of its first negative and those of its previous study.
    pub(crate) fn all_images(&self) -> impl Iterator<Item = &PathBuf> {
        let negative = self.negative.iter().flat_map(|it| &it.images);
        let prior = self.context.prior.iter().flat_map(|it| &it.images);
        self.images.iter().chain(negative).chain(prior)
    }
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
    /// What the model reads beside the images.
    pub context: TokenizedContext,
}

/// A [`StudyContext`] ready to be loaded. What a model does not read is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenizedContext {
    /// Projection of each image, in the order of the images; empty if none is known.
    pub projections: Vec<Projection>,
    /// Ids of the words of the indication; empty if it is missing.
    pub indication: Vec<u32>,
    /// The previous study.
    pub prior: Option<TokenizedPrior>,
}

/// A [`PriorStudy`](crate::PriorStudy) ready to be loaded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenizedPrior {
    /// Image files.
    pub images: Vec<PathBuf>,
    /// Projection of each image, in the order of the images; empty if none is known.
    pub projections: Vec<Projection>,
    /// Ids of the words of its report; empty if it is missing.
    pub report: Vec<u32>,
    /// Whole days from it to the study.
    pub interval_days: u32,
}
