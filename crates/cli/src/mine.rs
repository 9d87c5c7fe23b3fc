//! `ithn mine`: gives every study of an annotation its first negatives.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use ithn::data::Cleaning;
use ithn::mining::{MiningOptions, NegativeImages, mine_annotation};
use ithn::train::Verbosity;

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
  ithn mine --annotation iu_xray/annotation.json --cleaning iu-xray --top-k 5 --out mined.json")]
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

    /// Write the first image of a negative alone, which is what the official code opens
    #[arg(long)]
    one_view: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum CleaningArgument {
    MimicCxr,
    IuXray,
}

impl Arguments {
    pub(crate) fn run(&self, talk: Talk) -> Result<(), Failure> {
        check_file(&self.out)?;
        mine(self, talk)
    }
}

fn mine(arguments: &Arguments, talk: Talk) -> Result<(), Failure> {
    let cleaning = match arguments.cleaning {
        CleaningArgument::MimicCxr => Cleaning::MimicCxr,
        CleaningArgument::IuXray => Cleaning::IuXray,
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
    let mined = mine_annotation(
        &arguments.annotation,
        &arguments.out,
        &options,
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
