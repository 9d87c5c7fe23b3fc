//! What a checkpoint says about itself: the data it learned from, its scores beside those of simple rules, when
//! it was written and for what it may be used.

mod date;
mod model_card;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use date::{Clock, Date};
pub use model_card::ModelCard;

/// The part of a card that a checkpoint stores; the rest follows from its configuration. Nothing of it is needed to
/// load the weights, and files without it are read.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Card {
    /// Data that the weights were trained on; none if not known.
    #[serde(default)]
    pub data: Option<CardData>,
    /// What training started from, such as `the backbone of resnet101.pth`.
    #[serde(default)]
    pub origin: Option<String>,
    /// Scores of these weights, and of simple rules on the same studies.
    #[serde(default)]
    pub scores: Vec<CardScore>,
    /// Day on which the file was written.
    #[serde(default)]
    pub written: Option<Date>,
}

/// Studies that a model was trained and judged on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CardData {
    /// Where they come from.
    pub kind: DataKind,
    /// Training studies.
    pub training: usize,
    /// Validation studies.
    pub validation: usize,
    /// Test studies.
    pub test: usize,
}

impl CardData {
    /// So many studies of each split.
    pub fn new(kind: DataKind, [training, validation, test]: [usize; 3]) -> Self {
        CardData {
            kind,
            training,
            validation,
            test,
        }
    }
}

/// Where studies come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DataKind {
    /// Phantom studies: films and reports drawn by this library.
    Phantom,
    /// Real reports with films drawn by this library.
    DrawnFilms,
    /// A folder in the layout of MIMIC-CXR-JPG.
    Mimic,
    /// R2Gen's `annotation.json` and its images.
    Annotation,
    /// Data of a later version of this library.
    #[serde(other)]
    Unknown,
}

impl DataKind {
    /// The kind in words, for `trained on …`.
    pub fn name(self) -> &'static str {
        match self {
            DataKind::Phantom => "phantom studies (films and reports drawn by ithn)",
            DataKind::DrawnFilms => "real reports with films drawn by ithn",
            DataKind::Mimic => "a folder in MIMIC-CXR-JPG's layout",
            DataKind::Annotation => "an annotation in R2Gen's layout",
            DataKind::Unknown => "data that this version of ithn does not know",
        }
    }

    /// Whether its films are real radiographs, as far as known.
    pub fn has_real_films(self) -> bool {
        !matches!(self, DataKind::Phantom | DataKind::DrawnFilms)
    }

    /// Terms of the data that bind whoever passes the weights on.
    pub fn terms(self) -> &'static str {
        match self {
            DataKind::Phantom => "none: nobody's data",
            DataKind::DrawnFilms => "those of the reports",
            DataKind::Mimic => {
                "if it is MIMIC-CXR: PhysioNet Credentialed Health Data License; models made from it count as \
                 sensitive and are shared through PhysioNet only, under the same agreement"
            }
            DataKind::Annotation => {
                "those of the data set behind the annotation: PhysioNet's for MIMIC-CXR (models are shared through \
                 PhysioNet only), Open-i's for IU X-Ray"
            }
            DataKind::Unknown => "see the version that wrote the file",
        }
    }
}

/// Scores of one model, or of a rule without a model, on one split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CardScore {
    /// Whose: `model`, or the rule, such as `floor: most frequent report`.
    pub name: String,
    /// `validation` or `test`.
    pub split: String,
    /// Studies.
    pub studies: usize,
    /// Who read the findings for F1, such as `phantom` or `rules-14 v2`.
    pub findings_reader: String,
    /// Scores by their names in `metrics.json`, such as `bleu_4`; finite.
    pub values: BTreeMap<String, f64>,
}

impl CardScore {
    /// Scores on `studies` studies of a split. Values that are not finite are left out.
    pub fn new(
        name: impl Into<String>,
        split: impl Into<String>,
        studies: usize,
        findings_reader: impl Into<String>,
        values: impl IntoIterator<Item = (&'static str, f64)>,
    ) -> Self {
        CardScore {
            name: name.into(),
            split: split.into(),
            studies,
            findings_reader: findings_reader.into(),
            values: values
                .into_iter()
                .filter(|(_, value)| value.is_finite())
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        }
    }
}

impl Card {
    /// A card of weights that were trained on `data`, or on data that is not known.
    pub fn new(data: Option<CardData>) -> Self {
        Card {
            data,
            ..Card::default()
        }
    }

    /// Sets [`origin`](Self::origin).
    pub fn with_origin(mut self, origin: impl Into<String>) -> Self {
        self.origin = Some(origin.into());
        self
    }

    /// Sets [`written`](Self::written) to the day of `clock`.
    pub fn dated(mut self, clock: Clock) -> Self {
        self.written = Some(clock.today());
        self
    }
}
