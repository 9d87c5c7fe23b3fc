//! How well a classifier tells findings.

use ithn_checkpoint::config::ThresholdChoice;
use ithn_metrics::classification::{ClassScores, Estimate, best_f1_threshold, f1_at, score_class};
use ithn_metrics::{FindingClass, MetricsError, bootstrap_interval};
use serde::{Deserialize, Serialize};

use super::labels::LabelledSplit;

/// Threshold of a class that no validation study has: above every probability, so never predicted.
pub const NEVER: f64 = 2.0;

/// Bootstrap draws of an interval.
pub(super) const DRAWS: usize = 1_000;

/// Seed of the draws.
pub(super) const SEED: u64 = 0;

/// Scores of a classifier on a split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassificationScores {
    /// Studies.
    pub studies: usize,
    /// By class, in the order of the configuration.
    pub classes: Vec<ScoredClass>,
    /// Mean AUROC of the classes with both outcomes; none if there is no such class.
    pub macro_auroc: Option<f64>,
    /// Mean average precision of the classes with a positive; none if there is no such class.
    pub macro_average_precision: Option<f64>,
    /// F1 of all classes pooled, at the thresholds; none without a true or predicted finding.
    pub micro_f1: Option<Estimate>,
    /// Mean F1 of the classes with a positive, 0 where undefined; none if there is no such class.
    pub macro_f1: Option<f64>,
}

/// A class and its scores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScoredClass {
    /// The class.
    pub class: FindingClass,
    /// Its scores over the studies whose label is known; none if there is no such study.
    pub scores: Option<ClassScores>,
}

/// Probabilities and labels of one class, over the studies whose label is known.
struct Known {
    probabilities: Vec<f64>,
    present: Vec<bool>,
}

impl Known {
    fn of(split: &LabelledSplit, probabilities: &[Vec<f32>], class: usize) -> Self {
        let known = split.truth.iter().zip(probabilities);
        let (probabilities, present) = known
            .filter_map(|(truth, row)| Some((f64::from(row[class]), truth[class]?)))
            .unzip();
        Known {
            probabilities,
            present,
        }
    }
}

/// Per class the threshold to predict it from, chosen on a split; [`NEVER`] where that has no positive to choose by.
/// `probabilities` has a row of classes per study, `weights` are those of the positives in the loss.
pub(super) fn best_thresholds(
    split: &LabelledSplit,
    probabilities: &[Vec<f32>],
    choice: ThresholdChoice,
    weights: &[f64],
) -> Vec<f64> {
    let known = (0..weights.len()).map(|class| Known::of(split, probabilities, class));
    let best = |known: &Known| best_f1_threshold(&known.probabilities, &known.present);
    match choice {
        ThresholdChoice::Shared => {
            let mut all = Known {
                probabilities: Vec::new(),
                present: Vec::new(),
            };
            for (known, weight) in known.zip(weights) {
                let plain = known
                    .probabilities
                    .iter()
                    .map(|p| p / (p + weight * (1.0 - p)));
                all.probabilities.extend(plain);
                all.present.extend(known.present);
            }
            let shared = best(&all).map(|(threshold, _)| threshold);
            let weighted =
                |weight: &f64| shared.map_or(NEVER, |p| weight * p / (weight * p + 1.0 - p));
            weights.iter().map(weighted).collect()
        }
        ThresholdChoice::PerClass => known
            .map(|known| best(&known).map_or(NEVER, |(threshold, _)| threshold))
            .collect(),
    }
}

/// Mean AUROC of the classes with at least `least` positives and as many negatives; none without one.
pub(super) fn mean_auroc(
    split: &LabelledSplit,
    probabilities: &[Vec<f32>],
    least: usize,
) -> Result<Option<f64>, MetricsError> {
    let mut values = Vec::new();
    for class in 0..split.truth.first().map_or(0, Vec::len) {
        let [positives, negatives] = split.counts(class);
        if positives >= least && negatives >= least {
            let known = Known::of(split, probabilities, class);
            let scores = score_class(&known.probabilities, &known.present, NEVER, 0, SEED)?;
            values.extend(scores.auroc.map(|auroc| auroc.value));
        }
    }
    Ok(mean(&values))
}

