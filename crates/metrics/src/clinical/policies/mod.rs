//! F1 over the 14 CheXpert classes. The same labels give different numbers under the policies that
//! papers use; a number means something only with its policy's name.

mod chexbert;
mod cxrmate;
mod f1chexbert;
mod numbers;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use chexbert::{CheXbertAgreement, CheXbertScores, chexbert};
pub use cxrmate::{CxrMate1, CxrMate2, CxrMateScores, cxrmate1, cxrmate2};
pub use f1chexbert::{Averages, F1CheXbert, F1CheXbertStudy, SupportedPrf, f1chexbert};
pub use numbers::{PolicyComparison, PolicyNumber, compare_policy, policy_numbers};

use crate::error::{MetricsError, check_paired};
use crate::evaluation::Statuses;
use crate::findings::Confusion;
use crate::labeler::{FindingClass, Status};

/// Whose arithmetic turns labels into F1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Policy {
    /// Uncertain is positive, 0/0 is 0; micro, macro and weighted over 14 classes and over five: the
    /// package f1chexbert, RadEval, MLRG.
    F1CheXbert,
    /// Only positive counts; a class that is neither true nor named is left out of the macro average:
    /// CXRMate-2.
    CxrMate,
    /// Only positive counts; 0/0 is 0: the first CXRMate.
    CxrMate1,
    /// Mention, negation, uncertainty and presence apart: CheXbert's own evaluation.
    CheXbert,
}

impl Policy {
    /// All policies.
    pub const ALL: [Self; 4] = [
        Self::F1CheXbert,
        Self::CxrMate,
        Self::CxrMate1,
        Self::CheXbert,
    ];

    /// The name on a command line and in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F1CheXbert => "f1chexbert",
            Self::CxrMate => "cxrmate",
            Self::CxrMate1 => "cxrmate1",
            Self::CheXbert => "chexbert",
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// No policy has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no policy is called '{0}': expected f1chexbert, cxrmate, cxrmate1 or chexbert")]
pub struct UnknownPolicy(String);

impl FromStr for Policy {
    type Err = UnknownPolicy;

    fn from_str(name: &str) -> Result<Self, UnknownPolicy> {
        Self::ALL
            .into_iter()
            .find(|policy| policy.name() == name)
            .ok_or_else(|| UnknownPolicy(name.to_owned()))
    }
}

/// Fails unless there are labels for the same studies, at least one.
fn check(references: &[Statuses], predictions: &[Statuses]) -> Result<(), MetricsError> {
    check_paired(
        ("labels of references", references.len()),
        ("labels of predictions", predictions.len()),
    )
}

/// Counts of a class over studies, where a status counts or does not.
fn confusion(
    references: &[Statuses],
    predictions: &[Statuses],
    class: FindingClass,
    counts: impl Fn(Option<Status>) -> bool,
) -> Confusion {
    let at = class.index();
    let mut confusion = Confusion::default();
    for (reference, prediction) in references.iter().zip(predictions) {
        confusion.add(counts(reference[at]), counts(prediction[at]));
    }
    confusion
}

/// The part of a whole, 0 of nothing.
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

/// Mean of some values; NaN of none.
fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let (sum, count) = values
        .into_iter()
        .fold((0.0, 0u32), |(sum, count), value| (sum + value, count + 1));
    sum / f64::from(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for policy in Policy::ALL {
            assert_eq!(policy.name().parse(), Ok(policy));
            assert_eq!(serde_json::to_value(policy).unwrap(), policy.name());
        }
        assert!("radgraph".parse::<Policy>().is_err());
    }
}
