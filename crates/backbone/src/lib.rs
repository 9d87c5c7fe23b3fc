//! Residual networks (He et al., CVPR 2016) that turn radiographs into patch features.
//!
//! [`ResNetConfig`] has torchvision's five sizes and a [`narrow`](ResNetConfig::narrow) one; the
//! classification head is left out. Weights carry over from torchvision name by name.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use ithn_backbone::ResNetConfig;
//!
//! let device = Device::default();
//! let backbone = ResNetConfig::narrow(8, vec![1, 1, 1]).init(&device);
//! let features = backbone.forward(Tensor::zeros([1, 3, 64, 64], &device));
//! assert_eq!(features.patches.dims(), [1, 16, 32]);
//! assert_eq!(features.pooled.dims(), [1, 32]);
//! ```

mod batch_norm;
mod block;
mod resnet;
mod running;

pub use batch_norm::{BatchNorm, BatchNormConfig};
pub use block::{BlockKind, NormedConvolution, ResidualBlock};
pub use resnet::{ImageFeatures, ResNet, ResNetConfig};
pub use running::{RunningUpdate, apply_running_updates, record_running_updates};

/// The examples of the README are tested.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
