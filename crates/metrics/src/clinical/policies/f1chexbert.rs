use serde::Serialize;

use super::{check, confusion, mean, share};
use crate::error::MetricsError;
use crate::evaluation::Statuses;
use crate::findings::{Confusion, Prf};
use crate::labeler::{FindingClass, Status};

/// Precision, recall and F1, and the number of positive references.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SupportedPrf {
    /// Precision, recall and F1, 0 where undefined.
    #[serde(flatten)]
    pub scores: Prf,
    /// Positive references.
    pub support: u64,
}

/// Averages over a set of classes, as scikit-learn's `classification_report` with `zero_division=0`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Averages {
    /// Counts pooled.
    pub micro: Prf,
    /// Mean over classes; a class without any positive counts as 0.
    pub macro_average: Prf,
    /// Mean over classes weighted by positive references, 0 if there are none.
    pub weighted: Prf,
    /// Mean over studies.
    pub samples: Prf,
    /// Positive references of all classes.
    pub support: u64,
    /// Share of studies all of whose labels are right.
    pub exact: f64,
}

/// Scores of one study.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct F1CheXbertStudy {
    /// Share of the 14 labels that are right. RadEval prints it per study where the corpus has F1.
    pub accuracy_14: f64,
    /// Share of the five labels that are right.
    pub accuracy_5: f64,
    /// Whether all five are right.
    pub exact_5: bool,
}

/// [`f1chexbert`]: F1 under the policy of the package f1chexbert, of RadEval and of MLRG.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct F1CheXbert {
    /// Every class, in the order of [`FindingClass::all`].
    pub per_class: Vec<SupportedPrf>,
    /// Over all 14, No Finding among them.
    pub all: Averages,
    /// Over cardiomegaly, edema, consolidation, atelectasis and pleural effusion.
    pub five: Averages,
    /// Study by study.
    pub per_study: Vec<F1CheXbertStudy>,
}

/// F1 where uncertain counts as positive and 0/0 as 0, over 14 classes and over five.
///
/// # Errors
///
/// [`MetricsError::LengthMismatch`] or [`MetricsError::Empty`].
pub fn f1chexbert(
    references: &[Statuses],
    predictions: &[Statuses],
) -> Result<F1CheXbert, MetricsError> {
    check(references, predictions)?;
    let per_class: Vec<SupportedPrf> = FindingClass::all()
        .into_iter()
        .map(|class| supported(confusion(references, predictions, class, is_positive)))
        .collect();
    let per_study = references
        .iter()
        .zip(predictions)
        .map(|(reference, prediction)| {
            let right = |class: FindingClass| {
                let at = class.index();
                is_positive(reference[at]) == is_positive(prediction[at])
            };
            let accuracy = |classes: &[FindingClass]| {
                let right = classes.iter().filter(|class| right(**class)).count();
                right as f64 / classes.len() as f64
            };
            F1CheXbertStudy {
                accuracy_14: accuracy(&FindingClass::all()),
                accuracy_5: accuracy(&FindingClass::FIVE),
                exact_5: FindingClass::FIVE.into_iter().all(right),
            }
        });
    Ok(F1CheXbert {
        all: averages(references, predictions, &FindingClass::all()),
        five: averages(references, predictions, &FindingClass::FIVE),
        per_study: per_study.collect(),
        per_class,
    })
}

fn is_positive(status: Option<Status>) -> bool {
    matches!(status, Some(Status::Positive | Status::Uncertain))
}

fn supported(counts: Confusion) -> SupportedPrf {
    SupportedPrf {
        scores: prf(counts),
        support: counts.support(),
    }
}

/// Precision, recall and F1 with 0/0 as 0.
fn prf(counts: Confusion) -> Prf {
    let named = counts.true_positives + counts.false_positives;
    Prf {
        precision: share(counts.true_positives, named),
        recall: share(counts.true_positives, counts.support()),
        f1: share(2 * counts.true_positives, named + counts.support()),
    }
}

fn averages(
    references: &[Statuses],
    predictions: &[Statuses],
    classes: &[FindingClass],
) -> Averages {
    let counts: Vec<Confusion> = classes
        .iter()
        .map(|&class| confusion(references, predictions, class, is_positive))
        .collect();
    let total = counts.iter().copied().sum::<Confusion>();
    let by_study: Vec<Confusion> = references
        .iter()
        .zip(predictions)
        .map(|(reference, prediction)| {
            let classes = classes.iter().map(|&class| {
                confusion(
                    std::slice::from_ref(reference),
                    std::slice::from_ref(prediction),
                    class,
                    is_positive,
                )
            });
            classes.sum()
        })
        .collect();
    let exact = by_study
        .iter()
        .filter(|counts| counts.false_positives + counts.false_negatives == 0);
    let support = total.support();
    let weighted = |of: fn(&Prf) -> f64| {
        let sum = counts
            .iter()
            .map(|counts| counts.support() as f64 * of(&prf(*counts)));
        match support {
            0 => 0.0,
            support => sum.sum::<f64>() / support as f64,
        }
    };
    Averages {
        micro: prf(total),
        macro_average: mean_of(&counts),
        weighted: Prf {
            precision: weighted(|scores| scores.precision),
            recall: weighted(|scores| scores.recall),
            f1: weighted(|scores| scores.f1),
        },
        samples: mean_of(&by_study),
        support,
        exact: exact.count() as f64 / references.len() as f64,
    }
}

/// Mean of the scores of each.
fn mean_of(counts: &[Confusion]) -> Prf {
    let of = |score: fn(Prf) -> f64| mean(counts.iter().map(|counts| score(prf(*counts))));
    Prf {
        precision: of(|scores| scores.precision),
        recall: of(|scores| scores.recall),
        f1: of(|scores| scores.f1),
    }
}
