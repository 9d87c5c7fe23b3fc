//! `ithn evaluate`: scores anybody's predictions. What files may look like and what each number means:
//! `docs/evaluation.md`.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use ithn::data::{Annotation, Cleaning, DataError, Tokenizer};
use ithn::metrics::evaluation::{
    Evaluation, EvaluationError, EvaluationOptions, ExternalLabels, LabelFile, Protocol, Ranking,
    ReportFiles, ScoredStudy, Statuses, Versus, align_studies, compare_evaluations, evaluate, rank,
    read_ranked, read_studies, read_untouched_studies, write_study_scores,
};
use ithn::metrics::{LabelerVersion, Meteor, Uncertain};

use crate::failure::Failure;
use crate::output::{OutputFile, Talk, check_all};

/// Scores predictions against references: BLEU, ROUGE-L, CIDEr, METEOR, findings, variety, retrieval,
/// significance.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ithn evaluate runs/phantom-1
  ithn evaluate runs/phantom-1/predictions.csv --retrieval runs/phantom-1/retrieval.csv
  ithn evaluate res.csv --references gts.csv --full-references annotation.json --versus other/res.csv
  ithn evaluate predictions.json --full-references annotation.json --r2gen-vocabulary annotation.json")]
pub(crate) struct Arguments {
    /// Predictions (CSV or JSON), with their references unless --references is given; or a run's folder, whose
    /// predictions.csv and retrieval.csv are taken
    #[arg(value_name = "PREDICTIONS|RUN")]
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
    /// Predictions of another system, or its run, for the same studies: is this one better?
    #[arg(long, value_name = "FILE|RUN")]
    versus: Option<PathBuf>,
    /// Scores of own and other reports for each image, such as a run's retrieval.csv [default: that of RUN]
    #[arg(long, value_name = "FILE")]
    retrieval: Option<PathBuf>,
    /// Random draws of tests and intervals
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    draws: u32,
    /// Seed of the draws
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Writes all numbers here; - is standard output
    #[arg(long, value_name = "FILE")]
    json: Option<OutputFile>,
    /// Writes the scores of every study here; - is standard output
    #[arg(long, value_name = "FILE")]
    csv: Option<OutputFile>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ProtocolArgument {
    R2gen,
    Full,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum TextArgument {
    IuXray,
    MimicCxr,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
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

impl Arguments {
    pub(crate) fn run(&self, talk: Talk) -> Result<(), Failure> {
        evaluate_files(self, talk)
    }
}

fn evaluate_files(arguments: &Arguments, talk: Talk) -> Result<(), Failure> {
    let talk = talk.beside([&arguments.json, &arguments.csv]);
    check_all([&arguments.json, &arguments.csv])?;
    let derive = match &arguments.r2gen_vocabulary {
        Some(path) => Some(r2gen_reference(path, arguments)?),
        None => None,
    };
    let read = |predictions: &Path| {
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
    let studies = read(&in_run(&arguments.predictions, PREDICTIONS)?)?;
    let other = match &arguments.versus {
        Some(path) => {
            let file = in_run(path, PREDICTIONS)?;
            Some((path, align_studies(&studies, read(&file)?, &file)?))
        }
        None => None,
    };
    let labels = match (&arguments.reference_labels, &arguments.prediction_labels) {
        (Some(references), Some(predictions)) => Some((
            labels_of(references, &studies)?,
            labels_of(predictions, &studies)?,
        )),
        _ => None,
    };
    let of_run = arguments.predictions.join(RETRIEVAL);
    let retrieval = match &arguments.retrieval {
        Some(path) => Some(in_run(path, RETRIEVAL)?),
        None => of_run.is_file().then_some(of_run),
    };
    let ranking = match retrieval {
        Some(path) => Some(rank(&read_ranked(&path)?)?),
        None => None,
    };
    let meteor = match &arguments.meteor_data {
        Some(folder) => {
            Meteor::with_data(folder).map_err(|error| Failure::Said(error.to_string()))?
        }
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
    let mut text = evaluation.to_string();
    if let Some(ranking) = &ranking {
        text += &format!("\n{ranking}");
    }
    let versus = match other {
        Some((path, other)) => {
            let other = evaluate(&other, &options)?;
            let versus = compare_evaluations(&evaluation, &other, options.draws, arguments.seed)?;
            text += &format!(
                "\nthis: {}; other: {}\n{versus}",
                arguments.predictions.display(),
                path.display()
            );
            Some(versus)
        }
        None => None,
    };
    talk.result(text.trim_end())?;
    if let Some(file) = &arguments.csv {
        let mut table = Vec::new();
        write_study_scores(&mut table, &studies, &evaluation)
            .map_err(|error| Failure::Said(format!("cannot write {file}: {error}")))?;
        file.write(&table)?;
    }
    if let Some(file) = &arguments.json {
        let report = Report {
            evaluation,
            ranking,
            versus,
        };
        file.write_json(&report)?;
    }
    Ok(())
}

const PREDICTIONS: &str = "predictions.csv";
const RETRIEVAL: &str = "retrieval.csv";

/// The file that a path means: of a folder, the file of the run in it.
fn in_run(path: &Path, name: &str) -> Result<PathBuf, Failure> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let file = path.join(name);
    match file.is_file() {
        true => Ok(file),
        false => Err(Failure::Said(format!(
            "{} is a folder without {name}: name a file, or a run that has ended",
            path.display()
        ))),
    }
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
