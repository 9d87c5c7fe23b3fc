//! Writes the page of a run, report.html, from its folder and its data.
//!
//! ```text
//! cargo run --example report -- --run runs/phantom-1
//! cargo run --release --example report -- --run runs/iu-xray-1 --annotation annotation.json --images images
//! ```

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use ithn::device::DeviceName;
use ithn::train::page_of_run;
use ithn::train::{DataSource, TrainError};

/// Writes a page to look at a run, finished or still training.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Folder of the run
    #[arg(long, value_name = "DIR")]
    run: PathBuf,

    /// MIMIC-CXR-JPG folder that the run was trained on
    #[arg(long, value_name = "DIR", conflicts_with = "annotation")]
    data: Option<PathBuf>,

    /// R2Gen's annotation.json that the run was trained on
    #[arg(long, value_name = "FILE", requires = "images")]
    annotation: Option<PathBuf>,

    /// Folder that the annotation's image paths start from
    #[arg(long, value_name = "DIR", requires = "annotation")]
    images: Option<PathBuf>,

    /// cpu, cuda:N, wgpu or ndarray
    #[arg(long, default_value = "cpu")]
    device: DeviceName,
}

fn main() -> ExitCode {
    ithn::device::prepare_process();
    match report(Arguments::parse()) {
        Ok(path) => {
            println!("{}", path.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn report(arguments: Arguments) -> Result<PathBuf, TrainError> {
    let source = match (arguments.data, arguments.annotation, arguments.images) {
        (Some(data), _, _) => DataSource::mimic(data),
        (None, Some(file), Some(images)) => DataSource::Annotation { file, images },
        _ => DataSource::Phantom(PathBuf::from("runs/phantom-studies")),
    };
    page_of_run(&arguments.run, &source, &arguments.device.open()?)
}
