use burn::config::Config;
use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use burn::tensor::activation::{log_softmax, relu};
use burn::tensor::{Bool, Device, Int, Tensor};
use ithn_backbone::{Backbone, BackboneConfig};
use ithn_decoder::{
    Encoder, PatchFeatures, SinusoidalPosition, TokenEmbedding, TransformerConfig,
    teacher_forcing_mask,
};
use ithn_generator::config::Probability;
use ithn_generator::{
    EncodedStudies, ReportEvidence, ReportGenerator, StepDecoder, StudyBatch, TokenBatch,
    row_indices, token_column,
};
use ithn_kernels::linear;

use serde::{Deserialize, Serialize};

use super::decoder::{MemoryDecoder, MemoryDecoderCache};
use super::relational_memory::{RelationalMemory, RelationalMemoryConfig};
use crate::config::{ConfigError, LibraryConfig, check_one_width, refuse_context, within};
use crate::views::{StudyFeatures, join_views};
use crate::{ContextConfig, LibraryGenerator, R2GenCmnConfig};

/// Configuration of an [`R2Gen`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct R2GenConfig {
    /// Image backbone.
    pub backbone: BackboneConfig,
    /// Relational memory; its width must equal the Transformer's.
    pub memory: RelationalMemoryConfig,
    /// Encoder and decoder.
    pub transformer: TransformerConfig,
    /// Dropout after the visual embedding.
    pub visual_dropout: Probability,
    /// What would be read beside a study's films: it must be absent, since an [`R2Gen`] reads nothing. It is here so that a
    /// section that another generator had is refused by name, not lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<ContextConfig>,
}

impl Config for R2GenConfig {}

/// R2Gen (Chen et al., EMNLP 2020): backbone, Transformer encoder, and a decoder whose norms follow
/// a relational memory of the words so far.
#[derive(Module, Debug)]
pub struct R2Gen {
    /// Images to patch features.
    pub backbone: Backbone,
    /// Patch features to `d_model`.
    pub visual_embedding: Linear,
    visual_dropout: Dropout,
    /// Self-attention among patches, without position encoding.
    pub encoder: Encoder,
    /// Token ids to `d_model`.
    pub token_embedding: TokenEmbedding,
    position: SinusoidalPosition,
    /// Relational memory of the words so far.
    pub memory: RelationalMemory,
    /// Causal self-attention among words, cross-attention to patches; its norms follow the memory.
    pub decoder: MemoryDecoder,
    /// Hidden states to logits.
    pub logits: Linear,
    views: usize,
    pooled_width: usize,
}

/// Decoding state of partial reports: the decoder's cache and the memory's slots.
#[derive(Debug, Clone)]
pub struct R2GenState {
    cache: MemoryDecoderCache,
    /// `[rows, slots, d_model]`.
    slots: Tensor<3>,
}

