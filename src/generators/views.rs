use burn::tensor::{Tensor, assert_shape};
use ithn_backbone::{ImageFeatures, ResNet};

/// Backbone features of all views of a study: patches joined along the patches, pooled features
/// along the channels.
///
/// # Shapes
///
/// - images: `[batch, views, 3, height, width]`
/// - patches: `[batch, views · patches, channels]`
/// - pooled: `[batch, views · channels]`
pub(super) fn join_views(backbone: &ResNet, images: Tensor<5>, views: usize) -> ImageFeatures {
    assert_shape!(images, [_, views, 3, _, _]);
    let (patches, pooled) = images
        .split(1, 1)
        .into_iter()
        .map(|view| backbone.forward(view.squeeze_dim(1)))
        .map(|view| (view.patches, view.pooled))
        .unzip();
    ImageFeatures {
        patches: Tensor::cat(patches, 1),
        pooled: Tensor::cat(pooled, 1),
    }
}
