mod config;
mod embed;

use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use burn::tensor::Device;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor};
use ithn_backbone::{Backbone, BackboneConfig};
use ithn_decoder::{
    Decoder, DecoderCache, Encoder, PatchFeatures, SinusoidalPosition, TokenEmbedding,
    teacher_forcing_mask,
};
use ithn_generator::{
    EncodedStudies, MemoryEvidence, ReportEvidence, ReportGenerator, StepDecoder, StudyBatch,
    TokenBatch, token_column,
};
use ithn_kernels::linear;
use ithn_memory::{CrossModalMemory, MemoryKeyValues};

use crate::LibraryGenerator;
use crate::config::{ConfigError, LibraryConfig, check_one_width, within};
use crate::context::{ContextConfig, ContextEmbedding, ReadContext, first_patches};
use crate::views::{StudyFeatures, join_views};
use crate::{FindingPrompts, FindingPromptsConfig};

use embed::EmbedWith;

pub use config::{ImageFeature, R2GenCmnConfig};

/// R2GenCMN (Chen et al., ACL-IJCNLP 2021): backbone, cross-modal memory, Transformer.
#[derive(Module, Debug)]
pub struct R2GenCmn {
    /// Images to patch features.
    pub backbone: Backbone,
    /// Patch features to `d_model`.
    pub visual_embedding: Linear,
    visual_dropout: Dropout,
    /// Cross-modal memory, queried by patches and words.
    pub memory: CrossModalMemory,
    visual_position: SinusoidalPosition,
    /// Self-attention among patches.
    pub encoder: Encoder,
    /// Token ids to `d_model`.
    pub token_embedding: TokenEmbedding,
    text_position: SinusoidalPosition,
    /// Causal self-attention among words, cross-attention to patches.
    pub decoder: Decoder,
    /// Hidden states to logits.
    pub logits: Linear,
    /// Reads findings and tells them to the decoder.
    pub finding_prompts: Option<FindingPrompts>,
    /// Embeddings of what is read beside a study's films.
    pub context: Option<ContextEmbedding>,
    views: usize,
    pooled_width: usize,
    #[module(skip)]
    image_feature: ImageFeature,
}

/// An encoded batch of studies.
#[derive(Debug, Clone)]
pub struct R2GenCmnContext {
    /// Encoder output, `[batch, views · patches, d_model]`, followed by what the studies carry beside their films and by
    /// tokens of findings, if the decoder is told any, and the mask of what is missing.
    pub patches: PatchFeatures,
    /// Keys and values of the memory matrix, projected once for patches and words.
    pub memory: MemoryKeyValues,
}

/// Decoding state of partial reports: the decoder's cache and the projected memory.
#[derive(Debug, Clone)]
pub struct R2GenCmnState {
    cache: DecoderCache,
    memory: MemoryKeyValues,
}

impl R2GenCmnConfig {
    /// Creates the generator for a `vocabulary` of words and token 0, and for studies of `views` images.
    /// The patches of all views form one sequence; their pooled features are concatenated along the
    /// channels. With [`context`](Self::context) every film has positions of its own, so that the order of films has no
    /// effect, and what else is read follows in the same sequence.
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
        let position = || SinusoidalPosition::init(width, self.transformer.dropout.get());
        R2GenCmn {
            backbone: self.backbone.init(device),
            visual_embedding: LinearConfig::new(channels, width).init(device),
            visual_dropout: DropoutConfig::new(self.visual_dropout.get()).init(),
            memory: self.memory.init(device),
            visual_position: position(),
            encoder: Encoder::init(&self.transformer, device),
            token_embedding: TokenEmbedding::init(vocabulary, width, device),
            text_position: position(),
            decoder: Decoder::init(&self.transformer, device),
            logits: LinearConfig::new(width, vocabulary).init(device),
            finding_prompts: self
                .finding_prompts
                .as_ref()
                .map(|prompts| prompts.init(views * channels, width, device)),
            // The last to be drawn, so that the other weights do not depend on it.
            context: self.context.map(|_| ContextEmbedding::init(width, device)),
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

    fn backbone(&self) -> &BackboneConfig {
        &self.backbone
    }

    fn backbone_mut(&mut self) -> &mut BackboneConfig {
        &mut self.backbone
    }

    fn finding_prompts(&self) -> Option<&FindingPromptsConfig> {
        self.finding_prompts.as_ref()
    }

    fn sized_like(model: &R2GenCmnConfig) -> Self {
        model.clone()
    }

    fn context(&self) -> Option<ContextConfig> {
        self.context
    }

    fn validate(&self) -> Result<(), ConfigError> {
        if let Some(context) = &self.context {
            within("context", context.validate())?;
        }
        within("backbone", self.backbone.validate())?;
        within("memory", self.memory.validate())?;
        if let Some(prompts) = &self.finding_prompts {
            within("finding_prompts", prompts.validate())?;
        }
        check_one_width(&self.transformer, self.memory.d_model)
    }

    fn init(&self, vocabulary: usize, views: usize, device: &Device) -> R2GenCmn {
        R2GenCmnConfig::init(self, vocabulary, views, device)
    }
}

impl LibraryGenerator for R2GenCmn {
    fn backbone(&self) -> &Backbone {
        &self.backbone
    }

