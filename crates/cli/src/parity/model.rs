//! The whole model, built from the options and weights that fixtures hold.

use burn::tensor::Device;
use ithn::import::{NamedTensors, collect_official_state, load_official_state};
use ithn::models::{ImageFeature, R2GenCmn, R2GenCmnConfig};
use ithn::plugin::{Ithn, IthnConfig};
use ithn_backbone::{BackboneConfig, BatchNormConfig, BlockKind, ResNetConfig};
use ithn_decoder::TransformerConfig;
use ithn_memory::CrossModalMemoryConfig;
use serde::Deserialize;

use super::check::{Check, Tolerance};
use super::fixture::FixtureError;

/// The official code's options that decide the generator's sizes.
#[derive(Debug, Clone, Deserialize)]
pub struct ModelOptions {
    pub d_model: usize,
    pub d_ff: usize,
    pub num_heads: usize,
    pub num_layers: usize,
    /// Channels of the patch features.
    pub d_vf: usize,
    /// Rows of the memory.
    pub cmm_size: usize,
    pub topk: usize,
}

impl ModelOptions {
    /// The generator on a backbone, every dropout off.
    pub fn generator(&self, backbone: impl Into<BackboneConfig>) -> R2GenCmnConfig {
        R2GenCmnConfig::new(
            backbone,
            CrossModalMemoryConfig::new(self.cmm_size, self.d_model, self.num_heads, self.topk)
                .with_dropout(0.0),
            TransformerConfig::new(self.d_model, self.d_ff, self.num_heads, self.num_layers)
                .with_dropout(0.0)
                .with_attention_dropout(0.0),
        )
        .with_visual_dropout(0.0)
        .with_image_feature(ImageFeature::Backbone)
    }

    /// The model around a generator's golden weights, with an untrained backbone of the right
    /// width before it and untrained heads beside it.
    ///
    /// `weights` are named as in the official state.
    pub fn without_backbone(
        &self,
        weights: NamedTensors,
        device: &Device,
    ) -> Result<Ithn<R2GenCmn>, FixtureError> {
        let vocabulary = weights
            .tensors
            .get("encoder_decoder.logit.weight")
            .map_or(0, |logits| logits.shape().to_vec()[0]);
        let backbone = ResNetConfig::narrow(self.d_vf, vec![1]);
        let generator = self.generator(backbone).init(vocabulary, 1, device);
        let ithn = IthnConfig::official().init(generator, device);
        let mut tensors = collect_official_state(&ithn);
        tensors.extend(weights.tensors);
        let weights = NamedTensors {
            path: weights.path,
            tensors,
        };
        Ok(load_official_state(ithn, &weights)?)
    }
}

/// The official code's options of batch norm, PyTorch's own.
#[derive(Debug, Clone, Deserialize)]
pub struct NormOptions {
    bn_momentum: f64,
    bn_eps: f64,
}

impl NormOptions {
    /// They are this library's, which every backbone is built with.
    pub fn check(&self, family: &'static str) -> Check {
        let ours = BatchNormConfig::new(1);
        Check::numbers(
            family,
            "bn_momentum, bn_eps",
            &[ours.momentum, ours.epsilon],
            &[self.bn_momentum, self.bn_eps],
            Tolerance::Exact,
        )
    }
}

/// The official code's description of a ResNet.
#[derive(Debug, Clone, Deserialize)]
pub struct BackboneOptions {
    pub block: String,
    pub layers: Vec<usize>,
    pub base_planes: usize,
}

impl BackboneOptions {
    pub fn config(&self) -> ResNetConfig {
        let block = match self.block.as_str() {
            "BasicBlock" => BlockKind::Basic,
            _ => BlockKind::Bottleneck,
        };
        ResNetConfig::new(block, self.layers.clone()).with_width(self.base_planes)
    }
}
