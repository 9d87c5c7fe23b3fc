//! A training job's command line, for programs and examples: `clap` arguments, what they mean, and the options
//! that mend an error.

mod data;
mod values;

pub use data::DataArguments;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use burn::tensor::Device;
use clap::{Args, ValueEnum};
use ithn_checkpoint::CheckpointError;
use ithn_checkpoint::config::{
    ExperimentConfig, GeneratorKind, LearningRateSchedule, Negatives, NonFinite, Precision, Preset,
    Setting, TrainingConfig,
};
use ithn_data::{DataError, OnBadStudy};
use ithn_generator::config::{NonNegative, Positive};
use ithn_inference::device::DeviceName;

use crate::{
    ExperimentOptions, INTERRUPTED_STATUS, Interrupt, Ranks, RunDescription, RunFolder, TrainError,
    Verbosity, config_to_resume,
};

/// How much a program says.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct VerbosityArguments {
    /// Say less: results, warnings and errors alone
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,

    /// Say more: every step of a training run; time and memory at the end of any command
    #[arg(short, long, global = true)]
    verbose: bool,
}

/// The arguments of a training job. Flatten them into a parser of your own.
#[derive(Debug, Args)]
pub struct TrainArguments {
    #[command(flatten)]
    data: DataArguments,

    /// phantom, phantom-history, iu-xray-small, iu-xray, mimic-cxr, official-iu-xray or official-mimic-cxr
    /// [default: phantom without data, else mimic-cxr for --data]
    #[arg(long)]
    preset: Option<Preset>,

    /// r2gen_cmn, r2gen or cnn_lstm, as large as the preset [default: the preset's]
    #[arg(long)]
    generator: Option<GeneratorKind>,

    /// cpu, cuda:N, wgpu or ndarray [default: that of the run with --resume, else cpu]
    #[arg(long)]
    device: Option<DeviceName>,

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
    #[arg(long, value_name = "N", value_parser = values::at_least_one)]
    limit: Option<usize>,

    /// Leave the test split unread, while options are chosen: the validation split stands in its place in the final table
    #[arg(long, conflicts_with = "resume")]
    validation_only: bool,

    /// Negatives: hardened along the schedule, as they are, or none [default: the preset's]
    #[arg(long)]
    negatives: Option<NegativesArgument>,

    /// Folder of decoded images, filled by the first run and used by all that follow
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,

    /// A study whose files are broken: stop, or skip it and say so
    /// [default: stop; of a run that goes on, as before]
    #[arg(long, value_name = "stop|skip")]
    on_bad_study: Option<OnBadStudy>,

    /// First weights of the backbone: torchvision's ResNet (.pth or .safetensors), or a checkpoint
    /// of this library with the same backbone
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
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
    #[arg(long, value_name = "single|bfloat16", value_parser = values::precision)]
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
    #[arg(long, value_name = "constant|cosine|cosine:FLOOR", value_parser = values::schedule)]
    schedule: Option<LearningRateSchedule>,

    /// Minutes between two checkpoints within an epoch [default: 10]
    #[arg(long, value_name = "MINUTES")]
    save_every_minutes: Option<f64>,

    /// Never write `<unk>`, in validation, at the end and in reports from the checkpoint [default: the preset's]
    #[arg(
        long,
        value_name = "true|false",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    forbid_unknown: Option<bool>,

    /// Any other value, by its name in config.json, such as ithn.weights.contrastive=0.2; may be
    /// repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<Setting>,

    /// Continue the run in --out, on its own data and with its own configuration; other values are said. Data that
    /// was moved is named anew
    #[arg(long, requires = "out", conflicts_with_all = ["preset", "generator", "batch_size", "seed", "negatives", "set"])]
    resume: bool,

    /// Folder of the run [default: the first free runs/PRESET-N]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum NegativesArgument {
    Ithn,
    Fixed,
    Off,
}

/// Prints why a job failed, on one line of standard error with the options that mend it, and returns its exit
/// code: 2, or [`INTERRUPTED_STATUS`] after an interruption. Of several ranks, which all have the error, the first
/// prints.
pub fn failed(error: &TrainError, ranks: &Ranks) -> ExitCode {
    let (status, text) = match error {
        TrainError::Interrupted { folder, .. } | TrainError::PretrainingStopped { folder, .. } => (
            INTERRUPTED_STATUS,
            format!("{error}: --resume --out {}", folder.display()),
        ),
        _ => {
            let options = option_for(error).unwrap_or_default();
            (2, format!("error: {error}{options}"))
        }
    };
    if ranks.is_first() {
        // Nothing is left to be told to whoever has closed standard error.
        drop(writeln!(std::io::stderr().lock(), "{text}"));
    }
    ExitCode::from(status)
}

