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

/// BLEU, ROUGE-L, CIDEr, METEOR, micro and macro F1 of findings with their intervals, 0/0 as 0. Every draw computes
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
    let macro_average = |classes: &'static [FindingClass]| -> Statistic<'_> {
        Box::new(move |studies| {
            let mut counts = [(0u32, 0u32); FindingClass::COUNT];
            for study in studies {
                for class in classes {
                    let at = class.index();
                    let (truth, named) = (study.true_findings[at], study.predicted_findings[at]);
                    counts[at].0 += u32::from(truth && named);
                    counts[at].1 += u32::from(truth) + u32::from(named);
                }
            }
            let f1 = |class: &FindingClass| match counts[class.index()] {
                (_, 0) => 0.0,
                (both, either) => 2.0 * f64::from(both) / f64::from(either),
            };
            classes.iter().map(f1).sum::<f64>() / classes.len() as f64
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
        (
            "findings.macro_14.f1",
            macro_average(const { &FindingClass::all() }),
        ),
        ("findings.micro_5.f1", micro(&FindingClass::FIVE)),
        ("findings.macro_5.f1", macro_average(&FindingClass::FIVE)),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::{EvaluationOptions, ScoredStudy, evaluate};
    use crate::meteor::Meteor;

    #[test]
    fn values_are_those_of_the_evaluation() {
        let study = |id: usize, prediction: &str, reference: &str| ScoredStudy {
            id: id.to_string(),
            prediction: prediction.to_owned(),
            references: vec![reference.to_owned()],
            full_reference: None,
        };
        let studies = [
            study(0, "small effusion . heart is large .", "small effusion ."),
            study(1, "no edema .", "there is edema ."),
            study(2, "lungs are clear .", "lungs are clear . no effusion ."),
        ];
        let meteor = Meteor::exact_and_stem();
        let evaluation = evaluate(&studies, &EvaluationOptions::new(&meteor)).unwrap();
        let intervals = metric_intervals(&evaluation, 200, 1).unwrap();
        let findings = &evaluation.findings;
        for (metric, value) in [
            ("bleu_4", evaluation.overlap.bleu_4),
            ("rouge_l", evaluation.overlap.rouge_l),
            ("cider", evaluation.overlap.cider),
            ("meteor_es", evaluation.overlap.meteor_es.unwrap()),
            ("findings.micro_14.f1", findings.micro_14.f1),
            ("findings.macro_14.f1", findings.macro_14.f1),
            ("findings.micro_5.f1", findings.micro_5.f1),
            ("findings.macro_5.f1", findings.macro_5.f1),
        ] {
            let found = intervals.iter().find(|found| found.metric == metric);
            let found = found.unwrap();
            assert!((found.value - value).abs() < 1e-12, "{metric}");
            assert!(
                found.interval.low <= value && value <= found.interval.high,
                "{metric}"
            );
        }
        assert!(metric_intervals(&evaluation, 0, 1).is_err());
    }
}
