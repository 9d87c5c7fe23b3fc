use std::fmt;

use super::arm::Arm;
use super::cell::CellResult;
use super::plan::CELL_LIMIT;
use super::summary::{AblationReport, Metric, MetricSummary};
use ithn_checkpoint::config::GeneratorKind;

/// Characters of a column.
const WIDTH: usize = 24;

impl fmt::Display for AblationReport {
    /// One table per generator (metrics down, arms across: mean ± sd and p against no negatives),
    /// then the hardness reached by epoch.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let studies = &self.config.studies;
        match &self.config.real {
            Some(_) => write!(formatter, "real studies, frozen features")?,
            None => write!(
                formatter,
                "{} phantom studies to train on, {} to test on",
                studies.train, studies.test
            )?,
        }
        writeln!(
            formatter,
            "; {} epochs; {} seed(s); mean ± sd, and p of a sign-flip test over seeds against arm 'none', corrected by Holm over arms",
            self.config.base.training.epochs,
            self.config.seeds.len()
        )?;
        for &generator in &self.config.generators {
            self.metrics(generator, formatter)?;
            self.hardness(generator, formatter)?;
        }
        write!(formatter, "\nlongest cell: {:.0} s", self.longest_cell)?;
        if self.config.real.is_none() && self.longest_cell > CELL_LIMIT.as_secs_f64() {
            write!(
                formatter,
                ", over the intended {} s: train on fewer studies or epochs",
                CELL_LIMIT.as_secs()
            )?;
        }
        Ok(())
    }
}

impl AblationReport {
    fn metrics(&self, generator: GeneratorKind, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "\n{:<WIDTH$}", generator.name())?;
        for arm in &self.config.arms {
            write!(out, "{arm:<WIDTH$}")?;
        }
        writeln!(out)?;
        for metric in Metric::ALL {
            write!(out, "{:<WIDTH$}", metric.name())?;
            for &arm in &self.config.arms {
                let found = self.summary(generator, arm, metric);
                write!(
                    out,
                    "{:<WIDTH$}",
                    found.map_or_else(|| "-".to_owned(), entry)
                )?;
            }
            writeln!(out)?;
        }
        Ok(())
    }

    fn summary(
        &self,
        generator: GeneratorKind,
        arm: Arm,
        metric: Metric,
    ) -> Option<&MetricSummary> {
        self.summaries
            .iter()
            .find(|summary| summary.generator == generator && summary.arm == arm)?
            .metrics
            .iter()
            .find(|summary| summary.metric == metric)
    }

    /// Mean over seeds of what each epoch reached: `1−λ`, then the similarity of an image to its own
    /// report, its first negative and its hardened negative.
    fn hardness(&self, generator: GeneratorKind, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arms: Vec<Arm> = self
            .config
            .arms
            .iter()
            .copied()
            .filter(|arm| *arm != Arm::None)
            .collect();
        if arms.is_empty() {
            return Ok(());
        }
        write!(out, "{:<WIDTH$}", "1−λ; z·u z·u⁻ z·ũ")?;
        for arm in &arms {
            write!(out, "{arm:<WIDTH$}")?;
        }
        writeln!(out)?;
        for epoch in 1..=self.config.base.training.epochs {
            write!(out, "{:<WIDTH$}", format!("  epoch {epoch}"))?;
            for &arm in &arms {
                let of_arm = self
                    .cells
                    .iter()
                    .filter(|result| result.cell.generator == generator && result.cell.arm == arm);
                let means = mean_hardness(of_arm, epoch);
                let text = means.map_or_else(
                    || "-".to_owned(),
                    |[hardness, own, first, hardened]| {
                        format!("{hardness:.2}; {own:.2} {first:.2} {hardened:.2}")
                    },
                );
                write!(out, "{text:<WIDTH$}")?;
            }
            writeln!(out)?;
        }
        Ok(())
    }
}

fn entry(summary: &MetricSummary) -> String {
    let test = summary
        .holm_p_value
        .map_or_else(String::new, |p_value| format!(" p {p_value:.3}"));
    format!("{:.3} ± {:.3}{test}", summary.mean, summary.deviation)
}

fn mean_hardness<'a>(
    cells: impl Iterator<Item = &'a CellResult>,
    epoch: usize,
) -> Option<[f64; 4]> {
    let records: Vec<[f64; 4]> = cells
        .filter_map(|cell| cell.hardness.iter().find(|record| record.epoch == epoch))
        .map(|record| {
            let reached = &record.alignment;
            [
                record.hardness,
                reached.positive_similarity.into(),
                reached.negative_similarity.into(),
                reached.hardened_similarity.into(),
            ]
        })
        .collect();
    let count = records.len() as f64;
    (!records.is_empty())
        .then(|| [0, 1, 2, 3].map(|part| records.iter().map(|it| it[part]).sum::<f64>() / count))
}
