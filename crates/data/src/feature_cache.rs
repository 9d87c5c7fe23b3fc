//! Patch features of images, computed once by a network that stays as it is.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::atomic::write_all_names;
use crate::error::DataError;
use crate::replace::FileStamp;

/// Magic bytes: name and version of the format.
const MAGIC: &[u8; 8] = b"ITHNFEA1";

/// Length of the index (u64), its CRC-32 (u32), at the end of the file.
const TRAILER: u64 = 12;

/// Longest index in bytes.
const MAX_INDEX: u64 = 1 << 30;

/// Features of images in one file: magic, per image its values (f32) and their CRC-32, the index as
/// JSON, its length (u64) and its CRC-32 (u32); numbers are little-endian.
#[derive(Debug)]
pub struct FeatureCache {
    path: PathBuf,
    dims: [usize; 2],
    places: HashMap<PathBuf, u64>,
}

/// Patch features of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureBlock {
    /// Patches of an image, channels.
    pub dims: [usize; 2],
    /// `[batch, views, patches, channels]` in that order; 0 where a view is missing.
    pub values: Vec<f32>,
}

#[derive(Serialize, Deserialize)]
struct Index {
    /// What the features depend on, images aside.
    key: String,
    dims: [usize; 2],
    images: Vec<Source>,
}

#[derive(PartialEq, Serialize, Deserialize)]
struct Source {
    path: PathBuf,
    #[serde(flatten)]
    stamp: FileStamp,
}

