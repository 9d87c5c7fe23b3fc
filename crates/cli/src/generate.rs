//! `ithn generate`: writes reports of images, PNG or JPEG (or DICOM with the feature `dicom`), from a checkpoint alone.

mod beside;
mod progress;
mod rexrank;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use burn::tensor::Device;
use clap::Args;
use ithn::data::{DataError, OnBadStudy};
use ithn::device::DeviceName;
use ithn::inference::{
    FilmContext, FilmStudy, InferenceError, ReportWriter, WrittenReport, find_studies,
};
use ithn::page::ReportPage;
use ithn::search::Strategy;
use ithn::train::Ranks;
use serde::{Deserialize, Serialize};

use crate::card::checkpoint_of;
use crate::failure::Failure;
use crate::hub;
use crate::output::{OutputFile, Talk, check_all};
use crate::stderr::say;
use crate::together::{self, agree, check_same, if_first, in_rounds};
use rexrank::checksum;

/// Writes reports of radiographs from a checkpoint.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ithn generate --checkpoint runs/phantom-1/best.ithn chest.png
  ithn generate --checkpoint best.ithn --n-best 3 --json reports.jsonl images/
  ithn generate --checkpoint best.ithn --explain out.html frontal.png,lateral.png
  ithn generate --checkpoint best.ithn --on-bad-study skip images/
  ithn generate --checkpoint best.ithn --indication 'fever, cough' --prior-image old.png --prior-report old.txt --prior-days 12 new.png
  mpirun -n 4 ithn generate --checkpoint best.ithn --device cuda --json reports.jsonl images/
  ithn generate --checkpoint best.ithn --rexrank input.json --image-root images --out prediction.json")]
pub(crate) struct Arguments {
    /// Checkpoint, such as runs/phantom-1/best.ithn, or a run's folder, whose best.ithn is taken
    #[arg(long, value_name = "FILE|RUN")]
    checkpoint: PathBuf,

    /// cpu, cuda:N, wgpu or ndarray
    #[arg(long, default_value = "cpu")]
    device: DeviceName,

    /// Beams [default: as the run was evaluated]
    #[arg(long, value_name = "N")]
    beam: Option<usize>,

    /// How words are chosen, as decoding.strategy of config.json, such as
    /// {"method":"sampling","temperature":0.8,"top_p":0.9,"seed":1} [default: as the run was evaluated]
    #[arg(long, value_name = "JSON", conflicts_with = "beam", value_parser = strategy)]
    strategy: Option<Strategy>,

    /// Never write `<unk>` [default: as the run was evaluated]
    #[arg(
        long,
        value_name = "true|false",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    forbid_unknown: Option<bool>,

    /// Reports per study, best first, with their scores
    #[arg(long, value_name = "N", default_value_t = 1)]
    n_best: usize,

    /// Writes a JSON object per study and line here: images, and reports with text, score and finished;
    /// - is standard output
    #[arg(long, value_name = "FILE")]
    json: Option<OutputFile>,

    /// Writes a page that shows where each word of the best reports looked
    #[arg(long, value_name = "FILE.html")]
    explain: Option<OutputFile>,

    /// Studies per batch
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..))]
    batch_size: u16,

    /// A study whose films cannot be read: stop at once, or skip it and list it at the end
    /// [default: skip it, and end with exit code 2]
    #[arg(long, value_name = "stop|skip")]
    on_bad_study: Option<OnBadStudy>,

    #[command(flatten)]
    beside: beside::Beside,

    #[command(flatten)]
    submission: rexrank::Submission,

    /// A file is a study, files joined by commas are the views of one, a folder holds a study per file
    /// and per folder inside it
    #[arg(required_unless_present = "rexrank", value_name = "IMAGE[,IMAGE]|DIR")]
    images: Vec<String>,
}

impl Arguments {
    pub(crate) fn run(&self, talk: Talk) -> Result<(), Failure> {
        let ranks = Ranks::start().map_err(|error| Failure::Said(error.to_string()))?;
        ithn::device::prepare_process();
        let done = self.run_at(&ranks, talk);
        done.map_err(|failure| together::of_all(failure, &ranks))
    }

    fn run_at(&self, ranks: &Ranks, talk: Talk) -> Result<(), Failure> {
        let outputs = [&self.json, &self.explain, self.submission.out()];
        agree(ranks, if_first(ranks, || check_all(outputs)))?;
        let talk = talk.beside(outputs);
        match self.submission.work() {
            Some(work) => self.submit(&work, ranks, talk),
            None => generate(self, ranks, talk),
        }
    }

    /// Writes a submission to ReXrank.
    fn submit(&self, work: &rexrank::Work<'_>, ranks: &Ranks, talk: Talk) -> Result<(), Failure> {
        let (writer, checkpoint) = self.open(ranks)?;
        let options = rexrank::Options {
            checkpoint: &checkpoint,
            batch_size: self.batch_size.into(),
            stops: self.stops(),
            tolerates: self.on_bad_study == Some(OnBadStudy::Skip),
        };
        work.run(&writer, &options, ranks, talk)
    }

