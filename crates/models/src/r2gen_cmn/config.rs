use burn::config::Config;
use ithn_backbone::BackboneConfig;
use ithn_decoder::TransformerConfig;
use ithn_generator::config::Probability;
use ithn_memory::CrossModalMemoryConfig;
use serde::{Deserialize, Serialize};

use crate::FindingPromptsConfig;
use crate::context::ContextConfig;

/// Configuration of an [`R2GenCmn`](super::R2GenCmn).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct R2GenCmnConfig {
    /// Image backbone.
    pub backbone: BackboneConfig,
    /// Cross-modal memory; its width must equal the Transformer's.
    pub memory: CrossModalMemoryConfig,
    /// Encoder and decoder.
    pub transformer: TransformerConfig,
    /// Dropout after the visual embedding.
    pub visual_dropout: Probability,
    /// Feature that a study is embedded by, [`EncodedStudies::pooled`](ithn_generator::EncodedStudies::pooled). The published model uses
    /// [`ImageFeature::Backbone`], which a file without the key means, too.
    #[serde(default = "ImageFeature::of_older_files")]
    pub image_feature: ImageFeature,
    /// Findings that the decoder is told beside the patches, as read by a pretrained classifier; none by default and in
    /// earlier files.
    #[serde(default)]
    pub finding_prompts: Option<FindingPromptsConfig>,
    /// What is read beside a study's films, and their projections; nothing without the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<ContextConfig>,
}

impl Config for R2GenCmnConfig {}

/// Image feature that a study is embedded by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ImageFeature {
    /// Backbone features, averaged over each view and joined along the channels, as published. A
    /// missing view's channels are zero.
    Backbone,
    /// Encoder output, averaged over the patches of the views that are there. Recommended: the
    /// alignment loss then trains everything before the decoder.
    Encoder,
}

impl ImageFeature {
    /// The feature of a file without the key: files written before there was a choice.
    pub fn of_older_files() -> Self {
        ImageFeature::Backbone
    }
}

impl R2GenCmnConfig {
    /// These parts, with visual dropout 0.5 and the encoder's image feature.
    pub fn new(
        backbone: impl Into<BackboneConfig>,
        memory: CrossModalMemoryConfig,
        transformer: TransformerConfig,
    ) -> Self {
        R2GenCmnConfig {
            backbone: backbone.into(),
            memory,
            transformer,
            visual_dropout: Probability::literal(0.5),
            image_feature: ImageFeature::Encoder,
            finding_prompts: None,
            context: None,
        }
    }

    /// Sets [`visual_dropout`](Self::visual_dropout).
    ///
    /// # Panics
    ///
    /// If it lies outside `[0, 1)`.
    pub fn with_visual_dropout(mut self, visual_dropout: f64) -> Self {
        self.visual_dropout = Probability::literal(visual_dropout);
        self
    }

    /// Sets [`image_feature`](Self::image_feature).
    pub fn with_image_feature(mut self, image_feature: ImageFeature) -> Self {
        self.image_feature = image_feature;
        self
    }

    /// Sets [`finding_prompts`](Self::finding_prompts).
    pub fn with_finding_prompts(mut self, finding_prompts: FindingPromptsConfig) -> Self {
        self.finding_prompts = Some(finding_prompts);
        self
    }

    /// Sets [`context`](Self::context).
    pub fn with_context(mut self, context: ContextConfig) -> Self {
        self.context = Some(context);
        self
    }
}