    fn backbone_mut(&mut self) -> &mut Backbone {
        &mut self.backbone
    }

    fn finding_prompts_mut(&mut self) -> Option<&mut FindingPrompts> {
        self.finding_prompts.as_mut()
    }
}

impl R2GenCmn {
    /// Backbone features of all views of a study; images are `[batch, views, 3, height, width]`.
    ///
    /// # Panics
    ///
    /// If the studies have another number of views than the configuration.
    pub fn backbone_features(&self, studies: StudyBatch) -> StudyFeatures {
        let [features] = join_views(&self.backbone, [studies], self.views);
        features
    }

    /// What the generator reads of the studies' context.
    fn read_context(&self, studies: &StudyBatch) -> Option<ReadContext> {
        self.context.as_ref()?;
        ReadContext::of(&self.backbone, studies)
    }

    /// Encodes backbone patch features, `[batch, patches, channels]`, without context and findings.
    pub fn encode_patches(&self, patches: impl Into<PatchFeatures>) -> R2GenCmnContext {
        self.encode_with(self.memory.key_values(), patches.into(), None)
    }

    /// [`encode_patches`](Self::encode_patches) with a memory that is already projected.
    fn encode_with(
        &self,
        memory: MemoryKeyValues,
        patches: PatchFeatures,
        context: Option<ReadContext>,
    ) -> R2GenCmnContext {
        let embed = EmbedWith {
            generator: self,
            memory: &memory,
        };
        let films = match self.context {
            Some(_) => self.views,
            None => 1,
        };
        let patches = patches.map(|patches| embed.embed_patches(patches, films));
        let patches = match (&self.context, context) {
            (Some(embedding), Some(context)) => {
                let projections = &context.context.projections;
                let own =
                    patches.map(|patches| embedding.add_projections(patches, projections, films));
                embedding.extend(own, context, &embed)
            }
            _ => patches,
        };
        R2GenCmnContext {
            patches: self.encoder.forward(patches),
            memory,
        }
    }

    /// `stated` are findings that stand for those that would be read from the images.
    fn encode_features(
        &self,
        memory: MemoryKeyValues,
        features: StudyFeatures,
        stated: Option<Tensor<2>>,
        context: Option<ReadContext>,
    ) -> EncodedStudies<R2GenCmnContext> {
        let [_, own, _] = features.patches.values.dims();
        let mut context = self.encode_with(memory, features.patches, context);
        let pooled = match self.image_feature {
            ImageFeature::Backbone => features.pooled.clone(),
            ImageFeature::Encoder => first_patches(&context.patches, own).mean(),
        };
        if let Some(prompts) = &self.finding_prompts {
            let findings = stated.unwrap_or_else(|| prompts.read(features.pooled));
            context.patches = prompts.append(context.patches, findings);
        }
        EncodedStudies { context, pooled }
    }

    /// State before the first token, one row per encoded study.
    pub fn start_from(&self, encoded: R2GenCmnContext) -> R2GenCmnState {
        R2GenCmnState {
            cache: self.decoder.start(encoded.patches),
            memory: encoded.memory,
        }
    }

    /// Embeds tokens at positions `first` and later, without the memory's response.
    fn embed_tokens(&self, tokens: Tensor<2, Int>, first: usize) -> Tensor<3> {
        self.text_position
            .forward(self.token_embedding.forward(tokens), first)
    }

    /// Embeds tokens at positions `first` and later and adds the memory's response.
    fn embed_words(
        &self,
        tokens: Tensor<2, Int>,
        first: usize,
        memory: &MemoryKeyValues,
    ) -> Tensor<3> {
        let y = self.embed_tokens(tokens, first);
        y.clone() + self.memory.respond(y, memory)
    }
}

impl ReportGenerator for R2GenCmn {
    type Context = R2GenCmnContext;

    fn encode(&self, studies: StudyBatch) -> EncodedStudies<R2GenCmnContext> {
        let (context, stated) = (self.read_context(&studies), studies.findings.clone());
        let features = self.backbone_features(studies);
        self.encode_features(self.memory.key_values(), features, stated, context)
    }

