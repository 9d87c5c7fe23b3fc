//! Scores of a classifier that gives every study a number, one class at a time.
//!
//! [`auroc`] and [`average_precision`] need no threshold; [`best_f1_threshold`] chooses one, on validation studies, and
//! [`f1_at`] applies it to others. [`score_class`] gives all of them with bootstrap intervals over studies, beside
//! [`always_positive_f1`], the F1 of calling every study positive.
//!
//! A class is predicted where its score is at least the threshold. Scores may have any scale: only their order counts.
//! Equal scores are treated as one point of the curve, as scikit-learn does, so the order of the studies has no effect.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use crate::{
    error::{MetricsError, check_paired},
    findings::Confusion,
    significance::{Interval, bootstrap_interval},
};

/// A number with its 95 % bootstrap interval over studies.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// On all studies.
    pub value: f64,
    /// 95 % percentile interval, if there were draws.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Interval>,
}

/// Scores of one class over a set of studies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ClassScores {
    /// Studies scored.
    pub studies: usize,
    /// Studies where the class is true.
    pub positives: usize,
    /// Area under the ROC curve, in [0, 1]; absent unless there are both positive and negative studies.
    pub auroc: Option<Estimate>,
    /// Average precision, in [0, 1]; absent without positive studies. Chance is the share of positives.
    pub average_precision: Option<Estimate>,
    /// From this score on, the class is predicted.
    pub threshold: f64,
    /// F1 at the threshold, in [0, 1]; absent if the class is neither true nor predicted anywhere.
    pub f1: Option<Estimate>,
    /// F1 of predicting the class for every study, 2p / (1 + p); absent without positive studies.
    pub always_positive_f1: Option<f64>,
}

/// Area under the ROC curve: the chance that a positive study has a higher score than a negative one, ties half
/// (the Mann–Whitney statistic).
///
/// `None` if all labels are equal or a score is NaN.
///
/// # Panics
/// If there are not as many labels as scores.
///
/// # Example
/// ```
/// use ithn_metrics::classification::auroc;
///
/// assert_eq!(auroc(&[0.1, 0.4, 0.35, 0.8], &[false, false, true, true]), Some(0.75));
/// assert_eq!(auroc(&[0.1, 0.4], &[true, true]), None);
/// ```
pub fn auroc(scores: &[f64], labels: &[bool]) -> Option<f64> {
    let (mut area, mut positives, mut negatives) = (0.0, 0u64, 0u64);
    for point in points(scores, labels)? {
        // Each negative of this score loses to the positives above and ties with those beside it.
        area += point.negatives as f64 * (positives as f64 + point.positives as f64 / 2.0);
        positives += point.positives;
        negatives += point.negatives;
    }
    let pairs = positives as f64 * negatives as f64;
    (pairs > 0.0).then(|| area / pairs)
}

/// Average precision: Σ (Rₙ − Rₙ₋₁) · Pₙ over the distinct scores from the highest down, without interpolation.
///
/// `None` without positive labels or if a score is NaN.
///
/// # Panics
/// If there are not as many labels as scores.
pub fn average_precision(scores: &[f64], labels: &[bool]) -> Option<f64> {
    let (mut sum, mut positives, mut named) = (0.0, 0u64, 0u64);
    for point in points(scores, labels)? {
        positives += point.positives;
        named += point.positives + point.negatives;
        sum += point.positives as f64 * (positives as f64 / named as f64);
    }
    (positives > 0).then(|| sum / positives as f64)
}

/// The threshold with the highest F1, and that F1; of equal ones the highest threshold.
///
/// The threshold is a score that occurs: [`f1_at`] it gives the same F1. Choose it on studies that are not scored with it.
/// `None` without positive labels or if a score is NaN.
///
/// # Panics
/// If there are not as many labels as scores.
pub fn best_f1_threshold(scores: &[f64], labels: &[bool]) -> Option<(f64, f64)> {
    let support = labels.iter().filter(|label| **label).count() as u64;
    let (mut positives, mut named) = (0u64, 0u64);
    let mut best: Option<(f64, f64)> = None;
    for point in points(scores, labels)? {
        positives += point.positives;
        named += point.positives + point.negatives;
        let f1 = 2.0 * positives as f64 / (named + support) as f64;
        if best.is_none_or(|(_, highest)| f1 > highest) {
            best = Some((point.score, f1));
        }
    }
    best.filter(|_| support > 0)
}

