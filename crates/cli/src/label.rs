//! `ithn label`: labels reports with `rules-14` or CheXbert, and measures `rules-14` against human tags where a
//! file has them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use ithn::device::DeviceName;
use ithn::metrics::evaluation::{
    Statuses, TaggedReport, agreement, read_tagged_reports, score_reports_by_tags,
};
use ithn::metrics::{FindingClass, LabelerVersion, Mention, Status, Uncertain};
use ithn_chexbert::write_labels;

use crate::chexbert::{self, Files, labels_of, statuses_of};
use crate::failure::Failure;
use crate::output::{OutputFile, Talk, check_all};

/// Labels reports with rules-14 or CheXbert, and measures rules-14 against human tags where the file has them.
///
/// A CSV file has a column `report` or `Report Impression`, or `findings` and `impression`; an id in `uid`, `id` or `study_id`; and tags in
/// `MeSH` or `Problems`, if any.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ithn label indiana_reports.csv --json labels.json
  ithn label runs/phantom-1/predictions.csv --json - -q
  ithn label runs/half/predictions.csv --tags indiana_reports.csv
  ithn label reports.csv --labeler chexbert --weights chexbert.pth --vocab vocab.txt --csv labels.csv")]
pub(crate) struct Arguments {
    /// Reports: CSV or JSON, a run's predictions.csv (its predictions are labelled) or R2Gen's annotation.json
    reports: PathBuf,
    /// Who labels them
    #[arg(long, default_value = "rules-14")]
    labeler: LabelerArgument,
    /// Version of rules-14: 1 or 2
    #[arg(long, value_name = "VERSION", default_value = LabelerVersion::LATEST.number())]
    labeler_version: LabelerVersion,
    /// CheXbert's weights, chexbert.pth as published
    #[arg(long, value_name = "FILE", required_if_eq("labeler", "chexbert"))]
    weights: Option<PathBuf>,
    /// Its vocabulary, the vocab.txt of bert-base-uncased
    #[arg(long, value_name = "FILE", required_if_eq("labeler", "chexbert"))]
    vocab: Option<PathBuf>,
    /// config.json of a model of another size than BERT-base
    #[arg(long, value_name = "FILE", requires = "weights")]
    config: Option<PathBuf>,
    /// Where CheXbert runs: cpu, cuda:N, wgpu or ndarray
    #[arg(long, default_value = "cpu")]
    device: DeviceName,
    /// Writes reports and labels here as CheXbert's script does: 1, 0 (negative), -1 (uncertain) or nothing;
    /// - is standard output
    #[arg(long, value_name = "FILE")]
    csv: Option<OutputFile>,
    /// Writes the labels and the words behind each here; - is standard output
    #[arg(long, value_name = "FILE")]
    json: Option<OutputFile>,
    /// Open-i's table with the column MeSH: compares the findings of the reports with these tags of people, study by study
    #[arg(long, value_name = "CSV", conflicts_with = "weights")]
    tags: Option<PathBuf>,
    /// Random draws of the intervals
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    draws: u32,
    /// Seed of the draws
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LabelerArgument {
    #[value(name = "rules-14")]
    Rules14,
    Chexbert,
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
    /// Where it does; spans are bytes of the report. CheXbert does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    mentions: Option<Vec<Mention>>,
}

/// What a labeler says of one report.
struct Labelled {
    statuses: Statuses,
    mentions: Option<Vec<Mention>>,
}

impl<'a> LabelledReport<'a> {
    fn of(report: &'a TaggedReport, labelled: &Labelled, labeler: &'static str) -> Self {
        let status = |class: FindingClass| Some((class.name(), labelled.statuses[class.index()]?));
        LabelledReport {
            id: &report.id,
            report: &report.report,
            labeler,
            labels: FindingClass::all().into_iter().filter_map(status).collect(),
            mentions: labelled.mentions.clone(),
        }
    }
}

impl Arguments {
    pub(crate) fn run(&self, talk: Talk) -> Result<(), Failure> {
        let outputs = [&self.json, &self.csv];
        let talk = talk.beside(outputs);
        check_all(outputs)?;
        if self.labeler == LabelerArgument::Rules14 && self.weights.is_some() {
            return Err(Failure::Said(
                "--weights is read with --labeler chexbert alone".to_owned(),
            ));
        }
        let reports = read_tagged_reports(&self.reports)?;
        let labelled = self.labels(&reports)?;
        let name = match self.labeler {
            LabelerArgument::Rules14 => self.labeler_version.name(),
            LabelerArgument::Chexbert => chexbert::NAME,
        };
        talk.result(format_args!("{} reports labelled by {name}", reports.len()))?;
        if let Some(file) = &self.json {
            let pairs = reports.iter().zip(&labelled);
            let entries: Vec<_> = pairs
                .map(|(report, labelled)| LabelledReport::of(report, labelled, name))
                .collect();
            file.write_json(&entries)?;
        }
        if let Some(file) = &self.csv {
            let texts: Vec<&str> = reports
                .iter()
                .map(|report| report.report.as_str())
                .collect();
            let labels: Vec<_> = labelled
                .iter()
                .map(|labelled| labels_of(&labelled.statuses))
                .collect();
            let mut table = Vec::new();
            write_labels(&mut table, &texts, &labels)
                .map_err(|error| Failure::Said(format!("cannot write {file}: {error}")))?;
            file.write(&table)?;
        }
        if let Some(path) = &self.tags {
            let texts: Vec<(String, String)> = reports
                .iter()
                .map(|report| (report.id.clone(), report.report.clone()))
                .collect();
            let tags = read_tagged_reports(path)?;
            let (labeler, draws) = (self.labeler_version, self.draws as usize);
            let positive = Uncertain::AsPositive;
            let found = score_reports_by_tags(&texts, &tags, labeler, positive, draws, self.seed)?;
            talk.result(format_args!(
                "\nagainst human tags, uncertain as positive: {found}"
            ))?;
        }
        if reports.iter().all(|report| report.tags.is_none()) {
            return Ok(());
        }
        match self.labeler {
            LabelerArgument::Rules14 => self.compare_with_tags(&reports, talk),
            LabelerArgument::Chexbert => {
                talk.note("human tags are compared with rules-14 alone");
                Ok(())
            }
        }
    }