    /// Opens the checkpoint at every rank, which must be the same file; its path.
    fn open(&self, ranks: &Ranks) -> Result<(ReportWriter, PathBuf), Failure> {
        let device = self.device.of_process(ranks.local_rank()).open();
        let device = agree(ranks, device.map_err(Failure::from))?;
        // What one rank has downloaded is there for the other ranks of its machine.
        let fetch = || Ok(hub::local_path(&self.checkpoint)?);
        let path = match agree(ranks, if_first(ranks, fetch))? {
            Some(path) => Ok(path),
            None => fetch(),
        };
        let path = checkpoint_of(&agree(ranks, path)?);
        let opened = agree(ranks, writer(self, &path, &device).map_err(Failure::from))?;
        if !ranks.is_alone() {
            let own = checksum(&path).map(|sum| sum.to_string());
            check_same(ranks, "checkpoint", agree(ranks, own)?)?;
        }
        Ok((opened, path))
    }

    /// Whether the first study that cannot be read ends the work.
    fn stops(&self) -> bool {
        self.on_bad_study == Some(OnBadStudy::Stop)
    }
}

/// Reports of a batch, ready to be printed, on their way to rank 0.
#[derive(Debug, Serialize, Deserialize)]
struct Written {
    /// The studies of the batch that were read.
    studies: Vec<usize>,
    lines: Vec<String>,
    /// Why the others were not.
    failed: Vec<String>,
    /// Why the work ends here.
    stopped: Option<String>,
}

fn generate(arguments: &Arguments, ranks: &Ranks, talk: Talk) -> Result<(), Failure> {
    let at_bad_study = match arguments.stops() {
        true => OnBadStudy::Stop,
        false => OnBadStudy::Skip,
    };
    let find = || Ok(find_studies(&arguments.images, at_bad_study)?);
    let mut found = agree(ranks, if_first(ranks, find))?;
    let (writer, _) = arguments.open(ranks)?;
    let studies = found.as_ref().map(|found| found.studies.clone());
    let studies = ranks.of_first(Ok(studies.unwrap_or_default()))?;
    let context = (arguments.beside).context(studies.first().map_or(0, Vec::len), studies.len());
    let context = agree(ranks, context)?;
    let reading = Reading {
        arguments,
        writer: &writer,
        context: &context,
        studies: studies.len(),
    };
    let open = || arguments.json.as_ref().map(OutputFile::open).transpose();
    let mut lines = agree(ranks, if_first(ranks, open))?.flatten();
    if let (Some(caution), true) = (writer.card().caution(), ranks.is_first()) {
        say(format_args!("warning: {caution}"));
    }
    let mut written: Vec<Vec<PathBuf>> = Vec::new();
    let mut failed: Vec<String> = Vec::new();
    let broken = found.iter_mut().flat_map(|found| found.broken.drain(..));
    failed.extend(broken.map(|error| InferenceError::from(error).to_string()));
    let began = Instant::now();
    let batches: Vec<&[Vec<PathBuf>]> = (studies.chunks(arguments.batch_size.into())).collect();
    let work = |batch: &&[Vec<PathBuf>]| reading.write(batch);
    in_rounds(ranks, &batches, work, |batch, result: Written| {
        failed.extend(result.failed);
        if let Some(error) = result.stopped {
            return Err(Failure::Said(error));
        }
        for line in &result.lines {
            match &mut lines {
                Some(lines) => lines.line(line)?,
                None => talk.result(line)?,
            }
        }
        written.extend(result.studies.iter().map(|&study| batch[study].clone()));
        match talk.is_heard() || arguments.explain.is_some() {
            true => Ok(()),
            false => Err(Failure::Closed),
        }
    })?;
    let seconds = began.elapsed().as_secs_f64();
    let ended = if_first(ranks, || {
        let notes = found.iter().flat_map(|found| &found.notes);
        let left_out = found.iter().flat_map(|found| &found.left_out);
        reading.end(&written, seconds, talk)?;
        notes.for_each(say);
        say_dropped_views(&written, writer.views());
        say_left_out(left_out);
        for error in &failed {
            say(format_args!("skipped: {error}"));
        }
        verdict(arguments, failed.len(), written.len())
    });
    agree(ranks, ended).map(drop)
}

/// Whether so many studies that could not be read are a failure.
fn verdict(arguments: &Arguments, unread: usize, written: usize) -> Result<(), Failure> {
    match (unread, written) {
        (0, _) => Ok(()),
        (_, 1..) if arguments.on_bad_study == Some(OnBadStudy::Skip) => Ok(()),
        _ => Err(Failure::Said(format!(
            "{unread} of {} studies could not be read: see above",
            unread + written
        ))),
    }
}

fn writer(
    arguments: &Arguments,
    checkpoint: &Path,
    device: &Device,
) -> Result<ReportWriter, InferenceError> {
    let mut writer = ReportWriter::from_checkpoint(checkpoint, device)?;
    if let Some(forbid) = arguments.forbid_unknown {
        writer = writer.with_unknown_forbidden(forbid);
    }
    match &arguments.strategy {
        None => writer.with_beams(arguments.beam, arguments.n_best),
        Some(strategy) => {
            let mut search = writer.search().clone();
            search.strategy = strategy.clone();
            writer
                .with_search(search)?
                .with_beams(None, arguments.n_best)
        }
    }
}

