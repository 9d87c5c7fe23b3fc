//! Networks that turn radiographs into patch features: residual ones (He et al., CVPR 2016) and densely
//! connected ones (Huang et al., CVPR 2017).
//!
//! [`ResNetConfig`] has torchvision's five sizes and a [`narrow`](ResNetConfig::narrow) one,
//! [`DenseNetConfig`] the DenseNet-121 of torchxrayvision and of torchvision; classification heads are left
//! out. Weights carry over from PyTorch name by name. [`Backbone`] is any of them; another network
//! joins by implementing [`ImageEncoder`], with a variant of [`Backbone`] and [`BackboneConfig`].
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use ithn_backbone::{ImageEncoder, ResNetConfig};
//!
//! let device = Device::default();
//! let backbone = ResNetConfig::narrow(8, vec![1, 1, 1]).init(&device);
//! let features = backbone.forward(Tensor::zeros([1, 3, 64, 64], &device));
//! assert_eq!(features.patches.dims(), [1, 16, 32]);
//! assert_eq!(features.pooled.dims(), [1, 32]);
//! ```
//!
//! The features `flex` (default, the CPU), `cuda`, `wgpu` and `ndarray` choose Burn's backends; without any, tensor
//! operations panic.

mod backbone;
mod batch_norm;
mod block;
mod densenet;
mod features;
mod pixels;
mod recompute;
mod resnet;
mod running;

pub use backbone::{Backbone, BackboneConfig};
pub use batch_norm::{BatchNorm, BatchNormConfig};
pub use block::{BlockKind, NormedConvolution, ResidualBlock};
pub use densenet::{DenseLayer, DenseNet, DenseNetConfig, PreNormedConvolution};
pub use features::{ImageEncoder, ImageFeatures};
pub use pixels::PixelScale;
pub use recompute::{RecordedChains, record_chains};
pub use resnet::{ResNet, ResNetConfig};
pub use running::{RunningUpdate, apply_running_updates, record_running_updates};

/// The examples of the README are tested.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
