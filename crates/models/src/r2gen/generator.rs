use burn::config::Config;
use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use burn::tensor::activation::{log_softmax, relu};
use burn::tensor::{Bool, Device, Int, Tensor};
use ithn_backbone::{ImageFeatures, ResNet, ResNetConfig};
use ithn_decoder::{
    Encoder, SinusoidalPosition, TokenEmbedding, TransformerConfig, teacher_forcing_mask,
};
use ithn_generator::config::check_dropout;
use ithn_generator::{
    EncodedStudies, ReportEvidence, ReportGenerator, StepDecoder, StudyBatch, TokenBatch,
    row_indices, token_column,
};
use ithn_kernels::linear;

use serde::{Deserialize, Serialize};

use super::decoder::{MemoryDecoder, MemoryDecoderCache};
use super::relational_memory::{RelationalMemory, RelationalMemoryConfig};
use crate::config::{ConfigError, LibraryConfig, check_one_width, within};
use crate::views::join_views;
use crate::{LibraryGenerator, R2GenCmnConfig};

/// Configuration of an [`R2Gen`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct R2GenConfig {
    /// Image backbone.
    pub backbone: ResNetConfig,
    /// Relational memory; its width must equal the Transformer's.
    pub memory: RelationalMemoryConfig,
    /// Encoder and decoder.
    pub transformer: TransformerConfig,
    /// Dropout after the visual embedding, in [0, 1).
    pub visual_dropout: f64,
}

impl Config for R2GenConfig {}

/// R2Gen (Chen et al., EMNLP 2020): backbone, Transformer encoder, and a decoder whose norms follow
/// a relational memory of the words so far.
#[derive(Module, Debug)]
pub struct R2Gen {
    /// Image to patch features.
    pub backbone: ResNet,
    /// Patch features to the model's width.
    pub visual_embedding: Linear,
    visual_dropout: Dropout,
    /// Among patches, which carry no position.
    pub encoder: Encoder,
    /// Words to vectors.
    pub token_embedding: TokenEmbedding,
    position: SinusoidalPosition,
    /// What the report has said so far.
    pub memory: RelationalMemory,
    /// Words attending to patches, under the memory's norms.
    pub decoder: MemoryDecoder,
    /// Hidden states to words.
    pub logits: Linear,
    views: usize,
    pooled_width: usize,
}

/// Reports in the making.
#[derive(Debug, Clone)]
pub struct MemoryState {
    cache: MemoryDecoderCache,
    /// `[rows, slots, d_model]`.
    slots: Tensor<3>,
}

impl R2GenConfig {
    /// These parts, with visual dropout 0.5.
    pub fn new(
        backbone: ResNetConfig,
        memory: RelationalMemoryConfig,
        transformer: TransformerConfig,
    ) -> Self {
        R2GenConfig {
            backbone,
            memory,
            transformer,
            visual_dropout: 0.5,
        }
    }

    /// Sets [`visual_dropout`](Self::visual_dropout).
    pub fn with_visual_dropout(mut self, visual_dropout: f64) -> Self {
        self.visual_dropout = visual_dropout;
        self
    }

    /// Creates the generator for a vocabulary of that many logits (the words and token 0) and studies
    /// of that many images, whose patches are joined along the patches, their pooled features along
    /// the channels.
    ///
    /// # Panics
    ///
    /// If the memory's width differs from the Transformer's, or a size is impossible.
    pub fn init(&self, vocabulary: usize, views: usize, device: &Device) -> R2Gen {
        let width = self.transformer.d_model;
        assert_eq!(
            self.memory.d_model, width,
            "the memory and the Transformer must have one width"
        );
        let channels = self.backbone.channels();
        R2Gen {
            backbone: self.backbone.init(device),
            visual_embedding: LinearConfig::new(channels, width).init(device),
            visual_dropout: DropoutConfig::new(self.visual_dropout).init(),
            encoder: Encoder::init(&self.transformer, device),
            token_embedding: TokenEmbedding::init(vocabulary, width, device),
            position: SinusoidalPosition::init(width, self.transformer.dropout),
            memory: self.memory.init(device),
            decoder: MemoryDecoder::init(&self.transformer, self.memory.slots, device),
            logits: LinearConfig::new(width, vocabulary).init(device),
            views,
            pooled_width: views * channels,
        }
    }
}

impl LibraryConfig for R2GenConfig {
    type Generator = R2Gen;

    fn backbone(&self) -> &ResNetConfig {
        &self.backbone
    }

    fn backbone_mut(&mut self) -> &mut ResNetConfig {
        &mut self.backbone
    }

    fn sized_like(model: &R2GenCmnConfig) -> Self {
        let transformer = model.transformer.clone();
        let memory = RelationalMemoryConfig::new(transformer.d_model, transformer.heads)
            .with_dropout(transformer.attention_dropout);
        R2GenConfig::new(model.backbone.clone(), memory, transformer)
            .with_visual_dropout(model.visual_dropout)
    }

    fn validate(&self) -> Result<(), ConfigError> {
        within("backbone", self.backbone.validate())?;
        within("memory", self.memory.validate())?;
        check_one_width(&self.transformer, self.memory.d_model)?;
        check_dropout("visual_dropout", self.visual_dropout)
    }

