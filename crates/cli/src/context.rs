//! `ithn context`: trains a generator with and without previous studies, indication and further views, and prints a table.

use std::path::PathBuf;

use clap::Args;
use ithn::config::Setting;
use ithn::context::{
    BackboneStart, ContextExperiment, ContextReport, Reads, run_context_experiment,
};
use ithn::device::DeviceName;
use ithn::train::TrainError;

use crate::failure::Failure;
use crate::output::{OutputFile, Talk, check_all};

/// Compares what a generator reads of phantom patients with histories: one film, several, the indication, the previous
/// study's films and report, everything.
///
/// Prints change accuracy, comparisons that have no prior to rest on, and findings F1 of each, beside two baselines: the
/// most frequent change, and the indication alone. Cells that are done are kept in --out: an interrupted run goes on where
/// it stopped.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ithn context --quick
  ithn context --reads film,prior,everything --seeds 1 --json context.json
  ithn context --backbone-weights runs/film/best.ithn --set training.freeze_backbone=true")]
pub(crate) struct Arguments {
    /// A smoke run of a minute or two, whose numbers mean nothing
    #[arg(long)]
    quick: bool,

    /// film, views, indication, prior-films, prior-report, prior, everything [default: all]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    reads: Vec<Reads>,

    /// Seeds 1 to N [default: 8, or 2 with --quick]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: Option<u64>,

    /// Epochs of a cell
    #[arg(long)]
    epochs: Option<usize>,

    /// Training patients, of one to four studies
    #[arg(long, value_name = "N")]
    train: Option<usize>,

    /// Test patients
    #[arg(long, value_name = "N")]
    test: Option<usize>,

    /// Seed of the patients and their histories
    #[arg(long, value_name = "SEED")]
    patients_seed: Option<u64>,

    /// A value of the base configuration, by its name in a run's config.json, such as
    /// model.generator.context.prior_views=2; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<Setting>,

    /// Weights that the backbone of every cell starts from, such as the best checkpoint of a run on one film alone. With
    /// --set training.freeze_backbone=true it stays so, and each film passes it once for all cells
    #[arg(long, value_name = "FILE")]
    backbone_weights: Option<PathBuf>,

    /// cpu, cuda:N, wgpu or ndarray
    #[arg(long, default_value = "cpu")]
    device: DeviceName,

    /// Folder of patients and cells
    #[arg(long, value_name = "DIR", default_value = "runs/context")]
    out: PathBuf,

    /// Everything, every cell included, as JSON; - is standard output
    #[arg(long, value_name = "FILE")]
    json: Option<OutputFile>,
}

impl Arguments {
    pub(crate) fn run(&self, talk: Talk) -> Result<(), Failure> {
        ithn::device::prepare_process();
        let talk = talk.beside([&self.json]);
        check_all([&self.json])?;
        let report = compare(self, talk)?;
        if let Some(file) = &self.json {
            file.write_json(&report)?;
        }
        talk.result(report.to_string())
    }

    fn config(&self) -> Result<ContextExperiment, TrainError> {
        let mut config = match self.quick {
            true => ContextExperiment::quick(),
            false => ContextExperiment::standard(),
        };
        if !self.reads.is_empty() {
            config.reads.clone_from(&self.reads);
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
        if let Some(seed) = self.patients_seed {
            config.studies.seed = seed;
        }
        if let Some(path) = &self.backbone_weights {
            config.backbone = Some(BackboneStart::read(path.clone())?);
        }
        config.base = config.base.with_settings(&self.set)?;
        Ok(config)
    }
}

fn compare(arguments: &Arguments, talk: Talk) -> Result<ContextReport, TrainError> {
    let device = arguments.device.open()?;
    let config = arguments.config()?;
    run_context_experiment(
        &config,
        &arguments.out,
        &device,
        |done, total, result, kept| {
            let comparisons = result.scores.comparisons.as_ref();
            talk.note(format_args!(
                "{done:>4}/{total} {:<12} seed {:<3} {:>6} F1 {:.3}, {}",
                result.cell.reads,
                result.cell.seed,
                match kept {
                    true => "kept".to_owned(),
                    false => format!("{:.0} s", result.seconds),
                },
                result.scores.findings.findings_f1_micro,
                comparisons.map_or_else(String::new, ToString::to_string),
            ));
        },
    )
}