/// The options that mend an error, which the library's messages cannot name.
pub fn option_for(error: &TrainError) -> Option<&'static str> {
    match error {
        TrainError::BatchTooLarge { .. } => Some(" (--batch-size)"),
        TrainError::NonFinite { .. } => Some(" (--learning-rate, --clip, --skip-non-finite)"),
        TrainError::OutOfMemory(_) => Some(" (--batch-size, --accumulate)"),
        TrainError::DeviceFailed(_) => Some(" (--resume --out)"),
        TrainError::OtherData(_) => Some(" (--data, --reports or --annotation, --images, --limit)"),
        TrainError::OutputInUse(_) => Some(" (--out, --resume)"),
        TrainError::OutputBusy(_) => Some(" (--out)"),
        TrainError::Data(DataError::NoReports { .. }) => Some(" (--reports)"),
        TrainError::UnknownData(_) => Some(
            " (--data or --annotation, --images; phantom studies: --data runs/phantom-studies; --limit)",
        ),
        TrainError::DataGone { .. } => Some(" (--data, --reports or --annotation, --images)"),
        TrainError::Unwritable { .. } => Some(" (--out, --cache)"),
        TrainError::Data(DataError::MissingImages { .. }) => {
            Some(" (--data or --images, --on-bad-study skip)")
        }
        TrainError::Checkpoint(CheckpointError::Write { .. } | CheckpointError::Damaged { .. }) => {
            Some(" (--resume --out)")
        }
        TrainError::Checkpoint(CheckpointError::NotACheckpoint(_)) => Some(" (ithn import)"),
        TrainError::Config(_) => Some(" (--set)"),
        _ => None,
    }
}

impl VerbosityArguments {
    /// What was asked for.
    pub fn verbosity(&self) -> Verbosity {
        match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (_, true) => Verbosity::Verbose,
            _ => Verbosity::Normal,
        }
    }
}

impl TrainArguments {
    /// The configuration and the options of the job. `real_data_preset` is the preset of real data, where
    /// `--preset` names none; all `ranks` call this. From here on signals stop the run after its step
    /// ([`Interrupt::on_signals`]).
    ///
    /// # Errors
    ///
    /// An error of one rank is an error of all: if the device cannot be opened, the run that is to be resumed cannot be read, a value of `--set` is
    /// refused, or the process cannot listen to signals.
    pub fn job(
        &self,
        real_data_preset: Preset,
        ranks: &Ranks,
    ) -> Result<(ExperimentConfig, ExperimentOptions), TrainError> {
        let name = ranks.agree(self.device_name())?;
        let device = name.of_process(ranks.local_rank()).open();
        let device = ranks.agree(device.map_err(TrainError::from))?;
        let config = ranks.agree(self.config(real_data_preset, ranks))?;
        let out = match &self.out {
            Some(out) => out.clone(),
            None => first_free(config.preset),
        };
        let mut options = ranks.agree(self.options(out, device, config.preset))?;
        options.device_name = Some(name);
        options.backbone_weights = self.backbone_weights.clone();
        options.start_from = self.start_from.clone();
        options.interrupt = ranks.agree(Interrupt::on_signals().map_err(TrainError::Signals))?;
        options.ranks = ranks.clone();
        options.exact = self.exact;
        Ok((config, options))
    }

    /// The device that is named, or that of the run that goes on.
    fn device_name(&self) -> Result<DeviceName, TrainError> {
        let run = match (self.device, &self.out) {
            (Some(named), _) => return Ok(named),
            (None, Some(out)) if self.resume => RunDescription::read(out)?,
            (None, _) => None,
        };
        let of_run = run.and_then(|run| run.device);
        Ok(of_run.unwrap_or(DeviceName::Cpu))
    }

    /// Whether the studies come from an annotation and no preset says which data set's sizes they want.
    pub fn lacks_preset(&self) -> bool {
        self.data.is_annotation() && self.preset.is_none() && !self.resume
    }

    /// Where data, limit and the like come from: the options, or the run that goes on.
    fn options(
        &self,
        out: PathBuf,
        device: Device,
        preset: Preset,
    ) -> Result<ExperimentOptions, TrainError> {
        if !self.resume {
            let source = match self.validation_only {
                true => self.data.source_for(preset).without_test(),
                false => self.data.source_for(preset),
            };
            let mut options = ExperimentOptions::new(source, out, device);
            options.limit = self.limit;
            options.cache = self.cache.clone();
            options.on_bad_study = self.on_bad_study.unwrap_or_default();
            return Ok(options);
        }
        let described = self.data.of_run(&out)?;
        let mut options = ExperimentOptions::going_on(described, out, device);
        if self.limit.is_some() {
            options.limit = self.limit;
        }
        if self.cache.is_some() {
            options.cache.clone_from(&self.cache);
        }
        if let Some(policy) = self.on_bad_study {
            options.on_bad_study = policy;
        }
        Ok(options)
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
            config.set_seed(seed);
        }
        self.apply_training_options(&mut config.training);
        if let Some(forbid) = self.forbid_unknown {
            config.text.forbid_unknown = forbid;
        }
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

    fn preset(&self, real_data_preset: Preset) -> Preset {
        let default = match self.data.named() {
            None => Preset::Phantom,
            Some(_) => real_data_preset,
        };
        self.preset.unwrap_or(default)
    }
}

fn first_free(preset: Preset) -> PathBuf {
    let name = Preset::NAMES
        .iter()
        .find(|(_, known)| *known == preset)
        .map_or("run", |(name, _)| name);
    RunFolder::first_free(Path::new("runs"), name)
}