    fn init(&self, vocabulary: usize, views: usize, device: &Device) -> R2Gen {
        R2GenConfig::init(self, vocabulary, views, device)
    }
}

impl LibraryGenerator for R2Gen {
    fn backbone_mut(&mut self) -> &mut ResNet {
        &mut self.backbone
    }
}

impl R2Gen {
    /// Backbone features of all views of a study; shapes as for
    /// [`R2GenCmn::backbone_features`](crate::R2GenCmn::backbone_features).
    pub fn backbone_features(&self, studies: StudyBatch) -> ImageFeatures {
        let [features] = join_views(&self.backbone, [studies], self.views);
        features
    }

    fn encode_features(&self, features: ImageFeatures) -> EncodedStudies<Tensor<3>> {
        EncodedStudies {
            context: self.encode_patches(features.patches),
            pooled: features.pooled,
        }
    }

    /// Encodes backbone patches, `[batch, patches, channels]` to `[batch, patches, d_model]`.
    pub fn encode_patches(&self, patches: Tensor<3>) -> Tensor<3> {
        let embedded = relu(linear(&self.visual_embedding, patches));
        self.encoder.forward(self.visual_dropout.forward(embedded))
    }

    /// A state that has seen encoded patches, `[batch, patches, d_model]`, and no word.
    pub fn start_from(&self, encoded: Tensor<3>) -> MemoryState {
        let ([rows, _, _], device) = (encoded.dims(), encoded.device());
        MemoryState {
            cache: self.decoder.start(encoded),
            slots: self.memory.start(rows, &device),
        }
    }

    /// Embeds the next words and lets the memory hear them one by one: words, and the slots after
    /// each.
    fn hear(&self, tokens: Tensor<2, Int>, state: &mut MemoryState) -> (Tensor<3>, Tensor<3>) {
        let embedded = self.token_embedding.forward(tokens);
        let words = self.position.forward(embedded, state.cache.length());
        let (slots, memory) = self.memory.forward(words.clone(), state.slots.clone());
        state.slots = slots;
        (words, memory)
    }

    /// Embeds the next words, lets the memory hear them, and decodes them all.
    fn decode(
        &self,
        tokens: Tensor<2, Int>,
        state: &mut MemoryState,
        hidden: Option<&Tensor<3, Bool>>,
    ) -> Tensor<3> {
        let (words, memory) = self.hear(tokens, state);
        self.decoder
            .forward(words, &memory, &mut state.cache, hidden)
    }
}

impl ReportGenerator for R2Gen {
    /// Encoder output, `[batch, views · patches, d_model]`.
    type Context = Tensor<3>;

    fn encode(&self, studies: StudyBatch) -> EncodedStudies<Tensor<3>> {
        self.encode_features(self.backbone_features(studies))
    }

    fn encode_both(&self, batches: [StudyBatch; 2]) -> [EncodedStudies<Tensor<3>>; 2] {
        join_views(&self.backbone, batches, self.views)
            .map(|features| self.encode_features(features))
    }

    fn pooled(&self, studies: StudyBatch) -> Tensor<2> {
        self.backbone_features(studies).pooled
    }

    /// One patch of zeros per row: cross-attention adds the same to every word.
    fn imageless_context(&self, batch: usize) -> Tensor<3> {
        let device = self.logits.weight.device();
        Tensor::zeros([batch, 1, self.hidden_width()], &device)
    }

    fn hidden_states(&self, context: &Tensor<3>, reports: &TokenBatch) -> Tensor<3> {
        let mask = teacher_forcing_mask(reports);
        let mut state = self.start_from(context.clone());
        self.decode(reports.inputs().clone(), &mut state, Some(&mask))
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

impl StepDecoder for R2Gen {
    type State = MemoryState;

    fn start(&self, studies: StudyBatch) -> MemoryState {
        self.start_from(self.encode_patches(self.backbone_features(studies).patches))
    }

    fn step(&self, tokens: &[u32], state: &mut MemoryState) -> Tensor<2> {
        let tokens = token_column(tokens, &self.logits.weight.device());
        let hidden = self.decode(tokens, state, None);
        self.log_probs(hidden).squeeze_dim(1)
    }

    fn reorder(&self, state: MemoryState, rows: &[usize]) -> MemoryState {
        let indices = row_indices(rows, &self.logits.weight.device());
        MemoryState {
            cache: state.cache.select(rows),
            slots: state.slots.select(0, indices),
        }
    }

    /// Its memory is a few slots rewritten at every word, no matrix with rows to look up.
    fn explain(&self, studies: StudyBatch, reports: &TokenBatch) -> Option<ReportEvidence> {
        let mut state = self.start(studies);
        let mask = teacher_forcing_mask(reports);
        let (words, memory) = self.hear(reports.inputs().clone(), &mut state);
        let attention = self
            .decoder
            .cross_attention(words, &memory, &mut state.cache, Some(&mask));
        Some(ReportEvidence {
            attention,
            memory: None,
        })
    }
}
