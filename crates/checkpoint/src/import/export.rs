//! Tensors by name into safetensors files, and what such a file says of itself.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use burn::tensor::TensorData;
use ithn_data::write_atomically;
use safetensors::{Dtype, tensor::TensorView};
use serde::Deserialize;

use super::tensors::ImportError;
use crate::file::CheckpointError;

/// Longest header of a safetensors file, in bytes; the format's own limit.
const LARGEST_HEADER: u64 = 100_000_000;

/// Writes tensors of single precision, and texts by key, as a safetensors file, whole or not at all.
///
/// # Errors
///
/// [`CheckpointError::Write`] naming the file.
pub fn write_safetensors(
    path: &Path,
    tensors: &BTreeMap<String, TensorData>,
    texts: Option<HashMap<String, String>>,
) -> Result<(), CheckpointError> {
    let failed = |source| CheckpointError::Write {
        path: path.to_owned(),
        source,
    };
    let views = tensors
        .iter()
        .map(|(name, data)| {
            let shape = data.shape().to_vec();
            Ok((name, TensorView::new(Dtype::F32, shape, data.as_bytes())?))
        })
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
        .and_then(|views| safetensors::serialize(views, texts));
    let bytes = views.map_err(|error| failed(io::Error::other(error)))?;
    write_atomically(path, &bytes).map_err(failed)
}

/// The texts of a safetensors file, by key; none of its tensors are read.
///
/// # Errors
///
/// [`ImportError::Read`] if the file cannot be read, [`ImportError::Format`] if it is no safetensors
/// file.
pub fn safetensors_texts(path: &Path) -> Result<HashMap<String, String>, ImportError> {
    let unreadable = |source| ImportError::Read {
        path: path.to_owned(),
        source,
    };
    let malformed = |reason: String| ImportError::Format {
        path: path.to_owned(),
        format: "safetensors",
        reason,
    };
    let mut file = File::open(path).map_err(unreadable)?;
    let length = file.metadata().map_err(unreadable)?.len();
    let mut bytes = [0; 8];
    file.read_exact(&mut bytes)
        .map_err(|_| malformed("it is cut short".to_owned()))?;
    let header = u64::from_le_bytes(bytes);
    if header > LARGEST_HEADER || header.saturating_add(8) > length {
        return Err(malformed(format!("its header claims {header} bytes")));
    }
    let mut json = Vec::new();
    file.take(header)
        .read_to_end(&mut json)
        .map_err(unreadable)?;
    let header: Header =
        serde_json::from_slice(&json).map_err(|error| malformed(error.to_string()))?;
    Ok(header.texts)
}

/// The part of a header that names no tensor.
#[derive(Deserialize)]
struct Header {
    #[serde(rename = "__metadata__", default)]
    texts: HashMap<String, String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::NamedTensors;

    #[test]
    fn tensors_and_texts_come_back_and_a_cut_file_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("weights.safetensors");
        let weight = TensorData::new(vec![1.0f32, 2.0], [2, 1]);
        let tensors = BTreeMap::from([("fc.weight".to_owned(), weight.clone())]);
        let texts = HashMap::from([("key".to_owned(), "text".to_owned())]);
        write_safetensors(&path, &tensors, Some(texts.clone())).expect("writable");
        assert_eq!(safetensors_texts(&path).expect("readable"), texts);
        let read = NamedTensors::read(&path).expect("readable");
        assert_eq!(read.tensors["fc.weight"], weight);
        let bytes = std::fs::read(&path).expect("readable");
        for length in [0, 4, 8, 20] {
            std::fs::write(&path, &bytes[..length]).expect("writable");
            assert!(safetensors_texts(&path).is_err(), "{length}");
        }
    }
}
