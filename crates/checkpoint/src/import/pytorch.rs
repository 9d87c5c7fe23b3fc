//! Files of `torch.save`, as data and never as programs.
//!
//! The reader builds tensors out of the calls that `torch.save` writes and leaves every other call
//! in a pickle uninterpreted. It does not limit the sizes that a small file may declare, so this
//! module does.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;

use burn::tensor::{DType, TensorData};
use pytorch_reader::PytorchReader;
use zip::ZipArchive;

use super::tensors::{ImportError, single};
use super::wrappers::model_entry;

/// Limit on the declared contents of a file, as a multiple of its size. `torch.save` does not
/// compress, but half precision doubles when it is read, and tensors may share their storage.
const MOST_GROWTH: u64 = 8;

/// Bytes added to that limit.
const SLACK: u64 = 1 << 20;

/// Longest pickle in an archive, in bytes: every one of them may become an object. That of a
/// ResNet-152 and its optimiser has half a million.
const MOST_PICKLE: u64 = 8 << 20;

/// First bytes of a zip archive.
const ZIP_MAGIC: &[u8; 4] = b"PK\x03\x04";

pub(super) fn read_pytorch(path: &Path) -> Result<BTreeMap<String, TensorData>, ImportError> {
    let malformed = |reason: String| ImportError::Format {
        path: path.to_owned(),
        format: "PyTorch",
        reason,
    };
    let unreadable = |source| ImportError::Read {
        path: path.to_owned(),
        source,
    };
    let mut file = File::open(path).map_err(unreadable)?;
    let size = file.metadata().map_err(unreadable)?.len();
    let limit = size.saturating_mul(MOST_GROWTH).saturating_add(SLACK);
    let within = |what: &str, bytes: u64| {
        if bytes <= limit {
            return Ok(());
        }
        Err(malformed(format!(
            "its {what} take {bytes} bytes, in a file of {size}; it is no plain checkpoint"
        )))
    };
    if is_zip(&mut file).map_err(unreadable)? {
        let (pickles, all) = unpacked(&file).map_err(malformed)?;
        within("entries", all)?;
        if pickles > MOST_PICKLE {
            return Err(malformed(format!(
                "its pickle takes {pickles} bytes, more than the {MOST_PICKLE} that are read"
            )));
        }
    }
    let reader = PytorchReader::new(path).map_err(|error| malformed(error.to_string()))?;
    let named = model_entry(reader.into_tensors(), || {
        PytorchReader::with_top_level_key(path, "model").is_ok()
    });
    let bytes = named.values().map(|tensor| {
        let widest = tensor.dtype().size().max(size_of::<f32>());
        (tensor.num_elements() as u64).saturating_mul(widest as u64)
    });
    within("tensors", bytes.fold(0, u64::saturating_add))?;

    let mut tensors = BTreeMap::new();
    for (name, tensor) in named {
        let bytes = tensor
            .read()
            .map_err(|error| malformed(error.to_string()))?;
        let dtype = number_type(tensor.dtype());
        let data = TensorData::from_bytes_vec(bytes, tensor.shape().to_vec(), dtype);
        tensors.insert(name, single(data));
    }
    Ok(tensors)
}

fn is_zip(file: &mut File) -> std::io::Result<bool> {
    let mut magic = Vec::with_capacity(ZIP_MAGIC.len());
    file.take(ZIP_MAGIC.len() as u64).read_to_end(&mut magic)?;
    file.rewind()?;
    Ok(magic == ZIP_MAGIC)
}

/// Bytes of the pickles and of all entries once unpacked, as the archive's directory states; the
/// reader refuses entries that turn out longer.
fn unpacked(file: &File) -> Result<(u64, u64), String> {
    let failed = |error: zip::result::ZipError| error.to_string();
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(failed)?;
    let mut pickles: u64 = 0;
    let mut all: u64 = 0;
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index).map_err(failed)?;
        all = all.saturating_add(entry.size());
        if entry.name().map_err(failed)?.ends_with(".pkl") {
            pickles = pickles.saturating_add(entry.size());
        }
    }
    Ok((pickles, all))
}

fn number_type(dtype: pytorch_reader::DType) -> DType {
    match dtype {
        pytorch_reader::DType::F64 => DType::F64,
        pytorch_reader::DType::F32 => DType::F32,
        pytorch_reader::DType::F16 => DType::F16,
        pytorch_reader::DType::BF16 => DType::BF16,
        pytorch_reader::DType::I64 => DType::I64,
        pytorch_reader::DType::I32 => DType::I32,
        pytorch_reader::DType::I16 => DType::I16,
        pytorch_reader::DType::I8 | pytorch_reader::DType::Bool => DType::I8,
        pytorch_reader::DType::U64 => DType::U64,
        pytorch_reader::DType::U32 => DType::U32,
        pytorch_reader::DType::U16 => DType::U16,
        pytorch_reader::DType::U8 => DType::U8,
    }
}
