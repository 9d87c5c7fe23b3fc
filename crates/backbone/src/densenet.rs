use burn::config::Config;
use burn::module::{Initializer, Module};
use burn::nn::PaddingConfig2d;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor, assert_shape};
use ithn_generator::config::{ConfigError, LARGEST_WIDTH, MOST_LAYERS, check_count};
use ithn_kernels::{Activation, Convolution, MaxPool};
use serde::{Deserialize, Serialize};

use crate::batch_norm::{BatchNorm, BatchNormConfig};
use crate::block::Layout;
use crate::features::{ImageEncoder, ImageFeatures, layout_of, together};
use crate::pixels::PixelScale;
use crate::recompute::{Step, chain, records_chains};

/// Max pooling of the stem, in both layouts.
const STEM_POOL: MaxPool = MaxPool {
    kernel: 3,
    stride: 2,
    padding: 1,
};

/// Configuration of a [`DenseNet`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct DenseNetConfig {
    /// Channels that a layer adds (torchvision's `growth_rate`).
    pub growth: usize,
    /// Layers per block, each 1 to 1,000 (`block_config`). Between two blocks the channels and the
    /// sides of the map are halved.
    pub depths: Vec<usize>,
    /// Channels of the stem (`num_init_features`).
    pub width: usize,
    /// Channels between the two convolutions of a layer, as a multiple of `growth` (`bn_size`).
    pub bottleneck: usize,
    /// The pixels that the first convolution takes.
    pub pixels: PixelScale,
}

impl Config for DenseNetConfig {}

/// A densely connected network (Huang et al., CVPR 2017) without its classification head.
#[derive(Module, Debug)]
pub struct DenseNet {
    /// 7×7 convolution with stride 2.
    pub stem: Conv2d,
    /// Batch norm of the stem.
    pub stem_norm: BatchNorm,
    pool: MaxPool2d,
    /// Layers by block.
    pub blocks: Vec<Vec<DenseLayer>>,
    /// What follows each block but the last: norm, ReLU, 1×1 convolution, then 2×2 mean pooling.
    pub transitions: Vec<PreNormedConvolution>,
    /// Batch norm of the last map, before a ReLU.
    pub norm: BatchNorm,
    #[module(skip)]
    pixels: PixelScale,
}

/// `conv(relu(norm(x)))`, without bias.
#[derive(Module, Debug)]
pub struct PreNormedConvolution {
    /// Batch norm of the input.
    pub norm: BatchNorm,
    /// The convolution, `[out, in, kernel, kernel]`.
    pub conv: Conv2d,
}

/// A layer that adds `growth` channels to its input: a 1×1 and a 3×3 convolution.
#[derive(Module, Debug)]
pub struct DenseLayer {
    /// To `bottleneck · growth` channels.
    pub first: PreNormedConvolution,
    /// To `growth` channels.
    pub second: PreNormedConvolution,
}

impl DenseNetConfig {
    /// DenseNet-121 as torchxrayvision trains it: one channel of values in `[-1024, 1024]`.
    pub fn torchxrayvision121() -> Self {
        DenseNetConfig {
            growth: 32,
            depths: vec![6, 12, 24, 16],
            width: 64,
            bottleneck: 4,
            pixels: PixelScale::Radiograph,
        }
    }

    /// torchvision's DenseNet-121: three channels, normalised by ImageNet's mean and deviation.
    pub fn torchvision121() -> Self {
        DenseNetConfig {
            pixels: PixelScale::ImageNet,
            ..Self::torchxrayvision121()
        }
    }

    /// A small network: `growth` channels a layer from a stem of twice as many.
    pub fn narrow(growth: usize, depths: Vec<usize>) -> Self {
        DenseNetConfig {
            growth,
            depths,
            width: 2 * growth,
            ..Self::torchxrayvision121()
        }
    }

    /// Sets [`pixels`](Self::pixels).
    #[must_use]
    pub fn with_pixels(mut self, pixels: PixelScale) -> Self {
        self.pixels = pixels;
        self
    }

