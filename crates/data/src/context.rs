//! What a radiologist reads beside a study's films: their projections, the reason for the examination, the
//! comparison, and the patient's previous study.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Projection of a chest film.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[non_exhaustive]
pub enum Projection {
    /// Not stated, or none of the others.
    #[default]
    #[serde(rename = "")]
    Unknown,
    /// Posterior to anterior.
    #[serde(rename = "PA")]
    PosteroAnterior,
    /// Anterior to posterior, as portable films are.
    #[serde(rename = "AP")]
    AnteroPosterior,
    /// Frontal, PA or AP not stated.
    #[serde(rename = "FRONTAL")]
    Frontal,
    /// From the side.
    #[serde(rename = "LATERAL")]
    Lateral,
}

impl Projection {
    /// The projection that a data set's name stands for: MIMIC-CXR's `ViewPosition`, Open-i's `Frontal` and `Lateral`,
    /// in any case. Other names, such as `LAO`, are unknown.
    pub fn parse(name: &str) -> Self {
        match name.trim().to_ascii_uppercase().as_str() {
            "PA" => Projection::PosteroAnterior,
            "AP" => Projection::AnteroPosterior,
            "FRONTAL" => Projection::Frontal,
            "LATERAL" | "LL" | "RL" => Projection::Lateral,
            _ => Projection::Unknown,
        }
    }

    /// `PA`, `AP`, `FRONTAL`, `LATERAL`, or nothing.
    pub fn name(self) -> &'static str {
        match self {
            Projection::Unknown => "",
            Projection::PosteroAnterior => "PA",
            Projection::AnteroPosterior => "AP",
            Projection::Frontal => "FRONTAL",
            Projection::Lateral => "LATERAL",
        }
    }
}

/// What is known of a study beside its films. Everything may be missing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StudyContext {
    /// Projection of each image, in the order of the images; empty if none is known.
    pub projections: Vec<Projection>,
    /// Why the films were taken.
    pub indication: Option<String>,
    /// What the radiologist compared them with, in words.
    pub comparison: Option<String>,
    /// The patient's previous study.
    pub prior: Option<Box<PriorStudy>>,
}

/// A patient's previous study, of the same split. It has a film or a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriorStudy {
    /// Identifier.
    pub id: String,
    /// Image files.
    pub images: Vec<PathBuf>,
    /// Projection of each image, in the order of the images; empty if none is known.
    pub projections: Vec<Projection>,
    /// Report text, if it has the wanted section.
    pub report: Option<String>,
    /// Whole days from it to the study.
    pub interval_days: u32,
}

/// The projections of some images, or none if all are unknown.
pub(crate) fn known_projections(projections: Vec<Projection>) -> Vec<Projection> {
    match projections.iter().all(|it| *it == Projection::Unknown) {
        true => Vec::new(),
        false => projections,
    }
}

/// A text, or `None` if it has no letter and no digit: a removed date, `___`, says nothing.
pub(crate) fn stated(text: &str) -> Option<String> {
    text.contains(char::is_alphanumeric)
        .then(|| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_both_data_sets_are_read_and_written() {
        for (name, projection) in [
            ("PA", Projection::PosteroAnterior),
            ("AP", Projection::AnteroPosterior),
            ("LL", Projection::Lateral),
            ("Lateral", Projection::Lateral),
            ("Frontal", Projection::Frontal),
            ("LAO", Projection::Unknown),
            ("", Projection::Unknown),
        ] {
            assert_eq!(Projection::parse(name), projection);
            assert_eq!(Projection::parse(projection.name()), projection);
            let json = serde_json::to_value(projection).expect("a name");
            assert_eq!(json, projection.name());
        }
    }

    #[test]
    fn what_says_nothing_is_missing() {
        assert_eq!(stated(" ___ "), None);
        assert_eq!(stated("None. "), Some("None.".to_owned()));
        assert!(known_projections(vec![Projection::Unknown; 2]).is_empty());
    }
}
