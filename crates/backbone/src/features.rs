use burn::tensor::Tensor;

use crate::block::Layout;

/// Features of a batch of images.
#[derive(Debug, Clone)]
pub struct ImageFeatures {
    /// Patch features, one per cell of the last feature map, row by row:
    /// `[batch, patches, channels]`.
    pub patches: Tensor<3>,
    /// Their mean, `[batch, channels]`.
    pub pooled: Tensor<2>,
}

/// A network that turns images into patch features: what a backbone has to do.
pub trait ImageEncoder {
    /// Features of several batches of images, each as if it came alone: in training each is normalised
    /// by its own statistics, which enter the running ones in this order.
    ///
    /// # Shapes
    ///
    /// - images: `[batch, 3, height, width]`, normalised by ImageNet's mean and standard deviation
    /// - patches: `[batch, h · w, channels]`, with `h × w` the last map
    fn forward_each(&self, batches: Vec<Tensor<4>>) -> Vec<ImageFeatures>;

    /// Features of one batch of images.
    fn forward(&self, images: Tensor<4>) -> ImageFeatures {
        let features = self.forward_each(vec![images]).pop();
        features.expect("there are features for every batch")
    }
}

impl ImageFeatures {
    /// Features of a map in the given layout.
    pub(crate) fn of_map(map: Tensor<4>, layout: Layout) -> Self {
        let patches = match layout {
            Layout::ChannelsLast { .. } => map.flatten(1, 2),
            Layout::ChannelsFirst => map.flatten::<3>(2, 3).swap_dims(1, 2),
        };
        ImageFeatures::of_patches(patches)
    }

    /// Features of patches `[batch, patches, channels]`, and their mean.
    pub fn of_patches(patches: Tensor<3>) -> Self {
        ImageFeatures {
            pooled: patches.clone().mean_dim(1).squeeze_dim(1),
            patches,
        }
    }
}

/// Batches of one shape go through `forward` together, which costs less than one by one; in training on
/// a device where maps are laid out channels-first they do not. `forward` is given all images of
/// some batches of one size, one after the other, and the number of batches.
pub(crate) fn together(
    batches: Vec<Tensor<4>>,
    forward: impl Fn(Tensor<4>, usize) -> ImageFeatures,
) -> Vec<ImageFeatures> {
    let Some(first) = batches.first() else {
        return Vec::new();
    };
    let alike = batches.iter().all(|batch| batch.dims() == first.dims());
    let separate_statistics = first.is_autodiff() && !ithn_kernels::prefers_channels_last(first);
    if batches.len() == 1 || !alike || separate_statistics {
        return batches.into_iter().map(|it| forward(it, 1)).collect();
    }
    let ([size, ..], count) = (first.dims(), batches.len());
    let all = forward(Tensor::cat(batches, 0), count);
    (0..count)
        .map(|index| ImageFeatures {
            patches: all.patches.clone().narrow(0, index * size, size),
            pooled: all.pooled.clone().narrow(0, index * size, size),
        })
        .collect()
}

/// The layout in which a device computes maps of these images best.
pub(crate) fn layout_of(images: &Tensor<4>, batches: usize) -> Layout {
    match ithn_kernels::prefers_channels_last(images) {
        true => Layout::ChannelsLast { batches },
        false => Layout::ChannelsFirst,
    }
}
