//! Writes reports of images, PNG or JPEG (or DICOM with the feature `dicom`), from a checkpoint alone.
//!
//! ```text
//! cargo run --release --example generate -- --checkpoint runs/phantom-1/best.ithn chest.png
//! cargo run --release --example generate -- --checkpoint best.ithn --n-best 3 --json images/
//! cargo run --release --example generate -- --checkpoint best.ithn --explain out.html a.png b.png
//! cargo run --release --features dicom --example generate -- --checkpoint best.ithn film.dcm
//! cargo run --release --example generate -- --checkpoint best.ithn --on-bad-study skip images/
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use ithn::data::{DataError, OnBadStudy};
use ithn::device::DeviceName;
use ithn::inference::{FilmStudy, InferenceError, ReportWriter, WrittenReport, find_studies};
use ithn::page::ReportPage;
use ithn::search::Strategy;
use ithn::train::TrainError;

/// Writes reports of radiographs.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Checkpoint of a run, such as runs/phantom-1/best.ithn
    #[arg(long, value_name = "FILE")]
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

    /// Reports per study, best first, with their scores
    #[arg(long, value_name = "N", default_value_t = 1)]
    n_best: usize,

    /// A JSON object per study and line: images, and reports with text, score and finished
    #[arg(long)]
    json: bool,

    /// Write a page that shows where each word of the best reports looked
    #[arg(long, value_name = "FILE.html")]
    explain: Option<PathBuf>,

    /// Studies per batch
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..))]
    batch_size: u16,

    /// A study whose films cannot be read: stop, or skip it and list it at the end
    #[arg(long, default_value = "stop")]
    on_bad_study: OnBadStudy,

    /// A file is a study, files joined by commas are the views of one, a folder holds a study per file
    /// and per folder inside it
    #[arg(required = true, value_name = "IMAGE[,IMAGE]|DIR")]
    images: Vec<String>,
}

fn main() -> ExitCode {
    ithn::device::prepare_process();
    match generate(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn generate(arguments: &Arguments) -> Result<(), TrainError> {
    let device = arguments.device.open()?;
    let found = find_studies(&arguments.images, arguments.on_bad_study)?;
    let writer = ReportWriter::from_checkpoint(&arguments.checkpoint, &device)?;
    let writer = match &arguments.strategy {
        None => writer.with_beams(arguments.beam, arguments.n_best)?,
        Some(strategy) => {
            let mut search = writer.search().clone();
            search.strategy = strategy.clone();
            writer
                .with_search(search)?
                .with_beams(None, arguments.n_best)?
        }
    };
    let mut written = Vec::new();
    let mut failed: Vec<TrainError> = found.broken.into_iter().map(TrainError::from).collect();
    let began = Instant::now();
    for batch in found.studies.chunks(usize::from(arguments.batch_size)) {
        let mut batch = batch.to_vec();
        let reports = write_batch(arguments, &writer, &mut batch, &mut failed)?;
        for (images, reports) in batch.iter().zip(reports) {
            print(arguments, images, &reports, found.studies.len());
        }
        written.append(&mut batch);
    }
    let seconds = began.elapsed().as_secs_f64();
    let count = written.len();
    if count > 1 {
        let rate = count as f64 / seconds.max(1e-9);
        eprintln!("{count} studies in {seconds:.1} s: {rate:.1} studies/s");
    }
    if let Some(path) = &arguments.explain {
        let films = written.iter().map(FilmStudy::of_films);
        let sheets = films.map(|study| writer.explain(&study));
        let title = format!("Reports by {}", arguments.checkpoint.display());
        ReportPage::of_studies(&title, sheets.collect::<Result<_, _>>()?)
            .write(path)
            .map_err(|source| TrainError::Output {
                path: path.clone(),
                source,
            })?;
        eprintln!("open {} to see where each word looked", path.display());
    }
    found.notes.iter().for_each(|note| eprintln!("{note}"));
    say_dropped_views(&written, writer.views());
    say_left_out(&found.left_out);
    for error in &failed {
        eprintln!("skipped: {error}");
    }
    match failed.pop() {
        Some(error) if written.is_empty() => Err(error),
        _ => Ok(()),
    }
}

/// Writes the reports of a batch. If broken studies are skipped, they are taken out of it.
fn write_batch(
    arguments: &Arguments,
    writer: &ReportWriter,
    batch: &mut Vec<Vec<PathBuf>>,
    failed: &mut Vec<TrainError>,
) -> Result<Vec<Vec<WrittenReport>>, TrainError> {
    loop {
        let films: Vec<FilmStudy> = batch.iter().map(FilmStudy::of_films).collect();
        let error = match writer.reports(&films) {
            Ok(reports) => return Ok(reports),
            Err(error) if arguments.on_bad_study == OnBadStudy::Stop => return Err(error.into()),
            Err(error) => error,
        };
        let study = match &error {
            InferenceError::Data(DataError::Image { path, .. } | DataError::Io { path, .. }) => {
                batch.iter().position(|images| images.contains(path))
            }
            _ => None,
        };
        match study {
            Some(study) => batch.remove(study),
            None => return Err(error.into()),
        };
        failed.push(error.into());
    }
}

/// Names studies of more views than the checkpoint takes.
fn say_dropped_views(studies: &[Vec<PathBuf>], views: usize) {
    let mut larger = studies.iter().filter(|images| images.len() > views);
    if let Some(first) = larger.next() {
        eprintln!(
            "{} studies have more films than the {views} that the checkpoint takes of each; the \
             first film left unread is {}",
            1 + larger.count(),
            first[views].display()
        );
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
            eprintln!("left out: {}: {reason}", path.display());
        }
        if paths.len() > SHOWN {
            eprintln!("left out: {} more: {reason}", paths.len() - SHOWN);
        }
    }
}

fn strategy(json: &str) -> Result<Strategy, String> {
    serde_json::from_str(json).map_err(|error| error.to_string())
}

fn print(arguments: &Arguments, images: &[PathBuf], reports: &[WrittenReport], studies: usize) {
    if arguments.json {
        println!(
            "{}",
            serde_json::json!({ "images": images, "reports": reports })
        );
        return;
    }
    for report in reports {
        if studies > 1 {
            let names: Vec<String> = images
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            print!("{}\t", names.join(","));
        }
        if arguments.n_best > 1 {
            print!("{:.3}\t", report.score);
        }
        println!("{}", report.text);
    }
}
