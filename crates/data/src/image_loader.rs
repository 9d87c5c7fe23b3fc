use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock, RwLockReadGuard};

use rayon::prelude::*;

use crate::cache::ImageCache;
use crate::error::DataError;
use crate::feature_cache::{FeatureBlock, FeatureCache};
use crate::image::decode_image;
use crate::image_block::{ContextBlock, FilmBlock, ImageBlock};
use crate::pixels::DecodedImage;
use crate::study::{TokenizedContext, TokenizedStudy};
use crate::transform::{ImageTransform, TransformError};

/// A previous study's images draw their crops as views from this one on.
const PRIOR_VIEWS: usize = 1 << 16;

/// Decodes, transforms and caches images; shared by all workers of a run.
#[derive(Debug)]
pub struct ImageLoader {
    transform: ImageTransform,
    views: usize,
    seed: u64,
    /// Bytes of resized images kept in memory at most.
    budget: usize,
    remembered: RwLock<Remembered>,
    cache: Option<Arc<ImageCache>>,
    features: Option<Arc<FeatureCache>>,
}

#[derive(Debug, Default)]
struct Remembered {
    images: HashMap<PathBuf, Arc<DecodedImage>>,
    bytes: usize,
}

impl ImageLoader {
    /// Loads up to `views` images per study (at least one). Resized images are kept in memory, up to
    /// `budget` bytes, so a small dataset is decoded once and only cropped in every epoch; `seed`
    /// seeds the random crops.
    pub fn new(transform: ImageTransform, views: usize, seed: u64, budget: usize) -> Self {
        ImageLoader {
            transform,
            views: views.max(1),
            seed,
            budget,
            remembered: RwLock::default(),
            cache: None,
            features: None,
        }
    }

    /// A loader of the same views that loads their features instead of pixels.
    pub fn of_features(&self, features: Arc<FeatureCache>) -> Self {
        let loader = ImageLoader::new(self.transform, self.views, self.seed, 0);
        ImageLoader {
            features: Some(features),
            ..loader
        }
    }

    /// A loader of the first view alone, which keeps nothing in memory.
    pub fn of_single_views(&self) -> Self {
        let loader = ImageLoader::new(self.transform, 1, self.seed, 0);
        loader.with_cache(self.cache.clone())
    }

    /// Whether the same image always gives the same pixels.
    pub fn is_deterministic(&self) -> bool {
        self.transform.is_deterministic()
    }

    /// The transform of the images.
    pub fn transform(&self) -> ImageTransform {
        self.transform
    }

    /// Uses `cache` where possible; cached images are left to the page cache.
    #[must_use]
    pub fn with_cache(mut self, cache: Option<Arc<ImageCache>>) -> Self {
        self.cache = cache;
        self
    }

    /// Views loaded per study at most.
    pub fn views(&self) -> usize {
        self.views
    }

    /// Loads all images of the given studies into one block. The views that a study lacks are
    /// missing in it; crops and flips differ by `epoch`.
    ///
    /// # Errors
    ///
    /// If a study has no image, or an image cannot be opened or decoded, or has no features; it is named.
    pub fn load(&self, studies: &[&TokenizedStudy], epoch: usize) -> Result<ImageBlock, DataError> {
        Ok(ImageBlock {
            context: self.load_context(studies, epoch)?,
            ..self.load_images(studies, epoch)?
        })
    }

    /// What the studies carry beside their images, previous films included.
    fn load_context(
        &self,
        studies: &[&TokenizedStudy],
        epoch: usize,
    ) -> Result<Option<ContextBlock>, DataError> {
        let nothing = TokenizedContext::default();
        if studies.iter().all(|study| study.context == nothing) {
            return Ok(None);
        }
        let size = self.transform.size();
        let mut films = FilmBlock::default();
        let mut values = Vec::new();
        for study in studies {
            let images = study.context.prior.iter().flat_map(|prior| &prior.images);
            for (place, path) in images.enumerate() {
                match &self.features {
                    Some(features) => values.extend(features.get(path)?),
                    None => {
                        let seed = self.image_seed(&study.id, PRIOR_VIEWS + place, epoch);
                        films.pixels.extend(self.square(path, seed)?);
                    }
                }
                films.dims[0] += 1;
            }
        }
        films.dims = [films.dims[0], 3, size, size];
        films.features = self.features.as_ref().map(|features| FeatureBlock {
            dims: features.dims(),
            values,
        });
        Ok(Some(ContextBlock {
            studies: studies.iter().map(|study| study.context.clone()).collect(),
            films,
        }))
    }

    /// An image as three planes.
    fn square(&self, path: &Path, seed: u64) -> Result<Vec<u8>, DataError> {
        let square = self.transform.finish(&*self.prepared(path)?, seed);
        square.map_err(|error| transform_error(path, &error))
    }

