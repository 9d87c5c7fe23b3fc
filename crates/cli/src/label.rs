//! `ithn label`: labels reports with `rules-14`, and measures it against human tags where a file has them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use ithn::metrics::evaluation::{TaggedReport, agreement, read_tagged_reports};
use ithn::metrics::{FindingClass, LabelerVersion, Mention, Status, Uncertain};

use crate::failure::Failure;
use crate::output::{OutputFile, Talk, check_all};

/// Labels reports with rules-14, and measures the labels against human tags where the file has them.
///
/// A CSV file has a column `report`, or `findings` and `impression`; an id in `uid`, `id` or `study_id`; and tags in
/// `MeSH` or `Problems`, if any.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ithn label indiana_reports.csv --json labels.json
  ithn label runs/phantom-1/predictions.csv --json - -q")]
pub(crate) struct Arguments {
    /// Reports: CSV or JSON, a run's predictions.csv (its predictions are labelled) or R2Gen's annotation.json
    reports: PathBuf,
    /// Version of the rules: 1 or 2
    #[arg(long, value_name = "VERSION", default_value = LabelerVersion::LATEST.number())]
    labeler_version: LabelerVersion,
    /// Writes the labels and the words behind each here; - is standard output
    #[arg(long, value_name = "FILE")]
    json: Option<OutputFile>,
    /// Random draws of the intervals
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    draws: u32,
    /// Seed of the draws
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// An entry of the JSON file.
#[derive(serde::Serialize)]
struct LabelledReport<'a> {
    id: &'a str,
    report: &'a str,
    /// Who labelled it, such as `rules-14 v2`.
    labeler: &'static str,
    /// CheXpert's name of every class the report speaks of.
    labels: BTreeMap<&'static str, Status>,
    /// Where it does; spans are bytes of the report.
    mentions: Vec<Mention>,
}

impl<'a> LabelledReport<'a> {
    fn of(TaggedReport { id, report, .. }: &'a TaggedReport, labeler: LabelerVersion) -> Self {
        let labels = labeler.label(report);
        let status = |class: FindingClass| Some((class.name(), labels.status(class)?));
        LabelledReport {
            id,
            report,
            labeler: labeler.name(),
            labels: FindingClass::all().into_iter().filter_map(status).collect(),
            mentions: labels.mentions,
        }
    }
}

impl Arguments {
    pub(crate) fn run(&self, talk: Talk) -> Result<(), Failure> {
        let talk = talk.beside([&self.json]);
        check_all([&self.json])?;
        let labeler = self.labeler_version;
        let reports = read_tagged_reports(&self.reports)?;
        talk.result(format_args!(
            "{} reports labelled by {labeler}",
            reports.len()
        ))?;
        if let Some(file) = &self.json {
            let labelled: Vec<_> = reports
                .iter()
                .map(|report| LabelledReport::of(report, labeler))
                .collect();
            file.write_json(&labelled)?;
        }
        if reports.iter().all(|report| report.tags.is_none()) {
            return Ok(());
        }
        for (name, uncertain) in [
            ("negative", Uncertain::AsNegative),
            ("positive", Uncertain::AsPositive),
        ] {
            let draws = self.draws as usize;
            let table = agreement(&reports, labeler, uncertain, draws, self.seed)?.to_string();
            let table = table.trim_end();
            talk.result(format_args!(
                "\nagainst human tags, uncertain as {name}: {table}"
            ))?;
        }
        Ok(())
    }
}
