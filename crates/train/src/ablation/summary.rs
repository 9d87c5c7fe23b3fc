use ithn_metrics::clinical::scores::holm;
use ithn_metrics::{DEFAULT_DRAWS, MetricsError, PairedTest, sign_flip};
use serde::{Deserialize, Serialize};

use super::arm::Arm;
use super::cell::CellResult;
use super::plan::AblationConfig;
use ithn_checkpoint::config::GeneratorKind;

/// A number that is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Metric {
    /// BLEU-4, protocol `r2gen`.
    #[serde(rename = "bleu_4")]
    Bleu4,
    /// CIDEr, protocol `r2gen`.
    Cider,
    /// Micro F1 of findings with their side, exact on phantom studies; over the 13 abnormal classes on real reports.
    FindingsF1,
    /// Mean F1 over the 13 abnormal classes; real reports alone have it.
    FindingsF1Macro,
    /// Share of the most frequent report: 1 if every study gets the same.
    SameReport,
    /// Findings on the wrong side.
    LateralityErrors,
    /// Findings of a wrong size.
    SizeErrors,
    /// Share of studies whose own report scores higher than its near-twin by alignment; equal scores count half.
    NearTwinAlignment,
    /// The same by the generator's likelihood, which needs no plug-in.
    NearTwinLikelihood,
    /// Own report first among random ones, by alignment.
    #[serde(rename = "recall_at_1")]
    RecallAt1,
    /// Among the first five.
    #[serde(rename = "recall_at_5")]
    RecallAt5,
    /// Median rank of the own report among random ones.
    MedianRank,
}

/// Mean and spread of a metric over seeds, and how sure a difference is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MetricSummary {
    /// Which.
    pub metric: Metric,
    /// Seeds.
    pub seeds: usize,
    /// Mean over seeds.
    pub mean: f64,
    /// Standard deviation over seeds (n − 1); 0 for one seed.
    pub deviation: f64,
    /// Sign-flip test over seeds against [`Arm::None`]; absent for that arm itself, and where it has
    /// no such number.
    pub against_none: Option<PairedTest>,
    /// The p-value of that test after Holm's correction over all arms that are compared in this metric.
    #[serde(default)]
    pub holm_p_value: Option<f64>,
}

/// A generator trained one way, over all seeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArmSummary {
    /// Which generator.
    pub generator: GeneratorKind,
    /// Which arm.
    pub arm: Arm,
    /// Its metrics, those that it has.
    pub metrics: Vec<MetricSummary>,
}

/// Everything that an ablation found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AblationReport {
    /// What was run.
    pub config: AblationConfig,
    /// Means, spreads and tests.
    pub summaries: Vec<ArmSummary>,
    /// Longest cell, in seconds.
    pub longest_cell: f64,
    /// Every cell, per-epoch hardness included.
    pub cells: Vec<CellResult>,
}

impl Metric {
    /// All of them, in the order of the table.
    pub const ALL: [Metric; 12] = [
        Metric::Bleu4,
        Metric::Cider,
        Metric::FindingsF1,
        Metric::FindingsF1Macro,
        Metric::SameReport,
        Metric::LateralityErrors,
        Metric::SizeErrors,
        Metric::NearTwinAlignment,
        Metric::NearTwinLikelihood,
        Metric::RecallAt1,
        Metric::RecallAt5,
        Metric::MedianRank,
    ];

    /// Its name in a table; an arrow marks the better direction.
    pub fn name(self) -> &'static str {
        match self {
            Metric::Bleu4 => "BLEU-4 ↑",
            Metric::Cider => "CIDEr ↑",
            Metric::FindingsF1 => "findings F1 ↑",
            Metric::FindingsF1Macro => "findings F1, macro ↑",
            Metric::SameReport => "same report ↓",
            Metric::LateralityErrors => "side errors ↓",
            Metric::SizeErrors => "size errors ↓",
            Metric::NearTwinAlignment => "near-twin, alignment ↑",
            Metric::NearTwinLikelihood => "near-twin, likelihood ↑",
            Metric::RecallAt1 => "recall@1 ↑",
            Metric::RecallAt5 => "recall@5 ↑",
            Metric::MedianRank => "median rank ↓",
        }
    }

    /// Its value in a cell, if the cell has one.
    pub fn of(self, result: &CellResult) -> Option<f64> {
        let (scores, ranking) = (&result.scores, &result.ranking);
        let twins = ranking.near_twins.as_ref();
        let retrieval = ranking.retrieval.as_ref();
        match self {
            Metric::Bleu4 => Some(scores.bleu_4),
            Metric::Cider => Some(scores.cider),
            Metric::FindingsF1 => scores.findings.headline(),
            Metric::FindingsF1Macro => {
                let classes = scores.findings.findings_by_class.as_ref();
                classes.map(|classes| classes.f1_13_macro)
            }
            Metric::SameReport => Some(scores.diversity.most_frequent_share),
            Metric::LateralityErrors => scores.findings.laterality_errors.map(|it| it as f64),
            Metric::SizeErrors => scores.findings.size_errors.map(|it| it as f64),
            Metric::NearTwinAlignment => twins.and_then(|twins| twins.alignment),
            Metric::NearTwinLikelihood => twins.map(|twins| twins.likelihood),
            Metric::RecallAt1 => retrieval.map(|it| it.recall_at_1),
            Metric::RecallAt5 => retrieval.map(|it| it.recall_at_5),
            Metric::MedianRank => retrieval.map(|it| it.median_rank),
        }
    }
}

