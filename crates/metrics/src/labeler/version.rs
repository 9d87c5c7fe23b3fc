//! Versions of the rules.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Name and version under which results of [`label`](super::label) are reported.
pub const LABELER: &str = LabelerVersion::LATEST.name();

/// A version of `rules-14`. Scores by two versions cannot be compared; every table and JSON file names its own.
///
/// # Example
/// ```
/// use ithn_metrics::{FindingClass, LabelerVersion, Status};
///
/// let report = "The pneumothorax is gone.";
/// let status = |version: LabelerVersion| version.label(report).status(FindingClass::Pneumothorax);
/// assert_eq!(status(LabelerVersion::V1), Some(Status::Positive));
/// assert_eq!(status(LabelerVersion::V2), Some(Status::Negative));
/// assert_eq!("1".parse(), Ok(LabelerVersion::V1));
/// ```
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[non_exhaustive]
pub enum LabelerVersion {
    /// Negation and doubt within a sentence. Results that say `rules-14` without a version are of this one.
    #[serde(rename = "1")]
    V1,
    /// Also findings that are gone, asked about, looked for, explained away, of other organs, and devices taken out.
    #[default]
    #[serde(rename = "2")]
    V2,
}

impl LabelerVersion {
    /// The version that [`label`](super::label) uses, and the default.
    pub const LATEST: Self = Self::V2;

    /// Every version, the oldest first.
    pub const ALL: [Self; 2] = [Self::V1, Self::V2];

    /// The number alone, as command lines take it: `1`, `2`.
    pub const fn number(self) -> &'static str {
        match self {
            Self::V1 => "1",
            Self::V2 => "2",
        }
    }

    /// The name in tables and files: `rules-14 v1`, `rules-14 v2`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::V1 => "rules-14 v1",
            Self::V2 => "rules-14 v2",
        }
    }
}

impl fmt::Display for LabelerVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text names no version of the labeler.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no version '{0}' of rules-14; use 1 or 2")]
pub struct UnknownLabelerVersion(String);

impl FromStr for LabelerVersion {
    type Err = UnknownLabelerVersion;

    /// Reads `1`, `v1` or `rules-14 v1`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let names = |version: &Self| {
            let number = text.strip_prefix('v').unwrap_or(text);
            text == version.name() || number == version.number()
        };
        let version = Self::ALL.into_iter().find(names);
        version.ok_or_else(|| UnknownLabelerVersion(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for version in LabelerVersion::ALL {
            assert_eq!(version.name().parse(), Ok(version));
            assert_eq!(version.number().parse(), Ok(version));
        }
        assert_eq!("v2".parse(), Ok(LabelerVersion::V2));
        for unknown in ["", "0", "3", "rules-14", "v"] {
            let error = unknown.parse::<LabelerVersion>().unwrap_err();
            assert!(error.to_string().contains("use 1 or 2"), "{error}");
        }
    }

    #[test]
    fn the_default_is_the_latest() {
        assert_eq!(LabelerVersion::default(), LabelerVersion::LATEST);
        assert_eq!(LABELER, LabelerVersion::LATEST.name());
    }
}
