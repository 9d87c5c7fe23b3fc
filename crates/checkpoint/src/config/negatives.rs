//! Whether training uses negatives, and where they come from.

use serde::{Deserialize, Serialize};

/// Whether and how training uses negatives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Negatives {
    /// First negatives, hardened along the schedule.
    Ithn,
    /// First negatives as they are, throughout.
    Fixed,
    /// None: the language loss alone.
    Off,
}

/// Where first negatives come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FirstNegatives {
    /// The data set's own, or the reports of other studies whose words are nearest (TF-IDF).
    #[default]
    Mined,
    /// The reports of other studies that state other findings and whose words are nearest.
    OtherFindings,
    /// The study's own report with the words of one finding changed, so that it states exactly one finding more or less.
    Edited,
}

/// For serde, which passes references.
pub(super) fn is_false(flag: &bool) -> bool {
    !*flag
}

pub(super) fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl FirstNegatives {
    pub(super) fn is_default(&self) -> bool {
        *self == FirstNegatives::default()
    }
}
