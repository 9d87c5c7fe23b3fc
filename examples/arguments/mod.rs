//! Command line shared by the training examples.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use ithn::checkpoint::CheckpointError;
use ithn::config::{ExperimentConfig, GeneratorKind, Negatives, Preset, Setting, TrainingConfig};
use ithn::config::{LearningRateSchedule, NonFinite, Precision};
use ithn::data::{DataError, OnBadStudy};
use ithn::device::DeviceName;
use ithn::generator::config::{Fraction, NonNegative, ParseNumberError, Positive};
use ithn::train::{
    Console, DataSource, ExperimentOptions, INTERRUPTED_STATUS, Interrupt, Observer, Ranks,
    RunFolder, TrainError, Verbosity, config_to_resume, run_experiment,
};
use ithn_dashboard::{Dashboard, DashboardError};

/// Trains a report generator with increasingly hard negatives, evaluates it and writes reports.
///
/// Without --data or --annotation it draws phantom studies, and no data is needed.
#[derive(Debug, Parser)]
#[command(version)]
pub struct TrainArguments {
    /// MIMIC-CXR-JPG folder (split and metadata tables, files/p10/…)
    #[arg(long, value_name = "DIR", conflicts_with = "annotation")]
    data: Option<PathBuf>,

    /// MIMIC-CXR's reports, if they are not in --data: a folder, or mimic-cxr-reports.zip
    #[arg(long, value_name = "PATH", requires = "data")]
    reports: Option<PathBuf>,

    /// R2Gen's annotation.json
    #[arg(long, value_name = "FILE", requires = "images")]
    annotation: Option<PathBuf>,

    /// Folder that the annotation's image paths start from
    #[arg(long, value_name = "DIR", requires = "annotation")]
    images: Option<PathBuf>,

    /// phantom, iu-xray, mimic-cxr, official-iu-xray or official-mimic-cxr
    /// [default: phantom without data, else the example's own]
    #[arg(long)]
    preset: Option<Preset>,

    /// r2gen_cmn, r2gen or cnn_lstm, as large as the preset [default: the preset's]
    #[arg(long)]
    generator: Option<GeneratorKind>,

    /// cpu, cuda:N, wgpu or ndarray
    #[arg(long, default_value = "cpu")]
    device: DeviceName,

    /// Epochs at most [default: the preset's]
    #[arg(long)]
    epochs: Option<usize>,

    /// Studies per step [default: the preset's]
    #[arg(long)]
    batch_size: Option<usize>,

    /// Learning rate of everything but the backbone, before the schedule [default: the preset's]
    #[arg(long, value_name = "RATE")]
    learning_rate: Option<NonNegative>,

    /// Learning rate of the backbone, before the schedule [default: the preset's]
    #[arg(long, value_name = "RATE")]
    backbone_learning_rate: Option<NonNegative>,

    /// Seed of weights, dropout, order and augmentation [default: the preset's]
    #[arg(long)]
    seed: Option<u64>,

    /// Keep only the first N studies of every split
    #[arg(long, value_name = "N")]
    limit: Option<usize>,

    /// Negatives: hardened along the schedule, as they are, or none [default: the preset's]
    #[arg(long)]
    negatives: Option<NegativesArgument>,

    /// Folder of decoded images, filled by the first run and used by all that follow
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,

    /// A study whose files are broken: stop, or skip it and say so
    #[arg(long, default_value = "stop")]
    on_bad_study: OnBadStudy,

    /// First weights of the backbone: torchvision's ResNet (.pth or .safetensors), or a checkpoint
    /// of this library with the same backbone
    #[arg(long, value_name = "FILE")]
    backbone_weights: Option<PathBuf>,

    /// Start from the weights of an earlier run of the same sizes, such as runs/phantom-1/best.ithn;
    /// words that both vocabularies know are carried over
    #[arg(long, value_name = "CHECKPOINT", conflicts_with_all = ["backbone_weights", "resume"])]
    start_from: Option<PathBuf>,

    /// Batches whose gradients are averaged into one step [default: the preset's]
    #[arg(long, value_name = "N")]
    accumulate: Option<usize>,

    /// With several processes (mpirun, srun) and --accumulate: the steps of one process to the last bit, at the price
    /// of one exchange per batch
    #[arg(long)]
    exact: bool,

    /// Numbers that training multiplies: single, or bfloat16 (for GPUs) [default: the preset's]
    #[arg(long, value_name = "single|bfloat16", value_parser = precision)]
    precision: Option<Precision>,

    /// Scale gradients down to this norm, all of them together [default: as they are]
    #[arg(long, value_name = "NORM")]
    clip: Option<Positive>,

    /// Leave out up to N batches whose loss or gradient is no finite number, instead of stopping
    #[arg(long, value_name = "N")]
    skip_non_finite: Option<usize>,

    /// Steps over which the learning rates rise from 0
    #[arg(long, value_name = "STEPS")]
    warmup: Option<usize>,

