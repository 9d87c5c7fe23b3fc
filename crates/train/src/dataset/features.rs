//! Patch features of a frozen backbone, computed once.

use std::collections::{HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor};
use ithn_backbone::{Backbone, ImageEncoder};
use ithn_checkpoint::config::{ConfigError, ExperimentConfig};
use ithn_data::{
    BatchLoader, BatchMember, FeatureCache, ImageBlock, ImageLoader, ImageTransform, TokenizedStudy,
};
use ithn_inference::study_batch;
use serde_json::json;

use super::{PreparedData, Watch};
use crate::error::TrainError;

/// Features of every image of the data by `backbone`, without autodiff, from a file in `folder`. The
/// file is written if there is none for this backbone, these weights, this transform and these images.
///
/// # Errors
///
/// If an image cannot be decoded, or the file is damaged or cannot be written.
pub(crate) fn frozen_features(
    data: &PreparedData,
    config: &ExperimentConfig,
    backbone: &Backbone,
    loader: &ImageLoader,
    device: &Device,
    folder: &Path,
    watch: Watch<'_>,
) -> Result<FeatureCache, TrainError> {
    let images = images_of(data, config.model.views);
    let key = json!({
        "backbone": config.model.generator.backbone(),
        "weights": weights_checksum(backbone),
        "transform": loader.transform(),
    });
    let key = serde_json::to_string(&key).map_err(ConfigError::at("model.generator.backbone"))?;
    let name = format!("features-{:08x}.bin", crc32fast::hash(key.as_bytes()));
    let path = folder.join(name);
    if let Some(cache) = FeatureCache::open(&path, &key, &images)? {
        return Ok(cache);
    }
    let dims = patch_dims(backbone, loader.transform(), device);
    let single = Arc::new(loader.of_single_views());
    let rows = Rows::start(&images, single, config, backbone, device, watch);
    FeatureCache::write(&path, &key, &images, dims, rows)
}

/// Every image that training or evaluation loads, once, in their order.
fn images_of(data: &PreparedData, views: usize) -> Vec<PathBuf> {
    let mut seen = HashSet::new();
    let splits = [&data.training, &data.validation.studies, &data.test.studies];
    let studies = splits.into_iter().flat_map(|studies| studies.iter());
    studies
        .flat_map(|study| {
            let prior = study.context.prior.iter().flat_map(|prior| &prior.images);
            study.images.iter().take(views).chain(prior)
        })
        .filter(|image| seen.insert((*image).clone()))
        .cloned()
        .collect()
}

/// Patches of an image and channels.
fn patch_dims(backbone: &Backbone, transform: ImageTransform, device: &Device) -> [usize; 2] {
    let size = transform.size();
    let blank = Tensor::zeros([1, 3, size, size], device);
    let [_, patches, channels] = backbone.forward(blank).patches.dims();
    [patches, channels]
}

/// CRC-32 of all weights and running statistics in the order of the module.
fn weights_checksum(backbone: &Backbone) -> u32 {
    struct Checksum(crc32fast::Hasher);
    impl ModuleVisitor for Checksum {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.update(param.val().into_data().as_bytes());
        }
    }
    let mut checksum = Checksum(crc32fast::Hasher::new());
    backbone.visit(&mut checksum);
    checksum.0.finalize()
}

/// Features image by image, computed batch by batch.
struct Rows<'a> {
    batches: BatchLoader,
    backbone: &'a Backbone,
    device: &'a Device,
    watch: Watch<'a>,
    ready: VecDeque<Vec<f32>>,
    done: usize,
    total: usize,
}

impl<'a> Rows<'a> {
    fn start(
        images: &[PathBuf],
        loader: Arc<ImageLoader>,
        config: &ExperimentConfig,
        backbone: &'a Backbone,
        device: &'a Device,
        watch: Watch<'a>,
    ) -> Self {
        // The loader takes studies: each image is one.
        let studies: Vec<TokenizedStudy> = images
            .iter()
            .map(|image| TokenizedStudy {
                id: image.display().to_string(),
                images: vec![image.clone()],
                tokens: Vec::new(),
                context: Default::default(),
            })
            .collect();
        let members: Vec<BatchMember> = (0..studies.len())
            .map(|study| BatchMember {
                study,
                negative: None,
            })
            .collect();
        let size = config.training.evaluation_batch_size;
        let batches = members.chunks(size).map(<[BatchMember]>::to_vec).collect();
        let threads = config.training.loader_threads;
        Rows {
            batches: BatchLoader::start(Arc::new(studies), loader, batches, 0, threads),
            backbone,
            device,
            watch,
            ready: VecDeque::new(),
            done: 0,
            total: images.len(),
        }
    }

    fn compute(&mut self, block: ImageBlock) {
        let images = study_batch(block, self.device).images.squeeze_dim::<4>(1);
        let patches = self.backbone.forward(images).patches;
        let [batch, count, channels] = patches.dims();
        let values: Vec<f32> = patches.into_data().iter::<f32>().collect();
        let rows = values.chunks_exact(count * channels);
        self.ready.extend(rows.map(<[f32]>::to_vec));
        self.done += batch;
        (self.watch)(
            "computing features of the frozen backbone",
            self.done,
            self.total,
        );
    }
}

impl Iterator for Rows<'_> {
    type Item = Result<Vec<f32>, TrainError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ready.is_empty() {
            match self.batches.next()? {
                Ok(batch) => self.compute(batch.images),
                Err(error) => return Some(Err(error.into())),
            }
        }
        self.ready.pop_front().map(Ok)
    }
}
