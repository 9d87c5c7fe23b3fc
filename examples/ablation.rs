//! What do increasingly hard negatives buy? Trains every generator under every arm with every seed
//! on phantom studies, and prints a table.
//!
//! ```text
//! cargo run --release --example ablation -- --quick
//! cargo run --release --example ablation -- --json evidence.json
//! ```

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use ithn::ablation::{AblationConfig, AblationReport, Arm, run_ablation};
use ithn::config::{ConfigError, GeneratorKind, Setting};
use ithn::data::write_atomically;
use ithn::device::DeviceName;
use ithn::train::{RunFolder, TrainError};

/// Compares ways to train on phantom studies: no negatives, those of the batch alone, fixed ones, the official ITHN, ours, and
/// ours by gradient ascent.
///
/// Cells that are done are kept in --out: an interrupted run goes on where it stopped.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// A smoke run of a minute or two, whose numbers mean nothing
    #[arg(long)]
    quick: bool,

    /// r2gen_cmn, r2gen, cnn_lstm [default: all]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    generators: Vec<GeneratorKind>,

    /// none, in-batch, fixed, official, ours, ascent [default: all]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    arms: Vec<Arm>,

    /// Seeds 1 to N [default: 8, or 2 with --quick]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: Option<u64>,

    /// Epochs of a cell
    #[arg(long)]
    epochs: Option<usize>,

    /// Training studies
    #[arg(long, value_name = "N")]
    train: Option<usize>,

    /// Test studies
    #[arg(long, value_name = "N")]
    test: Option<usize>,

    /// A value of the base configuration, by its name in a run's config.json, such as
    /// ithn.weights.contrastive=0.2; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<Setting>,

    /// cpu, cuda:N, wgpu or ndarray
    #[arg(long, default_value = "cpu")]
    device: DeviceName,

    /// Folder of studies and cells
    #[arg(long, value_name = "DIR", default_value = "runs/ablation")]
    out: PathBuf,

    /// Everything, every cell included, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Findings F1 and near-twin accuracy, seed by seed, drawn as SVG
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

fn main() -> ExitCode {
    ithn::device::prepare_process();
    match run(&Arguments::parse()) {
        Ok(report) => {
            println!("\n{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> Result<AblationReport, TrainError> {
    let device = arguments.device.open()?;
    let report = run_ablation(&arguments.config()?, &arguments.out, &device, |progress| {
        let cell = &progress.result.cell;
        println!(
            "{:>4}/{} {:<10} {:<9} seed {:<3} {}",
            progress.done,
            progress.total,
            cell.generator.name(),
            cell.arm,
            cell.seed,
            if progress.kept {
                "kept".to_owned()
            } else {
                format!("{:.0} s", progress.result.seconds)
            },
        );
    })?;
    if let Some(path) = &arguments.json {
        RunFolder::write_report(path, &report)?;
    }
    if let Some(path) = &arguments.plot {
        write_atomically(path, report.to_svg().as_bytes()).map_err(|source| {
            TrainError::Output {
                path: path.clone(),
                source,
            }
        })?;
    }
    Ok(report)
}

impl Arguments {
    fn config(&self) -> Result<AblationConfig, ConfigError> {
        let mut config = if self.quick {
            AblationConfig::quick()
        } else {
            AblationConfig::standard()
        };
        if !self.generators.is_empty() {
            config.generators.clone_from(&self.generators);
        }
        if !self.arms.is_empty() {
            config.arms.clone_from(&self.arms);
        }
        if let Some(seeds) = self.seeds {
            config.seeds = (1..=seeds).collect();
        }
        if let Some(epochs) = self.epochs {
            config.base.training.epochs = epochs;
        }
        if let Some(train) = self.train {
            config.studies.train = train;
        }
        if let Some(test) = self.test {
            config.studies.test = test;
        }
        config.base = config.base.with_settings(&self.set)?;
        Ok(config)
    }
}
