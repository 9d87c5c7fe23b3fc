//! A disk cache of resized images: epochs read bytes instead of decoding JPEGs.

mod shard;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use self::shard::{Entry, Shard, is_shard, write_shard};
use crate::error::DataError;
use crate::exclusion::OnBadStudy;
use crate::image::decode_image;
use crate::pixels::{DecodedImage, image_error};
use crate::replace::FileStamp;
use crate::transform::{ImageTransform, Preparation};

/// Images per shard, which bounds the work that an interruption loses.
const PER_SHARD: usize = 512;

/// A folder of decoded and resized images.
///
/// Stores the output of [`ImageTransform::prepare`] bit for bit: for training the image with its shorter
/// side resized, for evaluation the square. (Neither derives from the other: resizing twice differs from
/// resizing once.) Images lie in shards of a few hundred, read at their offsets through the page cache, which all
/// runs share.
///
/// Shards are written atomically, so an interrupted build continues with the next shard. An image is
/// used only if its source has the same size and modification time and its bytes match their checksum.
#[derive(Debug, Default)]
pub struct ImageCache {
    folder: PathBuf,
    shards: Vec<Shard>,
    places: HashMap<Preparation, HashMap<PathBuf, Vec<Place>>>,
}

/// Location of an image.
#[derive(Debug, Clone, Copy)]
struct Place {
    shard: usize,
    entry: usize,
}

/// An image and the transforms to cache it for.
#[derive(Debug, Clone, PartialEq)]
pub struct CacheRequest {
    /// The image file.
    pub path: PathBuf,
    /// Its transforms.
    pub transforms: Vec<ImageTransform>,
}

/// Outcome of [`ImageCache::complete`], in images per transform.
#[derive(Debug, Default)]
pub struct CacheReport {
    /// Images found in the cache.
    pub reused: usize,
    /// Images decoded and added.
    pub added: usize,
    /// Files that cannot be decoded, under [`OnBadStudy::Skip`].
    pub failed: Vec<(PathBuf, DataError)>,
}

/// A file that the cache lacks some preparations of.
struct Missing<'a> {
    path: &'a Path,
    key: PathBuf,
    stamp: FileStamp,
    transforms: Vec<ImageTransform>,
}

