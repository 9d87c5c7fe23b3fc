use burn::config::Config;
use burn::module::Module;
use burn::nn::PaddingConfig2d;
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::tensor::{Device, Tensor, assert_shape};
use ithn_generator::config::{ConfigError, LARGEST_WIDTH, MOST_LAYERS, check_count};
use ithn_kernels::{Activation, MaxPool};
use serde::{Deserialize, Serialize};

use crate::block::{BlockKind, Layout, NormedConvolution, ResidualBlock};
use crate::features::{ImageEncoder, ImageFeatures, layout_of, together};
use crate::recompute::{Step, chain, records_chains};

/// The stem's pooling, of channels-last maps.
const STEM_POOL: MaxPool = MaxPool {
    kernel: 3,
    stride: 2,
    padding: 1,
};

/// Configuration of a [`ResNet`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ResNetConfig {
    /// Which residual block.
    pub block: BlockKind,
    /// Blocks per stage, each 1 to 1,000; every stage but the first halves the map and doubles the
    /// planes.
    pub depths: Vec<usize>,
    /// Channels of the stem and planes of the first stage; the last stage has at most 65,536
    /// channels.
    pub width: usize,
}

impl Config for ResNetConfig {}

/// A residual network without its classification head.
#[derive(Module, Debug)]
pub struct ResNet {
    /// 7×7 convolution with stride 2.
    pub stem: NormedConvolution,
    pool: MaxPool2d,
    /// Residual blocks by stage.
    pub stages: Vec<Vec<ResidualBlock>>,
}

impl ResNetConfig {
    /// Stages of these depths, 64 channels wide at first.
    pub fn new(block: BlockKind, depths: Vec<usize>) -> Self {
        ResNetConfig {
            block,
            depths,
            width: 64,
        }
    }

    /// Sets [`width`](Self::width).
    pub fn with_width(mut self, width: usize) -> Self {
        self.width = width;
        self
    }

    /// Checks depths and width.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] at `depths` or `width`.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check_count("width", self.width, LARGEST_WIDTH)?;
        if self.depths.is_empty() {
            return Err(ConfigError::new("depths", "must name at least one stage"));
        }
        for &depth in &self.depths {
            check_count("depths", depth, MOST_LAYERS)?;
        }
        let stages = self.depths.len();
        let doublings = u32::try_from(stages - 1).ok();
        let channels = doublings
            .and_then(|doublings| 2_usize.checked_pow(doublings))
            .and_then(|factor| factor.checked_mul(self.width))
            .and_then(|planes| planes.checked_mul(self.block.expansion()));
        if channels.is_some_and(|channels| channels <= LARGEST_WIDTH) {
            return Ok(());
        }
        Err(ConfigError::new(
            "width",
            format!(
                "{} channels, doubled by each of {stages} stages but the first, exceed {LARGEST_WIDTH} \
                 channels in the last",
                self.width
            ),
        ))
    }

    /// ResNet-18: basic blocks 2, 2, 2, 2.
    pub fn resnet18() -> Self {
        Self::new(BlockKind::Basic, vec![2, 2, 2, 2])
    }

    /// ResNet-34: basic blocks 3, 4, 6, 3.
    pub fn resnet34() -> Self {
        Self::new(BlockKind::Basic, vec![3, 4, 6, 3])
    }

    /// ResNet-50: bottlenecks 3, 4, 6, 3.
    pub fn resnet50() -> Self {
        Self::new(BlockKind::Bottleneck, vec![3, 4, 6, 3])
    }

    /// ResNet-101: bottlenecks 3, 4, 23, 3; the published backbone.
    pub fn resnet101() -> Self {
        Self::new(BlockKind::Bottleneck, vec![3, 4, 23, 3])
    }

    /// ResNet-152: bottlenecks 3, 8, 36, 3.
    pub fn resnet152() -> Self {
        Self::new(BlockKind::Bottleneck, vec![3, 8, 36, 3])
    }

    /// A small network of basic blocks for small images: `width` channels in the first stage.
    pub fn narrow(width: usize, depths: Vec<usize>) -> Self {
        Self::new(BlockKind::Basic, depths).with_width(width)
    }

    /// Channels of the patch features.
    pub fn channels(&self) -> usize {
        self.planes(self.depths.len() - 1) * self.block.expansion()
    }

    fn planes(&self, stage: usize) -> usize {
        self.width << stage
    }

    /// Creates the network with Kaiming-normal convolutions (fan out), as torchvision does.
    ///
    /// # Panics
    ///
    /// If there is no stage or a stage has no block.
    pub fn init(&self, device: &Device) -> ResNet {
        assert!(
            !self.depths.is_empty() && self.depths.iter().all(|&depth| depth > 0),
            "every stage needs a block, got depths {:?}",
            self.depths
        );
        let mut channels = self.width;
        let mut stages = Vec::with_capacity(self.depths.len());
        for (stage, &depth) in self.depths.iter().enumerate() {
            let planes = self.planes(stage);
            let blocks = (0..depth)
                .map(|index| {
                    let stride = if stage > 0 && index == 0 { 2 } else { 1 };
                    let block = ResidualBlock::init(self.block, channels, planes, stride, device);
                    channels = planes * self.block.expansion();
                    block
                })
                .collect();
            stages.push(blocks);
        }
        ResNet {
            stem: NormedConvolution::init([3, self.width], 7, 2, device),
            pool: MaxPool2dConfig::new([STEM_POOL.kernel; 2])
                .with_strides([STEM_POOL.stride; 2])
                .with_padding({
                    let padding = STEM_POOL.padding;
                    PaddingConfig2d::Explicit(padding, padding, padding, padding)
                })
                .init(),
            stages,
        }
    }
}

