//! Reads `chexbert.pth` as data, without executing pickles.
//!
//! The reader builds tensors out of the calls that `torch.save` writes and leaves every other call in
//! a pickle uninterpreted. The sizes that a small file may declare are limited here. Values are
//! read lazily, one tensor at a time, so the optimizer state, two thirds of the published file, is
//! never read.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use burn::tensor::{DType, TensorData};
use pytorch_reader::{PytorchError, PytorchReader};
use zip::ZipArchive;

use crate::error::CheXbertError;

/// Where CheXbert's trainer keeps the weights.
const STATE: &str = "model_state_dict";

/// Prefix that PyTorch's `DataParallel` adds to every parameter name.
const DATA_PARALLEL: &str = "module.";

/// How many times its size a file may hold: half precision doubles when it is read, and tensors may
/// share their storage.
const MOST_GROWTH: u64 = 8;

/// What a file may hold beyond that, in bytes.
const SLACK: u64 = 1 << 20;

/// Longest pickle in an archive, in bytes: every one of them may become an object. CheXbert's, with
/// its optimizer, has about a hundred thousand.
const MOST_PICKLE: u64 = 8 << 20;

/// How a zip archive begins.
const ZIP_MAGIC: &[u8; 4] = b"PK\x03\x04";

/// The tensors of a checkpoint by name, their values still in the file.
pub(crate) struct Checkpoint {
    path: PathBuf,
    bytes: u64,
    tensors: BTreeMap<String, pytorch_reader::Tensor>,
}

impl Checkpoint {
    /// Opens a checkpoint of either format of `torch.save`: a zip archive, or the plain pickles of
    /// PyTorch before 1.6.
    pub(crate) fn open(path: &Path) -> Result<Self, CheXbertError> {
        let mut file = File::open(path).map_err(CheXbertError::io(path))?;
        let bytes = file.metadata().map_err(CheXbertError::io(path))?.len();
        let malformed = |reason: String| CheXbertError::Format {
            path: path.to_owned(),
            bytes,
            reason,
        };
        let limit = bytes.saturating_mul(MOST_GROWTH).saturating_add(SLACK);
        if is_zip(&mut file).map_err(CheXbertError::io(path))? {
            let (pickles, all) = unpacked(&file).map_err(malformed)?;
            if all > limit {
                return Err(malformed(format!("its entries take {all} bytes")));
            }
            if pickles > MOST_PICKLE {
                return Err(malformed(format!(
                    "its pickle takes {pickles} bytes, more than the {MOST_PICKLE} that are read"
                )));
            }
        }
        let reader = match PytorchReader::with_top_level_key(path, STATE) {
            Err(PytorchError::KeyNotFound(_)) => PytorchReader::new(path),
            other => other,
        };
        let named = reader
            .map_err(|error| malformed(error.to_string()))?
            .into_tensors();
        let held = named.values().map(|tensor| {
            let widest = tensor.dtype().size().max(size_of::<f32>());
            (tensor.num_elements() as u64).saturating_mul(widest as u64)
        });
        let held = held.fold(0, u64::saturating_add);
        if held > limit {
            return Err(malformed(format!("its tensors take {held} bytes")));
        }
        let wrapped = named.keys().all(|name| name.starts_with(DATA_PARALLEL));
        let bare = |(name, tensor): (String, _)| match name.strip_prefix(DATA_PARALLEL) {
            Some(rest) if wrapped => (rest.to_owned(), tensor),
            _ => (name, tensor),
        };
        Ok(Self {
            path: path.to_owned(),
            bytes,
            tensors: named.into_iter().map(bare).collect(),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// The shape of a tensor, if the file has it.
    pub(crate) fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(pytorch_reader::Tensor::shape)
    }

    /// Whether a tensor holds floating-point numbers.
    pub(crate) fn is_float(&self, name: &str) -> bool {
        self.tensors
            .get(name)
            .is_some_and(|tensor| float_type(tensor.dtype()).is_some())
    }

    /// Reads the values of a tensor, in single precision and in the order of the file.
    pub(crate) fn read(&self, name: &str) -> Result<Vec<f32>, CheXbertError> {
        let malformed = |reason: String| CheXbertError::Format {
            path: self.path.clone(),
            bytes: self.bytes,
            reason,
        };
        let tensor = self
            .tensors
            .get(name)
            .ok_or_else(|| malformed(format!("no tensor '{name}'")))?;
        let dtype = float_type(tensor.dtype())
            .ok_or_else(|| malformed(format!("'{name}' holds no floating-point numbers")))?;
        let bytes = tensor
            .read()
            .map_err(|error| malformed(error.to_string()))?;
        TensorData::from_bytes_vec(bytes, tensor.shape().to_vec(), dtype)
            .convert::<f32>()
            .try_into_vec()
            .map_err(|error| malformed(format!("'{name}': {error:?}")))
    }
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

/// The type of floating-point numbers; `None` for others.
fn float_type(dtype: pytorch_reader::DType) -> Option<DType> {
    Some(match dtype {
        pytorch_reader::DType::F64 => DType::F64,
        pytorch_reader::DType::F32 => DType::F32,
        pytorch_reader::DType::F16 => DType::F16,
        pytorch_reader::DType::BF16 => DType::BF16,
        _ => return None,
    })
}