/// F1 of predicting the class where the score is at least `threshold`.
///
/// `None` if the class is neither true nor predicted anywhere. A NaN score predicts nothing.
///
/// # Panics
/// If there are not as many labels as scores.
pub fn f1_at(scores: &[f64], labels: &[bool], threshold: f64) -> Option<f64> {
    check_lengths(scores, labels);
    let mut counts = Confusion::default();
    for (score, label) in scores.iter().zip(labels) {
        counts.add(*label, *score >= threshold);
    }
    let f1 = counts.prf().f1;
    (!f1.is_nan()).then_some(f1)
}

/// F1 of predicting the class for every study: 2p / (1 + p), p being the share of positive studies.
///
/// `None` without positive labels.
pub fn always_positive_f1(labels: &[bool]) -> Option<f64> {
    let positives = labels.iter().filter(|label| **label).count();
    (positives > 0).then(|| 2.0 * positives as f64 / (positives + labels.len()) as f64)
}

/// 95 % percentile bootstrap interval of a statistic of scores and labels, studies drawn with replacement.
///
/// Draws in which the statistic is undefined are left out; `None` if none is left.
///
/// # Errors
/// [`MetricsError::LengthMismatch`], or [`MetricsError::Empty`] without studies or draws.
///
/// # Example
/// ```
/// use ithn_metrics::classification::{auroc, interval};
///
/// let scores = [0.1, 0.4, 0.35, 0.8, 0.2, 0.7];
/// let labels = [false, false, true, true, false, true];
/// let range = interval(&scores, &labels, auroc, 1_000, 0)?.unwrap();
/// assert!(range.low < auroc(&scores, &labels).unwrap() && range.high == 1.0);
/// # Ok::<(), ithn_metrics::MetricsError>(())
/// ```
pub fn interval(
    scores: &[f64],
    labels: &[bool],
    statistic: impl Fn(&[f64], &[bool]) -> Option<f64>,
    draws: usize,
    seed: u64,
) -> Result<Option<Interval>, MetricsError> {
    check_paired(("scores", scores.len()), ("labels", labels.len()))?;
    let drawn = |positions: &[usize]| {
        let scores: Vec<f64> = positions.iter().map(|&at| scores[at]).collect();
        let labels: Vec<bool> = positions.iter().map(|&at| labels[at]).collect();
        statistic(&scores, &labels).unwrap_or(f64::NAN)
    };
    let interval = bootstrap_interval(scores.len(), drawn, draws, seed)?;
    Ok((!interval.low.is_nan()).then_some(interval))
}

/// Every score of a class, with intervals of `draws` bootstrap draws; none for 0 draws.
///
/// # Errors
/// [`MetricsError::LengthMismatch`], [`MetricsError::Empty`] without studies, [`MetricsError::NotFinite`] for a score that
/// is NaN or infinite.
pub fn score_class(
    scores: &[f64],
    labels: &[bool],
    threshold: f64,
    draws: usize,
    seed: u64,
) -> Result<ClassScores, MetricsError> {
    check_paired(("scores", scores.len()), ("labels", labels.len()))?;
    if let Some(index) = scores.iter().position(|score| !score.is_finite()) {
        return Err(MetricsError::NotFinite {
            what: "scores",
            index,
        });
    }
    type Statistic<'a> = &'a dyn Fn(&[f64], &[bool]) -> Option<f64>;
    let estimate = |statistic: Statistic<'_>| {
        let Some(value) = statistic(scores, labels) else {
            return Ok(None);
        };
        let interval = match draws {
            0 => None,
            draws => interval(scores, labels, statistic, draws, seed)?,
        };
        Ok::<_, MetricsError>(Some(Estimate { value, interval }))
    };
    Ok(ClassScores {
        studies: labels.len(),
        positives: labels.iter().filter(|label| **label).count(),
        auroc: estimate(&auroc)?,
        average_precision: estimate(&average_precision)?,
        threshold,
        f1: estimate(&|scores, labels| f1_at(scores, labels, threshold))?,
        always_positive_f1: always_positive_f1(labels),
    })
}

