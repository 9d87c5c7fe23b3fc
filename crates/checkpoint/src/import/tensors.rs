use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::{DType, TensorData};
use safetensors::SafeTensors;
use thiserror::Error;

use super::kind::{FileKind, kind_of};
use super::pytorch::read_pytorch;
use super::wrappers::unwrapped;

/// Why weights could not be imported.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The file cannot be read.
    #[error("cannot read weights from {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The I/O error.
        source: std::io::Error,
    },
    /// The file is damaged, cut short, or asks for something unknown.
    #[error("{path} is not a readable {format} file: {reason}")]
    Format {
        /// The file.
        path: PathBuf,
        /// `PyTorch` or `safetensors`.
        format: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The file begins neither as PyTorch's nor as safetensors.
    #[error("{path} is not a readable PyTorch or safetensors file: it {found}")]
    UnknownKind {
        /// The file.
        path: PathBuf,
        /// What the file is instead, as a predicate.
        found: String,
    },
    /// The tensors do not tell the sizes of a model.
    #[error("{path} is not an official checkpoint: {reason}")]
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
    /// The two names of a shared weight hold different values.
    #[error(
        "{path}: '{first}' and '{second}' are one weight in the official model, but differ here; \
         remove the one that is not meant"
    )]
    TornTwin {
        /// The file.
        path: PathBuf,
        /// The name that is read.
        first: String,
        /// The name that repeats it.
        second: String,
    },
    /// The configuration is of another generator than the weights.
    #[error(transparent)]
    Config(#[from] crate::config::ConfigError),
    /// The weights cannot be serialised.
    #[error(transparent)]
    Checkpoint(#[from] crate::file::CheckpointError),
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
    /// The file that they were read from.
    pub path: PathBuf,
    /// Name to values: floating-point ones as f32, others as they are.
    pub tensors: BTreeMap<String, TensorData>,
}

impl NamedTensors {
    /// Reads every tensor of a file; half and double precision become single.
    ///
    /// - **Files**: `torch.save`'s (zip, legacy, tar, a plain pickle) and safetensors. The first
    ///   bytes decide; the file's ending does not matter.
    /// - **Entries**: of a trainer's file, `state_dict`, `model_state_dict` or `model` is read, the
    ///   first one present, also inside one another; the rest (optimizer state) is left out.
    /// - **Prefixes**: `module.` (`DataParallel`) and `_orig_mod.` (`torch.compile`) are stripped in
    ///   any order if every name has them. They and `model.` (Lightning) are also stripped if most
    ///   names under them are then the official code's or torchvision's, provided that every such
    ///   name has the same prefixes. Other names stay as they are, and no two tensors ever get one
    ///   name: nothing is then stripped.
    ///
    /// # Errors
    ///
    /// [`ImportError::Read`] if the file cannot be read; [`ImportError::UnknownKind`] if it is
    /// neither PyTorch's nor safetensors; [`ImportError::Format`] if it is malformed or holds
    /// tensors that are no plain arrays of numbers (sparse, quantised, complex). Nothing that a
    /// pickle asks for is ever executed, and no more memory is taken than a few times the file's
    /// size.
    pub fn read(path: &Path) -> Result<Self, ImportError> {
        let kind = kind_of(path).map_err(|source| ImportError::Read {
            path: path.to_owned(),
            source,
        })?;
        let tensors = match kind {
            FileKind::PyTorch => read_pytorch(path)?,
            FileKind::Safetensors => read_safetensors(path)?,
            FileKind::Other(found) => {
                return Err(ImportError::UnknownKind {
                    path: path.to_owned(),
                    found,
                });
            }
        };
        Ok(NamedTensors {
            path: path.to_owned(),
            tensors: unwrapped(tensors),
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

fn read_safetensors(path: &Path) -> Result<BTreeMap<String, TensorData>, ImportError> {
    let malformed = |reason: String| ImportError::Format {
        path: path.to_owned(),
        format: "safetensors",
        reason,
    };
    let bytes = fs::read(path).map_err(|source| ImportError::Read {
        path: path.to_owned(),
        source,
    })?;
    let file = SafeTensors::deserialize(&bytes).map_err(|error| malformed(error.to_string()))?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.iter() {
        let dtype = number_type(view.dtype())
            .ok_or_else(|| malformed(format!("'{name}' is of type {:?}", view.dtype())))?;
        let data = TensorData::from_bytes_vec(view.data().to_vec(), view.shape().to_vec(), dtype);
        tensors.insert(name.to_owned(), single(data));
    }
    Ok(tensors)
}

/// The type of plain numbers; `None` for others.
fn number_type(dtype: safetensors::Dtype) -> Option<DType> {
    Some(match dtype {
        safetensors::Dtype::F64 => DType::F64,
        safetensors::Dtype::F32 => DType::F32,
        safetensors::Dtype::F16 => DType::F16,
        safetensors::Dtype::BF16 => DType::BF16,
        safetensors::Dtype::I64 => DType::I64,
        safetensors::Dtype::I32 => DType::I32,
        safetensors::Dtype::I16 => DType::I16,
        safetensors::Dtype::I8 | safetensors::Dtype::BOOL => DType::I8,
        safetensors::Dtype::U64 => DType::U64,
        safetensors::Dtype::U32 => DType::U32,
        safetensors::Dtype::U16 => DType::U16,
        safetensors::Dtype::U8 => DType::U8,
        _ => return None,
    })
}

/// Floating-point numbers in single precision, others as they are.
pub(super) fn single(data: TensorData) -> TensorData {
    if data.dtype().is_float() && data.dtype() != DType::F32 {
        data.convert::<f32>()
    } else {
        data
    }
}
