use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ithn_data::{
    CacheRequest, Exclusion, ExclusionReason, Exclusions, FeatureCache, ImageCache, ImageLoader,
    ImageTransform, OnBadStudy, Split,
};

use crate::dataset::Dataset;
use crate::error::TrainError;
use crate::ranks::Ranks;
use ithn_checkpoint::config::{ExperimentConfig, ImageConfig};

/// Bytes of decoded images that a loader may keep in memory.
const IMAGE_BUDGET: usize = 1 << 30;

/// The image loaders of a run: one with training transforms, one with evaluation transforms.
#[derive(Debug, Clone)]
pub struct RunImages {
    /// For training.
    pub training: Arc<ImageLoader>,
    /// For evaluation, and for the nearest-image baseline.
    pub evaluation: Arc<ImageLoader>,
}

impl RunImages {
    /// Loaders that use `cache` where possible and decode all other images.
    pub fn new(config: &ExperimentConfig, cache: Option<Arc<ImageCache>>) -> Self {
        let (views, seed) = (config.model.views, config.training.seed);
        RunImages::of(&config.images, views, seed, cache)
    }

    /// Loaders of `views` images a study; `seed` is that of augmentation.
    pub fn of(
        images: &ImageConfig,
        views: usize,
        seed: u64,
        cache: Option<Arc<ImageCache>>,
    ) -> Self {
        let loader = |transform| {
            let loader = ImageLoader::new(transform, views, seed, IMAGE_BUDGET);
            Arc::new(loader.with_cache(cache.clone()))
        };
        let (training, evaluation) = (images.training_transform(), images.evaluation_transform());
        let evaluation_loader = loader(evaluation);
        RunImages {
            training: match training == evaluation {
                true => Arc::clone(&evaluation_loader),
                false => loader(training),
            },
            evaluation: evaluation_loader,
        }
    }
}

impl RunImages {
    /// Loaders of the same studies' features, which stand for both transforms.
    pub(crate) fn of_features(&self, features: FeatureCache) -> Self {
        let loader = Arc::new(self.evaluation.of_features(Arc::new(features)));
        RunImages {
            training: Arc::clone(&loader),
            evaluation: loader,
        }
    }
}

impl Dataset {
    /// Opens the image cache in `folder` and adds what it lacks of this dataset. Studies whose images
    /// cannot be decoded are left out, if broken ones are skipped. `progress` is given how many of how
    /// many images are done.
    ///
    /// # Errors
    ///
    /// If the cache is damaged or cannot be written, an image cannot be decoded and is not skipped, or
    /// a split has no study left.
    pub fn cache_images(
        &mut self,
        folder: &Path,
        config: &ExperimentConfig,
        on_bad_study: OnBadStudy,
        progress: impl FnMut(usize, usize),
    ) -> Result<Arc<ImageCache>, TrainError> {
        let (images, views) = (&config.images, config.model.views);
        let ranks = Ranks::default();
        self.cache_images_of(folder, (images, views), on_bad_study, &ranks, progress)
    }

    /// [`cache_images`](Self::cache_images) of some images of every study, divided among ranks. Each decodes its own,
    /// so that no two write one shard.
    pub(crate) fn cache_images_of(
        &mut self,
        folder: &Path,
        (images, views): (&ImageConfig, usize),
        on_bad_study: OnBadStudy,
        ranks: &Ranks,
        mut progress: impl FnMut(usize, usize),
    ) -> Result<Arc<ImageCache>, TrainError> {
        let requests = self.cache_requests(images, views);
        let mut complete = |requests: &[CacheRequest]| -> Result<_, TrainError> {
            let mut cache = ImageCache::open(folder)?;
            let report = cache.complete(requests, on_bad_study, &mut progress)?;
            Ok((cache, report))
        };
        let own: Vec<CacheRequest> = ranks.share_of(&requests).cloned().collect();
        let completed = complete(&own).map(|(cache, report)| {
            let failed = report.failed.into_iter();
            let failed: Vec<(PathBuf, String)> = failed
                .map(|(path, error)| (path, error.to_string()))
                .collect();
            (Some(cache), (report.reused, report.added, failed))
        });
        let (cache, own) = match completed {
            Ok((cache, own)) => (cache, Ok(own)),
            Err(error) => (None, Err(error)),
        };
        let mut counts = (0, 0);
        let mut failed: HashMap<PathBuf, String> = HashMap::new();
        for (reused, added, of_rank) in ranks.gather_values(own)? {
            counts = (counts.0 + reused, counts.1 + added);
            failed.extend(of_rank);
        }
        let cache = match cache {
            Some(cache) if ranks.is_alone() => cache,
            // The other ranks' images are there now.
            _ => {
                let sound = requests.into_iter();
                let sound = sound.filter(|request| !failed.contains_key(&request.path));
                let completed = complete(&sound.collect::<Vec<_>>());
                ranks.agree(completed)?.0
            }
        };
        self.notes.push(format!(
            "{}: {} images were there, {} decoded",
            folder.display(),
            counts.0,
            counts.1
        ));
        let mut exclusions = Exclusions::new(on_bad_study);
        self.studies.retain(|study| {
            let negatives = study.negative.iter().flat_map(|it| &it.images);
            let prior = study.context.prior.iter().flat_map(|it| &it.images);
            let mut images = study.images.iter().chain(negatives).chain(prior);
            match images.find_map(|image| failed.get(image)) {
                None => true,
                Some(detail) => {
                    exclusions.push(Exclusion {
                        study: study.id.clone(),
                        reason: ExclusionReason::BadImage,
                        detail: detail.clone(),
                    });
                    false
                }
            }
        });
        self.warnings.extend(exclusions.notes_of_broken());
        ranks.agree(self.check_splits())?;
        Ok(Arc::new(cache))
    }

