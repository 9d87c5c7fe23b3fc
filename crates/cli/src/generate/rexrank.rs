//! `ithn generate --rexrank`: from the input of the leaderboard ReXrank to its submission.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use flate2::Crc;
use ithn::data::{RexrankStudy, StudyContext};
use ithn::inference::{FilmContext, FilmStudy, InferenceError, ReportWriter};
use ithn::metrics::evaluation::formats::read_json;
use ithn::train::Ranks;
use serde_json::{Map, Value, json};

use super::progress::Progress;
use crate::failure::Failure;
use crate::output::{OutputFile, Talk};
use crate::together::{agree, if_first, in_rounds};

/// Key of the prediction in a submission.
const PREDICTION: &str = "model_prediction";

/// Options of a submission.
#[derive(Debug, Args)]
pub(super) struct Submission {
    /// ReXrank's input, a JSON object of studies: writes it with `model_prediction` in every study to --out
    #[arg(
        long,
        value_name = "INPUT.json",
        requires = "image_root",
        requires = "out",
        conflicts_with_all = ["images", "json", "explain", "n_best"]
    )]
    rexrank: Option<PathBuf>,

    /// Folder that its image paths start from, those that begin with / too
    #[arg(long, value_name = "DIR", requires = "rexrank")]
    image_root: Option<PathBuf>,

    /// The submission. What is written so far lies beside it in a file that ends in .progress, and is not
    /// written again after an interruption; - is standard output
    #[arg(long, value_name = "OUTPUT.json", requires = "rexrank")]
    out: Option<OutputFile>,
}

/// A submission to be written.
pub(super) struct Work<'a> {
    input: &'a Path,
    root: &'a Path,
    out: &'a OutputFile,
}

impl Submission {
    pub(super) fn out(&self) -> &Option<OutputFile> {
        &self.out
    }

    /// The submission, if one is asked for.
    pub(super) fn work(&self) -> Option<Work<'_>> {
        Some(Work {
            input: self.rexrank.as_deref()?,
            root: self.image_root.as_deref()?,
            out: self.out.as_ref()?,
        })
    }
}

/// How studies are worked through.
pub(super) struct Options<'a> {
    pub checkpoint: &'a Path,
    pub batch_size: usize,
    /// Whether the first study that cannot be read ends the work.
    pub stops: bool,
    /// Whether studies that cannot be read are no failure.
    pub tolerates: bool,
}

/// A report, or why there is none, on its way to rank 0.
type Text = Result<String, String>;

impl Work<'_> {
    pub(super) fn run(
        &self,
        writer: &ReportWriter,
        options: &Options<'_>,
        ranks: &Ranks,
        talk: Talk,
    ) -> Result<(), Failure> {
        let open = || self.open(writer, options, talk);
        let mut opened = agree(ranks, if_first(ranks, open))?;
        let left = opened.as_ref().map(|opened| opened.left());
        let left = ranks.of_first(Ok(left.unwrap_or_default()))?;
        let batches: Vec<&[RexrankStudy]> = left.chunks(options.batch_size).collect();
        let reads = writer.reads();
        let work = |batch: &&[RexrankStudy]| -> Vec<Text> {
            let studies = batch.iter().map(|study| {
                let context = FilmContext::from(&study.context).readable_by(reads);
                FilmStudy::new(&study.id, study.images.clone()).with_context(context)
            });
            write_batch(writer, &studies.collect::<Vec<_>>())
        };
        let mut failed = Vec::new();
        in_rounds(ranks, &batches, work, |batch, texts| {
            // Rank 0 alone takes, and it has opened the work.
            let Some(opened) = &mut opened else {
                return Ok(());
            };
            for (study, text) in batch.iter().zip(texts) {
                match text {
                    Ok(text) => opened.progress.add(&study.id, text.into())?,
                    Err(error) if options.stops => return Err(Failure::Said(error)),
                    Err(error) => failed.push(format!("study '{}': {error}", study.id)),
                }
            }
            talk.note(format_args!(
                "{} of {} studies",
                opened.progress.reports.len() + failed.len(),
                opened.studies.len()
            ));
            Ok(())
        })?;
        let ended = opened.map_or(Ok(()), |opened| self.end(opened, &failed, options));
        agree(ranks, ended)
    }

    /// Reads the input, and what an earlier run left.
    fn open(
        &self,
        writer: &ReportWriter,
        options: &Options<'_>,
        talk: Talk,
    ) -> Result<Opened, Failure> {
        let input: Map<String, Value> = read_json(self.input)?;
        let studies = input
            .iter()
            .map(|(id, study)| RexrankStudy::read(id, study, self.root, self.input))
            .collect::<Result<Vec<_>, _>>()?;
        if studies.is_empty() {
            return Err(Failure::Said(format!(
                "{}: no studies",
                self.input.display()
            )));
        }
        talk.note(carried(&studies, writer));
        let header = json!({
            "checkpoint": checksum(options.checkpoint)?,
            "search": serde_json::to_value(writer.search()).map_err(|error| Failure::Said(error.to_string()))?,
        });
        let progress = Progress::open(self.out, header)?;
        let known = progress.reports.len();
        if known > 0 {
            talk.note(format_args!(
                "{known} of {} studies were written before",
                studies.len()
            ));
        }
        Ok(Opened {
            input,
            studies,
            progress,
        })
    }

    /// Writes the submission.
    fn end(&self, opened: Opened, failed: &[String], options: &Options<'_>) -> Result<(), Failure> {
        let Opened {
            input,
            studies,
            progress,
        } = opened;
        let submission: Map<String, Value> = input
            .into_iter()
            .map(|(id, study)| {
                let text = progress.reports.get(&id).cloned();
                let submitted = with_prediction(study, text.unwrap_or_else(|| Value::from("")));
                (id, submitted)
            })
            .collect();
        self.out.write_json(&submission)?;
        for error in failed {
            eprintln!("left empty: {error}");
        }
        if failed.is_empty() {
            return progress.remove();
        }
        match options.tolerates && failed.len() < studies.len() {
            true => Ok(()),
            false => Err(Failure::Said(format!(
                "{} of {} studies could not be read and have an empty prediction: see above; the same command tries them \
                 again",
                failed.len(),
                studies.len()
            ))),
        }
    }
}

