//! Scores anybody's predictions: BLEU, ROUGE-L, CIDEr, METEOR, findings, variety, retrieval, significance.
//!
//! ```sh
//! cargo run --release --example evaluate -- runs/phantom-1/predictions.csv \
//!     --retrieval runs/phantom-1/retrieval.csv
//! cargo run --release --example evaluate -- res.csv --references gts.csv \
//!     --full-references annotation.json --meteor-data pycocoevalcap/meteor --versus other/res.csv
//! cargo run --release --example evaluate -- predictions.json --full-references annotation.json \
//!     --r2gen-vocabulary annotation.json --r2gen-text mimic-cxr
//! ```
//!
//! What files may look like and what each number means: `docs/evaluation.md`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use ithn::data::{Annotation, Cleaning, DataError, Tokenizer};
use ithn::metrics::evaluation::{
    Evaluation, EvaluationError, EvaluationOptions, ExternalLabels, LabelFile, Protocol, Ranking,
    ReportFiles, ScoredStudy, Statuses, Versus, align_studies, compare_evaluations,
    equal_reports_as_hits, evaluate, rank, read_ranked, read_studies, read_untouched_studies,
    write_json, write_study_scores,
};
use ithn::metrics::{LabelerVersion, Meteor, Uncertain};

/// Scores predictions against references with every metric.
#[derive(Parser)]
struct Arguments {
    /// Predictions (CSV or JSON), with their references unless --references is given
    predictions: PathBuf,
    /// References, matched by id or else by row
    #[arg(long, value_name = "FILE")]
    references: Option<PathBuf>,
    /// Untouched references for the protocol `full`; R2Gen's annotation.json will do
    #[arg(long, value_name = "FILE")]
    full_references: Option<PathBuf>,
    /// What the references are: cleaned and cut as R2Gen does, or untouched
    #[arg(long, default_value = "r2gen")]
    protocol: ProtocolArgument,
    /// Derives the references of the protocol `r2gen` from untouched ones: cleaned, cut, and words that
    /// are rare in this annotation's training split replaced by <unk>
    #[arg(long, value_name = "FILE", conflicts_with = "protocol")]
    r2gen_vocabulary: Option<PathBuf>,
    /// Whose cleaning and defaults that follows: 3 occurrences and 60 tokens, or 10 and 100
    #[arg(long, default_value = "iu-xray", requires = "r2gen_vocabulary")]
    r2gen_text: TextArgument,
    /// Occurrences below which a word is rare
    #[arg(long, value_name = "N", requires = "r2gen_vocabulary")]
    r2gen_occurrences: Option<usize>,
    /// Tokens kept of a reference, the beginning included
    #[arg(long, value_name = "N", requires = "r2gen_vocabulary")]
    r2gen_tokens: Option<usize>,
    /// METEOR 1.5's data (the folder with meteor-1.5.jar and data/); without it METEOR-es is computed
    #[arg(long, value_name = "DIR")]
    meteor_data: Option<PathBuf>,
    /// What an uncertain finding counts as
    #[arg(long, default_value = "positive")]
    uncertain: UncertainArgument,
    /// Version of the labeler rules-14 that reads the findings: 1 or 2
    #[arg(
        long,
        value_name = "VERSION",
        default_value = LabelerVersion::LATEST.number(),
        conflicts_with = "prediction_labels"
    )]
    labeler_version: LabelerVersion,
    /// Labels of the predictions made elsewhere (CheXbert's or CheXpert's CSV)
    #[arg(
        long,
        value_name = "FILE",
        requires = "reference_labels",
        conflicts_with = "versus"
    )]
    prediction_labels: Option<PathBuf>,
    /// Labels of the references made elsewhere
    #[arg(long, value_name = "FILE", requires = "prediction_labels")]
    reference_labels: Option<PathBuf>,
    /// Who made those labels
    #[arg(long, value_name = "NAME", default_value = "labels given")]
    labeler: String,
    /// Predictions of another system for the same studies: is this one better?
    #[arg(long, value_name = "FILE")]
    versus: Option<PathBuf>,
    /// Scores of own and other reports for each image, such as a run's retrieval.csv
    #[arg(long, value_name = "FILE")]
    retrieval: Option<PathBuf>,
    /// Random draws of tests and intervals
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    draws: u32,
    /// Seed of the draws
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Writes all numbers here
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Writes the scores of every study here
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum ProtocolArgument {
    R2gen,
    Full,
}

