use burn::config::Config;
use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use burn::tensor::Device;
use burn::tensor::activation::{log_softmax, relu};
use burn::tensor::{Int, Tensor};
use ithn_backbone::{ImageFeatures, ResNet, ResNetConfig};
use ithn_decoder::{
    Decoder, DecoderCache, Encoder, SinusoidalPosition, TokenEmbedding, TransformerConfig,
    teacher_forcing_mask,
};
use ithn_generator::config::check_dropout;
use ithn_generator::{
    EncodedStudies, MemoryEvidence, ReportEvidence, ReportGenerator, StepDecoder, StudyBatch,
    TokenBatch, token_column,
};
use ithn_kernels::linear;
use ithn_memory::{CrossModalMemory, CrossModalMemoryConfig, MemoryBank};
use serde::{Deserialize, Serialize};

use crate::LibraryGenerator;
use crate::config::{ConfigError, LibraryConfig, check_one_width, within};
use crate::views::join_views;

/// Configuration of an [`R2GenCmn`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct R2GenCmnConfig {
    /// Image backbone.
    pub backbone: ResNetConfig,
    /// Cross-modal memory; its width must equal the Transformer's.
    pub memory: CrossModalMemoryConfig,
    /// Encoder and decoder.
    pub transformer: TransformerConfig,
    /// Dropout after the visual embedding, in [0, 1).
    pub visual_dropout: f64,
    /// What [`EncodedStudies::pooled`] holds; a file without the key means the backbone's.
    #[serde(default = "ImageFeature::of_older_files")]
    pub image_feature: ImageFeature,
}

impl Config for R2GenCmnConfig {}

/// Which features of its images a study is embedded by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageFeature {
    /// The backbone's, averaged over each view and joined along the channels, as published.
    #[default]
    Backbone,
    /// The encoder's output, averaged over all patches: what the decoder reads, so that what tells
    /// images apart is learnt by all that lies before the decoder.
    Encoder,
}

impl ImageFeature {
    /// The feature of a file without the key: files written before there was a choice.
    pub fn of_older_files() -> Self {
        ImageFeature::Backbone
    }
}

/// R2GenCMN (Chen et al., ACL-IJCNLP 2021): backbone, cross-modal memory, Transformer.
#[derive(Module, Debug)]
pub struct R2GenCmn {
    /// Image to patch features.
    pub backbone: ResNet,
    /// Patch features to the model's width.
    pub visual_embedding: Linear,
    visual_dropout: Dropout,
    /// One memory for patches and words.
    pub memory: CrossModalMemory,
    visual_position: SinusoidalPosition,
    /// Among patches.
    pub encoder: Encoder,
    /// Words to vectors.
    pub token_embedding: TokenEmbedding,
    text_position: SinusoidalPosition,
    /// Words attending to patches.
    pub decoder: Decoder,
    /// Hidden states to words.
    pub logits: Linear,
    views: usize,
    pooled_width: usize,
    #[module(skip)]
    image_feature: ImageFeature,
}

/// An encoded batch of studies.
#[derive(Debug, Clone)]
pub struct R2GenCmnContext {
    /// Encoder output, `[batch, views · patches, d_model]`.
    pub patches: Tensor<3>,
    /// Memory rows as keys and values, projected once for patches and words.
    pub bank: MemoryBank,
}

/// Reports in the making.
#[derive(Debug, Clone)]
pub struct WritingState {
    cache: DecoderCache,
    bank: MemoryBank,
}

impl R2GenCmnConfig {
    /// These parts, with visual dropout 0.5 and the backbone's image feature.
    pub fn new(
        backbone: ResNetConfig,
        memory: CrossModalMemoryConfig,
        transformer: TransformerConfig,
    ) -> Self {
        R2GenCmnConfig {
            backbone,
            memory,
            transformer,
            visual_dropout: 0.5,
            image_feature: ImageFeature::Backbone,
        }
    }

    /// Sets [`visual_dropout`](Self::visual_dropout).
    pub fn with_visual_dropout(mut self, visual_dropout: f64) -> Self {
        self.visual_dropout = visual_dropout;
        self
    }

    /// Sets [`image_feature`](Self::image_feature).
    pub fn with_image_feature(mut self, image_feature: ImageFeature) -> Self {
        self.image_feature = image_feature;
        self
    }

