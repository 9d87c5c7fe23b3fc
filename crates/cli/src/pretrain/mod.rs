//! `ithn pretrain`: teaches a backbone to see, without ImageNet.

mod table;

use std::path::{Path, PathBuf};

use clap::Args;
use ithn::config::Setting;
use ithn::data::OnBadStudy;
use ithn::device::DeviceName;
use ithn::models::config::from_json;
use ithn::train::arguments::DataArguments;
use ithn::train::pretrain::{
    LabelSource, PretrainConfig, PretrainConsole, PretrainOptions, PretrainPreset, pretrain,
    score_classifier,
};
use ithn::train::{Interrupt, RunFolder, TrainError, Verbosity};

use crate::failure::Failure;
use crate::hub;
use crate::output::Talk;

/// Teaches a backbone to see: classification of the findings that reports state.
///
/// The weights, OUT/best.safetensors, go into a training by --backbone-weights. Without --data or
/// --annotation it draws phantom studies.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ithn pretrain --annotation annotation.json --images images --out runs/eyes
  ithn pretrain --annotation annotation.json --images images --score runs/eyes/best.safetensors
  ithn pretrain --annotation annotation.json --images images --train-on even --tags indiana_reports.csv
  ithn train --preset iu-xray --annotation annotation.json --images images \\
      --backbone-weights runs/eyes/best.safetensors")]
pub(crate) struct Arguments {
    #[command(flatten)]
    data: DataArguments,

    /// Findings by study, such as mimic-cxr-2.0.0-chexpert.csv: columns study_id (or id) and names of
    /// classes, values 1, 0, -1 or blank [default: read from the reports]
    #[arg(long, value_name = "CSV")]
    labels: Option<PathBuf>,

    /// Findings of the test split, from elsewhere than those of training
    #[arg(long, value_name = "CSV")]
    test_labels: Option<PathBuf>,

    /// Open-i's table with the column MeSH: scores the test split against these tags of people, too
    #[arg(long, value_name = "CSV", conflicts_with = "validation_only")]
    tags: Option<PathBuf>,

    /// phantom, small or published [default: phantom without data, else small]
    #[arg(long)]
    preset: Option<PretrainPreset>,

    /// A configuration in place of a preset, such as the config.json of an earlier run
    #[arg(long, value_name = "FILE", conflicts_with = "preset")]
    config: Option<PathBuf>,

    /// Score this classifier, an earlier run's best.safetensors, instead of training one
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["preset", "config", "set", "seed", "backbone_weights"]
    )]
    score: Option<PathBuf>,

    /// First weights of the backbone: torchvision's, or an earlier run's
    #[arg(long, value_name = "FILE")]
    backbone_weights: Option<PathBuf>,

    /// cpu, cuda:N, wgpu or ndarray
    #[arg(long, default_value = "cpu")]
    device: DeviceName,

    /// Seed of weights, dropout, order and augmentation [default: the preset's]
    #[arg(long)]
    seed: Option<u64>,

    /// Keep only the first N studies of every split
    #[arg(long, value_name = "N")]
    limit: Option<usize>,

    /// Folder of decoded images, filled by the first run and used by all that follow
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,

    /// A study whose files are broken: stop, or skip it and say so
    #[arg(long, default_value = "stop")]
    on_bad_study: OnBadStudy,

    /// Leave the test split unread, while choosing options
    #[arg(long)]
    validation_only: bool,

    /// Any other value, by its name in config.json, such as dropout=0.2; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<Setting>,

    /// Continue the run in --out after its last whole epoch, with its own configuration
    #[arg(
        long,
        requires = "out",
        conflicts_with_all = ["preset", "config", "set", "seed", "backbone_weights", "score"]
    )]
    resume: bool,

    /// Folder of the run [default: the first free runs/pretrain-N]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl Arguments {
    pub(crate) fn run(&self, talk: Talk) -> Result<(), Failure> {
        ithn::device::prepare_process();
        let config = self.config()?;
        let out = match &self.out {
            Some(out) => out.clone(),
            None => RunFolder::first_free(Path::new("runs"), "pretrain"),
        };
        let mut options = PretrainOptions::new(self.data.source(), out, self.device.open()?);
        let table = |path: &Option<PathBuf>| path.clone().map(LabelSource::Table);
        options.labels = table(&self.labels).unwrap_or_default();
        options.test_labels = table(&self.test_labels);
        options.tags.clone_from(&self.tags);
        if let Some(weights) = &self.backbone_weights {
            options.backbone_weights = Some(hub::local_path(weights)?);
        }
        options.limit = self.limit;
        options.resume = self.resume;
        options.interrupt = Interrupt::on_signals().map_err(TrainError::Signals)?;
        options.cache = self.cache.clone();
        options.on_bad_study = self.on_bad_study;
        options.score_test = !self.validation_only;
        let mut console = PretrainConsole::new(talk.verbosity == Verbosity::Quiet);
        let results = match &self.score {
            Some(weights) => score_classifier(weights, &options, &mut console)?,
            None => pretrain(&config, &options, &mut console)?,
        };
        talk.result(table::results(&results))?;
        talk.note(format_args!(
            "weights, configuration and scores are in {}",
            options.out.display()
        ));
        Ok(())
    }

    fn config(&self) -> Result<PretrainConfig, Failure> {
        let has_data = self.data.named().is_some();
        let of_run = self.out.as_ref().filter(|_| self.resume);
        let of_run = of_run.map(|out| RunFolder::view(out).config());
        let mut config = match (self.config.as_ref().or(of_run.as_ref()), self.preset) {
            (Some(path), _) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|error| Failure::Said(format!("{}: {error}", path.display())))?;
                from_json(&text).map_err(|error| error.in_file(path))?
            }
            (None, Some(preset)) => preset.config(),
            (None, None) if has_data => PretrainPreset::Small.config(),
            (None, None) => PretrainPreset::Phantom.config(),
        };
        if let Some(seed) = self.seed {
            config.seed = seed;
        }
        for setting in &self.set {
            config = setting.apply(&config)?;
        }
        Ok(config)
    }
}