/// What every batch is read and written with.
struct Reading<'a> {
    arguments: &'a Arguments,
    writer: &'a ReportWriter,
    /// What a single study carries beside its films.
    context: &'a FilmContext,
    /// Studies in all.
    studies: usize,
}

impl Reading<'_> {
    fn study(&self, films: &[PathBuf]) -> FilmStudy {
        FilmStudy::of_films(films).with_context(self.context.clone())
    }

    /// Writes the reports of a batch. If broken studies are skipped, they are taken out of it.
    fn write(&self, batch: &[Vec<PathBuf>]) -> Written {
        let mut written = Written {
            studies: (0..batch.len()).collect(),
            lines: Vec::new(),
            failed: Vec::new(),
            stopped: None,
        };
        loop {
            let films: Vec<FilmStudy> = (written.studies.iter())
                .map(|&study| self.study(&batch[study]))
                .collect();
            let error = match self.writer.reports(&films) {
                Ok(reports) => {
                    let images = written.studies.iter().map(|&study| &batch[study]);
                    let lines = images.zip(&reports).flat_map(|(images, reports)| {
                        lines_of(self.arguments, images, reports, self.studies)
                    });
                    written.lines = lines.collect();
                    return written;
                }
                Err(error) => error,
            };
            let study = match &error {
                InferenceError::Data(
                    DataError::Image { path, .. } | DataError::Io { path, .. },
                ) if !self.arguments.stops() => {
                    let mut studies = written.studies.iter();
                    studies.position(|&study| batch[study].contains(path))
                }
                _ => None,
            };
            match study {
                Some(study) => {
                    written.studies.remove(study);
                    written.failed.push(error.to_string());
                }
                None => {
                    written.stopped = Some(error.to_string());
                    return written;
                }
            }
        }
    }

    /// Tells the speed, and writes the page that explains the reports.
    fn end(&self, written: &[Vec<PathBuf>], seconds: f64, talk: Talk) -> Result<(), Failure> {
        let count = written.len();
        if count > 1 {
            let rate = count as f64 / seconds.max(1e-9);
            talk.note(format_args!(
                "{count} studies in {seconds:.1} s: {rate:.1} studies/s"
            ));
        }
        if let Some(file) = &self.arguments.explain {
            let films = written.iter().map(|films| self.study(films));
            let sheets = films.map(|study| self.writer.explain(&study));
            let title = format!("Reports by {}", self.arguments.checkpoint.display());
            let page = ReportPage::of_studies(&title, sheets.collect::<Result<_, _>>()?);
            let html = page
                .to_html()
                .map_err(|error| Failure::Said(error.to_string()))?;
            file.write(html.as_bytes())?;
            talk.note(format_args!("open {file} to see where each word looked"));
        }
        Ok(())
    }
}

/// Names studies of more views than the checkpoint takes.
fn say_dropped_views(studies: &[Vec<PathBuf>], views: usize) {
    let mut larger = studies.iter().filter(|images| images.len() > views);
    if let Some(first) = larger.next() {
        say(format_args!(
            "{} studies have more films than the {views} that the checkpoint takes of each; the \
             first film left unread is {}",
            1 + larger.count(),
            first[views].display()
        ));
    }
}

/// Names the files that are no films, many of one kind by the first.
fn say_left_out<'a>(left_out: impl Iterator<Item = &'a (PathBuf, String)>) {
    const SHOWN: usize = 5;
    let mut by_reason: BTreeMap<&str, Vec<&Path>> = BTreeMap::new();
    for (path, reason) in left_out {
        by_reason.entry(reason).or_default().push(path);
    }
    for (reason, paths) in by_reason {
        for path in paths.iter().take(SHOWN) {
            say(format_args!("left out: {}: {reason}", path.display()));
        }
        if paths.len() > SHOWN {
            say(format_args!(
                "left out: {} more: {reason}",
                paths.len() - SHOWN
            ));
        }
    }
}

fn strategy(json: &str) -> Result<Strategy, String> {
    serde_json::from_str(json).map_err(|error| error.to_string())
}

/// The lines of a study's reports: JSON, or text as it is read.
fn lines_of(
    arguments: &Arguments,
    images: &[PathBuf],
    reports: &[WrittenReport],
    studies: usize,
) -> Vec<String> {
    if arguments.json.is_some() {
        let line = serde_json::json!({ "images": images, "reports": reports });
        return vec![line.to_string()];
    }
    let line = |report: &WrittenReport| {
        let mut line = String::new();
        if studies > 1 {
            let names: Vec<String> = images
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            line += &names.join(",");
            line += "\t";
        }
        if arguments.n_best > 1 {
            line += &format!("{:.3}\t", report.score);
        }
        line + &report.text
    };
    reports.iter().map(line).collect()
}
