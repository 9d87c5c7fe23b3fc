use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::DataError;
use crate::pixels::{DecodedImage, MAX_SIDE};
use crate::replace::{FileStamp, replace_file};
use crate::transform::Preparation;

/// Magic bytes of a shard: name and version of the format.
const MAGIC: &[u8; 8] = b"ITHNIMG1";

/// Magic, length of the index (u64), its CRC-32 (u32), both little-endian; then the index as JSON,
/// then the pixels.
const HEADER: u64 = 20;

/// Longest index in bytes, a thousand times what 512 images need.
const MAX_INDEX: u64 = 1 << 28;

/// A file of prepared images.
///
/// The file is opened for each read: a cache of MIMIC-CXR has more shards than a process may have open
/// files (1,024 by default on Linux, 256 on macOS).
#[derive(Debug)]
pub(super) struct Shard {
    path: PathBuf,
    /// Offset of the pixels in the file.
    pixels: u64,
    /// Preparation of its images.
    pub preparation: Preparation,
    /// Its images.
    pub entries: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
struct Index {
    preparation: Preparation,
    images: Vec<Entry>,
}

/// A prepared image and its source file.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Absolute path of the source.
    pub source: String,
    /// Size and modification time of the source.
    #[serde(flatten)]
    pub stamp: FileStamp,
    /// Offset from the first pixel byte of the shard.
    offset: u64,
    width: usize,
    height: usize,
    channels: usize,
    crc: u32,
}

impl Entry {
    fn len(&self) -> usize {
        self.width * self.height * self.channels
    }
}

/// Whether a file has the name of a shard.
pub(super) fn is_shard(path: &Path) -> bool {
    path.file_name()
        .and_then(|name| name.to_str())
        .is_some_and(|name| name.ends_with(".images") && !name.starts_with('.'))
}

/// Writes prepared images as a shard named by a hash of its index; returns its path.
pub(super) fn write_shard<'a>(
    folder: &Path,
    preparation: Preparation,
    images: impl Iterator<Item = (&'a Path, FileStamp, &'a DecodedImage)> + Clone,
) -> Result<PathBuf, DataError> {
    let mut offset = 0;
    let entries = images.clone().map(|(source, stamp, image)| {
        let source = source.to_str().ok_or_else(|| DataError::Image {
            path: source.to_owned(),
            reason: "its path is not UTF-8, which a cache cannot keep".to_owned(),
        })?;
        let entry = Entry {
            source: source.to_owned(),
            stamp,
            offset,
            width: image.width,
            height: image.height,
            channels: image.channels,
            crc: crc32fast::hash(&image.pixels),
        };
        offset += image.pixels.len() as u64;
        Ok(entry)
    });
    let index = Index {
        preparation,
        images: entries.collect::<Result<_, DataError>>()?,
    };
    let index = serde_json::to_vec(&index).map_err(|error| DataError::Json {
        path: folder.to_owned(),
        reason: error.to_string(),
    })?;
    let hash = index.iter().fold(0xCBF2_9CE4_8422_2325u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    });
    let path = folder.join(format!("{preparation}-{hash:016x}.images"));
    replace_file(&path, |file| {
        file.write_all(MAGIC)?;
        file.write_all(&(index.len() as u64).to_le_bytes())?;
        file.write_all(&crc32fast::hash(&index).to_le_bytes())?;
        file.write_all(&index)?;
        images
            .clone()
            .try_for_each(|(_, _, image)| file.write_all(&image.pixels))
    })?;
    Ok(path)
}

impl Shard {
    /// Reads the index of a shard; checks its header, index and length.
    pub(super) fn open(path: &Path) -> Result<Self, DataError> {
        let damaged = |reason: &str| DataError::Cache {
            path: path.to_owned(),
            reason: reason.to_owned(),
        };
        let mut file = File::open(path).map_err(DataError::io("cannot open", path))?;
        let bytes = file
            .metadata()
            .map_err(DataError::io("cannot read", path))?
            .len();
        let mut header = [0; HEADER as usize];
        if bytes < HEADER {
            return Err(damaged("it is too short for an image cache"));
        }
        file.read_exact(&mut header)
            .map_err(DataError::io("cannot read", path))?;
        if !header.starts_with(MAGIC) {
            return Err(damaged("it is no image cache of this version"));
        }
        let (length, crc) = (le_u64(&header[8..16]), le_u64(&header[16..20]));
        if length > MAX_INDEX || HEADER + length > bytes {
            return Err(damaged("its index is cut short"));
        }
        let mut index = vec![0; length as usize];
        file.read_exact(&mut index)
            .map_err(DataError::io("cannot read", path))?;
        if u64::from(crc32fast::hash(&index)) != crc {
            return Err(damaged("its index has another checksum"));
        }
        let Index {
            preparation,
            images,
        } = serde_json::from_slice(&index).map_err(|error| damaged(&error.to_string()))?;
        let pixels = HEADER + length;
        let side = 1..=MAX_SIDE as usize;
        for entry in &images {
            let fits = side.contains(&entry.width)
                && side.contains(&entry.height)
                && matches!(entry.channels, 1 | 3)
                && entry
                    .offset
                    .checked_add(pixels + entry.len() as u64)
                    .is_some_and(|end| end <= bytes);
            if !fits {
                return Err(damaged("its images are cut short"));
            }
        }
        Ok(Shard {
            path: path.to_owned(),
            pixels,
            preparation,
            entries: images,
        })
    }

    /// Reads one image at its offset; safe from any thread.
    pub(super) fn read(&self, entry: &Entry) -> Result<DecodedImage, DataError> {
        let mut pixels = vec![0; entry.len()];
        let mut file = File::open(&self.path).map_err(DataError::io("cannot open", &self.path))?;
        file.seek(SeekFrom::Start(self.pixels + entry.offset))
            .and_then(|_| file.read_exact(&mut pixels))
            .map_err(DataError::io("cannot read", &self.path))?;
        if crc32fast::hash(&pixels) != entry.crc {
            return Err(DataError::Cache {
                path: self.path.clone(),
                reason: format!("the image of {} has another checksum", entry.source),
            });
        }
        Ok(DecodedImage {
            width: entry.width,
            height: entry.height,
            channels: entry.channels,
            pixels,
        })
    }
}

fn le_u64(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |value, &byte| value << 8 | u64::from(byte))
}
