//! Writes reports of images, PNG or JPEG (or DICOM with the feature `dicom`), from a checkpoint alone.
//!
//! ```text
//! cargo run --release --example generate -- --checkpoint runs/phantom-1/best.ithn chest.png
//! cargo run --release --example generate -- --checkpoint best.ithn --n-best 3 --json images/
//! cargo run --release --example generate -- --checkpoint best.ithn --explain out.html a.png b.png
//! cargo run --release --features dicom --example generate -- --checkpoint best.ithn film.dcm
//! ```

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use ithn::device::DeviceName;
use ithn::inference::{FilmStudy, ReportWriter, WrittenReport, find_studies};
use ithn::page::ReportPage;
use ithn::search::Strategy;
use ithn::train::TrainError;

/// Writes reports of radiographs.
#[derive(Debug, Parser)]
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

    /// A file is a study, files joined by commas are the views of one, a folder holds a study per file
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
    let studies = find_studies(&arguments.images)?;
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
    let began = Instant::now();
    for batch in studies.chunks(usize::from(arguments.batch_size)) {
        let films: Vec<FilmStudy> = batch.iter().map(FilmStudy::of_films).collect();
        for (images, reports) in batch.iter().zip(writer.reports(&films)?) {
            print(arguments, images, &reports, studies.len());
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    let count = studies.len();
    if count > 1 {
        let rate = count as f64 / seconds.max(1e-9);
        eprintln!("{count} studies in {seconds:.1} s: {rate:.1} studies/s");
    }
    if let Some(path) = &arguments.explain {
        let films = studies.iter().map(FilmStudy::of_films);
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
    Ok(())
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