    /// Checks every number.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming the key.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check_count("growth", self.growth, LARGEST_WIDTH)?;
        check_count("width", self.width, LARGEST_WIDTH)?;
        check_count("bottleneck", self.bottleneck, LARGEST_WIDTH)?;
        if self.growth.saturating_mul(self.bottleneck) > LARGEST_WIDTH {
            return Err(ConfigError::new(
                "bottleneck",
                format!(
                    "times the growth of {} exceeds {LARGEST_WIDTH} channels",
                    self.growth
                ),
            ));
        }
        if self.depths.is_empty() {
            return Err(ConfigError::new("depths", "must name at least one block"));
        }
        let mut channels = self.width;
        for (block, &depth) in self.depths.iter().enumerate() {
            check_count("depths", depth, MOST_LAYERS)?;
            channels = if block > 0 { channels / 2 } else { channels };
            channels += depth * self.growth;
            if channels > LARGEST_WIDTH {
                return Err(ConfigError::new(
                    "depths",
                    format!(
                        "block {} ends in more than {LARGEST_WIDTH} channels",
                        block + 1
                    ),
                ));
            }
            if channels < 2 {
                return Err(ConfigError::new("growth", "leaves no channel to halve"));
            }
        }
        Ok(())
    }

    /// Channels of the patch features.
    pub fn channels(&self) -> usize {
        let mut channels = self.width;
        for (block, &depth) in self.depths.iter().enumerate() {
            channels = if block > 0 { channels / 2 } else { channels };
            channels += depth * self.growth;
        }
        channels
    }

    /// Creates the network with Kaiming-normal convolutions (fan in), as torchvision does.
    ///
    /// # Panics
    ///
    /// If the configuration is not [valid](Self::validate).
    pub fn init(&self, device: &Device) -> DenseNet {
        assert!(!self.depths.is_empty(), "a network needs a block");
        let mut channels = self.width;
        let (mut blocks, mut transitions) = (Vec::new(), Vec::new());
        for (block, &depth) in self.depths.iter().enumerate() {
            if block > 0 {
                let halved = [channels, channels / 2];
                transitions.push(PreNormedConvolution::init(halved, 1, device));
                channels /= 2;
            }
            let inner = self.bottleneck * self.growth;
            let layers = (0..depth).map(|layer| DenseLayer {
                first: PreNormedConvolution::init(
                    [channels + layer * self.growth, inner],
                    1,
                    device,
                ),
                second: PreNormedConvolution::init([inner, self.growth], 3, device),
            });
            blocks.push(layers.collect());
            channels += depth * self.growth;
        }
        let padding = STEM_POOL.padding;
        DenseNet {
            stem: convolution([self.pixels.channels(), self.width], 7, 2, device),
            stem_norm: BatchNormConfig::new(self.width).init(device),
            pool: MaxPool2dConfig::new([STEM_POOL.kernel; 2])
                .with_strides([STEM_POOL.stride; 2])
                .with_padding(PaddingConfig2d::Explicit(
                    padding, padding, padding, padding,
                ))
                .init(),
            blocks,
            transitions,
            norm: BatchNormConfig::new(channels).init(device),
            pixels: self.pixels,
        }
    }
}

/// A convolution without bias.
fn convolution(channels: [usize; 2], kernel: usize, stride: usize, device: &Device) -> Conv2d {
    let padding = kernel / 2;
    Conv2dConfig::new(channels, [kernel, kernel])
        .with_stride([stride, stride])
        .with_padding(PaddingConfig2d::Explicit(
            padding, padding, padding, padding,
        ))
        .with_bias(false)
        .with_initializer(Initializer::KaimingNormal {
            gain: std::f64::consts::SQRT_2,
            fan_out_only: false,
        })
        .init(device)
}

/// A convolution of maps in the given layout.
fn convolve(conv: &Conv2d, map: Tensor<4>, layout: Layout) -> Tensor<4> {
    match layout {
        Layout::ChannelsFirst => conv.forward(map),
        Layout::ChannelsLast { .. } => {
            let convolution = Convolution {
                stride: conv.stride[0],
                padding: conv.weight.dims()[2] / 2,
            };
            convolution.forward(map, conv.weight.val())
        }
    }
}