    /// Creates the generator for a vocabulary of that many logits (the words and token 0) and studies
    /// of that many images, whose patches are joined along the patches, their pooled features along
    /// the channels.
    ///
    /// # Panics
    ///
    /// If the memory's width differs from the Transformer's, or a size is impossible.
    pub fn init(&self, vocabulary: usize, views: usize, device: &Device) -> R2GenCmn {
        let width = self.transformer.d_model;
        assert_eq!(
            self.memory.d_model, width,
            "the memory and the Transformer must have one width"
        );
        let channels = self.backbone.channels();
        let position = || SinusoidalPosition::init(width, self.transformer.dropout);
        R2GenCmn {
            backbone: self.backbone.init(device),
            visual_embedding: LinearConfig::new(channels, width).init(device),
            visual_dropout: DropoutConfig::new(self.visual_dropout).init(),
            memory: self.memory.init(device),
            visual_position: position(),
            encoder: Encoder::init(&self.transformer, device),
            token_embedding: TokenEmbedding::init(vocabulary, width, device),
            text_position: position(),
            decoder: Decoder::init(&self.transformer, device),
            logits: LinearConfig::new(width, vocabulary).init(device),
            views,
            pooled_width: match self.image_feature {
                ImageFeature::Backbone => views * channels,
                ImageFeature::Encoder => width,
            },
            image_feature: self.image_feature,
        }
    }
}

impl LibraryConfig for R2GenCmnConfig {
    type Generator = R2GenCmn;

    fn backbone(&self) -> &ResNetConfig {
        &self.backbone
    }

    fn backbone_mut(&mut self) -> &mut ResNetConfig {
        &mut self.backbone
    }

    fn sized_like(model: &R2GenCmnConfig) -> Self {
        model.clone()
    }

    fn validate(&self) -> Result<(), ConfigError> {
        within("backbone", self.backbone.validate())?;
        within("memory", self.memory.validate())?;
        check_one_width(&self.transformer, self.memory.d_model)?;
        check_dropout("visual_dropout", self.visual_dropout)
    }

    fn init(&self, vocabulary: usize, views: usize, device: &Device) -> R2GenCmn {
        R2GenCmnConfig::init(self, vocabulary, views, device)
    }
}

impl LibraryGenerator for R2GenCmn {
    fn backbone_mut(&mut self) -> &mut ResNet {
        &mut self.backbone
    }
}

impl R2GenCmn {
    /// Backbone features of all views of a study.
    ///
    /// # Shapes
    ///
    /// - images of the studies: `[batch, views, 3, height, width]`
    /// - patches: `[batch, views · patches, channels]`
    /// - pooled: `[batch, views · channels]`
    pub fn backbone_features(&self, studies: StudyBatch) -> ImageFeatures {
        let [features] = join_views(&self.backbone, [studies], self.views);
        features
    }

    /// Encodes backbone patches, `[batch, patches, channels]`.
    pub fn encode_patches(&self, patches: Tensor<3>) -> R2GenCmnContext {
        self.encode_by(self.memory.bank(), patches)
    }

    /// [`encode_patches`](Self::encode_patches) by rows of the memory that were projected before.
    fn encode_by(&self, bank: MemoryBank, patches: Tensor<3>) -> R2GenCmnContext {
        let x = self
            .visual_dropout
            .forward(relu(linear(&self.visual_embedding, patches)));
        let x = x.clone() + self.memory.respond(x, &bank);
        let x = self.visual_position.forward(x, 0);
        R2GenCmnContext {
            patches: self.encoder.forward(x),
            bank,
        }
    }

    fn encode_features(
        &self,
        bank: MemoryBank,
        features: ImageFeatures,
    ) -> EncodedStudies<R2GenCmnContext> {
        let context = self.encode_by(bank, features.patches);
        let pooled = match self.image_feature {
            ImageFeature::Backbone => features.pooled,
            ImageFeature::Encoder => context.patches.clone().mean_dim(1).squeeze_dim(1),
        };
        EncodedStudies { context, pooled }
    }

    /// A state that has seen encoded patches and no word.
    pub fn start_from(&self, encoded: R2GenCmnContext) -> WritingState {
        WritingState {
            cache: self.decoder.start(encoded.patches),
            bank: encoded.bank,
        }
    }

    /// Embeds words standing at position `first` and later, and adds the memory's response.
    fn embed_words(&self, tokens: Tensor<2, Int>, first: usize, bank: &MemoryBank) -> Tensor<3> {
        let y = self
            .text_position
            .forward(self.token_embedding.forward(tokens), first);
        y.clone() + self.memory.respond(y, bank)
    }
}

impl ReportGenerator for R2GenCmn {
    type Context = R2GenCmnContext;

    fn encode(&self, studies: StudyBatch) -> EncodedStudies<R2GenCmnContext> {
        self.encode_features(self.memory.bank(), self.backbone_features(studies))
    }

    fn encode_both(&self, batches: [StudyBatch; 2]) -> [EncodedStudies<R2GenCmnContext>; 2] {
        let bank = self.memory.bank();
        join_views(&self.backbone, batches, self.views)
            .map(|features| self.encode_features(bank.clone(), features))
    }