impl ResNet {
    /// Features of as many batches of one size, one after the other in `images`.
    fn forward_batches(&self, images: Tensor<4>, batches: usize) -> ImageFeatures {
        let layout = layout_of(&images, batches);
        if records_chains(&images) {
            return ImageFeatures::of_map(self.chain(images, layout), layout);
        }
        let stem = self.stem_in(images, layout);
        let blocks = self.stages.iter().flatten();
        let map = blocks.fold(stem, |map, block| block.forward_in(map, layout));
        ImageFeatures::of_map(map, layout)
    }

    /// The last map, with the activations of the stem and of each block left to the backward pass.
    fn chain(&self, images: Tensor<4>, layout: Layout) -> Tensor<4> {
        let mut stem = self.clone();
        stem.stages.clear();
        let stem = Step::new(&stem, move |stem: &ResNet, images| {
            stem.stem_in(images, layout)
        });
        let blocks = self.stages.iter().flatten().map(|block| {
            Step::new(block, move |block: &ResidualBlock, map| {
                block.forward_in(map, layout)
            })
        });
        chain(images, std::iter::once(stem).chain(blocks).collect())
    }

    /// Input of the first stage: the images after convolution, batch norm, ReLU and 3×3 max
    /// pooling.
    ///
    /// # Shapes
    ///
    /// - images: `[batch, 3, height, width]`
    /// - output: `[batch, width, height / 4, width / 4]`, rounded up
    pub fn stem_map(&self, images: Tensor<4>) -> Tensor<4> {
        self.stem_in(images, Layout::ChannelsFirst)
    }

    /// [`stem_map`](Self::stem_map) of images `[batch, 3, height, width]`, in the given layout.
    fn stem_in(&self, images: Tensor<4>, layout: Layout) -> Tensor<4> {
        assert_shape!(images, [_, 3, _, _]);
        if layout == Layout::ChannelsFirst {
            let map = self.stem.forward(images, None, Activation::Relu, layout);
            return self.pool.forward(map);
        }
        let images = images.permute([0, 2, 3, 1]);
        let map = self.stem.forward(images, None, Activation::Relu, layout);
        STEM_POOL.forward(map)
    }
}