/// `relu(norm(x))` in the given layout.
fn normed(norm: &BatchNorm, map: Tensor<4>, layout: Layout) -> Tensor<4> {
    match layout {
        Layout::ChannelsFirst => relu(norm.forward(map)),
        Layout::ChannelsLast { batches } => {
            norm.forward_channels_last(map, None, Activation::Relu, batches)
        }
    }
}

/// Means over windows of 2 × 2; an odd last row or column is left out, as in PyTorch.
fn halved(map: Tensor<4>, layout: Layout) -> Tensor<4> {
    let [batch, second, third, fourth] = map.dims();
    match layout {
        Layout::ChannelsLast { .. } => {
            let (height, width) = (second / 2, third / 2);
            map.slice([0..batch, 0..2 * height, 0..2 * width])
                .reshape([batch, height, 2, width, 2, fourth])
                .mean_dim(4)
                .mean_dim(2)
                .reshape([batch, height, width, fourth])
        }
        Layout::ChannelsFirst => {
            let (height, width) = (third / 2, fourth / 2);
            map.slice([0..batch, 0..second, 0..2 * height, 0..2 * width])
                .reshape([batch, second, height, 2, width, 2])
                .mean_dim(5)
                .mean_dim(3)
                .reshape([batch, second, height, width])
        }
    }
}

impl PreNormedConvolution {
    fn init(channels: [usize; 2], kernel: usize, device: &Device) -> Self {
        PreNormedConvolution {
            norm: BatchNormConfig::new(channels[0]).init(device),
            conv: convolution(channels, kernel, 1, device),
        }
    }

    fn forward(&self, map: Tensor<4>, layout: Layout) -> Tensor<4> {
        convolve(&self.conv, normed(&self.norm, map, layout), layout)
    }
}

impl DenseLayer {
    /// The input with the new channels after its own.
    fn forward(&self, map: Tensor<4>, layout: Layout) -> Tensor<4> {
        let inner = self.first.forward(map.clone(), layout);
        let new = self.second.forward(inner, layout);
        let channels = match layout {
            Layout::ChannelsFirst => 1,
            Layout::ChannelsLast { .. } => 3,
        };
        Tensor::cat(vec![map, new], channels)
    }
}

impl DenseNet {
    /// Features of as many batches of one size, one after the other in `images`.
    fn forward_batches(&self, images: Tensor<4>, batches: usize) -> ImageFeatures {
        assert_shape!(images, [_, 3, _, _]);
        let layout = layout_of(&images, batches);
        let images = self.pixels.of_imagenet(images);
        if records_chains(&images) {
            let map = self.chain(images, layout);
            return ImageFeatures::of_map(normed(&self.norm, map, layout), layout);
        }
        let mut map = self.stem_in(images, layout);
        for (index, block) in self.blocks.iter().enumerate() {
            if let Some(before) = index.checked_sub(1) {
                map = halved(self.transitions[before].forward(map, layout), layout);
            }
            map = block
                .iter()
                .fold(map, |map, layer| layer.forward(map, layout));
        }
        ImageFeatures::of_map(normed(&self.norm, map, layout), layout)
    }

    fn stem_in(&self, images: Tensor<4>, layout: Layout) -> Tensor<4> {
        match layout {
            Layout::ChannelsFirst => {
                let map = convolve(&self.stem, images, layout);
                self.pool.forward(normed(&self.stem_norm, map, layout))
            }
            Layout::ChannelsLast { .. } => {
                let map = convolve(&self.stem, images.permute([0, 2, 3, 1]), layout);
                STEM_POOL.forward(normed(&self.stem_norm, map, layout))
            }
        }
    }