impl R2GenConfig {
    /// These parts, with visual dropout 0.5.
    pub fn new(
        backbone: impl Into<BackboneConfig>,
        memory: RelationalMemoryConfig,
        transformer: TransformerConfig,
    ) -> Self {
        R2GenConfig {
            backbone: backbone.into(),
            memory,
            transformer,
            visual_dropout: Probability::literal(0.5),
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

    /// Creates the generator for a `vocabulary` of words and token 0, and for studies of `views` images.
    /// The patches of all views form one sequence; their pooled features are concatenated along the
    /// channels.
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
            visual_dropout: DropoutConfig::new(self.visual_dropout.get()).init(),
            encoder: Encoder::init(&self.transformer, device),
            token_embedding: TokenEmbedding::init(vocabulary, width, device),
            position: SinusoidalPosition::init(width, self.transformer.dropout.get()),
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

    fn backbone(&self) -> &BackboneConfig {
        &self.backbone
    }

    fn backbone_mut(&mut self) -> &mut BackboneConfig {
        &mut self.backbone
    }

    fn sized_like(model: &R2GenCmnConfig) -> Self {
        let transformer = model.transformer.clone();
        let memory = RelationalMemoryConfig::new(transformer.d_model, transformer.heads)
            .with_dropout(transformer.attention_dropout.get());
        R2GenConfig {
            context: model.context,
            ..R2GenConfig::new(model.backbone.clone(), memory, transformer)
        }
        .with_visual_dropout(model.visual_dropout.get())
    }

    fn validate(&self) -> Result<(), ConfigError> {
        refuse_context("r2gen", self.context)?;
        within("backbone", self.backbone.validate())?;
        within("memory", self.memory.validate())?;
        check_one_width(&self.transformer, self.memory.d_model)
    }

    fn init(&self, vocabulary: usize, views: usize, device: &Device) -> R2Gen {
        R2GenConfig::init(self, vocabulary, views, device)
    }
}

impl LibraryGenerator for R2Gen {
    fn backbone(&self) -> &Backbone {
        &self.backbone
    }

    fn backbone_mut(&mut self) -> &mut Backbone {
        &mut self.backbone
    }
}

impl R2Gen {
    /// Backbone features of all views of a study; images are `[batch, views, 3, height, width]`.
    ///
    /// # Panics
    ///
    /// If the studies have another number of views than the configuration.
    pub fn backbone_features(&self, studies: StudyBatch) -> StudyFeatures {
        let [features] = join_views(&self.backbone, [studies], self.views);
        features
    }

    fn encode_features(&self, features: StudyFeatures) -> EncodedStudies<PatchFeatures> {
        EncodedStudies {
            context: self.encode_patches(features.patches),
            pooled: features.pooled,
        }
    }

    /// Encodes backbone patch features, `[batch, patches, channels]` to `[batch, patches, d_model]`.
    pub fn encode_patches(&self, patches: impl Into<PatchFeatures>) -> PatchFeatures {
        let embedded = patches.into().map(|patches| {
            let embedded = relu(linear(&self.visual_embedding, patches));
            self.visual_dropout.forward(embedded)
        });
        self.encoder.forward(embedded)
    }

    /// State before the first token, one row per study of encoded patches,
    /// `[batch, patches, d_model]`.
    pub fn start_from(&self, encoded: PatchFeatures) -> R2GenState {
        let ([rows, _, _], device) = (encoded.values.dims(), encoded.values.device());
        R2GenState {
            cache: self.decoder.start(encoded),
            slots: self.memory.start(rows, &device),
        }
    }

    /// Embeds the next tokens, `[batch, length]`, and updates the memory with each. Returns the
    /// words, `[batch, length, d_model]`, and the slots after each, `[batch, length, slots · d_model]`.
    fn embed_words(
        &self,
        tokens: Tensor<2, Int>,
        state: &mut R2GenState,
    ) -> (Tensor<3>, Tensor<3>) {
        let embedded = self.token_embedding.forward(tokens);
        let words = self.position.forward(embedded, state.cache.length());
        let (slots, memory) = self.memory.forward(words.clone(), state.slots.clone());
        state.slots = slots;
        (words, memory)
    }

    /// Hidden states of the next tokens, `[batch, length, d_model]`.
    fn decode(
        &self,
        tokens: Tensor<2, Int>,
        state: &mut R2GenState,
        mask: Option<&Tensor<3, Bool>>,
    ) -> Tensor<3> {
        let (words, memory) = self.embed_words(tokens, state);
        self.decoder.forward(words, &memory, &mut state.cache, mask)
    }
}

impl ReportGenerator for R2Gen {
    /// Encoder output, `[batch, views · patches, d_model]`, and the mask of missing views.
    type Context = PatchFeatures;

    fn encode(&self, studies: StudyBatch) -> EncodedStudies<PatchFeatures> {
        self.encode_features(self.backbone_features(studies))
    }

    fn encode_both(&self, batches: [StudyBatch; 2]) -> [EncodedStudies<PatchFeatures>; 2] {
        join_views(&self.backbone, batches, self.views)
            .map(|features| self.encode_features(features))
    }

    fn pooled(&self, studies: StudyBatch) -> Tensor<2> {
        self.backbone_features(studies).pooled
    }

    /// One patch of zeros per row: cross-attention adds the same vector to every word.
    fn imageless_context(&self, batch: usize) -> PatchFeatures {
        let device = self.logits.weight.device();
        Tensor::zeros([batch, 1, self.hidden_width()], &device).into()
    }

    fn hidden_states(&self, context: &PatchFeatures, reports: &TokenBatch) -> Tensor<3> {
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
    type State = R2GenState;

    fn start(&self, studies: StudyBatch) -> R2GenState {
        self.start_from(self.encode_patches(self.backbone_features(studies).patches))
    }

    fn step(&self, tokens: &[u32], state: &mut R2GenState) -> Tensor<2> {
        let tokens = token_column(tokens, &self.logits.weight.device());
        let hidden = self.decode(tokens, state, None);
        self.log_probs(hidden).squeeze_dim(1)
    }

    fn reorder(&self, state: R2GenState, rows: &[usize]) -> R2GenState {
        let indices = row_indices(rows, &self.logits.weight.device());
        R2GenState {
            cache: state.cache.select(rows),
            slots: state.slots.select(0, indices),
        }
    }

    /// Without memory rows: the relational memory is a few slots, rewritten at every token.
    fn explain(&self, studies: StudyBatch, reports: &TokenBatch) -> Option<ReportEvidence> {
        let mut state = self.start(studies);
        let mask = teacher_forcing_mask(reports);
        let (words, memory) = self.embed_words(reports.inputs().clone(), &mut state);
        let attention = self
            .decoder
            .cross_attention(words, &memory, &mut state.cache, Some(&mask));
        Some(ReportEvidence {
            attention,
            prior: Vec::new(),
            memory: None,
        })
    }
}
