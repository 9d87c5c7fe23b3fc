//! Bootstrap intervals of corpus scores.

use serde::Serialize;

use super::{Evaluation, StudyScores};
use crate::{
    bleu::BleuCounts,
    error::MetricsError,
    labeler::FindingClass,
    meteor::MeteorCounts,
    significance::{Interval, bootstrap_interval},
};

/// A corpus score with its interval.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MetricInterval {
    /// Key of the metric, as in the JSON.
    pub metric: &'static str,
    /// Its value.
    pub value: f64,
    /// 95 % percentile bootstrap interval over studies.
    pub interval: Interval,
}

/// BLEU, ROUGE-L, CIDEr, METEOR and pooled F1 of findings with their intervals. Every draw computes
/// the corpus score of the studies drawn; CIDEr keeps the document frequencies of all of them.
///
/// # Errors
///
/// [`MetricsError::Empty`] without studies or draws.
pub fn metric_intervals(
    evaluation: &Evaluation,
    draws: usize,
    seed: u64,
) -> Result<Vec<MetricInterval>, MetricsError> {
    let studies = evaluation.per_study.as_slice();
    let meteor = match evaluation.overlap.meteor {
        Some(_) => "meteor",
        None => "meteor_es",
    };
    type Statistic<'s> = Box<dyn Fn(&mut dyn Iterator<Item = &StudyScores>) -> f64 + Sync + 's>;
    let bleu = |order: usize| -> Statistic<'_> {
        Box::new(move |studies| {
            let mut total = BleuCounts::default();
            studies.for_each(|study| total += study.bleu_counts);
            total.scores()[order]
        })
    };
    let mean = |of: fn(&StudyScores) -> f64| -> Statistic<'_> {
        Box::new(move |studies| {
            let add = |(sum, count): (f64, u32), study| (sum + of(study), count + 1);
            let (sum, count) = studies.fold((0.0, 0), add);
            sum / f64::from(count)
        })
    };
    let micro = |classes: &'static [FindingClass]| -> Statistic<'_> {
        Box::new(move |studies| {
            let (mut both, mut either) = (0u64, 0u64);
            for study in studies {
                for class in classes {
                    let at = class.index();
                    let (truth, named) = (study.true_findings[at], study.predicted_findings[at]);
                    both += u64::from(truth && named);
                    either += u64::from(truth) + u64::from(named);
                }
            }
            match either {
                0 => 0.0,
                either => 2.0 * both as f64 / either as f64,
            }
        })
    };
    let metrics: Vec<(&'static str, Statistic<'_>)> = vec![
        ("bleu_1", bleu(0)),
        ("bleu_2", bleu(1)),
        ("bleu_3", bleu(2)),
        ("bleu_4", bleu(3)),
        ("rouge_l", mean(|study| study.overlap.rouge_l)),
        ("cider", mean(|study| study.overlap.cider)),
        (
            meteor,
            Box::new(|studies| {
                let total: MeteorCounts = studies.map(|study| &study.meteor_counts).sum();
                total.score()
            }),
        ),
        (
            "findings.micro_14.f1",
            micro(const { &FindingClass::all() }),
        ),
        ("findings.micro_5.f1", micro(&FindingClass::FIVE)),
    ];
    std::thread::scope(|scope| {
        let running: Vec<_> = metrics
            .iter()
            .map(|(metric, statistic)| {
                scope.spawn(move || {
                    let drawn = |positions: &[usize]| {
                        statistic(&mut positions.iter().map(|&position| &studies[position]))
                    };
                    Ok(MetricInterval {
                        metric,
                        value: statistic(&mut studies.iter()),
                        interval: bootstrap_interval(studies.len(), drawn, draws, seed)?,
                    })
                })
            })
            .collect();
        let joined = running.into_iter().map(|thread| {
            let outcome = thread.join();
            outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        joined.collect()
    })
}
