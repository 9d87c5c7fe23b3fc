//! A checkpoint: one file from which to generate reports, evaluate or resume training.
//!
//! Layout, all numbers little-endian: the magic bytes `ITHNCKPT`, a format version (`u32`), then
//! three sections: a JSON header ([`CheckpointHeader`]), the model and the optimiser's state as
//! burnpack. A section is its length (`u64`), the CRC-32 of its bytes (`u32`) and its bytes. A file
//! is written under a temporary name, synced and renamed, so a reader sees the old or the new one.
//!
//! Files of version 1 (one checksum at the end, epochs only) are read as well.

mod header;
mod layout;
mod migrate;
mod saved_model;

pub use header::{BestEpoch, CheckpointHeader, EpochSums, Exact, TrainingProgress};
pub use layout::FORMAT_VERSION;
pub use saved_model::SavedModel;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::store::ModuleRecord;
use burn::tensor::Bytes;
use ithn_data::write_all_names;
use ithn_models::config::from_value;
use thiserror::Error;

use layout::LayoutError;

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
#[non_exhaustive]
pub enum CheckpointError {
    /// The file cannot be read or written.
    #[error("checkpoint {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The I/O error.
        source: io::Error,
    },
    /// The file cannot be written; the one before it is untouched.
    #[error(
        "cannot write checkpoint {path}: {source}; the checkpoint before it, if any, is intact: \
         make room or mend the folder, then resume the run"
    )]
    Write {
        /// The file.
        path: PathBuf,
        /// The I/O error.
        source: io::Error,
    },
    /// Not one of this library's checkpoints.
    #[error(
        "{0} is not an ithn checkpoint; an official .pth file becomes one through \
         `ithn_checkpoint::import`"
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
    #[error(
        "{path} is damaged ({reason}); use another checkpoint of the run, such as best.ithn or an \
         epoch-….ithn (a run resumes from it once it is copied to last.ithn)"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

impl CheckpointError {
    fn of_layout(path: &Path, error: LayoutError) -> Self {
        let path = path.to_owned();
        match error {
            LayoutError::Io(source) => CheckpointError::Io { path, source },
            LayoutError::NotACheckpoint => CheckpointError::NotACheckpoint(path),
            LayoutError::TooNew(found) => CheckpointError::TooNew { path, found },
            LayoutError::Damaged(reason) => CheckpointError::Damaged { path, reason },
        }
    }
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
    /// [`CheckpointError::Write`] naming the file.
    pub fn save_as(&self, path: &Path) -> Result<(), CheckpointError> {
        self.save_under(&[path])
    }

    /// Writes the checkpoint once, then creates `names`, all in one folder, in order.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Write`] naming the last file.
    pub fn save_under(&self, names: &[&Path]) -> Result<(), CheckpointError> {
        let Some(last) = names.last() else {
            return Ok(());
        };
        let failed = |source| CheckpointError::Write {
            path: last.to_path_buf(),
            source,
        };
        let header =
            serde_json::to_vec(&self.header).map_err(|error| failed(io::Error::other(error)))?;
        write_all_names(names, |file| {
            layout::write(file, [&header, &self.model, &self.optimizer])
        })
        .map_err(failed)
    }

    /// Reads a checkpoint.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, is not a checkpoint, is too new or is damaged.
    pub fn load(path: &Path) -> Result<Self, CheckpointError> {
        let (mut file, length) = open(path)?;
        let sections = layout::read(&mut file, length)
            .map_err(|error| CheckpointError::of_layout(path, error))?;
        Ok(Checkpoint {
            header: parse_header(path, sections.version, &sections.header)?,
            model: sections.model,
            optimizer: sections.optimizer,
            path: path.to_owned(),
        })
    }

    /// Loads the weights into a model of the checkpoint's configuration.
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

    /// Loads the optimizer state into an optimiser of the checkpoint's configuration.
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

impl CheckpointHeader {
    /// Reads the header of a checkpoint and none of its tensors.
    ///
    /// # Errors
    ///
    /// As [`Checkpoint::load`].
    pub fn load(path: &Path) -> Result<Self, CheckpointError> {
        let (mut file, length) = open(path)?;
        let (version, header) = layout::read_header(&mut file, length)
            .map_err(|error| CheckpointError::of_layout(path, error))?;
        parse_header(path, version, &header)
    }
}

fn open(path: &Path) -> Result<(File, u64), CheckpointError> {
    let opened = || -> io::Result<(File, u64)> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        Ok((file, length))
    };
    opened().map_err(|source| CheckpointError::Io {
        path: path.to_owned(),
        source,
    })
}

fn parse_header(
    path: &Path,
    version: u32,
    header: &[u8],
) -> Result<CheckpointHeader, CheckpointError> {
    let damaged = |error: &dyn std::fmt::Display| CheckpointError::Damaged {
        path: path.to_owned(),
        reason: format!("its header: {error}"),
    };
    let header = serde_json::from_slice(header).map_err(|error| damaged(&error))?;
    let header: CheckpointHeader =
        from_value(migrate::to_present(header, version)).map_err(|error| damaged(&error))?;
    // Whoever reads the weights builds a model of these sizes first.
    let sizes = header.config.validate_sizes();
    sizes.map_err(|error| damaged(&error.within("config")))?;
    Ok(header)
}
