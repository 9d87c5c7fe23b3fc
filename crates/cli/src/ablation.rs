//! `ithn ablation`: trains every generator under every arm with every seed, on phantom or real studies, and prints a table.

use std::path::PathBuf;

use clap::Args;
use ithn::ablation::{AblationConfig, AblationReport, Arm, CellNumbers, RealStudies, run_ablation};
use ithn::config::{GeneratorKind, Setting};
use ithn::device::DeviceName;
use ithn::train::TrainError;

use crate::failure::Failure;
use crate::output::{OutputFile, Talk, check_all};

/// Compares ways to train on phantom studies, or on real ones with a frozen backbone: no negatives, those of the batch alone, fixed ones, the official ITHN, ours,
/// ours by gradient ascent, and other meanings of hardness.
///
/// Cells that are done are kept in --out: an interrupted run goes on where it stopped.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ithn ablation --quick
  ithn ablation --generators r2gen_cmn --arms none,fixed,ours --json evidence.json --plot evidence.svg
  ithn ablation --annotation annotation.json --images images --backbone-weights runs/eyes/best.safetensors \\
      --numbers cells.jsonl")]
pub(crate) struct Arguments {
    /// A smoke run of a minute or two, whose numbers mean nothing
    #[arg(long, conflicts_with = "annotation")]
    quick: bool,

    /// Real studies in place of phantoms: R2Gen's annotation.json
    #[arg(
        long,
        value_name = "FILE",
        requires = "images",
        requires = "backbone_weights"
    )]
    annotation: Option<PathBuf>,

    /// Folder that its image paths start from
    #[arg(long, value_name = "DIR", requires = "annotation")]
    images: Option<PathBuf>,

    /// Weights of the frozen backbone, a pretrained classifier's best.safetensors
    #[arg(long, value_name = "FILE", requires = "annotation")]
    backbone_weights: Option<PathBuf>,

    /// Cells as lines of numbers: those in the file are not run again, others are appended
    #[arg(long, value_name = "FILE")]
    numbers: Option<PathBuf>,

    /// r2gen_cmn, r2gen, cnn_lstm [default: all]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    generators: Vec<GeneratorKind>,

    /// none, in-batch, fixed, official, ours, ascent [default: these]; through, edited, likelihood, edited-likelihood, hull, again, and
    /// the control of each of these without hardness, such as edited-fixed; hull-candidates
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    arms: Vec<Arm>,

    /// Seeds 1 to N [default: 8, or 2 with --quick]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: Option<u64>,

    /// Epochs of a cell
    #[arg(long)]
    epochs: Option<usize>,

    /// Training studies
    #[arg(long, value_name = "N", conflicts_with = "annotation")]
    train: Option<usize>,

    /// Test studies
    #[arg(long, value_name = "N", conflicts_with = "annotation")]
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

    fn config(&self) -> Result<AblationConfig, TrainError> {
        let real = (&self.annotation, &self.images, &self.backbone_weights);
        let mut config = match real {
            (Some(annotation), Some(images), Some(weights)) => {
                let files = [annotation, images, weights].map(PathBuf::clone);
                let [annotation, images, weights] = files;
                AblationConfig::on(RealStudies::read(annotation, images, weights)?)
            }
            _ if self.quick => AblationConfig::quick(),
            _ => AblationConfig::standard(),
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
    let numbers = arguments.numbers.clone().map(CellNumbers::open);
    let mut numbers = numbers.transpose()?;
    let (config, out) = (arguments.config()?, &arguments.out);
    run_ablation(&config, out, numbers.as_mut(), &device, |progress| {
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
