//! What a run of pretraining goes on from: its state after an epoch.

use std::fs;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::store::{ModuleRecord, RecordError};
use burn::tensor::Bytes;
use ithn_checkpoint::config::ConfigError;
use ithn_checkpoint::{BestEpoch, CheckpointError};
use ithn_data::write_atomically;
use serde::{Deserialize, Serialize};

use super::labels::LabelledSplit;
use crate::error::TrainError;
use crate::records::{RunFolder, output_error};
use ithn_checkpoint::config::PretrainConfig;
use ithn_models::config::from_json;

/// File that names the latest state, written after the state itself.
pub(super) const LAST: &str = "last.json";

/// `last.json`: how far a run has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Progress {
    /// Epochs completed, validation included.
    pub(super) epoch: usize,
    /// Optimiser steps taken.
    pub(super) step: usize,
    /// The best epoch so far.
    pub(super) best: Option<BestEpoch>,
    /// Lines of `epochs.jsonl`.
    pub(super) history: Vec<String>,
    /// CRC-32 of the training studies and their labels.
    pub(super) data: u32,
}

impl Progress {
    pub(super) fn start(split: &LabelledSplit) -> Self {
        Progress {
            epoch: 0,
            step: 0,
            best: None,
            history: Vec::new(),
            data: fingerprint(split),
        }
    }

    /// The progress of the run in `folder`, which must be of the same configuration and data.
    ///
    /// # Errors
    ///
    /// [`TrainError::Output`] if a file cannot be read, [`TrainError::Config`] if the configuration differs or
    /// a file is not what a run writes, [`TrainError::OtherData`] if studies or labels differ.
    pub(super) fn read(
        folder: &RunFolder,
        config: &PretrainConfig,
        split: &LabelledSplit,
    ) -> Result<Self, TrainError> {
        let text = |path: &Path| fs::read_to_string(path).map_err(output_error(path));
        let path = folder.config();
        let saved: PretrainConfig =
            from_json(&text(&path)?).map_err(|error| error.in_file(&path))?;
        if saved != *config {
            return Err(ConfigError::new(
                "",
                "the run was begun with another configuration: resume it with its own",
            )
            .in_file(path)
            .into());
        }
        let path = folder.root().join(LAST);
        let progress: Progress = from_json(&text(&path)?).map_err(|error| error.in_file(&path))?;
        match progress.data == fingerprint(split) {
            true => Ok(progress),
            false => Err(TrainError::OtherData(folder.root().to_owned())),
        }
    }
}

fn fingerprint(split: &LabelledSplit) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for (study, truth) in split.studies.iter().zip(&split.truth) {
        hasher.update(&(study.id.len() as u64).to_le_bytes());
        hasher.update(study.id.as_bytes());
        let labels: Vec<u8> = truth
            .iter()
            .map(|label| label.map_or(2, u8::from))
            .collect();
        hasher.update(&labels);
    }
    hasher.finalize()
}

/// A file of the state after an epoch: `model`, `average` or `optimizer`.
fn part(folder: &Path, epoch: usize, name: &str) -> PathBuf {
    folder.join(format!("epoch-{epoch:05}.{name}"))
}

/// Writes the state after an epoch, then `last.json`, then removes the state before it: an interruption
/// leaves one that is whole.
pub(super) fn save_state<M: Module>(
    folder: &RunFolder,
    progress: &Progress,
    model: &M,
    average: Option<&M>,
    optimizer: &ModuleOptimizer,
) -> Result<(), TrainError> {
    let root = folder.root();
    let write = |name: &str, bytes: Result<Bytes, RecordError>| {
        let path = part(root, progress.epoch, name);
        let bytes = bytes.map_err(|error| damaged(&path, &error))?;
        write_atomically(&path, &bytes).map_err(output_error(&path))
    };
    write("model", model.valid().into_record().into_bytes())?;
    if let Some(average) = average {
        write("average", average.valid().into_record().into_bytes())?;
    }
    write("optimizer", optimizer.into_bytes())?;
    folder.write_json(LAST, progress)?;
    for name in ["model", "average", "optimizer"] {
        let path = part(root, progress.epoch - 1, name);
        if path.exists() {
            fs::remove_file(&path).map_err(output_error(&path))?;
        }
    }
    Ok(())
}

/// Loads a module of the state after an epoch into one of the same configuration.
pub(super) fn load_module<M: Module>(
    folder: &Path,
    epoch: usize,
    name: &str,
    module: M,
) -> Result<M, TrainError> {
    let path = part(folder, epoch, name);
    let bytes = fs::read(&path).map_err(output_error(&path))?;
    let loaded = ModuleRecord::from_bytes(Bytes::from_bytes_vec(bytes))
        .and_then(|record| module.try_load_record(record));
    loaded.map_err(|error| damaged(&path, &error))
}

/// Loads the optimizer state after an epoch.
pub(super) fn load_optimizer(
    folder: &Path,
    epoch: usize,
    optimizer: ModuleOptimizer,
) -> Result<ModuleOptimizer, TrainError> {
    let path = part(folder, epoch, "optimizer");
    let bytes = fs::read(&path).map_err(output_error(&path))?;
    let loaded = optimizer.from_bytes(Bytes::from_bytes_vec(bytes));
    loaded.map_err(|error| damaged(&path, &error))
}

fn damaged(path: &Path, error: &RecordError) -> TrainError {
    CheckpointError::Damaged {
        path: path.to_owned(),
        reason: error.to_string(),
    }
    .into()
}
