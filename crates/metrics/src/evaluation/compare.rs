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

/// [`compare_evaluations`]: every metric, and the number of random draws.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Versus {
    /// Random draws of each test and interval.
    pub draws: usize,
    /// Metric by metric.
    pub metrics: Vec<MetricComparison>,
}

/// Reorders the studies of another set of predictions like this one's.
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
    let pair = Pair {
        this,
        other,
        draws,
        seed,
    };
    let meteor = if this.overlap.meteor.is_some() {
        "meteor"
    } else {
        "meteor_es"
    };
    let every: [usize; FindingClass::COUNT] = std::array::from_fn(|class| class);
    let abnormal = FindingClass::ABNORMAL.map(FindingClass::index);
    let five = FindingClass::FIVE.map(FindingClass::index);
    let bleu = |order: usize| {
        move |studies: &[&BleuCounts]| {
            let mut total = BleuCounts::default();
            studies.iter().for_each(|study| total += **study);
            total.scores()[order]
        }
    };
    let counts = |study: &StudyScores| study.bleu_counts;
    type Test<'t> = Box<dyn FnOnce() -> Result<MetricComparison, MetricsError> + Send + 't>;
    let tests: Vec<Test> = vec![
        Box::new(|| pair.test("bleu_1", counts, bleu(0))),
        Box::new(|| pair.test("bleu_2", counts, bleu(1))),
        Box::new(|| pair.test("bleu_3", counts, bleu(2))),
        Box::new(|| pair.test("bleu_4", counts, bleu(3))),
        Box::new(|| pair.test("rouge_l", |study| study.overlap.rouge_l, mean)),
        Box::new(|| pair.test("cider", |study| study.overlap.cider, mean)),
        Box::new(|| {
            let score = |studies: &[&MeteorCounts]| {
                let total: MeteorCounts = studies.iter().copied().sum();
                total.score()
            };
            pair.test(meteor, |study| study.meteor_counts, score)
        }),
        Box::new(|| {
            let hits = |study: &StudyScores| Hits::of(study, &abnormal);
            pair.test("findings.micro_13.f1", hits, micro_f1)
        }),
        Box::new(|| {
            let flags = |study: &StudyScores| (study.true_findings, study.predicted_findings);
            pair.test("findings.macro_13.f1", flags, |studies| {
                macro_f1(studies, &abnormal)
            })
        }),
        Box::new(|| {
            let hits = |study: &StudyScores| Hits::of(study, &every);
            pair.test("findings.micro_14.f1", hits, micro_f1)
        }),
        Box::new(|| {
            let hits = |study: &StudyScores| Hits::of(study, &five);
            pair.test("findings.micro_5.f1", hits, micro_f1)
        }),
    ];
    let metrics = std::thread::scope(|scope| {
        let running: Vec<_> = tests.into_iter().map(|test| scope.spawn(test)).collect();
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

/// Two evaluations to compare, with the number of draws and their seed.
struct Pair<'a> {
    this: &'a Evaluation,
    other: &'a Evaluation,
    draws: usize,
    seed: u64,
}

impl Pair<'_> {
    /// Tests a metric: `statistic` of what `item` takes from every study.
    fn test<T>(
        &self,
        metric: &str,
        item: impl Fn(&StudyScores) -> T,
        statistic: impl Fn(&[&T]) -> f64,
    ) -> Result<MetricComparison, MetricsError> {
        let items = |evaluation: &Evaluation| -> Vec<T> {
            evaluation.per_study.iter().map(&item).collect()
        };
        let (other, this) = (items(self.other), items(self.this));
        let Comparison { test, interval } =
            compare_studies(&other, &this, &statistic, self.draws, self.seed)?;
        let value = |items: &[T]| statistic(&items.iter().collect::<Vec<_>>());
        Ok(MetricComparison {
            metric: metric.to_owned(),
            other: value(&other),
            this: value(&this),
            difference: test.difference,
            p_value: test.p_value,
            interval,
        })
    }
}

fn mean(scores: &[&f64]) -> f64 {
    scores.iter().copied().sum::<f64>() / scores.len() as f64
}

/// Findings of a study: how many are both true and predicted, and the sum of true and predicted ones.
struct Hits {
    both: u32,
    either: u32,
}

impl Hits {
    fn of(study: &StudyScores, classes: &[usize]) -> Self {
        let mut hits = Self { both: 0, either: 0 };
        for &class in classes {
            let truth = study.true_findings[class];
            let predicted = study.predicted_findings[class];
            hits.both += u32::from(truth && predicted);
            hits.either += u32::from(truth) + u32::from(predicted);
        }
        hits
    }
}

/// F1 of counts pooled over classes; 0 where nothing is true or predicted.
fn micro_f1(studies: &[&Hits]) -> f64 {
    let sum = |part: fn(&Hits) -> u32| -> f64 {
        studies.iter().map(|study| f64::from(part(study))).sum()
    };
    let (both, either) = (sum(|hits| hits.both), sum(|hits| hits.either));
    if either == 0.0 {
        0.0
    } else {
        2.0 * both / either
    }
}

type Flags = [bool; FindingClass::COUNT];

/// Mean over classes of F1, 0/0 as 0.
fn macro_f1(studies: &[&(Flags, Flags)], classes: &[usize]) -> f64 {
    let f1 = |&class: &usize| {
        let (mut both, mut either) = (0u32, 0u32);
        for (truth, predicted) in studies {
            both += u32::from(truth[class] && predicted[class]);
            either += u32::from(truth[class]) + u32::from(predicted[class]);
        }
        match either {
            0 => 0.0,
            _ => 2.0 * f64::from(both) / f64::from(either),
        }
    };
    classes.iter().map(f1).sum::<f64>() / classes.len() as f64
}