    /// Learning rates: constant, or down a cosine to this fraction of their start
    /// [default: the preset's, a drop every few epochs]
    #[arg(long, value_name = "constant|cosine|cosine:FLOOR", value_parser = schedule)]
    schedule: Option<LearningRateSchedule>,

    /// Minutes between two checkpoints within an epoch [default: 10]
    #[arg(long, value_name = "MINUTES")]
    save_every_minutes: Option<f64>,

    /// Any other value, by its name in config.json, such as ithn.weights.contrastive=0.2; may be
    /// repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<Setting>,

    /// Only warnings and the final table
    #[arg(short, long, conflicts_with = "verbose")]
    quiet: bool,

    /// A line per step
    #[arg(short, long)]
    verbose: bool,

    /// The run on the whole terminal: curves, epochs, time left; q stops and saves
    #[arg(long, conflicts_with = "verbose")]
    dashboard: bool,

    /// Continue the run in --out, with its own configuration
    #[arg(long, requires = "out", conflicts_with_all = ["preset", "generator", "batch_size", "seed", "negatives", "set"])]
    resume: bool,

    /// Folder of the run [default: the first free runs/<preset>-N]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum NegativesArgument {
    Ithn,
    Fixed,
    Off,
}

/// Runs the job; failures are printed on one line and end with exit code 2.
pub fn run(real_data_preset: Preset) -> ExitCode {
    let ranks = match Ranks::start() {
        Ok(ranks) => ranks,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    };
    ithn::device::prepare_process();
    let arguments = match TrainArguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            if ranks.is_first() {
                drop(error.print());
            }
            return ExitCode::from(error.exit_code() as u8);
        }
    };
    match train(&arguments, real_data_preset, &ranks) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => end(&*error, &ranks),
    }
}

/// Tells of an error, at rank 0 if all ranks have it.
fn end(error: &(dyn Error + 'static), ranks: &Ranks) -> ExitCode {
    let known = error.downcast_ref();
    let status = match known {
        Some(TrainError::Interrupted { .. }) => INTERRUPTED_STATUS,
        _ => 2,
    };
    match known {
        Some(_) if !ranks.is_first() => {}
        Some(TrainError::Interrupted { folder, .. }) => {
            eprintln!("{error}: --resume --out {}", folder.display());
        }
        known => eprintln!(
            "error: {error}{}",
            known.and_then(option_for).unwrap_or_default()
        ),
    }
    if known.is_none() && !ranks.is_alone() {
        ranks.abort(i32::from(status));
    }
    ExitCode::from(status)
}

/// The options that mend an error, which the library's messages cannot name.
fn option_for(error: &TrainError) -> Option<&'static str> {
    match error {
        TrainError::BatchTooLarge { .. } => Some(" (--batch-size)"),
        TrainError::NonFinite { .. } => Some(" (--learning-rate, --clip, --skip-non-finite)"),
        TrainError::OutOfMemory(_) => Some(" (--batch-size, --accumulate)"),
        TrainError::DeviceFailed(_) => Some(" (--resume --out)"),
        TrainError::OtherData(_) => Some(" (--data, --reports or --annotation, --images, --limit)"),
        TrainError::OutputInUse(_) => Some(" (--out, --resume)"),
        TrainError::OutputBusy(_) => Some(" (--out)"),
        TrainError::Data(DataError::NoReports { .. }) => Some(" (--reports)"),
        TrainError::Data(DataError::MissingImages { .. }) => {
            Some(" (--images, --on-bad-study skip)")
        }
        TrainError::Checkpoint(CheckpointError::Write { .. } | CheckpointError::Damaged { .. }) => {
            Some(" (--resume --out)")
        }
        TrainError::Checkpoint(CheckpointError::NotACheckpoint(_)) => {
            Some(" (cargo run --example import_official)")
        }
        TrainError::Config(_) => Some(" (--set)"),
        _ => None,
    }
}

fn train(
    arguments: &TrainArguments,
    real_data_preset: Preset,
    ranks: &Ranks,
) -> Result<(), Box<dyn Error>> {
    let device = arguments.device.of_process(ranks.local_rank()).open();
    let device = ranks.agree(device.map_err(TrainError::from))?;
    let config = ranks.agree(arguments.config(real_data_preset, ranks))?;
    let out = match &arguments.out {
        Some(out) => out.clone(),
        None => first_free(config.preset),
    };
    let mut options = ExperimentOptions::new(arguments.source(), out, device);
    options.backbone_weights = arguments.backbone_weights.clone();
    options.start_from = arguments.start_from.clone();
    options.limit = arguments.limit;
    options.resume = arguments.resume;
    options.interrupt = ranks.agree(Interrupt::on_signals().map_err(TrainError::Signals))?;
    options.cache = arguments.cache.clone();
    options.on_bad_study = arguments.on_bad_study;
    options.ranks = ranks.clone();
    options.exact = arguments.exact;
    let mut observer = match ranks.is_first() {
        true => arguments.observer(&config, &options)?,
        false => Box::new(Console::new(Verbosity::Quiet)),
    };
    run_experiment(&config, &options, observer.as_mut())?;
    Ok(())
}

