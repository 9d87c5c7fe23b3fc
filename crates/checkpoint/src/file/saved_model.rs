use std::path::{Path, PathBuf};

use burn::module::{Module, ModuleDisplay};
use burn::store::{ModuleRecord, RecordError};
use burn::tensor::Bytes;

use super::{CheckpointError, CheckpointHeader, layout, open, parse_header};

/// The part of a checkpoint that writing reports needs: header and weights, no optimiser state.
#[derive(Debug)]
pub struct SavedModel {
    /// Configuration, vocabulary and progress.
    pub header: CheckpointHeader,
    model: Vec<u8>,
    path: PathBuf,
}

/// The generator where a checkpoint has it, below the plug-in; its heads stay unread.
#[derive(Module, Debug)]
struct BelowPlugin<G> {
    generator: G,
}

impl SavedModel {
    /// Reads header and weights of a checkpoint; the optimiser state is neither read nor checked.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, is not a checkpoint, is too new or is damaged.
    pub fn load(path: &Path) -> Result<Self, CheckpointError> {
        let (mut file, length) = open(path)?;
        let (version, header, model) = layout::read_model(&mut file, length)
            .map_err(|error| CheckpointError::of_layout(path, error))?;
        Ok(SavedModel {
            header: parse_header(path, version, &header)?,
            model,
            path: path.to_owned(),
        })
    }

    /// Loads the weights into a generator of the checkpoint's configuration.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Damaged`] if they do not fit.
    pub fn restore_generator<G: Module + ModuleDisplay>(
        self,
        generator: G,
    ) -> Result<G, CheckpointError> {
        let damaged = |error: RecordError| CheckpointError::Damaged {
            path: self.path.clone(),
            reason: error.to_string(),
        };
        let record = ModuleRecord::from_bytes(Bytes::from_bytes_vec(self.model))
            .map_err(damaged)?
            .allow_unused(true);
        let model = BelowPlugin { generator };
        let model = model.try_load_record(record).map_err(damaged)?;
        Ok(model.generator)
    }
}