    /// The last map before its norm, with the activations of the stem, of each block and of each transition left to
    /// the backward pass.
    fn chain(&self, images: Tensor<4>, layout: Layout) -> Tensor<4> {
        let mut stem = self.clone();
        stem.blocks.clear();
        stem.transitions.clear();
        let mut steps = vec![Step::new(&stem, move |stem: &DenseNet, images| {
            stem.stem_in(images, layout)
        })];
        for (index, block) in self.blocks.iter().enumerate() {
            if let Some(before) = index.checked_sub(1) {
                let transition = &self.transitions[before];
                steps.push(Step::new(
                    transition,
                    move |transition: &PreNormedConvolution, map| {
                        halved(transition.forward(map, layout), layout)
                    },
                ));
            }
            steps.push(Step::new(block, move |block: &Vec<DenseLayer>, map| {
                let layers = block.iter();
                layers.fold(map, |map, layer| layer.forward(map, layout))
            }));
        }
        chain(images, steps)
    }
}

impl ImageEncoder for DenseNet {
    fn forward_each(&self, batches: Vec<Tensor<4>>) -> Vec<ImageFeatures> {
        together(batches, |images, count| self.forward_batches(images, count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Tolerance;
    use ithn_generator::seeded::values;

    #[test]
    fn the_published_size_has_torchvisions_weights() {
        // torchvision's 7,978,856 without the 1000-way head of 1024 · 1000 + 1000, and with one channel
        // instead of three in the 64 filters of 7 × 7.
        let config = DenseNetConfig::torchxrayvision121();
        let network = config.init(&Device::default());
        let mut statistics = 2 * config.channels() + 2 * config.width;
        let mut channels = config.width;
        for (block, &depth) in config.depths.iter().enumerate() {
            if block > 0 {
                statistics += 2 * channels;
                channels /= 2;
            }
            for layer in 0..depth {
                statistics += 2 * (channels + layer * 32) + 2 * 128;
            }
            channels += depth * 32;
        }
        assert_eq!(
            network.num_params() - statistics,
            7_978_856 - 1_025_000 - 2 * 49 * 64
        );
        assert_eq!(config.channels(), 1024);
        assert_eq!(config.validate(), Ok(()));
    }

    #[test]
    fn blocks_but_the_first_halve_the_map_and_odd_rows_are_left_out() {
        let device = Device::default();
        let config = DenseNetConfig::narrow(4, vec![2, 1]);
        assert_eq!(config.channels(), (8 + 8) / 2 + 4);
        let features = config
            .init(&device)
            .forward(Tensor::ones([2, 3, 44, 64], &device));
        // 44 × 64 → 11 × 16 → 5 × 8.
        assert_eq!(features.patches.dims(), [2, 40, 12]);
    }

    #[test]
    fn batches_together_are_batches_in_turn() {
        let device = Device::default().autodiff();
        let network = DenseNetConfig::narrow(4, vec![2, 1]).init(&device);
        let batches = [1, 2].map(|seed| values([2, 3, 32, 32], seed, &device) * 2.0);
        let together = network.forward_each(batches.to_vec());
        for (batch, together) in batches.into_iter().zip(together) {
            let alone = network.forward(batch).pooled.into_data();
            together
                .pooled
                .into_data()
                .assert_approx_eq::<f32>(&alone, Tolerance::absolute(1e-3));
        }
    }

    #[test]
    fn impossible_sizes_are_refused_by_key() {
        let with = |change: fn(&mut DenseNetConfig)| {
            let mut config = DenseNetConfig::narrow(4, vec![1, 1]);
            change(&mut config);
            config.validate().expect_err("impossible").key().to_owned()
        };
        assert_eq!(with(|it| it.growth = 0), "growth");
        assert_eq!(with(|it| it.width = 0), "width");
        assert_eq!(with(|it| it.bottleneck = 20_000), "bottleneck");
        assert_eq!(with(|it| it.depths.clear()), "depths");
        assert_eq!(with(|it| it.depths = vec![1, 0]), "depths");
        assert_eq!(
            with(|it| (it.growth, it.depths) = (4_000, vec![20])),
            "depths"
        );
    }
}
