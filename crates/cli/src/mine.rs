//! `ithn mine`: gives every study of an annotation its first negatives.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use ithn::data::Cleaning;
use ithn::device::DeviceName;
use ithn::mining::{
    AnnotationReports, Embedding, MiningOptions, NegativeImages, ReportEmbedding, TfIdf,
    TfIdfConfig, mine_annotation_by,
};
use ithn::train::Verbosity;
use ithn_chexbert::CheXbert;

use crate::chexbert::Files;
use crate::failure::Failure;
use crate::output::{Talk, check_file};

/// Time between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(30);

/// Finds first negatives: the closest other training reports of every study.
///
/// Writes an annotation whose studies, of every split, have `neg_report` and `neg_image_path` from the training set:
/// never the study itself, its patient's or a verbatim duplicate.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ithn mine --annotation annotation.json --out mined.json
  ithn mine --annotation iu_xray/annotation.json --cleaning iu-xray --top-k 5 --out mined.json
  ithn mine --annotation annotation.json --embedding chexbert --weights chexbert.pth --vocab vocab.txt --out mined.json")]
pub(crate) struct Arguments {
    /// R2Gen's annotation.json
    #[arg(long, value_name = "FILE")]
    annotation: PathBuf,

    /// The annotation to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,

    /// Negatives per study, closest first
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    top_k: u16,

    /// Cleaning of reports before they are compared
    #[arg(long, value_enum, default_value = "mimic-cxr")]
    cleaning: CleaningArgument,

    /// What reports are compared by: their words (tf-idf) or their CheXbert embeddings (chexbert)
    #[arg(long, value_enum, default_value = "tf-idf")]
    embedding: EmbeddingArgument,

    /// CheXbert's weights, chexbert.pth as published
    #[arg(long, value_name = "FILE", required_if_eq("embedding", "chexbert"))]
    weights: Option<PathBuf>,

    /// Its vocabulary, the vocab.txt of bert-base-uncased
    #[arg(long, value_name = "FILE", required_if_eq("embedding", "chexbert"))]
    vocab: Option<PathBuf>,

    /// config.json of a model of another size than BERT-base
    #[arg(long, value_name = "FILE", requires = "weights")]
    config: Option<PathBuf>,

    /// Where CheXbert runs: cpu, cuda:N, wgpu or ndarray
    #[arg(long, default_value = "cpu")]
    device: DeviceName,

    /// Write the first image of a negative alone, which is what the official code opens
    #[arg(long)]
    one_view: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum CleaningArgument {
    MimicCxr,
    IuXray,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum EmbeddingArgument {
    TfIdf,
    Chexbert,
}

impl Arguments {
    pub(crate) fn run(&self, talk: Talk) -> Result<(), Failure> {
        check_file(&self.out)?;
        mine(self, talk)
    }
}

/// Vectors of reports.
enum Vectors {
    TfIdf(TfIdf),
    /// CheXbert's, made before, by report.
    CheXbert(HashMap<String, Vec<f32>>),
}

impl Vectors {
    /// Those of an annotation; CheXbert prefers batches.
    fn of(reports: &AnnotationReports<'_>, model: Option<&CheXbert>) -> Self {
        let Some(model) = model else {
            let training = reports.training.iter().map(String::as_str);
            return Vectors::TfIdf(TfIdfConfig::default().fit(training));
        };
        let distinct: BTreeSet<&String> = reports.all.iter().collect();
        let distinct: Vec<&String> = distinct.into_iter().collect();
        let vectors = model.embed(&distinct);
        Vectors::CheXbert(distinct.into_iter().cloned().zip(vectors).collect())
    }
}

impl ReportEmbedding for Vectors {
    fn embed(&self, report: &str) -> Embedding {
        match self {
            Vectors::TfIdf(embedding) => embedding.embed(report),
            // The reports of the annotation are all that is asked for; any other has nothing to compare.
            Vectors::CheXbert(vectors) => {
                Embedding::Dense(vectors.get(report).cloned().unwrap_or_default())
            }
        }
    }
}

fn mine(arguments: &Arguments, talk: Talk) -> Result<(), Failure> {
    let cleaning = match arguments.cleaning {
        CleaningArgument::MimicCxr => Cleaning::MimicCxr,
        CleaningArgument::IuXray => Cleaning::IuXray,
    };
    let model = match (arguments.embedding, &arguments.weights, &arguments.vocab) {
        (EmbeddingArgument::Chexbert, Some(weights), Some(vocabulary)) => {
            let files = Files {
                weights,
                vocabulary,
                config: arguments.config.as_deref(),
            };
            Some(files.load(arguments.device, "--config")?)
        }
        (EmbeddingArgument::TfIdf, Some(_), _) => {
            return Err(Failure::Said(
                "--weights is read with --embedding chexbert alone".to_owned(),
            ));
        }
        _ => None,
    };
    let mut options = MiningOptions::new(arguments.top_k.into(), cleaning);
    if arguments.one_view {
        options.images = NegativeImages::First;
    }
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} studies, {elapsed}, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = match talk.verbosity {
        Verbosity::Quiet => ProgressBar::hidden(),
        _ => ProgressBar::no_length().with_style(style),
    };
    let began = Instant::now();
    let last = Mutex::new(began);
    let mined = mine_annotation_by(
        &arguments.annotation,
        &arguments.out,
        &options,
        |reports| Vectors::of(reports, model.as_ref()),
        |done, total| {
            bar.set_length(total as u64);
            bar.set_position(done as u64);
            // Without a terminal there is no bar.
            let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
            if bar.is_hidden() && last.elapsed() >= LINE_EVERY {
                *last = Instant::now();
                talk.note(format_args!("{done} of {total} studies"));
            }
        },
    )?;
    bar.finish_and_clear();
    talk.result(format_args!(
        "{}: {} studies with negatives, {} without; mean cosine {:.3}; {:.1} s",
        arguments.out.display(),
        mined.studies,
        mined.without,
        mined.mean_similarity,
        began.elapsed().as_secs_f64(),
    ))
}
