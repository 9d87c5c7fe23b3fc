//! One file that is enough to write reports, evaluate or go on training.
//!
//! Layout: the magic bytes `ITHNCKPT`, a format version, then sections (length and bytes): a JSON
//! header, the model and the optimiser state as burnpack; last a CRC-32 of all before it. A file
//! is written under a temporary name, synced and renamed, so a reader sees the old or the new one.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::store::ModuleRecord;
use burn::tensor::Bytes;
use ithn_data::Tokenizer;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::config::ExperimentConfig;

const MAGIC: &[u8; 8] = b"ITHNCKPT";

/// Version of the file layout that this library writes.
pub const FORMAT_VERSION: u32 = 1;

/// Everything in a checkpoint but the weights.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CheckpointHeader {
    /// Version of the library that wrote it.
    pub library_version: String,
    /// The run's configuration.
    pub config: ExperimentConfig,
    /// Cleaning rules and vocabulary.
    pub tokenizer: Tokenizer,
    /// How far training had come.
    pub progress: TrainingProgress,
}

/// How far training has come.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TrainingProgress {
    /// Epochs completed.
    pub epoch: usize,
    /// Optimiser steps taken.
    pub step: usize,
    /// Best value of the monitored metric so far, and its epoch.
    pub best: Option<(f64, usize)>,
}

/// A checkpoint in memory.
#[derive(Debug)]
pub struct Checkpoint {
    /// Configuration, vocabulary and progress.
    pub header: CheckpointHeader,
    model: Vec<u8>,
    optimizer: Vec<u8>,
    path: PathBuf,
}

/// Why a checkpoint could not be saved or loaded.
#[derive(Debug, Error)]
pub enum CheckpointError {
    /// The file cannot be read or written.
    #[error("checkpoint {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Not one of this library's checkpoints.
    #[error(
        "{0} is not an ithn checkpoint; released .pth files are converted by \
         `cargo run --example import_official`"
    )]
    NotACheckpoint(PathBuf),
    /// Written by a later version.
    #[error(
        "{path} has checkpoint format {found}, this library reads up to {FORMAT_VERSION}: update ithn"
    )]
    TooNew {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// Cut short or altered.
    #[error("{path} is damaged ({reason}); use another checkpoint of the run")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

impl Checkpoint {
    /// Collects a model (on any device) and its optimiser.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Damaged`] if the weights cannot be serialised.
    pub fn collect<M: Module>(
        header: CheckpointHeader,
        model: &M,
        optimizer: &ModuleOptimizer,
        path: &Path,
    ) -> Result<Self, CheckpointError> {
        let damaged = |error: burn::store::RecordError| CheckpointError::Damaged {
            path: path.to_owned(),
            reason: error.to_string(),
        };
        let model = model.valid().into_record().into_bytes().map_err(damaged)?;
        let optimizer = optimizer.into_bytes().map_err(damaged)?;
        Ok(Checkpoint {
            header,
            model: model.to_vec(),
            optimizer: optimizer.to_vec(),
            path: path.to_owned(),
        })
    }

    /// Writes the checkpoint so that an interruption leaves the previous file whole.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Io`] naming the file.
    pub fn save_as(&self, path: &Path) -> Result<(), CheckpointError> {
        let io_error = |source| CheckpointError::Io {
            path: path.to_owned(),
            source,
        };
        let header =
            serde_json::to_vec(&self.header).map_err(|error| io_error(io::Error::other(error)))?;
        let mut bytes = Vec::with_capacity(self.model.len() + self.optimizer.len() + header.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        for section in [&header, &self.model, &self.optimizer] {
            bytes.extend_from_slice(&(section.len() as u64).to_le_bytes());
            bytes.extend_from_slice(section);
        }
        let checksum = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        write_atomically(path, &bytes).map_err(io_error)
    }

    /// Reads a checkpoint.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, is not a checkpoint, is too new or is damaged.
    pub fn load(path: &Path) -> Result<Self, CheckpointError> {
        let bytes = fs::read(path).map_err(|source| CheckpointError::Io {
            path: path.to_owned(),
            source,
        })?;
        let damaged = |reason: &str| CheckpointError::Damaged {
            path: path.to_owned(),
            reason: reason.to_owned(),
        };
        let Some(rest) = bytes.strip_prefix(MAGIC) else {
            return Err(CheckpointError::NotACheckpoint(path.to_owned()));
        };
        let (version, _) = rest
            .split_first_chunk::<4>()
            .ok_or_else(|| damaged("it ends within its version"))?;
        let found = u32::from_le_bytes(*version);
        if found > FORMAT_VERSION {
            return Err(CheckpointError::TooNew {
                path: path.to_owned(),
                found,
            });
        }
        let (body, checksum) = bytes
            .split_last_chunk::<4>()
            .ok_or_else(|| damaged("it is too short"))?;
        if crc32fast::hash(body) != u32::from_le_bytes(*checksum) {
            return Err(damaged("its checksum does not match"));
        }
        let mut sections = &body[MAGIC.len() + 4..];
        let mut section = || -> Option<Vec<u8>> {
            let (length, rest) = sections.split_first_chunk::<8>()?;
            let (bytes, rest) =
                rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
            sections = rest;
            Some(bytes.to_vec())
        };
        let mut named = |name: &str| {
            section().ok_or_else(|| damaged(&format!("its {name} section is cut short")))
        };
        let header = named("header")?;
        Ok(Checkpoint {
            header: serde_json::from_slice(&header)
                .map_err(|error| damaged(&format!("its header: {error}")))?,
            model: named("model")?,
            optimizer: named("optimiser")?,
            path: path.to_owned(),
        })
    }

    /// Puts the weights into a model of the checkpoint's configuration.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Damaged`] if they do not fit.
    pub fn restore_model<M: Module>(&self, model: M) -> Result<M, CheckpointError> {
        let record = ModuleRecord::from_bytes(Bytes::from_bytes_vec(self.model.clone()))
            .map_err(|error| self.damaged(error))?;
        model
            .try_load_record(record)
            .map_err(|error| self.damaged(error))
    }

    /// Puts the state into an optimiser of the checkpoint's configuration.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Damaged`] if it does not fit.
    pub fn restore_optimizer(
        &self,
        optimizer: ModuleOptimizer,
    ) -> Result<ModuleOptimizer, CheckpointError> {
        optimizer
            .from_bytes(Bytes::from_bytes_vec(self.optimizer.clone()))
            .map_err(|error| self.damaged(error))
    }

    fn damaged(&self, error: burn::store::RecordError) -> CheckpointError {
        CheckpointError::Damaged {
            path: self.path.clone(),
            reason: error.to_string(),
        }
    }
}

/// Writes `bytes` under a temporary name beside `path`, syncs and renames.
///
/// # Errors
///
/// Whatever the system says; `path` then is as it was.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".partial");
    let temporary = PathBuf::from(temporary);
    let mut file = File::create(&temporary)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if let Err(error) = written {
        // The half-written file helps nobody; the error that matters is the first.
        drop(fs::remove_file(&temporary));
        return Err(error);
    }
    fs::rename(&temporary, path)
}