    fn pooled(&self, studies: StudyBatch) -> Tensor<2> {
        match self.image_feature {
            ImageFeature::Backbone => self.backbone_features(studies).pooled,
            ImageFeature::Encoder => self.encode(studies).pooled,
        }
    }

    /// One patch of zeros per row: cross-attention adds the same to every word.
    fn imageless_context(&self, batch: usize) -> R2GenCmnContext {
        let device = self.logits.weight.device();
        R2GenCmnContext {
            patches: Tensor::zeros([batch, 1, self.hidden_width()], &device),
            bank: self.memory.bank(),
        }
    }

    fn hidden_states(&self, context: &R2GenCmnContext, reports: &TokenBatch) -> Tensor<3> {
        let mask = teacher_forcing_mask(reports);
        let words = self.embed_words(reports.inputs().clone(), 0, &context.bank);
        let mut cache = self.decoder.start(context.patches.clone());
        self.decoder.forward(words, &mut cache, Some(&mask))
    }

    fn log_probs(&self, hidden: Tensor<3>) -> Tensor<3> {
        log_softmax(linear(&self.logits, hidden), 2)
    }

    fn pooled_width(&self) -> usize {
        self.pooled_width
    }

    fn hidden_width(&self) -> usize {
        self.logits.weight.dims()[0]
    }
}

impl StepDecoder for R2GenCmn {
    type State = WritingState;

    fn start(&self, studies: StudyBatch) -> WritingState {
        self.start_from(self.encode_patches(self.backbone_features(studies).patches))
    }

    fn step(&self, tokens: &[u32], state: &mut WritingState) -> Tensor<2> {
        let tokens = token_column(tokens, &self.logits.weight.device());
        let words = self.embed_words(tokens, state.cache.length(), &state.bank);
        let hidden = self.decoder.forward(words, &mut state.cache, None);
        self.log_probs(hidden).squeeze_dim(1)
    }

    fn reorder(&self, state: WritingState, rows: &[usize]) -> WritingState {
        WritingState {
            cache: state.cache.select(rows),
            bank: state.bank,
        }
    }

    fn explain(&self, studies: StudyBatch, reports: &TokenBatch) -> Option<ReportEvidence> {
        let encoded = self.encode_patches(self.backbone_features(studies).patches);
        let tokens = reports.inputs().clone();
        let words = self
            .text_position
            .forward(self.token_embedding.forward(tokens.clone()), 0);
        let memory = self.memory.lookup(words, &encoded.bank);
        let words = self.embed_words(tokens, 0, &encoded.bank);
        let mask = teacher_forcing_mask(reports);
        let mut cache = self.decoder.start(encoded.patches);
        Some(ReportEvidence {
            attention: self.decoder.cross_attention(words, &mut cache, Some(&mask)),
            memory: Some(MemoryEvidence {
                rows: memory.rows,
                weights: memory.weights,
            }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Distribution;

    fn generator(views: usize, device: &Device) -> R2GenCmn {
        R2GenCmnConfig::new(
            ResNetConfig::narrow(4, vec![1, 1]),
            CrossModalMemoryConfig::new(12, 8, 2, 3),
            TransformerConfig::new(8, 12, 2, 2),
        )
        .init(7, views, device)
    }

    fn studies(views: usize, device: &Device) -> StudyBatch {
        StudyBatch::new(Tensor::random(
            [2, views, 3, 32, 32],
            Distribution::Normal(0.0, 1.0),
            device,
        ))
    }

    #[test]
    fn evidence_has_a_row_per_word_and_a_column_per_patch() {
        let device = Device::default();
        let generator = generator(2, &device);
        let reports = TokenBatch::from_ids(&[vec![0, 3, 2, 0], vec![0, 1, 5, 0]], &device);
        let evidence = generator.explain(studies(2, &device), &reports);
        let evidence = evidence.expect("it has cross-attention");
        assert_eq!(evidence.attention.len(), 2);
        for layer in &evidence.attention {
            assert_eq!(layer.dims(), [2, 2, 3, 2 * 16]);
        }
        let memory = evidence.memory.expect("it has a memory");
        assert_eq!(memory.rows.dims(), [2, 2, 3, 3]);
    }

    #[test]
    fn two_views_join_patches_and_channels() {
        let device = Device::default();
        let generator = generator(2, &device);
        let seen = generator.backbone_features(studies(2, &device));
        assert_eq!(seen.patches.dims(), [2, 2 * 16, 8]);
        assert_eq!(seen.pooled.dims(), [2, generator.pooled_width()]);
    }
}