    /// Every image that a run will load, once, with its transforms. The nearest-image baseline also
    /// needs the training images with the evaluation transform.
    fn cache_requests(&self, images: &ImageConfig, views: usize) -> Vec<CacheRequest> {
        let (training, evaluation) = (images.training_transform(), images.evaluation_transform());
        let mut wanted = Requests::default();
        for study in &self.studies {
            let is_training = study.split == Split::Train;
            for image in study.images.iter().take(views) {
                wanted.add(image, evaluation);
                if is_training {
                    wanted.add(image, training);
                }
            }
            for image in study.context.prior.iter().flat_map(|prior| &prior.images) {
                wanted.add(image, evaluation);
                if is_training {
                    wanted.add(image, training);
                }
            }
            if let (Some(negative), true) = (&study.negative, is_training) {
                for image in negative.images.iter().take(views) {
                    wanted.add(image, training);
                }
            }
        }
        wanted.requests
    }
}

/// One request per file, so that it is decoded once.
#[derive(Default)]
struct Requests {
    places: HashMap<PathBuf, usize>,
    requests: Vec<CacheRequest>,
}

impl Requests {
    fn add(&mut self, path: &Path, transform: ImageTransform) {
        let place = *self.places.entry(path.to_owned()).or_insert_with(|| {
            self.requests.push(CacheRequest {
                path: path.to_owned(),
                transforms: Vec::new(),
            });
            self.requests.len() - 1
        });
        let transforms = &mut self.requests[place].transforms;
        if !transforms.contains(&transform) {
            transforms.push(transform);
        }
    }
}

#[cfg(test)]
mod tests {
    use ithn_data::{NegativeStudy, Study};

    use super::*;
    use ithn_checkpoint::card::DataKind;
    use ithn_checkpoint::config::Preset;
    use ithn_inference::FindingsReader;

    #[test]
    fn every_file_is_asked_for_once_with_all_it_will_be_seen_by() {
        let study = |name: &str, split, negative: Option<&str>| Study {
            id: name.to_owned(),
            patient: name.to_owned(),
            images: vec![PathBuf::from(name)],
            report: "Clear.".to_owned(),
            split,
            labels: None,
            negative: negative.map(|negative| NegativeStudy {
                report: "Effusion.".to_owned(),
                images: vec![PathBuf::from(negative)],
            }),
            context: Default::default(),
        };
        let dataset = Dataset {
            path: PathBuf::new(),
            studies: vec![
                study("a", Split::Train, Some("b")),
                study("b", Split::Train, Some("c")),
                study("d", Split::Test, Some("e")),
            ],
            findings: FindingsReader::Rules14,
            notes: Vec::new(),
            warnings: Vec::new(),
            kind: DataKind::Annotation,
        };
        let config = Preset::IuXray.config();
        let counts = |config: &ExperimentConfig| -> Vec<(PathBuf, usize)> {
            let requests = dataset
                .cache_requests(&config.images, config.model.views)
                .into_iter();
            requests.map(|it| (it.path, it.transforms.len())).collect()
        };
        let expected = [("a", 2), ("b", 2), ("c", 1), ("d", 1)];
        assert_eq!(
            counts(&config),
            expected.map(|(path, count)| (PathBuf::from(path), count))
        );
        let plain = Preset::Phantom.config();
        assert!(counts(&plain).iter().all(|(_, count)| *count == 1));
    }
}
