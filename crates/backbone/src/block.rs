use burn::module::{Initializer, Module};
use burn::nn::PaddingConfig2d;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use ithn_kernels::{Activation, Convolution};
use serde::{Deserialize, Serialize};

use crate::batch_norm::{BatchNorm, BatchNormConfig};

/// Which residual block a network is built of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BlockKind {
    /// Two 3×3 convolutions (ResNet-18 and 34).
    Basic,
    /// 1×1, 3×3, 1×1 convolutions with a fourfold expansion (ResNet-50, 101 and 152).
    Bottleneck,
}

impl BlockKind {
    /// Output channels as a multiple of the block's inner channels (torchvision's `expansion`).
    pub fn expansion(self) -> usize {
        match self {
            BlockKind::Basic => 1,
            BlockKind::Bottleneck => 4,
        }
    }
}

/// Order of the dimensions of a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// `[batch, channels, height, width]`, what Burn's convolutions take.
    ChannelsFirst,
    /// `[batches · batch, height, width, channels]`, what the fused operations of `ithn-kernels` take:
    /// several batches one after the other, which share nothing but the filters.
    ChannelsLast { batches: usize },
}

/// A convolution without bias and the batch norm that follows it.
#[derive(Module, Debug)]
pub struct NormedConvolution {
    /// The convolution, `[out, in, kernel, kernel]`.
    pub conv: Conv2d,
    /// Batch norm of the convolution's output.
    pub norm: BatchNorm,
}

impl NormedConvolution {
    pub(crate) fn init(
        channels: [usize; 2],
        kernel: usize,
        stride: usize,
        device: &Device,
    ) -> Self {
        let padding = kernel / 2;
        NormedConvolution {
            conv: Conv2dConfig::new(channels, [kernel, kernel])
                .with_stride([stride, stride])
                .with_padding(PaddingConfig2d::Explicit(
                    padding, padding, padding, padding,
                ))
                .with_bias(false)
                .with_initializer(Initializer::KaimingNormal {
                    gain: std::f64::consts::SQRT_2,
                    fan_out_only: true,
                })
                .init(device),
            norm: BatchNormConfig::new(channels[1]).init(device),
        }
    }

    /// `f(norm(conv(x)) + shortcut)` in the given layout.
    pub(crate) fn forward(
        &self,
        input: Tensor<4>,
        shortcut: Option<Tensor<4>>,
        activation: Activation,
        layout: Layout,
    ) -> Tensor<4> {
        if let Layout::ChannelsLast { batches } = layout {
            let convolved = self.convolution().forward(input, self.conv.weight.val());
            return self
                .norm
                .forward_channels_last(convolved, shortcut, activation, batches);
        }
        let normed = self.norm.forward(self.conv.forward(input));
        let joined = match shortcut {
            Some(shortcut) => normed + shortcut,
            None => normed,
        };
        match activation {
            Activation::Relu => relu(joined),
            Activation::Identity => joined,
        }
    }

    /// Returns `relu(norm(conv(x)))` and `x`; the block's shortcut takes the returned `x`.
    fn forward_beside(&self, input: Tensor<4>, layout: Layout) -> (Tensor<4>, Tensor<4>) {
        if let Layout::ChannelsLast { batches } = layout {
            let weights = self.conv.weight.val();
            let (convolved, input) = self.convolution().forward_beside(input, weights);
            let norm = &self.norm;
            let normed = norm.forward_channels_last(convolved, None, Activation::Relu, batches);
            return (normed, input);
        }
        let normed = self.forward(input.clone(), None, Activation::Relu, layout);
        (normed, input)
    }

    fn convolution(&self) -> Convolution {
        Convolution {
            stride: self.conv.stride[0],
            padding: self.conv.weight.dims()[2] / 2,
        }
    }
}

/// `relu(shortcut(x) + convolutions(x))`, a basic or a bottleneck block.
///
/// As in torchvision, a bottleneck's stride sits on its 3×3 convolution.
#[derive(Module, Debug)]
pub struct ResidualBlock {
    /// Two (basic) or three (bottleneck) convolutions, a ReLU between each.
    pub convolutions: Vec<NormedConvolution>,
    /// 1×1 convolution of the shortcut where the shape changes.
    pub downsample: Option<NormedConvolution>,
}

impl ResidualBlock {
    pub(crate) fn init(
        kind: BlockKind,
        channels_in: usize,
        planes: usize,
        stride: usize,
        device: &Device,
    ) -> Self {
        let channels_out = planes * kind.expansion();
        let conv =
            |channels, kernel, stride| NormedConvolution::init(channels, kernel, stride, device);
        let convolutions = match kind {
            BlockKind::Basic => vec![
                conv([channels_in, planes], 3, stride),
                conv([planes, planes], 3, 1),
            ],
            BlockKind::Bottleneck => vec![
                conv([channels_in, planes], 1, 1),
                conv([planes, planes], 3, stride),
                conv([planes, channels_out], 1, 1),
            ],
        };
        ResidualBlock {
            convolutions,
            downsample: (stride != 1 || channels_in != channels_out)
                .then(|| conv([channels_in, channels_out], 1, stride)),
        }
    }

    /// Applies the block to channels-first maps.
    ///
    /// # Shapes
    ///
    /// - input: `[batch, channels_in, height, width]`
    /// - output: `[batch, channels_out, height / stride, width / stride]`, rounded up
    pub fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        self.forward_in(input, Layout::ChannelsFirst)
    }

    /// [`forward`](Self::forward) in the given layout.
    pub(crate) fn forward_in(&self, input: Tensor<4>, layout: Layout) -> Tensor<4> {
        let [first, inner @ .., last] = self.convolutions.as_slice() else {
            panic!("a block has two convolutions or more");
        };
        let (hidden, input) = first.forward_beside(input, layout);
        let shortcut = match &self.downsample {
            Some(conv) => conv.forward(input, None, Activation::Identity, layout),
            None => input,
        };
        let hidden = inner.iter().fold(hidden, |hidden, conv| {
            conv.forward(hidden, None, Activation::Relu, layout)
        });
        last.forward(hidden, Some(shortcut), Activation::Relu, layout)
    }
}
