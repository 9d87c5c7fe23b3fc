//! The job of `train_mimic` with IU X-Ray's preset.
//!
//! ```text
//! cargo run --release --example train_iu_xray -- --annotation annotation.json --images images
//! ```

use std::process::ExitCode;

use clap::Parser;
use ithn::config::Preset;
use ithn::train::arguments::{TrainArguments, VerbosityArguments, failed};
use ithn::train::{Console, ExperimentResults, Ranks, TrainError, run_experiment};

/// Trains a report generator with increasingly hard negatives, evaluates it and writes reports.
///
/// Without --data or --annotation it draws phantom studies, and no data is needed.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    job: TrainArguments,
    #[command(flatten)]
    verbosity: VerbosityArguments,
}

fn main() -> ExitCode {
    // One process, or several under `mpirun` and `srun` with the feature `mpi`.
    let ranks = match Ranks::start() {
        Ok(ranks) => ranks,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    };
    ithn::device::prepare_process();
    match train(&Arguments::parse(), &ranks) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => failed(&error, &ranks),
    }
}

fn train(arguments: &Arguments, ranks: &Ranks) -> Result<ExperimentResults, TrainError> {
    let (config, options) = arguments.job.job(Preset::IuXray, ranks)?;
    let mut console = Console::new(arguments.verbosity.verbosity());
    run_experiment(&config, &options, &mut console)
}