/// Studies of one score.
struct Point {
    score: f64,
    positives: u64,
    negatives: u64,
}

/// Distinct scores from the highest down; `None` if one is NaN.
fn points(scores: &[f64], labels: &[bool]) -> Option<Vec<Point>> {
    check_lengths(scores, labels);
    if scores.iter().any(|score| score.is_nan()) {
        return None;
    }
    let mut order: Vec<usize> = (0..scores.len()).collect();
    let descending = |a: &usize, b: &usize| {
        scores[*b]
            .partial_cmp(&scores[*a])
            .unwrap_or(Ordering::Equal)
    };
    order.sort_unstable_by(descending);
    let mut points: Vec<Point> = Vec::new();
    for at in order {
        let (positives, negatives) = (u64::from(labels[at]), u64::from(!labels[at]));
        match points.last_mut() {
            Some(last) if last.score == scores[at] => {
                last.positives += positives;
                last.negatives += negatives;
            }
            _ => points.push(Point {
                score: scores[at],
                positives,
                negatives,
            }),
        }
    }
    Some(points)
}

#[track_caller]
fn check_lengths(scores: &[f64], labels: &[bool]) {
    assert_eq!(scores.len(), labels.len(), "as many labels as scores");
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRUE: bool = true;
    const FALSE: bool = false;

    fn close(value: Option<f64>, expected: f64) {
        let value = value.expect("the score is defined");
        assert!((value - expected).abs() < 1e-12, "{value} {expected}");
    }

    #[test]
    fn without_ties_by_hand() {
        let (scores, labels) = ([0.1, 0.4, 0.35, 0.8], [FALSE, FALSE, TRUE, TRUE]);
        // Of the four pairs, only 0.35 against 0.4 is wrong.
        close(auroc(&scores, &labels), 0.75);
        // Recall 1/2 at precision 1, recall 1 at precision 2/3.
        close(average_precision(&scores, &labels), 0.5 + 0.5 * 2.0 / 3.0);
        // From 0.35 on: 2 hits, 1 false alarm, so 4/5; from 0.8 on: 2/3.
        assert_eq!(best_f1_threshold(&scores, &labels), Some((0.35, 0.8)));
        close(f1_at(&scores, &labels, 0.35), 0.8);
        close(f1_at(&scores, &labels, 0.5), 2.0 / 3.0);
    }

    #[test]
    fn ties_count_half_and_are_one_point() {
        // Pairs: each of two positives at 0.5 ties with one negative and beats the other.
        let (scores, labels) = ([0.5, 0.5, 0.5, 0.2], [TRUE, FALSE, TRUE, FALSE]);
        close(auroc(&scores, &labels), 0.75);
        close(average_precision(&scores, &labels), 2.0 / 3.0);
        assert_eq!(best_f1_threshold(&scores, &labels), Some((0.5, 0.8)));
        // 0.9: +−, 0.6: ++−, 0.3: −−+.
        // AUROC: negatives lose to 0.5, 1 + 1, and twice 3.5 of 4 positives: (0.5 + 2 + 7) / 16.
        // AP: (1 · 1/2 + 2 · 3/5 + 1 · 4/8) / 4.
        let scores = [0.9, 0.9, 0.6, 0.6, 0.6, 0.3, 0.3, 0.3];
        let labels = [TRUE, FALSE, TRUE, TRUE, FALSE, FALSE, FALSE, TRUE];
        close(auroc(&scores, &labels), 9.5 / 16.0);
        close(average_precision(&scores, &labels), 2.2 / 4.0);
        // 0.9: 2/6; 0.6: 6/9; 0.3: 8/12, equal: the higher threshold stays.
        assert_eq!(best_f1_threshold(&scores, &labels), Some((0.6, 6.0 / 9.0)));
    }

    #[test]
    fn a_constant_is_worth_chance() {
        let (scores, labels) = ([0.3; 10], [TRUE, FALSE, FALSE, FALSE, FALSE].repeat(2));
        close(auroc(&scores, &labels), 0.5);
        close(average_precision(&scores, &labels), 0.2);
        let (threshold, f1) = best_f1_threshold(&scores, &labels).expect("defined");
        assert_eq!(threshold, 0.3);
        close(Some(f1), 2.0 * 0.2 / 1.2);
        assert_eq!(always_positive_f1(&labels), Some(f1));
    }

    #[test]
    fn order_and_scale_have_no_effect_and_signs_reverse() {
        let scores: Vec<f64> = (0..40).map(|i| f64::from(i * 7 % 11)).collect();
        let labels: Vec<bool> = (0..40).map(|i| i * 5 % 7 < 3).collect();
        let area = auroc(&scores, &labels).expect("both labels occur");
        let scaled: Vec<f64> = scores.iter().rev().map(|score| score * 0.5 - 9.0).collect();
        let reversed: Vec<bool> = labels.iter().rev().copied().collect();
        close(auroc(&scaled, &reversed), area);
        close(
            average_precision(&scaled, &reversed),
            average_precision(&scores, &labels).expect("positives occur"),
        );
        let negated: Vec<f64> = scores.iter().map(|score| -score).collect();
        close(auroc(&negated, &labels), 1.0 - area);
    }

    #[test]
    fn undefined_is_none() {
        assert_eq!(auroc(&[0.1, 0.2], &[TRUE, TRUE]), None);
        assert_eq!(auroc(&[0.1, 0.2], &[FALSE, FALSE]), None);
        assert_eq!(average_precision(&[0.1, 0.2], &[FALSE, FALSE]), None);
        assert_eq!(best_f1_threshold(&[0.1, 0.2], &[FALSE, FALSE]), None);
        assert_eq!(auroc(&[f64::NAN, 0.2], &[TRUE, FALSE]), None);
        assert_eq!(auroc(&[], &[]), None);
        assert_eq!(f1_at(&[0.1], &[FALSE], 0.5), None);
        assert_eq!(always_positive_f1(&[FALSE]), None);
    }

    #[test]
    fn a_class_has_all_its_scores() {
        let labels: Vec<bool> = (0..80).map(|i| i % 4 == 0).collect();
        let scores: Vec<f64> = (0..80)
            .map(|i| f64::from(i * 13 % 17) / 17.0 + if i % 4 == 0 { 0.4 } else { 0.0 })
            .collect();
        let found = score_class(&scores, &labels, 0.7, 500, 3).expect("finite scores");
        assert_eq!((found.studies, found.positives), (80, 20));
        assert_eq!(found.always_positive_f1, Some(0.4));
        for estimate in [found.auroc, found.average_precision, found.f1] {
            let Estimate { value, interval } = estimate.expect("both labels occur");
            let Interval { low, high } = interval.expect("draws were asked for");
            assert!(low < value && value < high, "{low} {value} {high}");
        }
        assert_eq!(found, score_class(&scores, &labels, 0.7, 500, 3).unwrap());
        let bare = score_class(&scores, &labels, 0.7, 0, 3).unwrap();
        assert_eq!(bare.auroc.expect("defined").interval, None);
        assert!(score_class(&[f64::INFINITY], &[TRUE], 0.5, 0, 0).is_err());
        assert!(score_class(&[0.5], &[TRUE, FALSE], 0.5, 0, 0).is_err());
    }

    #[test]
    fn intervals_leave_out_draws_without_a_class() {
        let range = interval(&[0.9, 0.1, 0.2], &[TRUE, FALSE, FALSE], auroc, 200, 0);
        assert_eq!(
            range.unwrap(),
            Some(Interval {
                low: 1.0,
                high: 1.0
            })
        );
        let never = interval(&[0.9, 0.1], &[TRUE, TRUE], auroc, 20, 0);
        assert_eq!(never.unwrap(), None);
        assert!(interval(&[0.9], &[TRUE], auroc, 0, 0).is_err());
    }
}
