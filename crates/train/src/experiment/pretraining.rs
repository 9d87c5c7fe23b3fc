//! The stage before training: the backbone learns to see.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ithn_checkpoint::config::{ExperimentConfig, PretrainConfig};
use ithn_metrics::classification::Estimate;

use super::resume::check_new;
use super::{ExperimentOptions, RunDescription};
use crate::error::TrainError;
use crate::pretrain::{
    ClassificationScores, PretrainEpoch, PretrainObserver, PretrainOptions, PretrainResults,
    pretrain,
};
use crate::records::{RunFolder, output_error};
use crate::watch::Observer;

/// Folder of the stage within that of the run.
const FOLDER: &str = "pretraining";

/// File of a stage that has completed an epoch.
const LAST: &str = "last.json";

/// Whether a run stopped before its training began, in its pretraining or right after it.
pub(super) fn is_before_training(run: &Path) -> bool {
    let folder = RunFolder::view(run);
    run.join(FOLDER).is_dir() && folder.config().is_file() && !folder.last_checkpoint().exists()
}

/// Runs the pretraining of a configuration that has one, or continues it, unless weights are given or training has begun
/// before. Returns the options of the rest of the run.
///
/// Of several ranks the first does it; the others wait.
///
/// # Errors
///
/// As [`pretrain`]; an error of the first rank is an error of all.
pub(super) fn after_pretraining(
    config: &ExperimentConfig,
    options: ExperimentOptions,
    observer: &mut dyn Observer,
) -> Result<ExperimentOptions, TrainError> {
    let Some(pretraining) = &config.pretraining else {
        return Ok(options);
    };
    let ranks = &options.ranks;
    let goes_on = options.resume && !is_before_training(&options.out);
    let has_weights = options.backbone_weights.is_some() || options.start_from.is_some();
    if ranks.of_first(Ok(goes_on || has_weights))? {
        return Ok(options);
    }
    let learnt = ranks
        .is_first()
        .then(|| learn(pretraining, config, &options, observer));
    ranks.agree(learnt.transpose())?;
    Ok(ExperimentOptions {
        backbone_weights: Some(best_weights(&options.out)),
        resume: false,
        is_pretrained: true,
        ..options
    })
}

/// The weights that the stage leaves in the folder of a run.
fn best_weights(run: &Path) -> PathBuf {
    run.join(FOLDER).join("best.safetensors")
}

fn learn(
    pretraining: &PretrainConfig,
    config: &ExperimentConfig,
    options: &ExperimentOptions,
    observer: &mut dyn Observer,
) -> Result<(), TrainError> {
    config.validate()?;
    let out = options.out.join(FOLDER);
    let goes_on = options.resume && out.join(LAST).is_file();
    if options.resume && !goes_on {
        remove(&out)?;
    }
    if !options.resume {
        check_new(config, options)?;
        let folder = RunFolder::create(&options.out, config)?;
        RunDescription::of(options)?.write(folder.root())?;
    }
    let mut stage = PretrainOptions::new(options.source.clone(), out, options.device.clone());
    stage.limit = options.limit;
    stage.cache.clone_from(&options.cache);
    stage.on_bad_study = options.on_bad_study;
    stage.interrupt = options.interrupt.clone();
    stage.resume = goes_on;
    let mut told = Told(&mut *observer);
    let results = pretrain(pretraining, &stage, &mut told).map_err(|error| match error {
        TrainError::PretrainingStopped { epoch, .. } => TrainError::PretrainingStopped {
            epoch,
            folder: options.out.clone(),
        },
        error => error,
    })?;
    observer.note(&summary(&results));
    Ok(())
}

fn remove(folder: &Path) -> Result<(), TrainError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(output_error(folder)(error)),
        _ => Ok(()),
    }
}

/// What the classifier scores by itself, by the labeler that made its labels.
fn summary(results: &PretrainResults) -> String {
    let number = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.3}"));
    let scores = |name: &str, scores: &ClassificationScores| {
        format!(
            "{name} AUROC {}, F1 micro {}, macro {}",
            number(scores.macro_auroc),
            number(scores.micro_f1.as_ref().map(|f1: &Estimate| f1.value)),
            number(scores.macro_f1),
        )
    };
    let test = results
        .test
        .as_ref()
        .map(|test| format!("; {}", scores("test", test)));
    format!(
        "pretraining: epoch {} after {:.0} s; the classifier by {}: {}{}",
        results.best_epoch,
        results.seconds,
        results.labels,
        scores("validation", &results.validation),
        test.unwrap_or_default(),
    )
}

/// Passes the events of the stage to the observer of the run.
struct Told<'a, 'b>(&'a mut (dyn Observer + 'b));

impl PretrainObserver for Told<'_, '_> {
    fn note(&mut self, text: &str) {
        self.0.note(&format!("pretraining: {text}"));
    }

    fn working(&mut self, work: &str, done: usize, total: usize) {
        self.0.working(work, done, total);
    }

    fn epoch_ends(&mut self, epoch: &PretrainEpoch) {
        self.0.note(&format!(
            "pretraining: epoch {:>3}  loss {:.4}  validation AUROC {:.4}{}  {:.1} s",
            epoch.epoch,
            epoch.training_loss,
            epoch.validation_auroc,
            if epoch.is_best { " *" } else { "  " },
            epoch.seconds,
        ));
    }
}