impl ImageCache {
    /// Opens or creates a cache and reads the indices of its shards.
    ///
    /// # Errors
    ///
    /// If the folder cannot be read, or [`DataError::Cache`] if a shard is damaged.
    pub fn open(folder: &Path) -> Result<Self, DataError> {
        fs::create_dir_all(folder).map_err(DataError::io("cannot create", folder))?;
        let mut files: Vec<PathBuf> = fs::read_dir(folder)
            .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect())
            .map_err(DataError::io("cannot read folder", folder))?;
        files.retain(|file| is_shard(file));
        files.sort();
        let shards: Vec<Shard> = files
            .par_iter()
            .map(|file| Shard::open(file))
            .collect::<Result<_, _>>()?;
        let mut cache = ImageCache {
            folder: folder.to_owned(),
            ..ImageCache::default()
        };
        shards.into_iter().for_each(|shard| cache.take(shard));
        Ok(cache)
    }

    fn take(&mut self, shard: Shard) {
        let number = self.shards.len();
        let places = self.places.entry(shard.preparation).or_default();
        for (entry, described) in shard.entries.iter().enumerate() {
            let place = Place {
                shard: number,
                entry,
            };
            let source = PathBuf::from(&described.source);
            places.entry(source).or_default().push(place);
        }
        self.shards.push(shard);
    }

    fn entry(&self, place: Place) -> &Entry {
        &self.shards[place.shard].entries[place.entry]
    }

    /// Decodes the requested images that the cache lacks or holds in a stale version, on all cores. Calls `progress`
    /// with the numbers of files done and in total.
    ///
    /// # Errors
    ///
    /// If a shard cannot be written. Under [`OnBadStudy::Stop`] also if an image file is missing or cannot be decoded.
    /// Under [`OnBadStudy::Skip`] such images are listed in the report.
    pub fn complete(
        &mut self,
        requests: &[CacheRequest],
        on_bad: OnBadStudy,
        mut progress: impl FnMut(usize, usize),
    ) -> Result<CacheReport, DataError> {
        let mut report = CacheReport::default();
        let meet = |path: &Path, error: DataError, report: &mut CacheReport| match on_bad {
            OnBadStudy::Stop => Err(error),
            OnBadStudy::Skip => {
                report.failed.push((path.to_owned(), error));
                Ok(())
            }
        };
        let looked_at: Vec<Result<FileStamp, DataError>> = requests
            .par_iter()
            .map(|request| {
                FileStamp::of(&request.path)
                    .map_err(DataError::io("cannot open image", &request.path))
            })
            .collect();
        let mut missing = Vec::new();
        for (request, stamp) in requests.iter().zip(looked_at) {
            match stamp {
                Ok(stamp) => missing.extend(self.missing(request, stamp, &mut report)),
                Err(error) => meet(&request.path, error, &mut report)?,
            }
        }
        let total = missing.len();
        for (number, some) in missing.chunks(PER_SHARD).enumerate() {
            let failures = self.add(some, &mut report)?;
            for (path, error) in failures {
                meet(&path, error, &mut report)?;
            }
            progress((number * PER_SHARD + some.len()).min(total), total);
        }
        Ok(report)
    }

    /// What a request still needs; forgets stale images of its source.
    fn missing<'a>(
        &mut self,
        request: &'a CacheRequest,
        stamp: FileStamp,
        report: &mut CacheReport,
    ) -> Option<Missing<'a>> {
        let key = key(&request.path);
        let mut transforms: Vec<ImageTransform> = Vec::new();
        for transform in &request.transforms {
            let preparation = transform.preparation();
            let shards = &self.shards;
            let places = self.places.entry(preparation).or_default();
            let fresh = places.get_mut(&key).is_some_and(|places| {
                places.retain(|place| shards[place.shard].entries[place.entry].stamp == stamp);
                !places.is_empty()
            });
            if fresh {
                report.reused += 1;
            } else if !transforms.iter().any(|it| it.preparation() == preparation) {
                transforms.push(*transform);
            }
        }
        (!transforms.is_empty()).then_some(Missing {
            path: &request.path,
            key,
            stamp,
            transforms,
        })
    }

    /// Decodes files and writes one shard per preparation; returns the files that failed.
    fn add(
        &mut self,
        some: &[Missing<'_>],
        report: &mut CacheReport,
    ) -> Result<Vec<(PathBuf, DataError)>, DataError> {
        let prepared: Vec<Result<Vec<DecodedImage>, DataError>> = some
            .par_iter()
            .map(|missing| prepare(missing.path, &missing.transforms))
            .collect();
        let mut failures = Vec::new();
        let mut by_preparation: HashMap<Preparation, Vec<(&Missing<'_>, DecodedImage)>> =
            HashMap::new();
        for (missing, images) in some.iter().zip(prepared) {
            match images {
                Err(error) => failures.push((missing.path.to_owned(), error)),
                Ok(images) => {
                    for (transform, image) in missing.transforms.iter().zip(images) {
                        let preparation = transform.preparation();
                        let images = by_preparation.entry(preparation).or_default();
                        images.push((missing, image));
                    }
                }
            }
        }
        for (preparation, images) in by_preparation {
            report.added += images.len();
            let images = images
                .iter()
                .map(|(missing, image)| (missing.key.as_path(), missing.stamp, image));
            let file = write_shard(&self.folder, preparation, images)?;
            self.take(Shard::open(&file)?);
        }
        Ok(failures)
    }

    /// The prepared image of a file; `None` if it is not cached.
    ///
    /// # Errors
    ///
    /// [`DataError::Cache`] if its bytes cannot be read or fail their checksum.
    pub fn get(
        &self,
        path: &Path,
        transform: &ImageTransform,
    ) -> Result<Option<DecodedImage>, DataError> {
        let places = self.places.get(&transform.preparation());
        let place = match places.and_then(|places| places.get(&key(path))?.last()) {
            Some(place) => *place,
            None => return Ok(None),
        };
        self.shards[place.shard].read(self.entry(place)).map(Some)
    }
}

/// The key of an image: its absolute path.
fn key(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Decodes a file once and prepares it for every transform.
fn prepare(path: &Path, transforms: &[ImageTransform]) -> Result<Vec<DecodedImage>, DataError> {
    let decoded = decode_image(path)?;
    transforms
        .iter()
        .map(|transform| {
            transform
                .prepare(&decoded)
                .map_err(|error| image_error(path, error.to_string()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRAINING: ImageTransform = ImageTransform::RandomCrop {
        shorter_side: 12,
        size: 8,
        horizontal_flip: true,
    };
    const EVALUATION: ImageTransform = ImageTransform::Resize { size: 8 };

    fn film(path: &Path, seed: u32) {
        image::RgbImage::from_fn(30, 20, |x, y| {
            image::Rgb([(x * seed) as u8, (y * 9) as u8, 3])
        })
        .save(path)
        .expect("written");
    }

    fn requests(folder: &Path, names: &[&str]) -> Vec<CacheRequest> {
        names
            .iter()
            .map(|name| CacheRequest {
                path: folder.join(name),
                transforms: vec![TRAINING, EVALUATION],
            })
            .collect()
    }

    fn completed(folder: &Path, requests: &[CacheRequest]) -> (ImageCache, CacheReport) {
        let mut cache = ImageCache::open(&folder.join("cache")).expect("opened");
        let report = cache
            .complete(requests, OnBadStudy::Stop, |_, _| {})
            .expect("decodable");
        (cache, report)
    }

    fn assert_kept(cache: &ImageCache, path: &Path) {
        for transform in [TRAINING, EVALUATION] {
            let kept = cache.get(path, &transform).expect("readable");
            let made = transform.prepare(&decode_image(path).expect("decodable"));
            assert_eq!(kept, Some(made.expect("it has pixels")));
        }
    }

    #[test]
    fn what_is_kept_is_what_decoding_gives_and_is_kept_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        film(&root.join("a.png"), 3);
        film(&root.join("b.png"), 5);
        let wanted = requests(root, &["a.png", "b.png"]);
        let (cache, report) = completed(root, &wanted);
        assert_eq!((report.reused, report.added), (0, 4));
        assert_kept(&cache, &root.join("a.png"));
        let (cache, report) = completed(root, &wanted);
        assert_eq!((report.reused, report.added), (4, 0));
        assert_kept(&cache, &root.join("b.png"));
        assert!(
            cache
                .get(&root.join("a.png"), &ImageTransform::Resize { size: 9 })
                .expect("no error")
                .is_none()
        );
    }

    /// One of MIMIC-CXR has more shards than a process may have open files.
    #[test]
    #[cfg(target_os = "linux")]
    fn an_open_cache_keeps_no_file_open() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        film(&root.join("a.png"), 3);
        let (cache, _) = completed(root, &requests(root, &["a.png"]));
        assert_kept(&cache, &root.join("a.png"));
        let open = fs::read_dir("/proc/self/fd").expect("readable");
        let below = open
            .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
            .filter(|path| path.starts_with(root.join("cache")));
        assert_eq!(below.count(), 0);
    }

    #[test]
    fn a_changed_source_is_decoded_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        film(&root.join("a.png"), 3);
        let wanted = requests(root, &["a.png"]);
        completed(root, &wanted);
        film(&root.join("a.png"), 11);
        let file = fs::File::options().append(true).open(root.join("a.png"));
        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(9);
        file.expect("opened").set_modified(later).expect("set");
        let (cache, report) = completed(root, &wanted);
        assert_eq!((report.reused, report.added), (0, 2));
        assert_kept(&cache, &root.join("a.png"));
        let (cache, report) = completed(root, &wanted);
        assert_eq!(report.reused, 2);
        assert_kept(&cache, &root.join("a.png"));
    }

    #[test]
    fn half_written_shards_are_passed_over_and_damaged_ones_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        film(&root.join("a.png"), 3);
        let wanted = requests(root, &["a.png"]);
        completed(root, &wanted);
        let cache = root.join("cache");
        fs::write(cache.join(".square-8.images.partial-7"), b"half").expect("written");
        let shards: Vec<PathBuf> = fs::read_dir(&cache)
            .expect("readable")
            .map(|entry| entry.expect("readable").path())
            .filter(|path| is_shard(path))
            .collect();
        assert_eq!(shards.len(), 2);
        let whole = fs::read(&shards[0]).expect("readable");

        let mut damaged = whole.clone();
        *damaged.last_mut().expect("it has bytes") ^= 1;
        fs::write(&shards[0], &damaged).expect("written");
        let opened = ImageCache::open(&cache).expect("its index is sound");
        let read: Vec<_> = [TRAINING, EVALUATION]
            .iter()
            .filter_map(|it| opened.get(&root.join("a.png"), it).err())
            .collect();
        assert_eq!(read.len(), 1);
        assert!(read[0].to_string().contains("checksum"), "{}", read[0]);

        for damage in [
            &whole[..whole.len() - 1],
            &whole[..9],
            b"",
            b"ITHNIMG9 and so on",
        ] {
            fs::write(&shards[0], damage).expect("written");
            let error = ImageCache::open(&cache).unwrap_err();
            assert!(matches!(error, DataError::Cache { .. }), "{error}");
            assert!(error.to_string().contains("delete the file"), "{error}");
        }
        let mut damaged = whole.clone();
        damaged[30] ^= 1;
        fs::write(&shards[0], &damaged).expect("written");
        assert!(ImageCache::open(&cache).is_err());
    }

    #[test]
    fn undecodable_images_stop_or_are_reported() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        film(&root.join("a.png"), 3);
        fs::write(root.join("b.png"), b"").expect("written");
        let wanted = requests(root, &["a.png", "b.png", "c.png"]);
        let mut cache = ImageCache::open(&root.join("cache")).expect("opened");
        assert!(
            cache
                .complete(&wanted, OnBadStudy::Stop, |_, _| {})
                .is_err()
        );
        let report = cache
            .complete(&wanted, OnBadStudy::Skip, |_, _| {})
            .expect("skipped");
        let failed: Vec<&PathBuf> = report.failed.iter().map(|(path, _)| path).collect();
        assert_eq!(failed, [&root.join("c.png"), &root.join("b.png")]);
        assert_kept(&cache, &root.join("a.png"));
    }
}