    fn encode_both(&self, batches: [StudyBatch; 2]) -> [EncodedStudies<R2GenCmnContext>; 2] {
        let memory = self.memory.key_values();
        let mut beside = batches
            .each_ref()
            .map(|studies| (studies.findings.clone(), self.read_context(studies)))
            .into_iter();
        join_views(&self.backbone, batches, self.views).map(|features| {
            let (stated, context) = beside.next().unwrap_or_default();
            self.encode_features(memory.clone(), features, stated, context)
        })
    }

    fn pooled(&self, studies: StudyBatch) -> Tensor<2> {
        match self.image_feature {
            ImageFeature::Backbone => self.backbone_features(studies).pooled,
            ImageFeature::Encoder => self.encode(studies).pooled,
        }
    }

    /// One patch of zeros per row: cross-attention adds the same vector to every word.
    fn imageless_context(&self, batch: usize) -> R2GenCmnContext {
        let device = self.logits.weight.device();
        R2GenCmnContext {
            patches: Tensor::zeros([batch, 1, self.hidden_width()], &device).into(),
            memory: self.memory.key_values(),
        }
    }

    fn hidden_states(&self, context: &R2GenCmnContext, reports: &TokenBatch) -> Tensor<3> {
        let mask = teacher_forcing_mask(reports);
        let words = self.embed_words(reports.inputs().clone(), 0, &context.memory);
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
    type State = R2GenCmnState;

    fn start(&self, studies: StudyBatch) -> R2GenCmnState {
        self.start_from(self.encode(studies).context)
    }

    fn step(&self, tokens: &[u32], state: &mut R2GenCmnState) -> Tensor<2> {
        let tokens = token_column(tokens, &self.logits.weight.device());
        let words = self.embed_words(tokens, state.cache.length(), &state.memory);
        let hidden = self.decoder.forward(words, &mut state.cache, None);
        self.log_probs(hidden).squeeze_dim(1)
    }

    fn reorder(&self, state: R2GenCmnState, rows: &[usize]) -> R2GenCmnState {
        R2GenCmnState {
            cache: state.cache.select(rows),
            memory: state.memory,
        }
    }

    fn explain(&self, studies: StudyBatch, reports: &TokenBatch) -> Option<ReportEvidence> {
        let (context, stated) = (self.read_context(&studies), studies.findings.clone());
        let before = context.as_ref().map_or(0, ReadContext::prior_patches);
        let features = self.backbone_features(studies);
        let [_, own, _] = features.patches.values.dims();
        let memory = self.memory.key_values();
        let encoded = self
            .encode_features(memory, features, stated, context)
            .context;
        let tokens = reports.inputs().clone();
        let queries = self.embed_tokens(tokens.clone(), 0);
        let memory = self.memory.lookup(queries, &encoded.memory);
        let words = self.embed_words(tokens, 0, &encoded.memory);
        let mask = teacher_forcing_mask(reports);
        let mut cache = self.decoder.start(encoded.patches);
        let attention = self.decoder.cross_attention(words, &mut cache, Some(&mask));
        let attention: Vec<Tensor<4>> = match &self.finding_prompts {
            Some(prompts) => attention
                .into_iter()
                .map(|it| prompts.without(it))
                .collect(),
            None => attention,
        };
        let at = |first: usize, length: usize| {
            let layers = attention.iter().filter(|_| length > 0);
            layers
                .map(|layer| layer.clone().narrow(3, first, length))
                .collect()
        };
        Some(ReportEvidence {
            attention: at(0, own),
            prior: at(own, before),
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
    use ithn_decoder::TransformerConfig;
    use ithn_generator::seeded::values;
    use ithn_memory::CrossModalMemoryConfig;

    #[test]
    fn evidence_has_a_row_per_word_and_two_views_join_patches_and_channels() {
        let device = Device::default();
        let config = R2GenCmnConfig::new(
            ithn_backbone::ResNetConfig::narrow(4, vec![1, 1]),
            CrossModalMemoryConfig::new(12, 8, 2, 3),
            TransformerConfig::new(8, 12, 2, 2),
        );
        let generator = config.init(7, 2, &device);
        let studies = StudyBatch::new(values([2, 2, 3, 32, 32], 1, &device));
        let features = generator.backbone_features(studies.clone());
        assert_eq!(features.patches.values.dims(), [2, 2 * 16, 8]);
        assert_eq!(features.pooled.dims(), [2, 2 * 8]);

        let reports = TokenBatch::from_ids(&[vec![0, 3, 2, 0], vec![0, 1, 5, 0]], &device);
        let evidence = generator.explain(studies, &reports);
        let evidence = evidence.expect("it has cross-attention");
        assert_eq!(evidence.attention.len(), 2);
        for layer in &evidence.attention {
            assert_eq!(layer.dims(), [2, 2, 3, 2 * 16]);
        }
        let memory = evidence.memory.expect("it has a memory");
        assert_eq!(memory.rows.dims(), [2, 2, 3, 3]);
    }
}
