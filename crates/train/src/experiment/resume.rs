//! What is checked before anything is read, and what a resumed run does otherwise than before.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use ithn_checkpoint::CheckpointHeader;
use ithn_checkpoint::config::{ConfigError, ExperimentConfig};

use super::pretraining::is_before_training;
use super::{ExperimentOptions, RunDescription};
use crate::backbone_weights::check_pretrained;
use crate::dataset::DataSource;
use crate::error::TrainError;
use crate::ranks::Ranks;
use crate::records::{RunFolder, output_error};
use crate::start::EarlierWeights;
use crate::watch::Observer;

impl ExperimentOptions {
    /// Options that continue the run in `out` on the data that it describes ([`RunDescription::read`]).
    pub fn going_on(described: RunDescription, out: PathBuf, device: Device) -> Self {
        let mut options = ExperimentOptions::new(described.source, out, device);
        options.limit = described.limit;
        options.on_bad_study = described.on_bad_study;
        options.cache = described.cache;
        options.resume = true;
        options
    }
}

/// Checks what a new run writes to and starts from.
pub(super) fn check_new(
    config: &ExperimentConfig,
    options: &ExperimentOptions,
) -> Result<(), TrainError> {
    if !options.is_pretrained {
        RunFolder::check_free(&options.out)?;
    }
    if let Some(path) = &options.start_from {
        EarlierWeights::check(path, config)?;
    }
    if let (Some(path), Some(backbone)) =
        (&options.backbone_weights, config.model.generator.backbone())
    {
        check_pretrained(backbone, path)?;
    }
    Ok(())
}

/// Checks the folder of decoded images.
pub(super) fn check_cache(options: &ExperimentOptions) -> Result<(), TrainError> {
    match &options.cache {
        Some(path) if path.exists() && !path.is_dir() => Err(TrainError::Unwritable {
            path: path.clone(),
            reason: "it is a file",
        }),
        Some(path) => std::path::absolute(path)
            .map(drop)
            .map_err(output_error(path)),
        None => Ok(()),
    }
}

/// Checks that a run can go on with these options, and says line by line what it does otherwise.
pub(super) fn go_on(
    [before, now]: [&ExperimentConfig; 2],
    options: &ExperimentOptions,
    description: &RunDescription,
    observer: &mut dyn Observer,
) -> Result<(), TrainError> {
    let earlier = RunDescription::read(&options.out)?;
    if let Some(earlier) = &earlier {
        if earlier.limit != options.limit {
            return Err(TrainError::OtherData(options.out.clone()));
        }
        for line in earlier.changes_to(description) {
            observer.note(&format!("resume: {line}"));
        }
    }
    if let Some(data) = options.source.missing() {
        return Err(TrainError::DataGone {
            run: options.out.clone(),
            data: data.to_owned(),
        });
    }
    if let DataSource::Phantom(folder) | DataSource::PhantomHistory(folder) = &options.source
        && !folder.exists()
    {
        observer.note(&format!(
            "resume: {} is gone: its phantom studies are drawn again",
            folder.display()
        ));
    }
    for change in before.changes_to(now) {
        observer.note(&format!("resume: {change}"));
    }
    let functions = now.depends_on_epochs();
    if before.training.epochs != now.training.epochs && !functions.is_empty() {
        observer.warning(&format!(
            "{} depend on the number of epochs: from here on they follow a training of {} epochs, not {}, so \
             that this run is none of the two without an interruption",
            functions.join(" and "),
            now.training.epochs,
            before.training.epochs,
        ));
    }
    Ok(())
}

/// The configuration to resume a run of `out` with, at `ranks` processes: its own, with `accumulate` batches a rank or,
/// without it, as many as keep the batches of a step.
///
/// # Errors
///
/// [`TrainError::NothingToResume`] if there is no checkpoint; [`TrainError::Config`] if the batches of a step
/// cannot be divided among so many ranks.
pub fn config_to_resume(
    out: &Path,
    ranks: &Ranks,
    accumulate: Option<usize>,
) -> Result<ExperimentConfig, TrainError> {
    let checkpoint = RunFolder::view(out).last_checkpoint();
    if is_before_training(out) {
        let mut config = ExperimentConfig::load(&RunFolder::view(out).config())?;
        if let Some(accumulate) = accumulate {
            config.training.accumulate = accumulate;
        }
        return Ok(config);
    }
    if !checkpoint.is_file() {
        return Err(TrainError::NothingToResume(out.to_owned(), "last.ithn"));
    }
    let header = CheckpointHeader::load(&checkpoint)?;
    let mut config = header.config;
    if let Some(accumulate) = accumulate {
        config.training.accumulate = accumulate;
    } else if let Some(batches) = header.progress.batches_per_step {
        config.training.accumulate = match batches % ranks.size() {
            0 => batches / ranks.size(),
            _ => {
                let problem = format!(
                    "the run averages {batches} batches a step, which {} processes cannot divide: start a number \
                     of processes that divides {batches}, or set how many each accumulates",
                    ranks.size()
                );
                return Err(ConfigError::new("training.accumulate", problem).into());
            }
        };
    }
    Ok(config)
}