impl FeatureCache {
    /// Opens a file of the features of all `images`. `key` is what they depend on besides: weights and
    /// sizes of the network, and the transform.
    ///
    /// `None` if there is no such file, or it has another key or lacks an image, or an image has changed since:
    /// [`write`](Self::write) it then.
    ///
    /// # Errors
    ///
    /// [`DataError::Cache`] if the file is damaged, [`DataError::Io`] if it or an image cannot be read.
    pub fn open(path: &Path, key: &str, images: &[PathBuf]) -> Result<Option<Self>, DataError> {
        let mut file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(DataError::io("cannot open", path))?,
        };
        let index = read_index(path, &mut file)?;
        if index.key != key {
            return Ok(None);
        }
        let places: HashMap<PathBuf, (u64, FileStamp)> = (0..)
            .zip(index.images)
            .map(|(place, source)| (source.path, (place, source.stamp)))
            .collect();
        for image in images {
            let known = places.get(image).map(|(_, stamp)| *stamp);
            if known != Some(stamp(image)?) {
                return Ok(None);
            }
        }
        Ok(Some(FeatureCache {
            path: path.to_owned(),
            dims: index.dims,
            places: places
                .into_iter()
                .map(|(path, (place, _))| (path, place))
                .collect(),
        }))
    }

    /// Writes the file, whole or not at all, and opens it. `features` gives the values of the images in
    /// turn, `[patches, channels]` each.
    ///
    /// # Errors
    ///
    /// The first error of `features`; [`DataError::Io`] if the file cannot be written or an image cannot
    /// be read; [`DataError::Cache`] if `features` gives another number of values or of images.
    pub fn write<E: From<DataError>>(
        path: &Path,
        key: &str,
        images: &[PathBuf],
        dims: [usize; 2],
        features: impl IntoIterator<Item = Result<Vec<f32>, E>>,
    ) -> Result<Self, E> {
        let sources = images
            .iter()
            .map(|image| {
                let (path, stamp) = (image.clone(), stamp(image)?);
                Ok(Source { path, stamp })
            })
            .collect::<Result<Vec<_>, DataError>>()?;
        let index = Index {
            key: key.to_owned(),
            dims,
            images: sources,
        };
        let index = serde_json::to_vec(&index).map_err(|error| DataError::Json {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
        // What ended the writing early, if it was not the file.
        let mut failure: Option<E> = None;
        let written = write_all_names(&[path], |file| {
            file.write_all(MAGIC)?;
            let mut count = 0;
            for values in features {
                let values = match values {
                    Ok(values) if values.len() == dims[0] * dims[1] => values,
                    Ok(values) => {
                        failure = Some(unequal(path, values.len(), dims[0] * dims[1]).into());
                        return Err(io::ErrorKind::InvalidData.into());
                    }
                    Err(error) => {
                        failure = Some(error);
                        return Err(io::ErrorKind::Other.into());
                    }
                };
                let bytes: Vec<u8> = values
                    .iter()
                    .flat_map(|value| value.to_le_bytes())
                    .collect();
                file.write_all(&bytes)?;
                file.write_all(&crc32fast::hash(&bytes).to_le_bytes())?;
                count += 1;
            }
            if count != images.len() {
                failure = Some(unequal(path, count, images.len()).into());
                return Err(io::ErrorKind::InvalidData.into());
            }
            file.write_all(&index)?;
            file.write_all(&(index.len() as u64).to_le_bytes())?;
            file.write_all(&crc32fast::hash(&index).to_le_bytes())
        });
        match (failure, written) {
            (Some(failure), _) => Err(failure),
            (None, Err(source)) => Err(DataError::io("cannot write", path)(source).into()),
            (None, Ok(())) => Ok(FeatureCache {
                path: path.to_owned(),
                dims,
                places: images.iter().cloned().zip(0..).collect(),
            }),
        }
    }

    /// Patches and channels of an image.
    pub fn dims(&self) -> [usize; 2] {
        self.dims
    }

    /// Images in the file.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether the file has no image.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Features of an image, `[patches, channels]`; safe from any thread.
    ///
    /// # Errors
    ///
    /// [`DataError::Cache`] if the file lacks the image or its values are damaged, [`DataError::Io`] if it
    /// cannot be read.
    pub fn get(&self, image: &Path) -> Result<Vec<f32>, DataError> {
        let damaged = |what: &str| DataError::Cache {
            path: self.path.clone(),
            reason: format!("the features of {} {what}", image.display()),
        };
        let place = self.places.get(image);
        let place = place.ok_or_else(|| damaged("are not in it"))?;
        let length = 4 * self.dims[0] * self.dims[1];
        let offset = MAGIC.len() as u64 + place * (length as u64 + 4);
        let mut bytes = vec![0; length + 4];
        let mut file = File::open(&self.path).map_err(DataError::io("cannot open", &self.path))?;
        file.seek(SeekFrom::Start(offset))
            .and_then(|_| file.read_exact(&mut bytes))
            .map_err(DataError::io("cannot read", &self.path))?;
        let (values, crc) = bytes.split_at(length);
        if crc32fast::hash(values).to_le_bytes() != crc {
            return Err(damaged("have another checksum"));
        }
        let numbers = values.as_chunks::<4>().0.iter();
        Ok(numbers.map(|bytes| f32::from_le_bytes(*bytes)).collect())
    }
}

fn unequal(path: &Path, found: usize, expected: usize) -> DataError {
    DataError::Cache {
        path: path.to_owned(),
        reason: format!("{found} values or images of features instead of {expected}"),
    }
}

fn stamp(image: &Path) -> Result<FileStamp, DataError> {
    FileStamp::of(image).map_err(DataError::io("cannot read", image))
}

fn read_index(path: &Path, file: &mut File) -> Result<Index, DataError> {
    let damaged = |reason: &str| DataError::Cache {
        path: path.to_owned(),
        reason: reason.to_owned(),
    };
    let unreadable = || DataError::io("cannot read", path);
    let bytes = file.metadata().map_err(unreadable())?.len();
    let shortest = MAGIC.len() as u64 + TRAILER;
    if bytes < shortest {
        return Err(damaged("it is too short for a file of features"));
    }
    let mut magic = [0; 8];
    file.read_exact(&mut magic).map_err(unreadable())?;
    if &magic != MAGIC {
        return Err(damaged("it is no file of features of this version"));
    }
    let mut trailer = [0; TRAILER as usize];
    file.seek(SeekFrom::Start(bytes - TRAILER))
        .and_then(|_| file.read_exact(&mut trailer))
        .map_err(unreadable())?;
    let [length, crc] = [&trailer[..8], &trailer[8..]].map(|bytes| {
        let digits = bytes.iter().rev();
        digits.fold(0_u64, |value, &byte| value << 8 | u64::from(byte))
    });
    if length > MAX_INDEX || length > bytes - shortest {
        return Err(damaged("its index is cut short"));
    }
    let mut index = vec![0; length as usize];
    file.seek(SeekFrom::Start(bytes - TRAILER - length))
        .and_then(|_| file.read_exact(&mut index))
        .map_err(unreadable())?;
    if u64::from(crc32fast::hash(&index)) != crc {
        return Err(damaged("its index has another checksum"));
    }
    let index: Index =
        serde_json::from_slice(&index).map_err(|error| damaged(&error.to_string()))?;
    let record = index.dims[0]
        .checked_mul(index.dims[1])
        .and_then(|values| values.checked_mul(4)?.checked_add(4));
    let all = record.and_then(|record| record.checked_mul(index.images.len()));
    if all.map(|all| all as u64) != Some(bytes - shortest - length) {
        return Err(damaged("it is longer or shorter than its index says"));
    }
    Ok(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIMS: [usize; 2] = [2, 3];

    fn images(folder: &Path) -> Vec<PathBuf> {
        let names = ["a.png", "b.png"];
        let paths: Vec<PathBuf> = names.iter().map(|name| folder.join(name)).collect();
        for path in &paths {
            std::fs::write(path, "film").expect("writable");
        }
        paths
    }

    fn write(path: &Path, images: &[PathBuf]) -> Result<FeatureCache, DataError> {
        let values = |first: usize| (0..6).map(|at| (first + at) as f32 / 8.0).collect();
        let rows = (0..images.len()).map(|row| Ok(values(10 * row)));
        FeatureCache::write(path, "weights 1", images, DIMS, rows)
    }

    #[test]
    fn features_come_back_until_key_or_image_change() {
        let folder = tempfile::tempdir().expect("a folder");
        let images = images(folder.path());
        let path = folder.path().join("features");
        let open = |key: &str| FeatureCache::open(&path, key, &images).expect("no damage");
        assert!(open("weights 1").is_none());
        write(&path, &images).expect("writable");
        let cache = open("weights 1").expect("written");
        assert_eq!((cache.dims(), cache.len()), (DIMS, 2));
        let found = cache.get(&images[1]).expect("there");
        assert_eq!(found, [1.25, 1.375, 1.5, 1.625, 1.75, 1.875]);
        assert!(cache.get(Path::new("c.png")).is_err());
        assert!(open("weights 2").is_none());
        std::fs::write(&images[0], "another film").expect("writable");
        assert!(open("weights 1").is_none());
    }

    #[test]
    fn every_cut_and_every_flipped_byte_is_noticed() {
        let folder = tempfile::tempdir().expect("a folder");
        let images = images(folder.path());
        let path = folder.path().join("features");
        write(&path, &images).expect("writable");
        let bytes = std::fs::read(&path).expect("readable");
        let reads = |bytes: &[u8]| -> Result<(), DataError> {
            std::fs::write(&path, bytes).expect("writable");
            let cache = FeatureCache::open(&path, "weights 1", &images)?;
            let cache = cache.expect("the key is the same");
            images
                .iter()
                .try_for_each(|image| cache.get(image).map(|_| ()))
        };
        for length in 0..bytes.len() {
            assert!(reads(&bytes[..length]).is_err(), "cut to {length}");
        }
        for place in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[place] ^= 1;
            assert!(reads(&flipped).is_err(), "byte {place}");
        }
        assert!(reads(&bytes).is_ok());
    }

    #[test]
    fn features_of_another_size_or_number_leave_no_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let images = images(folder.path());
        let path = folder.path().join("features");
        for rows in [vec![vec![0.0; 5]], vec![vec![0.0; 6]]] {
            let rows = rows.into_iter().map(Ok::<_, DataError>);
            assert!(FeatureCache::write(&path, "k", &images, DIMS, rows).is_err());
            assert!(!path.exists());
        }
    }
}