    /// Like [`load`](Self::load), without what the studies carry beside their images.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn load_images(
        &self,
        studies: &[&TokenizedStudy],
        epoch: usize,
    ) -> Result<ImageBlock, DataError> {
        if let Some(features) = &self.features {
            return self.load_features(features, studies);
        }
        let size = self.transform.size();
        let dims = [studies.len(), self.views, 3, size, size];
        let mut pixels = Vec::with_capacity(dims.iter().product());
        let mut present = Vec::with_capacity(studies.len() * self.views);
        for (index, study) in studies.iter().enumerate() {
            if study.images.is_empty() {
                return Err(DataError::NoImage {
                    study: study.id.clone(),
                });
            }
            for (view, path) in study.images.iter().take(self.views).enumerate() {
                let seed = self.image_seed(&study.id, view, epoch);
                pixels.extend_from_slice(&self.square(path, seed)?);
            }
            present.extend((0..self.views).map(|view| view < study.images.len()));
            pixels.resize((index + 1) * self.views * 3 * size * size, 0);
        }
        Ok(ImageBlock {
            dims,
            pixels,
            features: None,
            present,
            context: None,
        })
    }

    fn load_features(
        &self,
        cache: &FeatureCache,
        studies: &[&TokenizedStudy],
    ) -> Result<ImageBlock, DataError> {
        let [patches, channels] = cache.dims();
        let mut values = Vec::with_capacity(studies.len() * self.views * patches * channels);
        let mut present = Vec::with_capacity(studies.len() * self.views);
        for (index, study) in studies.iter().enumerate() {
            if study.images.is_empty() {
                return Err(DataError::NoImage {
                    study: study.id.clone(),
                });
            }
            for path in study.images.iter().take(self.views) {
                values.extend(cache.get(path)?);
            }
            present.extend((0..self.views).map(|view| view < study.images.len()));
            values.resize((index + 1) * self.views * patches * channels, 0.0);
        }
        Ok(ImageBlock {
            dims: [studies.len(), self.views, 3, 0, 0],
            pixels: Vec::new(),
            features: Some(FeatureBlock {
                dims: [patches, channels],
                values,
            }),
            present,
            context: None,
        })
    }

    /// Decodes and resizes the given images on all cores, so that the first epoch is as fast as the
    /// others. Images beyond the budget are decoded when needed.
    ///
    /// # Errors
    ///
    /// If an image cannot be opened or decoded; the first is named.
    pub fn decode_all(&self, paths: &[PathBuf]) -> Result<(), DataError> {
        let failures: Vec<DataError> = paths
            .par_iter()
            .filter_map(|path| self.prepared(path).err())
            .collect();
        failures.into_iter().next().map_or(Ok(()), Err)
    }

    /// Bytes of resized images in memory.
    pub fn remembered_bytes(&self) -> usize {
        self.read_remembered().bytes
    }

    /// The resized image, from memory, the cache or the file.
    fn prepared(&self, path: &Path) -> Result<Arc<DecodedImage>, DataError> {
        if let Some(image) = self.read_remembered().images.get(path) {
            return Ok(Arc::clone(image));
        }
        if let Some(cache) = &self.cache
            && let Some(image) = cache.get(path, &self.transform)?
        {
            return Ok(Arc::new(image));
        }
        let prepared = self
            .transform
            .prepare(&decode_image(path)?)
            .map_err(|error| transform_error(path, &error))?;
        let prepared = Arc::new(prepared);
        let mut remembered = self
            .remembered
            .write()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let bytes = remembered.bytes + prepared.pixels.len();
        if bytes <= self.budget && !remembered.images.contains_key(path) {
            remembered.bytes = bytes;
            remembered
                .images
                .insert(path.to_owned(), Arc::clone(&prepared));
        }
        Ok(prepared)
    }

    fn read_remembered(&self) -> RwLockReadGuard<'_, Remembered> {
        self.remembered
            .read()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The seed of an epoch, study and view, independent of workers and of folders (FNV-1a).
    fn image_seed(&self, study: &str, view: usize, epoch: usize) -> u64 {
        let start = self.seed ^ (epoch as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        study
            .bytes()
            .chain((view as u64).to_le_bytes())
            .fold(start ^ 0xCBF2_9CE4_8422_2325, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
            })
    }
}

