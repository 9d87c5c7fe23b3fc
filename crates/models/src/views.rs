use burn::tensor::{Tensor, assert_shape};
use ithn_backbone::{ImageFeatures, ResNet};
use ithn_generator::StudyBatch;

/// Backbone features of all views of some batches of studies: of each batch, patches joined along the
/// patches, pooled features along the channels. The backbone sees all of them together, each view of
/// each batch as a batch of its own.
///
/// # Shapes
///
/// - studies: images `[batch, views, 3, height, width]`
/// - patches: `[batch, views · patches, channels]`
/// - pooled: `[batch, views · channels]`
pub(super) fn join_views<const BATCHES: usize>(
    backbone: &ResNet,
    studies: [StudyBatch; BATCHES],
    views: usize,
) -> [ImageFeatures; BATCHES] {
    let images = studies.iter().flat_map(|batch| {
        let images = &batch.images;
        assert_shape!(images, [_, views, 3, _, _]);
        images.clone().split(1, 1)
    });
    let images = images.map(|view| view.squeeze_dim(1)).collect();
    let mut seen = backbone.forward_each(images).into_iter();
    studies.map(|_| {
        let of_study = seen.by_ref().take(views);
        let (patches, pooled) = of_study.map(|view| (view.patches, view.pooled)).unzip();
        ImageFeatures {
            patches: Tensor::cat(patches, 1),
            pooled: Tensor::cat(pooled, 1),
        }
    })
}