impl AblationReport {
    /// Summarises cells.
    ///
    /// # Errors
    ///
    /// If a metric is not finite.
    pub(crate) fn new(
        config: AblationConfig,
        cells: Vec<CellResult>,
    ) -> Result<Self, MetricsError> {
        let mut summaries: Vec<ArmSummary> = Vec::new();
        for &generator in &config.generators {
            for &arm in &config.arms {
                let metrics = Metric::ALL
                    .into_iter()
                    .filter_map(|metric| summarise(&cells, generator, arm, metric).transpose())
                    .collect::<Result<_, _>>()?;
                summaries.push(ArmSummary {
                    generator,
                    arm,
                    metrics,
                });
            }
            let of_generator = summaries.iter_mut().filter(|it| it.generator == generator);
            correct(&mut of_generator.collect::<Vec<_>>());
        }
        let longest_cell = cells.iter().map(|cell| cell.seconds).fold(0.0, f64::max);
        Ok(AblationReport {
            config,
            summaries,
            longest_cell,
            cells,
        })
    }
}

impl AblationReport {
    /// Values of a metric of an arm, one per seed that has it.
    pub(crate) fn values(&self, generator: GeneratorKind, arm: Arm, metric: Metric) -> Vec<f64> {
        seeds(&self.cells, generator, arm, metric)
            .into_iter()
            .map(|(_, value)| value)
            .collect()
    }
}

/// Corrects the p-values of each metric by Holm's method over the arms.
fn correct(arms: &mut [&mut ArmSummary]) {
    for metric in Metric::ALL {
        let mut of_metric: Vec<&mut MetricSummary> = arms
            .iter_mut()
            .flat_map(|arm| &mut arm.metrics)
            .filter(|summary| summary.metric == metric && summary.against_none.is_some())
            .collect();
        let p_values: Vec<f64> = of_metric
            .iter()
            .filter_map(|summary| summary.against_none.map(|test| test.p_value))
            .collect();
        for (summary, corrected) in of_metric.iter_mut().zip(holm(&p_values)) {
            summary.holm_p_value = Some(corrected);
        }
    }
}

/// A metric of an arm over the seeds that have it.
fn summarise(
    cells: &[CellResult],
    generator: GeneratorKind,
    arm: Arm,
    metric: Metric,
) -> Result<Option<MetricSummary>, MetricsError> {
    let values = seeds(cells, generator, arm, metric);
    if values.is_empty() {
        return Ok(None);
    }
    let numbers: Vec<f64> = values.iter().map(|(_, value)| *value).collect();
    let (mean, deviation) = mean_and_deviation(&numbers);
    // Paired by seed: a seed that only one arm has is left out of the test.
    let baseline = seeds(cells, generator, Arm::None, metric);
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for (seed, value) in &values {
        if let Some((_, other)) = baseline.iter().find(|(other, _)| other == seed) {
            without.push(*other);
            with.push(*value);
        }
    }
    let against_none = if arm == Arm::None || with.is_empty() {
        None
    } else {
        Some(sign_flip(&without, &with, DEFAULT_DRAWS, 0)?)
    };
    Ok(Some(MetricSummary {
        metric,
        seeds: numbers.len(),
        mean,
        deviation,
        against_none,
        holm_p_value: None,
    }))
}

fn seeds(
    cells: &[CellResult],
    generator: GeneratorKind,
    arm: Arm,
    metric: Metric,
) -> Vec<(u64, f64)> {
    cells
        .iter()
        .filter(|result| result.cell.generator == generator && result.cell.arm == arm)
        .filter_map(|result| Some((result.cell.seed, metric.of(result)?)))
        .collect()
}

fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    if values.len() < 2 {
        return (mean, 0.0);
    }
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (squares / (values.len() - 1) as f64).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arm(arm: Arm, p_value: Option<f64>) -> ArmSummary {
        let summary = MetricSummary {
            metric: Metric::FindingsF1,
            seeds: 8,
            mean: 0.2,
            deviation: 0.01,
            against_none: p_value.map(|p_value| PairedTest {
                difference: 0.1,
                p_value,
                draws: 256,
                exact: true,
            }),
            holm_p_value: None,
        };
        ArmSummary {
            generator: GeneratorKind::R2GenCmn,
            arm,
            metrics: vec![summary],
        }
    }

    #[test]
    fn p_values_are_corrected_over_the_arms_that_are_compared() {
        let mut arms = [
            arm(Arm::None, None),
            arm(Arm::InBatch, Some(0.03)),
            arm(Arm::Fixed, Some(0.01)),
            arm(Arm::Ours, Some(0.04)),
        ];
        correct(&mut arms.iter_mut().collect::<Vec<_>>());
        let corrected: Vec<Option<f64>> =
            arms.iter().map(|it| it.metrics[0].holm_p_value).collect();
        // 3 · 0.01; 2 · 0.03; the larger of 0.04 and the one before.
        assert_eq!(corrected, [None, Some(0.06), Some(0.03), Some(0.06)]);
    }
}