fn transform_error(path: &Path, error: &TransformError) -> DataError {
    DataError::Image {
        path: path.to_owned(),
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn study(folder: &Path, id: &str) -> TokenizedStudy {
        let path = folder.join(format!("{id}.png"));
        image::GrayImage::from_fn(20, 12, |x, y| image::Luma([(x * 12 + y) as u8]))
            .save(&path)
            .expect("written");
        TokenizedStudy {
            id: id.to_owned(),
            images: vec![path],
            tokens: vec![0, 1, 0],
            context: Default::default(),
        }
    }

    fn loader(seed: u64, budget: usize) -> ImageLoader {
        let transform = ImageTransform::RandomCrop {
            shorter_side: 12,
            size: 6,
            horizontal_flip: true,
        };
        ImageLoader::new(transform, 1, seed, budget)
    }

    #[test]
    fn what_is_remembered_changes_nothing_and_outlives_its_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let study = study(folder.path(), "a");
        let fresh = loader(3, 0);
        let remembering = loader(3, 1 << 20);
        remembering.decode_all(&study.images).expect("readable");
        assert_eq!(remembering.remembered_bytes(), 20 * 12);
        let expected: Vec<ImageBlock> = (0..5)
            .map(|epoch| fresh.load(&[&study], epoch).expect("readable"))
            .collect();
        std::fs::remove_file(&study.images[0]).expect("removed");
        for (epoch, expected) in expected.iter().enumerate() {
            assert_eq!(
                &remembering.load(&[&study], epoch).expect("in memory"),
                expected
            );
        }
        assert!(fresh.load(&[&study], 0).is_err());
    }

    #[test]
    fn a_cache_changes_nothing_and_replaces_decoding() {
        let folder = tempfile::tempdir().expect("a folder");
        let study = study(folder.path(), "a");
        let plain = loader(3, 0);
        let mut cache = ImageCache::open(&folder.path().join("cache")).expect("opened");
        let request = crate::cache::CacheRequest {
            path: study.images[0].clone(),
            transforms: vec![plain.transform],
        };
        cache
            .complete(&[request], crate::OnBadStudy::Stop, |_, _| {})
            .expect("decodable");
        let cached = loader(3, 0).with_cache(Some(Arc::new(cache)));
        let expected: Vec<ImageBlock> = (0..5)
            .map(|epoch| plain.load(&[&study], epoch).expect("readable"))
            .collect();
        std::fs::remove_file(&study.images[0]).expect("removed");
        for (epoch, expected) in expected.iter().enumerate() {
            let block = cached.load(&[&study], epoch).expect("kept");
            assert_eq!(&block, expected);
        }
    }

    #[test]
    fn the_budget_is_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let paths: Vec<PathBuf> = ["a", "b", "c"]
            .iter()
            .flat_map(|id| study(folder.path(), id).images)
            .collect();
        let loader = loader(3, 500);
        loader.decode_all(&paths).expect("readable");
        assert_eq!(loader.remembered_bytes(), 480);
    }

    #[test]
    fn crops_vary_by_epoch_study_and_seed_but_not_by_folder() {
        let (one, two) = (tempfile::tempdir(), tempfile::tempdir());
        let (one, two) = (one.expect("a folder"), two.expect("a folder"));
        let squares = |folder: &Path, id: &str, seed: u64| -> Vec<ImageBlock> {
            let study = study(folder, id);
            let loader = loader(seed, 0);
            (0..8)
                .map(|epoch| loader.load(&[&study], epoch).expect("readable"))
                .collect()
        };
        let squares_a = squares(one.path(), "a", 3);
        assert_eq!(squares_a, squares(two.path(), "a", 3));
        assert_ne!(squares_a, squares(one.path(), "b", 3));
        assert_ne!(squares_a, squares(one.path(), "a", 4));
        assert!(squares_a.iter().any(|square| square != &squares_a[0]));
    }

    #[test]
    fn views_beyond_the_images_of_a_study_are_missing_and_zero() {
        let folder = tempfile::tempdir().expect("a folder");
        let one = study(folder.path(), "a");
        let mut two = study(folder.path(), "b");
        two.images.extend(one.images.clone());
        let transform = ImageTransform::Resize { size: 6 };
        let load = |views| {
            let loader = ImageLoader::new(transform, views, 0, 0);
            loader.load(&[&one, &two], 0).expect("readable")
        };
        let block = load(2);
        assert_eq!(block.dims, [2, 2, 3, 6, 6]);
        assert_eq!(block.present, [true, false, true, true]);
        let views: Vec<&[u8]> = block.pixels.chunks(3 * 6 * 6).collect();
        assert_eq!(views[1], [0; 3 * 6 * 6]);
        assert_eq!(views[3], views[0]);
        let first = load(1);
        assert_eq!(first.present, [true, true]);
        assert_eq!(first.pixels, [views[0], views[2]].concat());
    }

    #[test]
    fn a_study_without_images_is_named() {
        let study = TokenizedStudy {
            id: "s9".to_owned(),
            images: Vec::new(),
            tokens: Vec::new(),
            context: Default::default(),
        };
        let error = loader(0, 0).load(&[&study], 0).unwrap_err().to_string();
        assert!(error.contains("study s9 has no image"), "{error}");
    }
}
