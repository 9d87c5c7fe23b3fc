//! `ithn generate`: writes reports of images, PNG or JPEG (or DICOM with the feature `dicom`), from a checkpoint alone.

mod beside;
mod rexrank;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use burn::tensor::Device;
use clap::Args;
use ithn::data::{DataError, OnBadStudy};
use ithn::device::DeviceName;
use ithn::inference::{FilmStudy, InferenceError, ReportWriter, WrittenReport, find_studies};
use ithn::page::ReportPage;
use ithn::search::Strategy;

use crate::card::checkpoint_of;
use crate::failure::Failure;
use crate::hub;
use crate::output::{OutputFile, Talk, check_all, say};

/// Writes reports of radiographs from a checkpoint.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ithn generate --checkpoint runs/phantom-1/best.ithn chest.png
  ithn generate --checkpoint best.ithn --n-best 3 --json reports.jsonl images/
  ithn generate --checkpoint best.ithn --explain out.html frontal.png,lateral.png
  ithn generate --checkpoint best.ithn --on-bad-study skip images/
  ithn generate --checkpoint best.ithn --indication 'fever, cough' --prior-image old.png --prior-report old.txt --prior-days 12 new.png
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
        ithn::device::prepare_process();
        let outputs = [&self.json, &self.explain, self.submission.out()];
        check_all(outputs)?;
        let talk = talk.beside(outputs);
        match self.submission.work() {
            Some(work) => self.submit(&work, talk),
            None => generate(self, talk),
        }
    }

    /// Writes a submission to ReXrank.
    fn submit(&self, work: &rexrank::Work<'_>, talk: Talk) -> Result<(), Failure> {
        let device = self.device.open()?;
        let writer = writer(self, &hub::local_path(&self.checkpoint)?, &device)?;
        let options = rexrank::Options {
            checkpoint: &self.checkpoint,
            batch_size: self.batch_size.into(),
            stops: self.stops(),
            tolerates: self.on_bad_study == Some(OnBadStudy::Skip),
        };
        work.run(&writer, &options, talk)
    }

    /// Whether the first study that cannot be read ends the work.
    fn stops(&self) -> bool {
        self.on_bad_study == Some(OnBadStudy::Stop)
    }
}

fn generate(arguments: &Arguments, talk: Talk) -> Result<(), Failure> {
    let device = arguments.device.open()?;
    let at_bad_study = match arguments.stops() {
        true => OnBadStudy::Stop,
        false => OnBadStudy::Skip,
    };
    let found = find_studies(&arguments.images, at_bad_study)?;
    let films = found.studies.first().map_or(0, Vec::len);
    let context = arguments.beside.context(films, found.studies.len())?;
    let study = |films: &Vec<PathBuf>| FilmStudy::of_films(films).with_context(context.clone());
    let writer = writer(arguments, &hub::local_path(&arguments.checkpoint)?, &device)?;
    if let Some(caution) = writer.card().caution() {
        say(format_args!("warning: {caution}"));
    }
    let mut lines = arguments.json.as_ref().map(OutputFile::open).transpose()?;
    let mut written = Vec::new();
    let mut failed: Vec<InferenceError> = Vec::new();
    failed.extend(found.broken.into_iter().map(InferenceError::from));
    let began = Instant::now();
    for batch in found.studies.chunks(usize::from(arguments.batch_size)) {
        let mut batch = batch.to_vec();
        let reports = write_batch((arguments, &writer), &study, &mut batch, &mut failed)?;
        for (images, reports) in batch.iter().zip(reports) {
            match &mut lines {
                Some(lines) => {
                    let line = serde_json::json!({ "images": images, "reports": reports });
                    lines.line(&line.to_string())?;
                }
                None => say_reports(arguments, talk, images, &reports, found.studies.len())?,
            }
        }
        written.append(&mut batch);
        if !talk.is_heard() && arguments.explain.is_none() {
            return Err(Failure::Closed);
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    let count = written.len();
    if count > 1 {
        let rate = count as f64 / seconds.max(1e-9);
        talk.note(format_args!(
            "{count} studies in {seconds:.1} s: {rate:.1} studies/s"
        ));
    }
    if let Some(file) = &arguments.explain {
        let films = written.iter().map(study);
        let sheets = films.map(|study| writer.explain(&study));
        let title = format!("Reports by {}", arguments.checkpoint.display());
        let page = ReportPage::of_studies(&title, sheets.collect::<Result<_, _>>()?);
        let html = page
            .to_html()
            .map_err(|error| Failure::Said(error.to_string()))?;
        file.write(html.as_bytes())?;
        talk.note(format_args!("open {file} to see where each word looked"));
    }
    found.notes.iter().for_each(say);
    say_dropped_views(&written, writer.views());
    say_left_out(&found.left_out);
    for error in &failed {
        say(format_args!("skipped: {error}"));
    }
    match (failed.len(), count) {
        (0, _) => Ok(()),
        (_, 1..) if arguments.on_bad_study == Some(OnBadStudy::Skip) => Ok(()),
        (unread, _) => Err(Failure::Said(format!(
            "{unread} of {} studies could not be read: see above",
            unread + count
        ))),
    }
}

fn writer(
    arguments: &Arguments,
    checkpoint: &Path,
    device: &Device,
) -> Result<ReportWriter, InferenceError> {
    let mut writer = ReportWriter::from_checkpoint(checkpoint_of(checkpoint), device)?;
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

/// Writes the reports of a batch. If broken studies are skipped, they are taken out of it.
fn write_batch(
    (arguments, writer): (&Arguments, &ReportWriter),
    study: &impl Fn(&Vec<PathBuf>) -> FilmStudy,
    batch: &mut Vec<Vec<PathBuf>>,
    failed: &mut Vec<InferenceError>,
) -> Result<Vec<Vec<WrittenReport>>, InferenceError> {
    loop {
        let films: Vec<FilmStudy> = batch.iter().map(study).collect();
        let error = match writer.reports(&films) {
            Ok(reports) => return Ok(reports),
            Err(error) if arguments.stops() => return Err(error),
            Err(error) => error,
        };
        let unread = match &error {
            InferenceError::Data(DataError::Image { path, .. } | DataError::Io { path, .. }) => {
                batch.iter().position(|images| images.contains(path))
            }
            _ => None,
        };
        match unread {
            Some(unread) => batch.remove(unread),
            None => return Err(error),
        };
        failed.push(error);
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
fn say_left_out(left_out: &[(PathBuf, String)]) {
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

fn say_reports(
    arguments: &Arguments,
    talk: Talk,
    images: &[PathBuf],
    reports: &[WrittenReport],
    studies: usize,
) -> Result<(), Failure> {
    for report in reports {
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
        line += &report.text;
        talk.result(line)?;
    }
    Ok(())
}
