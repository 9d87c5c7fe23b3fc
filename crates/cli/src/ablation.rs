//! `ithn ablation`: trains every generator under every arm with every seed on phantom studies, and prints a table.

use std::path::PathBuf;

use clap::Args;
use ithn::ablation::{AblationConfig, AblationReport, Arm, run_ablation};
use ithn::config::{ConfigError, GeneratorKind, Setting};
use ithn::device::DeviceName;
use ithn::train::TrainError;

use crate::failure::Failure;
use crate::output::{OutputFile, Talk, check_all};

/// Compares ways to train on phantom studies: no negatives, those of the batch alone, fixed ones, the official ITHN, ours, and
/// ours by gradient ascent.
///
/// Cells that are done are kept in --out: an interrupted run goes on where it stopped.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ithn ablation --quick
  ithn ablation --generators r2gen_cmn --arms none,fixed,ours --json evidence.json --plot evidence.svg")]
pub(crate) struct Arguments {
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

    /// Everything, every cell included, as JSON; - is standard output
    #[arg(long, value_name = "FILE")]
    json: Option<OutputFile>,

    /// Findings F1 and near-twin accuracy, seed by seed, drawn as SVG; - is standard output
    #[arg(long, value_name = "FILE")]
    plot: Option<OutputFile>,
}

impl Arguments {
    pub(crate) fn run(&self, talk: Talk) -> Result<(), Failure> {
        ithn::device::prepare_process();
        let files = [&self.json, &self.plot];
        let talk = talk.beside(files);
        check_all(files)?;
        let report = compare(self, talk)?;
        if let Some(file) = &self.json {
            file.write_json(&report)?;
        }
        if let Some(file) = &self.plot {
            file.write(report.to_svg().as_bytes())?;
        }
        talk.result(report.to_string().trim_end())
    }

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

fn compare(arguments: &Arguments, talk: Talk) -> Result<AblationReport, TrainError> {
    let device = arguments.device.open()?;
    run_ablation(&arguments.config()?, &arguments.out, &device, |progress| {
        let cell = &progress.result.cell;
        talk.note(format_args!(
            "{:>4}/{} {:<10} {:<9} seed {:<3} {}",
            progress.done,
            progress.total,
            cell.generator.name(),
            cell.arm,
            cell.seed,
            match progress.kept {
                true => "kept".to_owned(),
                false => format!("{:.0} s", progress.result.seconds),
            },
        ));
    })
}
