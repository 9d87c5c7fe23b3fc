use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::DataError;

/// Policy for studies whose files are broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnBadStudy {
    /// Stop at the first one with an error.
    #[default]
    Stop,
    /// Exclude it; count it and list it with its reason.
    Skip,
}

impl FromStr for OnBadStudy {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "stop" => Ok(OnBadStudy::Stop),
            "skip" => Ok(OnBadStudy::Skip),
            other => Err(format!("'{other}' is neither stop nor skip")),
        }
    }
}

/// Why a study is excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ExclusionReason {
    /// Its report lacks the wanted section, or the section is empty.
    NoSection,
    /// It has fewer images than are asked for.
    TooFewImages,
    /// It is absent from the given split.
    NotInSplit,
    /// The given split names it, but the data lacks it.
    NotInData,
    /// A row of a table is invalid.
    BadRow,
    /// Its report file does not exist.
    MissingReport,
    /// Its report cannot be read.
    BadReport,
    /// An image file does not exist.
    MissingImage,
    /// An image cannot be decoded.
    BadImage,
}

impl ExclusionReason {
    /// Whether the study's files are broken or missing; otherwise a rule of the user's excludes it.
    pub fn is_broken(self) -> bool {
        !matches!(
            self,
            ExclusionReason::NoSection
                | ExclusionReason::TooFewImages
                | ExclusionReason::NotInSplit
                | ExclusionReason::NotInData
        )
    }

    /// Name in tables, such as `no_section`.
    pub fn name(self) -> &'static str {
        match self {
            ExclusionReason::NoSection => "no_section",
            ExclusionReason::TooFewImages => "too_few_images",
            ExclusionReason::NotInSplit => "not_in_split",
            ExclusionReason::NotInData => "not_in_data",
            ExclusionReason::BadRow => "bad_row",
            ExclusionReason::MissingReport => "missing_report",
            ExclusionReason::BadReport => "bad_report",
            ExclusionReason::MissingImage => "missing_image",
            ExclusionReason::BadImage => "bad_image",
        }
    }
}

impl fmt::Display for ExclusionReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// An excluded study.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exclusion {
    /// Study id; empty if the broken row does not give one.
    pub study: String,
    /// Reason.
    pub reason: ExclusionReason,
    /// The file and its fault in words; empty where the reason suffices.
    pub detail: String,
}

/// Studies excluded while a dataset is read, and the policy for broken ones.
#[derive(Debug, Clone, Default)]
pub struct Exclusions {
    policy: OnBadStudy,
    list: Vec<Exclusion>,
}

impl Exclusions {
    /// An empty list.
    pub fn new(policy: OnBadStudy) -> Self {
        Exclusions {
            policy,
            list: Vec::new(),
        }
    }

    /// Policy for broken studies.
    pub fn policy(&self) -> OnBadStudy {
        self.policy
    }

    /// Excludes a valid study by a rule of the user's.
    pub fn by_rule(&mut self, study: &str, reason: ExclusionReason) {
        self.list.push(Exclusion {
            study: study.to_owned(),
            reason,
            detail: String::new(),
        });
    }

    /// Excludes a broken study, or stops.
    ///
    /// # Errors
    ///
    /// `error` itself, under [`OnBadStudy::Stop`].
    pub fn broken(
        &mut self,
        study: &str,
        reason: ExclusionReason,
        error: DataError,
    ) -> Result<(), DataError> {
        match self.policy {
            OnBadStudy::Stop => Err(error),
            OnBadStudy::Skip => {
                self.list.push(Exclusion {
                    study: study.to_owned(),
                    reason,
                    detail: error.to_string(),
                });
                Ok(())
            }
        }
    }

    /// Adds an exclusion found elsewhere.
    pub fn push(&mut self, exclusion: Exclusion) {
        self.list.push(exclusion);
    }

    /// All exclusions, in the order they were added.
    pub fn list(&self) -> &[Exclusion] {
        &self.list
    }

    /// One line per reason: the number of studies and the first of them.
    pub fn notes(&self) -> Vec<String> {
        self.notes_where(|_| true)
    }

    /// The [`notes`](Self::notes) of studies whose files are broken.
    pub fn notes_of_broken(&self) -> Vec<String> {
        self.notes_where(ExclusionReason::is_broken)
    }

    /// The [`notes`](Self::notes) of studies that a rule excludes.
    pub fn notes_by_rule(&self) -> Vec<String> {
        self.notes_where(|reason| !reason.is_broken())
    }

    fn notes_where(&self, wanted: impl Fn(ExclusionReason) -> bool) -> Vec<String> {
        let mut by_reason: BTreeMap<ExclusionReason, (usize, &Exclusion)> = BTreeMap::new();
        for exclusion in self.list.iter().filter(|it| wanted(it.reason)) {
            by_reason
                .entry(exclusion.reason)
                .or_insert((0, exclusion))
                .0 += 1;
        }
        by_reason
            .into_iter()
            .map(|(reason, (count, first))| {
                let name = match (first.study.as_str(), first.detail.as_str()) {
                    ("", detail) => detail.to_owned(),
                    (study, "") => study.to_owned(),
                    (study, detail) => format!("{study} ({detail})"),
                };
                format!("left out, {reason}: {count}, the first {name}")
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_study_stops_or_is_counted() {
        let error = || DataError::NoImage {
            study: "s1".to_owned(),
        };
        let mut stop = Exclusions::new(OnBadStudy::Stop);
        assert!(
            stop.broken("s1", ExclusionReason::BadImage, error())
                .is_err()
        );
        let mut skip = Exclusions::new(OnBadStudy::Skip);
        for study in ["s1", "s2"] {
            skip.broken(study, ExclusionReason::BadImage, error())
                .expect("skipped");
        }
        skip.by_rule("s3", ExclusionReason::NoSection);
        let notes = skip.notes();
        assert_eq!(notes[0], "left out, no_section: 1, the first s3");
        assert!(notes[1].starts_with("left out, bad_image: 2, the first s1 (study s1 has"));
        assert_eq!(skip.notes_by_rule(), notes[..1]);
        assert_eq!(skip.notes_of_broken(), notes[1..]);
    }

    #[test]
    fn policies_are_named() {
        assert_eq!("skip".parse(), Ok(OnBadStudy::Skip));
        assert_eq!("stop".parse(), Ok(OnBadStudy::Stop));
        assert!("ignore".parse::<OnBadStudy>().is_err());
    }
}
