use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::{DType, TensorData};
use pytorch_reader::{PytorchError, PytorchReader};
use safetensors::SafeTensors;
use thiserror::Error;

/// Why weights could not be imported.
#[derive(Debug, Error)]
pub enum ImportError {
    /// The file cannot be read.
    #[error("cannot read weights from {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not what its name says, is cut short, or asks for something unknown.
    #[error("{path} is not a readable {format} file: {reason}")]
    Format {
        /// The file.
        path: PathBuf,
        /// `PyTorch` or `safetensors`.
        format: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// Neither `.pth`, `.pt`, `.bin` nor `.safetensors`.
    #[error("{0}: weights are read from .pth, .pt, .bin and .safetensors files")]
    UnknownExtension(PathBuf),
    /// The tensors do not tell the sizes of a model.
    #[error("{path} is not a released checkpoint: {reason}")]
    Unrecognised {
        /// The file.
        path: PathBuf,
        /// What is missing or contradictory.
        reason: String,
    },
    /// The vocabulary is not the one that the checkpoint was trained with.
    #[error(
        "{path} has {logits} logits, but the vocabulary has {words} words ({} with token 0): give \
         the annotation it was trained on and its preset",
        words + 1
    )]
    Vocabulary {
        /// The file.
        path: PathBuf,
        /// Rows of its logit layer.
        logits: usize,
        /// Words of the vocabulary given.
        words: usize,
    },
    /// The configuration is of another generator than the weights.
    #[error(transparent)]
    Config(#[from] crate::config::ConfigError),
    /// The weights cannot be serialised.
    #[error(transparent)]
    Checkpoint(#[from] crate::checkpoint::CheckpointError),
    /// The tensors do not fit the model.
    #[error(
        "{path} does not fit the model:{}",
        Mismatch(missing, misshapen, unlisted)
    )]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// Names the model needs and the file lacks.
        missing: Vec<String>,
        /// Names whose shapes differ, with both shapes.
        misshapen: Vec<String>,
        /// Names in the file that nothing takes and no table skips.
        unlisted: Vec<String>,
    },
}

/// Lists of names, one per line.
struct Mismatch<'a>(&'a [String], &'a [String], &'a [String]);

impl std::fmt::Display for Mismatch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (what, names) in [
            ("missing from the file", self.0),
            ("of another shape", self.1),
            ("in the file but not in the model", self.2),
        ] {
            if !names.is_empty() {
                write!(f, "\n  {} {what}:", names.len())?;
                for name in names {
                    write!(f, "\n    {name}")?;
                }
            }
        }
        Ok(())
    }
}

/// Tensors by name, as a file holds them.
#[derive(Debug, Clone)]
pub struct NamedTensors {
    /// Where they come from.
    pub path: PathBuf,
    /// Name to values; floating-point tensors only, as f32.
    pub tensors: BTreeMap<String, TensorData>,
}

impl NamedTensors {
    /// Reads every floating-point tensor of a file.
    ///
    /// Of a `.pth` saved by a trainer the entry `state_dict` is read and the optimiser's left alone.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, is malformed, or has an unknown extension.
    pub fn read(path: &Path) -> Result<Self, ImportError> {
        let extension = path.extension().and_then(|extension| extension.to_str());
        let tensors = match extension {
            Some("pth" | "pt" | "bin") => read_pytorch(path)?,
            Some("safetensors") => read_safetensors(path)?,
            _ => return Err(ImportError::UnknownExtension(path.to_owned())),
        };
        Ok(NamedTensors {
            path: path.to_owned(),
            tensors,
        })
    }

    /// The tensors whose names begin with `prefix`, without it.
    pub fn under(&self, prefix: &str) -> Self {
        NamedTensors {
            path: self.path.clone(),
            tensors: self
                .tensors
                .iter()
                .filter_map(|(name, data)| {
                    Some((name.strip_prefix(prefix)?.to_owned(), data.clone()))
                })
                .collect(),
        }
    }
}

fn read_pytorch(path: &Path) -> Result<BTreeMap<String, TensorData>, ImportError> {
    let malformed = |reason: String| ImportError::Format {
        path: path.to_owned(),
        format: "PyTorch",
        reason,
    };
    let reader = match PytorchReader::with_top_level_key(path, "state_dict") {
        Err(PytorchError::KeyNotFound(_)) => PytorchReader::new(path),
        other => other,
    }
    .map_err(|error| match error {
        PytorchError::Io(source) if !path.is_file() => ImportError::Read {
            path: path.to_owned(),
            source,
        },
        error => malformed(error.to_string()),
    })?;
    let mut tensors = BTreeMap::new();
    for (name, tensor) in reader.into_tensors() {
        let Some(dtype) = float_type(tensor.dtype()) else {
            continue;
        };
        let bytes = tensor
            .read()
            .map_err(|error| malformed(error.to_string()))?;
        let data = TensorData::from_bytes_vec(bytes, tensor.shape().to_vec(), dtype);
        tensors.insert(name, data.convert::<f32>());
    }
    Ok(tensors)
}

fn float_type(dtype: pytorch_reader::DType) -> Option<DType> {
    match dtype {
        pytorch_reader::DType::F64 => Some(DType::F64),
        pytorch_reader::DType::F32 => Some(DType::F32),
        pytorch_reader::DType::F16 => Some(DType::F16),
        pytorch_reader::DType::BF16 => Some(DType::BF16),
        _ => None,
    }
}

fn read_safetensors(path: &Path) -> Result<BTreeMap<String, TensorData>, ImportError> {
    let bytes = fs::read(path).map_err(|source| ImportError::Read {
        path: path.to_owned(),
        source,
    })?;
    let file = SafeTensors::deserialize(&bytes).map_err(|error| ImportError::Format {
        path: path.to_owned(),
        format: "safetensors",
        reason: error.to_string(),
    })?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.tensors() {
        let dtype = match view.dtype() {
            safetensors::Dtype::F64 => DType::F64,
            safetensors::Dtype::F32 => DType::F32,
            safetensors::Dtype::F16 => DType::F16,
            safetensors::Dtype::BF16 => DType::BF16,
            _ => continue,
        };
        let data = TensorData::from_bytes_vec(view.data().to_vec(), view.shape().to_vec(), dtype);
        tensors.insert(name, data.convert::<f32>());
    }
    Ok(tensors)
}
