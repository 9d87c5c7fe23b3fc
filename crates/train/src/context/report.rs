use std::fmt;

use ithn_metrics::{DEFAULT_DRAWS, MetricsError, PairedTest, sign_flip};
use serde::{Deserialize, Serialize};

use super::cell::ContextResult;
use super::plan::{ContextExperiment, Reads};

/// A number that is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ContextMetric {
    /// Share of the references' change statements that are right.
    ChangeAccuracy,
    /// Share of the studies without a previous study whose report compares.
    Hallucinated,
    /// Predicted change statements of findings of which the reference states none, for each of its own.
    Invented,
    /// Micro F1 of findings with their side.
    FindingsF1,
    /// F1 of temporal keywords.
    TemporalF1,
    /// BLEU-4, protocol `r2gen`.
    #[serde(rename = "bleu_4")]
    Bleu4,
}

impl ContextMetric {
    /// All of them, in the order of the table.
    pub const ALL: [ContextMetric; 6] = [
        ContextMetric::ChangeAccuracy,
        ContextMetric::Hallucinated,
        ContextMetric::Invented,
        ContextMetric::FindingsF1,
        ContextMetric::TemporalF1,
        ContextMetric::Bleu4,
    ];

    /// Its name in a table; an arrow marks the better direction.
    pub fn name(self) -> &'static str {
        match self {
            ContextMetric::ChangeAccuracy => "change accuracy ↑",
            ContextMetric::Hallucinated => "hallucinated ↓",
            ContextMetric::Invented => "invented ↓",
            ContextMetric::FindingsF1 => "findings F1 ↑",
            ContextMetric::TemporalF1 => "temporal F1 ↑",
            ContextMetric::Bleu4 => "BLEU-4 ↑",
        }
    }

    /// Its value in a cell, if the cell has one.
    pub fn of(self, result: &ContextResult) -> Option<f64> {
        let scores = &result.scores;
        let comparisons = scores.comparisons.as_ref();
        let changes = comparisons.and_then(|it| it.changes.as_ref());
        match self {
            ContextMetric::ChangeAccuracy => changes.map(|it| it.accuracy()),
            ContextMetric::Hallucinated => comparisons.map(|it| it.hallucinated_share()),
            ContextMetric::Invented => {
                changes.map(|it| it.invented as f64 / it.stated.max(1) as f64)
            }
            ContextMetric::FindingsF1 => scores.findings.headline(),
            ContextMetric::TemporalF1 => comparisons.map(|it| it.temporal_f1),
            ContextMetric::Bleu4 => Some(scores.bleu_4),
        }
    }
}

/// Mean and spread of a metric over seeds, and how sure a difference is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ContextMetricSummary {
    /// Which.
    pub metric: ContextMetric,
    /// Seeds.
    pub seeds: usize,
    /// Mean over seeds.
    pub mean: f64,
    /// Standard deviation over seeds (n − 1); 0 for one seed.
    pub deviation: f64,
    /// Sign-flip test over seeds against [`Reads::Film`]; absent for that itself.
    pub against_film: Option<PairedTest>,
}

/// A choice of what is read, over all seeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContextSummary {
    /// What is read.
    pub reads: Reads,
    /// Its metrics, those that it has.
    pub metrics: Vec<ContextMetricSummary>,
}

/// Everything that a context experiment found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContextReport {
    /// What was run.
    pub config: ContextExperiment,
    /// Means, spreads and tests.
    pub summaries: Vec<ContextSummary>,
    /// Every cell.
    pub cells: Vec<ContextResult>,
}

impl ContextReport {
    /// Summarises cells.
    pub(super) fn new(
        config: ContextExperiment,
        cells: Vec<ContextResult>,
    ) -> Result<Self, MetricsError> {
        let summary = |&reads: &Reads| -> Result<ContextSummary, MetricsError> {
            let metrics = ContextMetric::ALL.into_iter();
            let metrics = metrics.filter_map(|metric| summarise(&cells, reads, metric).transpose());
            Ok(ContextSummary {
                reads,
                metrics: metrics.collect::<Result<_, _>>()?,
            })
        };
        Ok(ContextReport {
            summaries: config.reads.iter().map(summary).collect::<Result<_, _>>()?,
            config,
            cells,
        })
    }
}

fn summarise(
    cells: &[ContextResult],
    reads: Reads,
    metric: ContextMetric,
) -> Result<Option<ContextMetricSummary>, MetricsError> {
    let of = |wanted: Reads| -> Vec<(u64, f64)> {
        let cells = cells.iter().filter(|result| result.cell.reads == wanted);
        cells
            .filter_map(|result| Some((result.cell.seed, metric.of(result)?)))
            .collect()
    };
    let values = of(reads);
    if values.is_empty() {
        return Ok(None);
    }
    let film = of(Reads::Film);
    // Paired by seed: a seed that only one choice has is left out of the test.
    let paired = values.iter().filter_map(|(seed, value)| {
        let other = film.iter().find(|(other, _)| other == seed)?;
        Some((other.1, *value))
    });
    let (without, with): (Vec<f64>, Vec<f64>) = paired.unzip();
    let seeds = values.len();
    let mean = values.iter().map(|(_, value)| value).sum::<f64>() / seeds as f64;
    let squares = values.iter().map(|(_, value)| (value - mean).powi(2));
    let variance = squares.sum::<f64>() / seeds.saturating_sub(1).max(1) as f64;
    Ok(Some(ContextMetricSummary {
        metric,
        seeds,
        mean,
        deviation: variance.sqrt(),
        against_film: match reads == Reads::Film || with.is_empty() {
            true => None,
            false => Some(sign_flip(&without, &with, DEFAULT_DRAWS, 0)?),
        },
    }))
}

impl fmt::Display for ContextReport {
    /// A row for each choice, mean ± deviation and p against one film alone, then the baselines.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:14}", "reads")?;
        for metric in ContextMetric::ALL {
            write!(formatter, " {:>22}", metric.name())?;
        }
        for summary in &self.summaries {
            write!(formatter, "\n{:14}", summary.reads)?;
            for metric in ContextMetric::ALL {
                let found = summary.metrics.iter().find(|it| it.metric == metric);
                let text = found.map_or_else(
                    || "-".to_owned(),
                    |it| {
                        let test = it.against_film.as_ref();
                        let p =
                            test.map_or_else(String::new, |test| format!(" p {:.3}", test.p_value));
                        format!("{:.3} ± {:.3}{p}", it.mean, it.deviation)
                    },
                );
                write!(formatter, " {text:>22}")?;
            }
        }
        if let Some(floor) = self.cells.iter().find_map(|cell| cell.change_floor) {
            write!(
                formatter,
                "\nbaseline: the most frequent change, \"{}\", of every finding that is compared: change accuracy {:.3}",
                floor.change, floor.accuracy
            )?;
        }
        let indication = self
            .cells
            .iter()
            .find_map(|it| it.indication_floor.as_ref());
        if let Some(f1) = indication.and_then(|scores| scores.findings.headline()) {
            write!(
                formatter,
                "\nbaseline: the indication alone: findings F1 {f1:.3}"
            )?;
        }
        Ok(())
    }
}
