use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use ithn::import::{ImportError, NamedTensors};
use safetensors::SafeTensors;
use serde::de::DeserializeOwned;
use thiserror::Error;

/// Why a family could not be checked at all.
#[derive(Debug, Error)]
pub enum FixtureError {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is not laid out as the fixtures' README says.
    #[error("{path}: {reason}")]
    Layout {
        /// The file.
        path: PathBuf,
        /// What is missing or malformed.
        reason: String,
    },
    /// Weights do not fit the model.
    #[error(transparent)]
    Import(#[from] ImportError),
}

/// A safetensors file: tensors by name, and its metadata.
#[derive(Debug)]
pub struct Fixture {
    path: PathBuf,
    tensors: BTreeMap<String, TensorData>,
    metadata: HashMap<String, String>,
}

impl Fixture {
    /// Reads `name` of the directory `dir`.
    pub fn read(dir: &Path, name: &str) -> Result<Self, FixtureError> {
        let path = dir.join(name);
        let bytes = read(&path)?;
        let layout = |reason: String| FixtureError::Layout {
            path: path.clone(),
            reason,
        };
        let (_, header) =
            SafeTensors::read_metadata(&bytes).map_err(|error| layout(error.to_string()))?;
        let file = SafeTensors::deserialize(&bytes).map_err(|error| layout(error.to_string()))?;
        let mut tensors = BTreeMap::new();
        for (name, view) in file.iter() {
            let dtype = match view.dtype() {
                safetensors::Dtype::F32 => DType::F32,
                safetensors::Dtype::I64 => DType::I64,
                safetensors::Dtype::U8 => DType::U8,
                other => return Err(layout(format!("'{name}' is of type {other:?}"))),
            };
            let data =
                TensorData::from_bytes_vec(view.data().to_vec(), view.shape().to_vec(), dtype);
            tensors.insert(name.to_owned(), data);
        }
        Ok(Fixture {
            path,
            tensors,
            metadata: header.metadata().clone().unwrap_or_default(),
        })
    }

    /// Names of all tensors, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// A tensor's values.
    pub fn data(&self, name: &str) -> Result<&TensorData, FixtureError> {
        self.tensors
            .get(name)
            .ok_or_else(|| self.layout(format!("it has no tensor '{name}'")))
    }

    /// A tensor's values in f64, row by row.
    pub fn values(&self, name: &str) -> Result<Vec<f64>, FixtureError> {
        Ok(self.data(name)?.iter::<f64>().collect())
    }

    /// The only value of a tensor.
    pub fn scalar(&self, name: &str) -> Result<f64, FixtureError> {
        match self.values(name)?.as_slice() {
            [value] => Ok(*value),
            values => Err(self.layout(format!("'{name}' has {} values, not 1", values.len()))),
        }
    }

    /// A tensor's shape.
    pub fn dims<const D: usize>(&self, name: &str) -> Result<[usize; D], FixtureError> {
        let shape = self.data(name)?.shape().to_vec();
        <[usize; D]>::try_from(shape.as_slice())
            .map_err(|_| self.layout(format!("'{name}' has shape {shape:?}, not rank {D}")))
    }

    /// A tensor of floating-point numbers.
    pub fn tensor<const D: usize>(
        &self,
        name: &str,
        device: &Device,
    ) -> Result<Tensor<D>, FixtureError> {
        self.dims::<D>(name)?;
        let data = self.data(name)?.clone().convert::<f32>();
        Ok(Tensor::from_data(data, device))
    }

    /// A tensor of integers.
    pub fn integers<const D: usize>(
        &self,
        name: &str,
        device: &Device,
    ) -> Result<Tensor<D, Int>, FixtureError> {
        self.dims::<D>(name)?;
        Ok(Tensor::from_data(self.data(name)?.clone(), device))
    }

    /// The floating-point tensors whose names begin with `prefix`, under `new_prefix` instead.
    pub fn weights(&self, prefix: &str, new_prefix: &str) -> NamedTensors {
        NamedTensors {
            path: self.path.clone(),
            tensors: self
                .tensors
                .iter()
                .filter(|(_, data)| data.dtype() == DType::F32)
                .filter_map(|(name, data)| {
                    let rest = name.strip_prefix(prefix)?;
                    Some((format!("{new_prefix}{rest}"), data.clone()))
                })
                .collect(),
        }
    }

    /// A value of the metadata: JSON within a string.
    pub fn metadata<T: DeserializeOwned>(&self, key: &str) -> Result<T, FixtureError> {
        let text = self.metadata_text(key)?;
        serde_json::from_str(text)
            .map_err(|error| self.layout(format!("metadata '{key}' is not as expected: {error}")))
    }

    /// A value of the metadata as it stands.
    pub fn metadata_text(&self, key: &str) -> Result<&str, FixtureError> {
        self.metadata
            .get(key)
            .map(String::as_str)
            .ok_or_else(|| self.layout(format!("its metadata has no '{key}'")))
    }

    /// A complaint about this file.
    pub fn layout(&self, reason: String) -> FixtureError {
        FixtureError::Layout {
            path: self.path.clone(),
            reason,
        }
    }
}

/// Reads the JSON file `name` of the directory `dir`.
pub fn read_json<T: DeserializeOwned>(dir: &Path, name: &str) -> Result<T, FixtureError> {
    let path = dir.join(name);
    serde_json::from_slice(&read(&path)?).map_err(|error| FixtureError::Layout {
        path,
        reason: error.to_string(),
    })
}

fn read(path: &Path) -> Result<Vec<u8>, FixtureError> {
    fs::read(path).map_err(|source| FixtureError::Read {
        path: path.to_owned(),
        source,
    })
}
