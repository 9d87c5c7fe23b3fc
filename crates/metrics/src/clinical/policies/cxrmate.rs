use serde::Serialize;

use super::{check, confusion, mean, share};
use crate::error::MetricsError;
use crate::evaluation::Statuses;
use crate::findings::{Confusion, Prf};
use crate::labeler::{FindingClass, Status};

/// Scores of a class, or averages; NaN (`null` in JSON) where undefined.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct CxrMateScores {
    /// (TP + TN) / studies.
    pub accuracy: f64,
    /// TP / (TP + FP).
    pub precision: f64,
    /// TP / (TP + FN).
    pub recall: f64,
    /// TP / (TP + (FP + FN)/2), undefined only if nothing is true or named.
    pub f1: f64,
    /// 2PR / (P + R), undefined also if precision or recall is, or both are 0: averages over fewer
    /// classes, and so never lower.
    pub f1_alternate: f64,
}

/// [`cxrmate2`]: F1 under CXRMate-2's policy.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CxrMate2 {
    /// Every class, in the order of [`FindingClass::all`].
    pub per_class: Vec<CxrMateScores>,
    /// Means over the classes for which each score is defined.
    pub macro_average: CxrMateScores,
    /// Counts pooled.
    pub micro: CxrMateScores,
}

/// [`cxrmate1`]: F1 under the first CXRMate's policy.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct CxrMate1 {
    /// Mean over classes, 0/0 as 0.
    pub macro_average: Prf,
    /// Counts pooled; NaN if there are none.
    pub micro: Prf,
    /// Mean over studies, 0/0 as 0.
    pub example: Prf,
}

/// Scores where only positive counts and classes without a case are left out of the macro average.
///
/// CXRMate-2 scores a study id that occurs twice once, with its first labels.
///
/// # Errors
///
/// [`MetricsError::LengthMismatch`] or [`MetricsError::Empty`].
pub fn cxrmate2(
    references: &[Statuses],
    predictions: &[Statuses],
) -> Result<CxrMate2, MetricsError> {
    check(references, predictions)?;
    let counts = per_class(references, predictions);
    let per_class: Vec<CxrMateScores> = counts.iter().copied().map(scores).collect();
    let defined = |of: fn(&CxrMateScores) -> f64| {
        mean(per_class.iter().map(of).filter(|score| !score.is_nan()))
    };
    Ok(CxrMate2 {
        macro_average: CxrMateScores {
            accuracy: defined(|scores| scores.accuracy),
            precision: defined(|scores| scores.precision),
            recall: defined(|scores| scores.recall),
            f1: defined(|scores| scores.f1),
            f1_alternate: defined(|scores| scores.f1_alternate),
        },
        micro: scores(counts.into_iter().sum()),
        per_class,
    })
}

/// Scores where only positive counts and 0/0 is 0.
///
/// # Errors
///
/// [`MetricsError::LengthMismatch`] or [`MetricsError::Empty`].
pub fn cxrmate1(
    references: &[Statuses],
    predictions: &[Statuses],
) -> Result<CxrMate1, MetricsError> {
    check(references, predictions)?;
    let counts = per_class(references, predictions);
    let by_study: Vec<Confusion> = references
        .iter()
        .zip(predictions)
        .map(|(reference, prediction)| {
            let study = per_class(
                std::slice::from_ref(reference),
                std::slice::from_ref(prediction),
            );
            study.into_iter().sum()
        })
        .collect();
    Ok(CxrMate1 {
        macro_average: mean_with_zeros(&counts),
        micro: counts.into_iter().sum::<Confusion>().prf(),
        example: mean_with_zeros(&by_study),
    })
}

fn per_class(references: &[Statuses], predictions: &[Statuses]) -> Vec<Confusion> {
    let is_positive = |status| status == Some(Status::Positive);
    FindingClass::all()
        .into_iter()
        .map(|class| confusion(references, predictions, class, is_positive))
        .collect()
}

fn scores(counts: Confusion) -> CxrMateScores {
    let Prf {
        precision,
        recall,
        f1,
    } = counts.prf();
    let right = counts.true_positives + counts.true_negatives;
    let wrong = counts.false_positives + counts.false_negatives;
    CxrMateScores {
        accuracy: right as f64 / (right + wrong) as f64,
        precision,
        recall,
        f1,
        f1_alternate: 2.0 * precision * recall / (precision + recall),
    }
}

fn mean_with_zeros(counts: &[Confusion]) -> Prf {
    let of = |part: fn(&Confusion) -> (u64, u64)| {
        mean(counts.iter().map(|counts| {
            let (part, whole) = part(counts);
            share(part, whole)
        }))
    };
    Prf {
        precision: of(|counts| {
            let named = counts.true_positives + counts.false_positives;
            (counts.true_positives, named)
        }),
        recall: of(|counts| (counts.true_positives, counts.support())),
        f1: of(|counts| {
            let named = counts.true_positives + counts.false_positives;
            (2 * counts.true_positives, named + counts.support())
        }),
    }
}