#[derive(Clone, Copy, ValueEnum)]
enum TextArgument {
    IuXray,
    MimicCxr,
}

#[derive(Clone, Copy, ValueEnum)]
enum UncertainArgument {
    Positive,
    Negative,
}

/// What `--json` writes.
#[derive(serde::Serialize)]
struct Report {
    #[serde(flatten)]
    evaluation: Evaluation,
    #[serde(skip_serializing_if = "Option::is_none")]
    ranking: Option<Ranking>,
    #[serde(skip_serializing_if = "Option::is_none")]
    versus: Option<Versus>,
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
    let derive = match &arguments.r2gen_vocabulary {
        Some(path) => Some(r2gen_reference(path, arguments)?),
        None => None,
    };
    let read = |predictions| {
        let files = ReportFiles {
            predictions,
            references: arguments.references.as_deref(),
            full_references: arguments.full_references.as_deref(),
        };
        match &derive {
            Some(derive) => read_untouched_studies(files, derive),
            None => read_studies(files),
        }
    };
    let studies = read(&arguments.predictions)?;
    let other = match &arguments.versus {
        Some(path) => Some(align_studies(&studies, read(path)?, path)?),
        None => None,
    };
    let labels = match (&arguments.reference_labels, &arguments.prediction_labels) {
        (Some(references), Some(predictions)) => Some((
            labels_of(references, &studies)?,
            labels_of(predictions, &studies)?,
        )),
        _ => None,
    };
    let ranking = match &arguments.retrieval {
        Some(path) => {
            let report = |id: &str| {
                let study = studies.iter().find(|study| study.id == id)?;
                study.references.first().map(String::as_str)
            };
            Some(rank(&equal_reports_as_hits(read_ranked(path)?, report))?)
        }
        None => None,
    };
    let meteor = match &arguments.meteor_data {
        Some(folder) => Meteor::with_data(folder)?,
        None => Meteor::exact_and_stem(),
    };
    let mut options = EvaluationOptions::new(&meteor);
    options.protocol = match arguments.protocol {
        ProtocolArgument::R2gen => Protocol::R2gen,
        ProtocolArgument::Full => Protocol::Full,
    };
    options.uncertain = match arguments.uncertain {
        UncertainArgument::Positive => Uncertain::AsPositive,
        UncertainArgument::Negative => Uncertain::AsNegative,
    };
    options.labeler = arguments.labeler_version;
    options.labels = labels
        .as_ref()
        .map(|(references, predictions)| ExternalLabels {
            labeler: &arguments.labeler,
            references,
            predictions,
        });
    options.draws = arguments.draws as usize;
    options.seed = arguments.seed;
    let evaluation = evaluate(&studies, &options)?;
    print!("{evaluation}");
    if let Some(ranking) = &ranking {
        print!("\n{ranking}");
    }
    let versus = match other {
        Some(other) => {
            let other = evaluate(&other, &options)?;
            let versus = compare_evaluations(&evaluation, &other, options.draws, arguments.seed)?;
            print!("\n{versus}");
            Some(versus)
        }
        None => None,
    };
    if let Some(path) = &arguments.csv {
        write_study_scores(path, &studies, &evaluation)?;
    }
    if let Some(path) = &arguments.json {
        let report = Report {
            evaluation,
            ranking,
            versus,
        };
        write_json(path, &report)?;
    }
    Ok(())
}

/// From an untouched report to R2Gen's.
fn r2gen_reference(
    annotation: &Path,
    arguments: &Arguments,
) -> Result<impl Fn(&str) -> String + use<>, DataError> {
    let (cleaning, occurrences, tokens) = match arguments.r2gen_text {
        TextArgument::IuXray => (Cleaning::IuXray, 3, 60),
        TextArgument::MimicCxr => (Cleaning::MimicCxr, 10, 100),
    };
    let occurrences = arguments.r2gen_occurrences.unwrap_or(occurrences);
    let tokens = arguments.r2gen_tokens.unwrap_or(tokens);
    let training = Annotation::read(annotation)?.train;
    let reports = training.iter().map(|entry| entry.report.as_str());
    let tokenizer = Tokenizer::fit(reports, cleaning, occurrences)?;
    Ok(move |report: &str| tokenizer.reference(report, tokens))
}

fn labels_of(path: &Path, studies: &[ScoredStudy]) -> Result<Vec<Statuses>, EvaluationError> {
    LabelFile::read(path)?.of(path, studies.iter().map(|study| study.id.as_str()))
}