/// All scores of a split at given thresholds, with intervals over studies.
pub(super) fn score(
    split: &LabelledSplit,
    probabilities: &[Vec<f32>],
    classes: &[FindingClass],
    thresholds: &[f64],
) -> Result<ClassificationScores, MetricsError> {
    let scored = classes
        .iter()
        .enumerate()
        .map(|(index, &class)| {
            let known = Known::of(split, probabilities, index);
            let scores = (!known.present.is_empty()).then(|| {
                let threshold = thresholds[index];
                score_class(&known.probabilities, &known.present, threshold, DRAWS, SEED)
            });
            let scores = scores.transpose()?;
            Ok(ScoredClass { class, scores })
        })
        .collect::<Result<Vec<_>, MetricsError>>()?;
    let all = || scored.iter().filter_map(|class| class.scores.as_ref());
    let values =
        |of: fn(&ClassScores) -> Option<f64>| -> Vec<f64> { all().filter_map(of).collect() };
    let macro_f1 =
        values(|scores| (scores.positives > 0).then(|| scores.f1.map_or(0.0, |f1| f1.value)));
    Ok(ClassificationScores {
        studies: split.studies.len(),
        macro_auroc: mean(&values(|scores| scores.auroc.map(|it| it.value))),
        macro_average_precision: mean(&values(|it| it.average_precision.map(|it| it.value))),
        micro_f1: micro_f1(split, probabilities, thresholds)?,
        macro_f1: mean(&macro_f1),
        classes: scored,
    })
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// F1 of all classes pooled, with its interval over studies.
fn micro_f1(
    split: &LabelledSplit,
    probabilities: &[Vec<f32>],
    thresholds: &[f64],
) -> Result<Option<Estimate>, MetricsError> {
    // Per study the findings that are predicted or true, as scores 1 and 0 beside their labels.
    let calls: Vec<Vec<(f64, bool)>> = split
        .truth
        .iter()
        .zip(probabilities)
        .map(|(truth, row)| {
            let classes = truth.iter().zip(row).zip(thresholds);
            classes
                .filter_map(|((truth, probability), threshold)| {
                    let predicted = f64::from(*probability) >= *threshold;
                    Some((f64::from(u8::from(predicted)), (*truth)?))
                })
                .collect()
        })
        .collect();
    let f1 = |studies: &[usize]| {
        let pooled = studies.iter().flat_map(|&study| &calls[study]);
        let (predicted, present): (Vec<f64>, Vec<bool>) = pooled.copied().unzip();
        f1_at(&predicted, &present, 0.5).unwrap_or(f64::NAN)
    };
    let everything: Vec<usize> = (0..calls.len()).collect();
    let value = f1(&everything);
    if value.is_nan() {
        return Ok(None);
    }
    let interval = bootstrap_interval(calls.len(), f1, DRAWS, SEED)?;
    Ok(Some(Estimate {
        value,
        interval: (!interval.low.is_nan()).then_some(interval),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    /// Two classes, the second with an open label; probabilities that order the first but for one.
    fn split() -> (LabelledSplit, Vec<Vec<f32>>) {
        let truth = vec![
            vec![Some(true), None],
            vec![Some(true), Some(false)],
            vec![Some(false), Some(false)],
            vec![Some(false), Some(false)],
        ];
        let studies = vec![
            ithn_data::TokenizedStudy {
                id: String::new(),
                images: Vec::new(),
                tokens: Vec::new(),
                context: Default::default(),
            };
            4
        ];
        let split = LabelledSplit {
            studies: Arc::new(studies),
            truth,
            left_out: 0,
        };
        let probabilities = [[0.9, 0.9], [0.4, 0.1], [0.5, 0.2], [0.2, 0.3]];
        (split, probabilities.map(Vec::from).to_vec())
    }

    #[test]
    fn scores_follow_labels_that_are_known() {
        let (split, probabilities) = split();
        let choice = ThresholdChoice::PerClass;
        let thresholds = best_thresholds(&split, &probabilities, choice, &[2.0, 1.0]);
        assert_eq!(thresholds[1], NEVER);
        assert!((thresholds[0] - 0.4).abs() < 1e-6);
        let classes = [FindingClass::Edema, FindingClass::Pneumonia];
        let scores = score(&split, &probabilities, &classes, &thresholds).expect("scores");
        let of = |class: usize| scores.classes[class].scores.as_ref().expect("known labels");
        assert_eq!(of(0).auroc.expect("both outcomes").value, 0.75);
        assert_eq!((of(1).studies, of(1).positives), (3, 0));
        assert_eq!(of(1).auroc, None);
        assert_eq!(scores.macro_auroc, Some(0.75));
        // Class 1 predicts three with the threshold 0.4: two hits, one false alarm.
        assert!((scores.micro_f1.expect("hits").value - 0.8).abs() < 1e-12);
        assert!((scores.macro_f1.expect("positives") - 0.8).abs() < 1e-12);
        assert_eq!(mean_auroc(&split, &probabilities, 2), Ok(Some(0.75)));
        assert_eq!(mean_auroc(&split, &probabilities, 3), Ok(None));
    }

    #[test]
    fn a_shared_threshold_is_one_of_probabilities_without_weights() {
        let (split, probabilities) = split();
        let weights = [1.0, 4.0];
        let choice = ThresholdChoice::Shared;
        let thresholds = best_thresholds(&split, &probabilities, choice, &weights);
        // Positives of class 1 at 0.9 and 0.4, its negatives at 0.5 and 0.2; class 2 has negatives alone, at 0.027 to 0.097.
        assert!((thresholds[0] - 0.4).abs() < 1e-6, "{thresholds:?}");
        let plain = thresholds[1] / (thresholds[1] + 4.0 * (1.0 - thresholds[1]));
        assert!((plain - 0.4).abs() < 1e-6, "{thresholds:?}");
        let none = vec![vec![Some(false), None]; 4];
        let split = LabelledSplit {
            truth: none,
            ..split
        };
        let thresholds = best_thresholds(&split, &probabilities, choice, &weights);
        assert_eq!(thresholds, [NEVER; 2]);
    }
}
