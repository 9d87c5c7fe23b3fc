//! Writes the report of one image, PNG or JPEG, from a checkpoint alone.
//!
//! ```text
//! cargo run --release --example generate -- --checkpoint runs/phantom-1/best.ithn chest.png
//! ```

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use ithn::device::DeviceName;
use ithn::train::TrainError;
use ithn::writer::ReportWriter;

/// Writes the report of a radiograph.
#[derive(Debug, Parser)]
struct Arguments {
    /// Checkpoint of a run, such as runs/phantom-1/best.ithn
    #[arg(long, value_name = "FILE")]
    checkpoint: PathBuf,

    /// cpu, cuda:N, wgpu or ndarray
    #[arg(long, default_value = "cpu")]
    device: DeviceName,

    /// PNG or JPEG files: the views of one study
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
}

fn main() -> ExitCode {
    match generate(&Arguments::parse()) {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn generate(arguments: &Arguments) -> Result<String, TrainError> {
    let device = arguments.device.open()?;
    ReportWriter::load(&arguments.checkpoint, &device)?.write(&arguments.images)
}