impl ImageEncoder for ResNet {
    fn forward_each(&self, batches: Vec<Tensor<4>>) -> Vec<ImageFeatures> {
        together(batches, |images, count| self.forward_batches(images, count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{TensorData, Tolerance};

    /// Numbers in (−1, 1) without a pattern that a kernel could share, the same in every process.
    fn values<const D: usize>(dims: [usize; D], device: &Device) -> Tensor<D> {
        let count = dims.iter().product::<usize>();
        let values: Vec<f32> = (0..count).map(|at| (at as f32 * 12.9898).sin()).collect();
        Tensor::from_data(TensorData::new(values, dims), device)
    }

    #[test]
    fn published_sizes_have_torchvisions_weight_counts() {
        let device = Device::default();
        // torchvision's counts without the 1000-way head (and with it: 11.69 M and 25.56 M).
        for (config, weights) in [
            (ResNetConfig::resnet18(), 11_176_512),
            (ResNetConfig::resnet50(), 23_508_032),
        ] {
            let running = running_statistics(&config);
            assert_eq!(config.init(&device).num_params() - running, weights);
        }
    }

    /// Running means and variances: one of each per channel of every convolution.
    fn running_statistics(config: &ResNetConfig) -> usize {
        let mut channels = config.width;
        let mut total = config.width;
        for (stage, &depth) in config.depths.iter().enumerate() {
            let planes = config.planes(stage);
            let out = planes * config.block.expansion();
            total += depth
                * match config.block {
                    BlockKind::Basic => 2 * planes,
                    BlockKind::Bottleneck => 2 * planes + out,
                };
            if stage > 0 || channels != out {
                total += out;
            }
            channels = out;
        }
        2 * total
    }

    #[test]
    fn each_stage_but_the_first_halves_the_map() {
        let device = Device::default();
        let backbone = ResNetConfig::narrow(4, vec![1, 1, 1, 1]).init(&device);
        let features = backbone.forward(Tensor::ones([2, 3, 64, 96], &device));
        assert_eq!(features.patches.dims(), [2, 6, 32]);
    }

    /// Features, running statistics and gradients are those of one batch after the other.
    #[test]
    fn batches_looked_at_together_do_not_see_each_other() {
        let device = Device::default().autodiff();
        let backbone = ResNetConfig::narrow(16, vec![1, 1]).init(&device);
        let images = |mean| values([3, 3, 32, 32], &device) * 1.4 + mean;
        let batches = [images(0.0), images(3.0)];
        let gradient = |features: &[ImageFeatures]| {
            let [first, second] = [0, 1].map(|index| features[index].patches.clone());
            let loss = first.square().mean() - second.square().mean() * 2.0;
            let stem = backbone.stem.conv.weight.grad(&loss.backward());
            stem.expect("it has taken part").into_data()
        };
        let close = |a: TensorData, b: TensorData| {
            a.assert_approx_eq::<f32>(&b, Tolerance::absolute(2e-4).set_relative(2e-3));
        };
        let norm = &backbone.stages[1][0].convolutions[0].norm;
        let states = [&norm.running_mean, &norm.running_var];
        let running = || states.map(|state| state.value_sync());
        let untouched = running();
        let together = backbone.forward_each(batches.to_vec());
        let averaged = running();
        for (state, untouched) in states.iter().zip(untouched) {
            state.update(untouched);
        }
        let in_turn = batches.map(|batch| backbone.forward(batch));
        for (together, in_turn) in together.iter().zip(&in_turn) {
            close(together.pooled.to_data(), in_turn.pooled.to_data());
        }
        for (together, in_turn) in averaged.into_iter().zip(running()) {
            close(together.into_data(), in_turn.into_data());
        }
        close(gradient(&together), gradient(&in_turn));
    }

    #[test]
    fn batches_of_other_shapes_are_looked_at_in_turn() {
        let device = Device::default();
        let backbone = ResNetConfig::narrow(4, vec![1, 1]).init(&device);
        let seen = backbone.forward_each(vec![
            Tensor::ones([2, 3, 32, 32], &device),
            Tensor::ones([1, 3, 48, 32], &device),
        ]);
        let shapes: Vec<_> = seen.iter().map(|seen| seen.patches.dims()).collect();
        assert_eq!(shapes, [[2, 16, 8], [1, 24, 8]]);
        assert!(backbone.forward_each(Vec::new()).is_empty());
    }

    #[test]
    fn one_image_in_a_batch_does_not_change_another_at_inference() {
        let device = Device::default();
        let backbone = ResNetConfig::narrow(4, vec![1, 1]).init(&device);
        let images = values([2, 3, 32, 32], &device);
        let alone = backbone.forward(images.clone().narrow(0, 1, 1)).pooled;
        let both = backbone.forward(images).pooled.narrow(0, 1, 1);
        alone
            .into_data()
            .assert_approx_eq::<f32>(&both.into_data(), Tolerance::absolute(1e-5));
    }
}
