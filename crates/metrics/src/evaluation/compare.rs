//! Is one set of predictions better than another on the same studies?

use std::path::Path;

use serde::Serialize;

use super::error::EvaluationError;
use super::{Evaluation, ScoredStudy, StudyScores};
use crate::{
    bleu::BleuCounts,
    error::MetricsError,
    labeler::FindingClass,
    meteor::MeteorCounts,
    significance::{Comparison, Interval, compare_studies},
};

/// A metric of two sets of predictions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MetricComparison {
    /// Key of the metric, as in the JSON.
    pub metric: String,
    /// Value of the other predictions.
    pub other: f64,
    /// Value of these predictions.
    pub this: f64,
    /// This minus other.
    pub difference: f64,
    /// Two-sided p-value of paired approximate randomisation.
    pub p_value: f64,
    /// 95 % bootstrap interval of the difference.
    pub interval: Interval,
}

/// [`compare_evaluations`]: every metric, with the number of draws behind it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Versus {
    /// Random draws of each test and interval.
    pub draws: usize,
    /// Metric by metric.
    pub metrics: Vec<MetricComparison>,
}

/// Brings the studies of another set of predictions into the order of this one.
///
/// # Errors
/// [`EvaluationError::Layout`] unless both have the same ids and the same references.
pub fn align_studies(
    this: &[ScoredStudy],
    other: Vec<ScoredStudy>,
    path: &Path,
) -> Result<Vec<ScoredStudy>, EvaluationError> {
    let layout = |reason: String| EvaluationError::Layout {
        path: path.to_owned(),
        reason,
    };
    if this.len() != other.len() {
        return Err(layout(format!(
            "{} studies, not the {} compared with",
            other.len(),
            this.len()
        )));
    }
    let mut by_id: std::collections::HashMap<String, ScoredStudy> = other
        .into_iter()
        .map(|study| (study.id.clone(), study))
        .collect();
    this.iter()
        .map(|study| {
            let found = by_id.remove(&study.id);
            let found = found.ok_or_else(|| layout(format!("no study '{}'", study.id)))?;
            if found.references != study.references {
                return Err(layout(format!(
                    "study '{}' has another reference",
                    study.id
                )));
            }
            Ok(found)
        })
        .collect()
}

/// Tests every metric of two evaluations of the same studies in the same order.
///
/// # Errors
/// [`MetricsError::LengthMismatch`], [`MetricsError::Empty`].
pub fn compare_evaluations(
    this: &Evaluation,
    other: &Evaluation,
    draws: usize,
    seed: u64,
) -> Result<Versus, MetricsError> {
    type Statistic = Box<dyn Fn(&[&StudyScores]) -> f64 + Send + Sync>;
    let meteor = if this.overlap.meteor.is_some() {
        "meteor"
    } else {
        "meteor_es"
    };
    let mut statistics: Vec<(&str, Statistic)> = Vec::new();
    for (order, name) in ["bleu_1", "bleu_2", "bleu_3", "bleu_4"]
        .into_iter()
        .enumerate()
    {
        statistics.push((name, Box::new(move |studies| total_bleu(studies)[order])));
    }
    statistics.push((
        "rouge_l",
        Box::new(|studies| mean(studies, |study| study.overlap.rouge_l)),
    ));
    statistics.push((
        "cider",
        Box::new(|studies| mean(studies, |study| study.overlap.cider)),
    ));
    statistics.push((
        meteor,
        Box::new(|studies| {
            studies
                .iter()
                .map(|study| &study.meteor_counts)
                .sum::<MeteorCounts>()
                .score()
        }),
    ));
    let five = FindingClass::FIVE.map(FindingClass::index);
    statistics.push((
        "findings.micro_14.f1",
        Box::new(|studies| {
            micro_f1(
                studies,
                &std::array::from_fn::<_, { FindingClass::COUNT }, _>(|at| at),
            )
        }),
    ));
    statistics.push((
        "findings.micro_5.f1",
        Box::new(move |studies| micro_f1(studies, &five)),
    ));

    let compare =
        |(name, statistic): &(&str, Statistic)| -> Result<MetricComparison, MetricsError> {
            let Comparison { test, interval } =
                compare_studies(&other.per_study, &this.per_study, statistic, draws, seed)?;
            let value = |evaluation: &Evaluation| {
                statistic(&evaluation.per_study.iter().collect::<Vec<_>>())
            };
            Ok(MetricComparison {
                metric: (*name).to_owned(),
                other: value(other),
                this: value(this),
                difference: test.difference,
                p_value: test.p_value,
                interval,
            })
        };
    // Each metric is a long loop of its own.
    let metrics = std::thread::scope(|scope| {
        let running: Vec<_> = statistics
            .iter()
            .map(|statistic| scope.spawn(|| compare(statistic)))
            .collect();
        running
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect::<Result<Vec<_>, _>>()
    })?;
    Ok(Versus { draws, metrics })
}

fn total_bleu(studies: &[&StudyScores]) -> [f64; 4] {
    let mut total = BleuCounts::default();
    studies.iter().for_each(|study| total += study.bleu_counts);
    total.scores()
}

fn mean(studies: &[&StudyScores], value: impl Fn(&StudyScores) -> f64) -> f64 {
    studies.iter().map(|study| value(study)).sum::<f64>() / studies.len() as f64
}

/// F1 of counts pooled over classes; 0 where nothing is true or named.
fn micro_f1(studies: &[&StudyScores], classes: &[usize]) -> f64 {
    let (mut both, mut either) = (0u64, 0u64);
    for study in studies {
        for &class in classes {
            let (truth, predicted) = (study.true_findings[class], study.predicted_findings[class]);
            both += u64::from(truth && predicted);
            either += u64::from(truth) + u64::from(predicted);
        }
    }
    if either == 0 {
        0.0
    } else {
        2.0 * both as f64 / either as f64
    }
}