/// A submission that is under way.
struct Opened {
    input: Map<String, Value>,
    studies: Vec<RexrankStudy>,
    progress: Progress,
}

impl Opened {
    /// Studies that have no report yet.
    fn left(&self) -> Vec<RexrankStudy> {
        let studies = self.studies.iter();
        studies
            .filter(|study| !self.progress.reports.contains_key(&study.id))
            .cloned()
            .collect()
    }
}

/// The report of every study, or why there is none.
fn write_batch(writer: &ReportWriter, studies: &[FilmStudy]) -> Vec<Text> {
    let of = |studies: &[FilmStudy]| -> Result<Vec<String>, InferenceError> {
        let reports = writer.reports(studies)?;
        reports
            .into_iter()
            .zip(studies)
            .map(|(reports, study)| match reports.into_iter().next() {
                Some(best) => Ok(best.text),
                None => Err(InferenceError::NoReport(study.id.clone())),
            })
            .collect()
    };
    match of(studies) {
        Ok(texts) => texts.into_iter().map(Ok).collect(),
        // One of them cannot be read; the others can be alone.
        Err(_) => studies
            .iter()
            .map(|study| {
                let texts = of(std::slice::from_ref(study)).map_err(|error| error.to_string())?;
                let text = texts.into_iter().next();
                text.ok_or_else(|| InferenceError::NoReport(study.id.clone()).to_string())
            })
            .collect(),
    }
}

fn with_prediction(mut study: Value, text: Value) -> Value {
    if let Some(study) = study.as_object_mut() {
        study.insert(PREDICTION.to_owned(), text);
    }
    study
}

/// What the studies carry beside their films, and what of it is read.
fn carried(studies: &[RexrankStudy], writer: &ReportWriter) -> String {
    let count = |has: fn(&StudyContext) -> bool| {
        let contexts = studies.iter().map(|study| &study.context);
        contexts.filter(|context| has(context)).count()
    };
    let reads = writer.reads();
    let parts = [
        (
            "projections",
            count(|it| !it.projections.is_empty()),
            reads.is_some(),
        ),
        (
            "indication",
            count(|it| it.indication.is_some()),
            reads.is_some_and(|it| it.indication_words > 0),
        ),
        ("comparison", count(|it| it.comparison.is_some()), false),
        (
            "previous study",
            count(|it| it.prior.is_some()),
            reads.is_some_and(|it| it.reads_prior()),
        ),
    ];
    let parts = parts.map(|(name, studies, read)| {
        let read = if read { "read" } else { "not read" };
        format!("{name} of {studies} ({read})")
    });
    format!("{} studies: {}", studies.len(), parts.join(", "))
}

/// What tells one checkpoint from another.
pub(super) fn checksum(path: &Path) -> Result<Value, Failure> {
    let failed = |error: io::Error| Failure::Said(format!("{}: {error}", path.display()));
    let mut file = File::open(path).map_err(failed)?;
    let mut crc = Crc::new();
    let mut buffer = vec![0; 1 << 20];
    let mut bytes = 0u64;
    loop {
        match file.read(&mut buffer).map_err(failed)? {
            0 => break,
            read => {
                crc.update(&buffer[..read]);
                bytes += read as u64;
            }
        }
    }
    Ok(json!({ "bytes": bytes, "crc32": crc.sum() }))
}
