//! Labels reports with `rules-14`, and measures it against human tags where a file has them.
//!
//! ```sh
//! cargo run --release --example label_reports -- indiana_reports.csv --json labels.json
//! ```
//!
//! The CSV file has a column `report`, or `findings` and `impression`; an id in `uid`, `id` or `study_id`; and tags in
//! `MeSH` or `Problems`, if any. A run's `predictions.csv` (its predictions are labelled) and R2Gen's `annotation.json`
//! are read as well. The file of `--json` lists the reports with their labels and the words behind each.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use ithn::metrics::evaluation::{TaggedReport, agreement, read_tagged_reports, write_json};
use ithn::metrics::{FindingClass, LabelerVersion, Mention, Status, Uncertain};

/// Labels reports and measures the labels against human tags.
#[derive(Parser)]
struct Arguments {
    /// Reports, as CSV or JSON
    reports: PathBuf,
    /// Version of the rules: 1 or 2
    #[arg(long, value_name = "VERSION", default_value = LabelerVersion::LATEST.number())]
    labeler_version: LabelerVersion,
    /// Writes the labels and the places they come from here
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
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

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let labeler = arguments.labeler_version;
    let reports = read_tagged_reports(&arguments.reports)?;
    println!("{} reports labelled by {labeler}", reports.len());
    if let Some(path) = &arguments.json {
        let labelled: Vec<_> = reports
            .iter()
            .map(|report| LabelledReport::of(report, labeler))
            .collect();
        write_json(path, &labelled)?;
    }
    if reports.iter().any(|report| report.tags.is_some()) {
        for (name, uncertain) in [
            ("negative", Uncertain::AsNegative),
            ("positive", Uncertain::AsPositive),
        ] {
            let draws = arguments.draws as usize;
            let table = agreement(&reports, labeler, uncertain, draws, arguments.seed)?;
            print!("\nagainst human tags, uncertain as {name}: {table}");
        }
    }
    Ok(())
}