impl TrainArguments {
    fn source(&self) -> DataSource {
        match (&self.data, &self.annotation, &self.images) {
            (Some(folder), _, _) => DataSource::Mimic {
                folder: folder.clone(),
                reports: self.reports.clone(),
            },
            (None, Some(file), Some(images)) => DataSource::Annotation {
                file: file.clone(),
                images: images.clone(),
            },
            _ => DataSource::Phantom(PathBuf::from("runs/phantom-studies")),
        }
    }

    fn config(
        &self,
        real_data_preset: Preset,
        ranks: &Ranks,
    ) -> Result<ExperimentConfig, TrainError> {
        let mut config = match (&self.out, self.resume) {
            (Some(out), true) => config_to_resume(out, ranks, self.accumulate)?,
            _ => self.preset(real_data_preset).config(),
        };
        if let Some(generator) = self.generator {
            config = config.with_generator(generator);
        }
        if let Some(epochs) = self.epochs {
            config.training.epochs = epochs;
        }
        if let Some(batch_size) = self.batch_size {
            config.training.batch_size = batch_size;
        }
        if let Some(seed) = self.seed {
            config.training.seed = seed;
        }
        self.apply_training_options(&mut config.training);
        if let Some(negatives) = self.negatives {
            config.negatives = match negatives {
                NegativesArgument::Ithn => Negatives::Ithn,
                NegativesArgument::Fixed => Negatives::Fixed,
                NegativesArgument::Off => Negatives::Off,
            };
        }
        Ok(config.with_settings(&self.set)?)
    }

    fn apply_training_options(&self, training: &mut TrainingConfig) {
        if let Some(precision) = self.precision {
            training.precision = precision;
        }
        if let Some(accumulate) = self.accumulate {
            training.accumulate = accumulate;
        }
        if let Some(norm) = self.clip {
            training.guards.largest_gradient_norm = Some(norm);
        }
        if let Some(at_most) = self.skip_non_finite {
            training.guards.non_finite = NonFinite::Skip { at_most };
        }
        if let Some(rate) = self.learning_rate {
            training.optimizer.learning_rate = rate;
        }
        if let Some(rate) = self.backbone_learning_rate {
            training.optimizer.backbone_learning_rate = rate;
        }
        if let Some(steps) = self.warmup {
            training.optimizer.warmup_steps = steps;
        }
        if let Some(schedule) = self.schedule {
            training.optimizer.schedule = schedule;
        }
        if let Some(minutes) = self.save_every_minutes {
            training.records.save_every_minutes = Some(minutes);
        }
    }

    fn observer(
        &self,
        config: &ExperimentConfig,
        options: &ExperimentOptions,
    ) -> Result<Box<dyn Observer>, DashboardError> {
        if !self.dashboard {
            return Ok(Box::new(Console::new(self.verbosity())));
        }
        let generator = config.model.generator.name();
        let title = format!("{generator} in {}", options.out.display());
        let interrupt = options.interrupt.clone();
        let dashboard = Dashboard::open(&title, interrupt, self.verbosity())?;
        Ok(Box::new(dashboard))
    }

    fn verbosity(&self) -> Verbosity {
        match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (_, true) => Verbosity::Verbose,
            _ => Verbosity::Normal,
        }
    }

    fn preset(&self, real_data_preset: Preset) -> Preset {
        let is_phantom = self.data.is_none() && self.annotation.is_none();
        match self.preset {
            Some(preset) => preset,
            None if is_phantom => Preset::Phantom,
            None => real_data_preset,
        }
    }
}

fn precision(name: &str) -> Result<Precision, String> {
    match name {
        "single" => Ok(Precision::Single),
        "bfloat16" => Ok(Precision::Bfloat16),
        _ => Err("use single or bfloat16".to_owned()),
    }
}

fn schedule(name: &str) -> Result<LearningRateSchedule, String> {
    match name.split_once(':') {
        None if name == "constant" => Ok(LearningRateSchedule::Constant),
        None if name == "cosine" => Ok(LearningRateSchedule::Cosine {
            floor: Fraction::literal(0.0),
        }),
        Some(("cosine", floor)) => floor
            .parse()
            .map(|floor| LearningRateSchedule::Cosine { floor })
            .map_err(|error: ParseNumberError| format!("'{floor}': {error}")),
        _ => Err("use constant, cosine or cosine:FLOOR".to_owned()),
    }
}

fn first_free(preset: Preset) -> PathBuf {
    let name = Preset::NAMES
        .iter()
        .find(|(_, known)| *known == preset)
        .map_or("run", |(name, _)| name);
    RunFolder::first_free(Path::new("runs"), name)
}