    fn labels(&self, reports: &[TaggedReport]) -> Result<Vec<Labelled>, Failure> {
        let (Some(weights), Some(vocabulary)) = (&self.weights, &self.vocab) else {
            let labelled = reports.iter().map(|report| {
                let labels = self.labeler_version.label(&report.report);
                Labelled {
                    statuses: FindingClass::all().map(|class| labels.status(class)),
                    mentions: Some(labels.mentions),
                }
            });
            return Ok(labelled.collect());
        };
        let files = Files {
            weights,
            vocabulary,
            config: self.config.as_deref(),
        };
        let model = files.load(self.device, "--config")?;
        let texts: Vec<&str> = reports
            .iter()
            .map(|report| report.report.as_str())
            .collect();
        let labelled = model.label(&texts).into_iter().map(|labels| Labelled {
            statuses: statuses_of(&labels),
            mentions: None,
        });
        Ok(labelled.collect())
    }

    fn compare_with_tags(&self, reports: &[TaggedReport], talk: Talk) -> Result<(), Failure> {
        let labeler = self.labeler_version;
        for (name, uncertain) in [
            ("negative", Uncertain::AsNegative),
            ("positive", Uncertain::AsPositive),
        ] {
            let draws = self.draws as usize;
            let table = agreement(reports, labeler, uncertain, draws, self.seed)?.to_string();
            let table = table.trim_end();
            talk.result(format_args!(
                "\nagainst human tags, uncertain as {name}: {table}"
            ))?;
        }
        Ok(())
    }
}
