use burn::config::Config;
use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Embedding, EmbeddingConfig, Linear, LinearConfig};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Bool, Device, Int, Tensor};
use ithn_backbone::{Backbone, BackboneConfig};
use ithn_decoder::PatchFeatures;
use ithn_generator::{
    EncodedStudies, ForcedReports, ReportEvidence, ReportGenerator, StepDecoder, StudyBatch,
    TokenBatch, row_indices, token_column,
};

use serde::{Deserialize, Serialize};

use super::attentive_lstm::{
    AnnotationVectors, AttentiveLstm, AttentiveLstmConfig, AttentiveLstmState, AttentiveStep,
};
use crate::config::{ConfigError, LibraryConfig, within};
use crate::context::{ContextConfig, ContextEmbedding, EmbedContext, ReadContext};
use crate::views::{StudyFeatures, join_views};
use crate::{LibraryGenerator, R2GenCmnConfig};

/// Configuration of a [`CnnLstm`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct CnnLstmConfig {
    /// Image backbone; its patches are the annotation vectors.
    pub backbone: BackboneConfig,
    /// Word embedding, attention and LSTM.
    pub lstm: AttentiveLstmConfig,
    /// What is read beside a study's films, and their projections; nothing without the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<ContextConfig>,
}

impl Config for CnnLstmConfig {}

/// Show, Attend and Tell (Xu et al., ICML 2015) with soft attention: a convolutional backbone and an
/// LSTM that attends to its patches.
///
/// Its hidden states are the paper's deep output before the vocabulary, `E y + L_h h + L_z ẑ`; logits
/// are `L_o` of them.
#[derive(Module, Debug)]
pub struct CnnLstm {
    /// Images to annotation vectors.
    pub backbone: Backbone,
    /// `E`, token ids to vectors.
    pub token_embedding: Embedding,
    /// Attention and recurrence.
    pub lstm: AttentiveLstm,
    /// `L_h`.
    pub state_output: Linear,
    /// `L_z`.
    pub context_output: Linear,
    dropout: Dropout,
    /// `L_o`, hidden states to logits.
    pub logits: Linear,
    /// What is read beside a study's films, as further annotation vectors.
    pub context: Option<ContextVectors>,
    views: usize,
    pooled_width: usize,
    doubly_stochastic: f64,
}

/// Annotation vectors of what a study carries beside its films: previous films as they are, words through a linear layer,
/// both with learned embeddings. Words have no position.
#[derive(Module, Debug)]
pub struct ContextVectors {
    /// Of projections, parts and intervals, as wide as the backbone's channels.
    pub embedding: ContextEmbedding,
    /// Word embeddings to channels.
    pub words: Linear,
}

/// A teacher-forced pass.
struct ForcedPass {
    /// `[batch, tokens, embedding_width]`.
    hidden: Tensor<3>,
    /// `α`, `[batch, tokens, patches]`.
    weights: Tensor<3>,
}

impl CnnLstmConfig {
    /// These parts.
    pub fn new(backbone: impl Into<BackboneConfig>, lstm: AttentiveLstmConfig) -> Self {
        CnnLstmConfig {
            backbone: backbone.into(),
            lstm,
            context: None,
        }
    }

    /// Sets [`context`](Self::context).
    pub fn with_context(mut self, context: ContextConfig) -> Self {
        self.context = Some(context);
        self
    }

    /// Creates the generator for a vocabulary of that many logits (the words and token 0) and studies
    /// of that many images, whose patches are joined along the patches, their pooled features along
    /// the channels.
    ///
    /// # Panics
    ///
    /// If the backbone has an empty stage.
    pub fn init(&self, vocabulary: usize, views: usize, device: &Device) -> CnnLstm {
        let channels = self.backbone.channels();
        let width = self.lstm.embedding_width;
        CnnLstm {
            backbone: self.backbone.init(device),
            token_embedding: EmbeddingConfig::new(vocabulary, width).init(device),
            lstm: self.lstm.init(channels, device),
            state_output: LinearConfig::new(self.lstm.hidden_width, width).init(device),
            context_output: LinearConfig::new(channels, width).init(device),
            dropout: DropoutConfig::new(self.lstm.dropout.get()).init(),
            logits: LinearConfig::new(width, vocabulary).init(device),
            context: self.context.map(|_| ContextVectors {
                embedding: ContextEmbedding::init(channels, device),
                words: LinearConfig::new(width, channels).init(device),
            }),
            views,
            pooled_width: views * channels,
            doubly_stochastic: self.lstm.doubly_stochastic.get(),
        }
    }
}

impl LibraryConfig for CnnLstmConfig {
    type Generator = CnnLstm;

    fn backbone(&self) -> &BackboneConfig {
        &self.backbone
    }

    fn backbone_mut(&mut self) -> &mut BackboneConfig {
        &mut self.backbone
    }

    fn sized_like(model: &R2GenCmnConfig) -> Self {
        let width = model.transformer.d_model;
        let lstm =
            AttentiveLstmConfig::new(width, width, width).with_dropout(model.visual_dropout.get());
        CnnLstmConfig {
            context: model.context,
            ..CnnLstmConfig::new(model.backbone.clone(), lstm)
        }
    }

    fn context(&self) -> Option<ContextConfig> {
        self.context
    }

    fn validate(&self) -> Result<(), ConfigError> {
        if let Some(context) = &self.context {
            within("context", context.validate())?;
        }
        within("backbone", self.backbone.validate())?;
        within("lstm", self.lstm.validate())
    }

    fn init(&self, vocabulary: usize, views: usize, device: &Device) -> CnnLstm {
        CnnLstmConfig::init(self, vocabulary, views, device)
    }
}

impl LibraryGenerator for CnnLstm {
    fn backbone(&self) -> &Backbone {
        &self.backbone
    }

    fn backbone_mut(&mut self) -> &mut Backbone {
        &mut self.backbone
    }
}

impl CnnLstm {
    /// Backbone features of all views of a study; images are `[batch, views, 3, height, width]`.
    ///
    /// # Panics
    ///
    /// If the studies have another number of views than the configuration.
    pub fn backbone_features(&self, studies: StudyBatch) -> StudyFeatures {
        let [features] = join_views(&self.backbone, [studies], self.views);
        features
    }

    fn encode_features(
        &self,
        features: StudyFeatures,
        context: Option<ReadContext>,
    ) -> EncodedStudies<AnnotationVectors> {
        let [_, own, _] = features.patches.values.dims();
        let patches = match (&self.context, context) {
            (Some(vectors), Some(context)) => {
                let embedding = &vectors.embedding;
                let projections = &context.context.projections;
                let own = features
                    .patches
                    .map(|patches| embedding.add_projections(patches, projections, self.views));
                embedding.extend(own, context, self)
            }
            _ => features.patches,
        };
        EncodedStudies {
            context: self.lstm.annotate(patches).of_films(own),
            pooled: features.pooled,
        }
    }

    /// What the generator reads of the studies' context.
    fn read_context(&self, studies: &StudyBatch) -> Option<ReadContext> {
        self.context.as_ref()?;
        ReadContext::of(&self.backbone, studies)
    }

    /// One step: the deep output before the vocabulary, `[rows, embedding_width]`, and `α`,
    /// `[rows, patches]`.
    fn deep_output(
        &self,
        word: Tensor<2>,
        state: &mut AttentiveLstmState,
    ) -> (Tensor<2>, Tensor<2>) {
        let AttentiveStep {
            hidden,
            context,
            weights,
        } = self.lstm.step(word.clone(), state);
        let output =
            word + self.state_output.forward(hidden) + self.context_output.forward(context);
        (output, weights)
    }

    fn forced_pass(&self, annotations: &AnnotationVectors, reports: &TokenBatch) -> ForcedPass {
        let [_, length] = reports.dims();
        let words = self.token_embedding.forward(reports.inputs().clone());
        let mut state = self.lstm.start(annotations.clone());
        let (hidden, weights) = (0..length)
            .map(|position| {
                let word = words.clone().narrow(1, position, 1).squeeze_dim(1);
                let (output, weights) = self.deep_output(word, &mut state);
                (output.unsqueeze_dim::<3>(1), weights.unsqueeze_dim::<3>(1))
            })
            .unzip();
        ForcedPass {
            hidden: Tensor::cat(hidden, 1),
            weights: Tensor::cat(weights, 1),
        }
    }
}

/// Doubly stochastic attention (Xu et al., 2015, eq. 14): mean over batch and patches of
/// `(1 − Σ_t α_ti)²`, `[1]`. Padding does not enter the sum, patches of missing views do not enter the
/// mean.
///
/// # Shapes
///
/// - weights: `α`, `[batch, length, patches]`
/// - mask: `[batch, length]`, 0 at padding
/// - missing: `[batch, patches]`, true at patches of missing views
fn doubly_stochastic_penalty(
    weights: Tensor<3>,
    mask: &Tensor<2>,
    missing: Option<&Tensor<2, Bool>>,
) -> Tensor<1> {
    let total = (weights * mask.clone().unsqueeze_dim(2)).sum_dim(1);
    let penalties = (total.neg() + 1.0).square();
    let Some(missing) = missing else {
        return penalties.mean();
    };
    let count = missing.clone().bool_not().float().sum();
    let penalties = penalties.squeeze_dim::<2>(1);
    penalties.mask_fill(missing.clone(), 0.0).sum() / count
}

impl EmbedContext for CnnLstm {
    fn embed_films(&self, features: Tensor<3>) -> Tensor<3> {
        features
    }

    fn embed_words(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        let words = self.token_embedding.forward(tokens);
        match &self.context {
            Some(vectors) => vectors.words.forward(words),
            None => words,
        }
    }
}

impl ReportGenerator for CnnLstm {
    type Context = AnnotationVectors;

    fn encode(&self, studies: StudyBatch) -> EncodedStudies<AnnotationVectors> {
        let context = self.read_context(&studies);
        self.encode_features(self.backbone_features(studies), context)
    }

    fn encode_both(&self, batches: [StudyBatch; 2]) -> [EncodedStudies<AnnotationVectors>; 2] {
        let mut contexts = batches
            .each_ref()
            .map(|studies| self.read_context(studies))
            .into_iter();
        join_views(&self.backbone, batches, self.views).map(|features| {
            let context = contexts.next().flatten();
            self.encode_features(features, context)
        })
    }

    fn pooled(&self, studies: StudyBatch) -> Tensor<2> {
        self.backbone_features(studies).pooled
    }

    /// One annotation vector of zeros per row.
    fn imageless_context(&self, batch: usize) -> AnnotationVectors {
        let weight = &self.lstm.annotation_key.weight;
        let [channels, _] = weight.dims();
        let vectors = Tensor::zeros([batch, 1, channels], &weight.device());
        self.lstm.annotate(PatchFeatures::from(vectors))
    }

    fn hidden_states(&self, context: &AnnotationVectors, reports: &TokenBatch) -> Tensor<3> {
        self.forced_pass(context, reports).hidden
    }

    fn force(&self, context: &AnnotationVectors, reports: &TokenBatch) -> ForcedReports {
        let pass = self.forced_pass(context, reports);
        let penalty = (self.doubly_stochastic != 0.0).then(|| {
            let own = context.films();
            let missing = context.vectors.mask.clone();
            let missing = missing.map(|mask| mask.narrow(1, 0, own));
            let weights = pass.weights.narrow(2, 0, own);
            doubly_stochastic_penalty(weights, reports.mask(), missing.as_ref())
                * self.doubly_stochastic
        });
        ForcedReports {
            hidden: pass.hidden,
            penalty,
        }
    }

    fn log_probs(&self, hidden: Tensor<3>) -> Tensor<3> {
        log_softmax(self.logits.forward(self.dropout.forward(hidden)), 2)
    }

    fn pooled_width(&self) -> usize {
        self.pooled_width
    }

    fn hidden_width(&self) -> usize {
        self.logits.weight.dims()[0]
    }
}

impl StepDecoder for CnnLstm {
    type State = AttentiveLstmState;

    fn start(&self, studies: StudyBatch) -> AttentiveLstmState {
        self.lstm.start(self.encode(studies).context)
    }

    fn step(&self, tokens: &[u32], state: &mut AttentiveLstmState) -> Tensor<2> {
        let tokens = token_column(tokens, &self.logits.weight.device());
        let word = self.token_embedding.forward(tokens).squeeze_dim(1);
        let (output, _) = self.deep_output(word, state);
        self.log_probs(output.unsqueeze_dim(1)).squeeze_dim(1)
    }

    fn reorder(&self, state: AttentiveLstmState, rows: &[usize]) -> AttentiveLstmState {
        state.select(&row_indices(rows, &self.logits.weight.device()))
    }

    /// `α` as the one head of one layer.
    fn explain(&self, studies: StudyBatch, reports: &TokenBatch) -> Option<ReportEvidence> {
        let context = self.read_context(&studies);
        let before = context.as_ref().map_or(0, ReadContext::prior_patches);
        let features = self.backbone_features(studies);
        let annotations = self.encode_features(features, context).context;
        let weights = self.forced_pass(&annotations, reports).weights;
        let own = annotations.films();
        let at = |first: usize, length: usize| -> Tensor<4> {
            weights.clone().narrow(2, first, length).unsqueeze_dim(1)
        };
        Some(ReportEvidence {
            attention: vec![at(0, own)],
            prior: match before {
                0 => Vec::new(),
                before => vec![at(own, before)],
            },
            memory: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attending_to_every_patch_once_costs_nothing_and_padding_does_not_count() {
        let device = Device::default();
        let weights = Tensor::<3>::from_data([[[0.5, 0.5], [0.5, 0.5], [1.0, 0.0]]], &device);
        let penalty = |mask: [[f32; 3]; 1]| -> f32 {
            doubly_stochastic_penalty(weights.clone(), &Tensor::from_data(mask, &device), None)
                .into_scalar()
        };
        assert_eq!(penalty([[1.0, 1.0, 0.0]]), 0.0);
        assert_eq!(penalty([[1.0, 1.0, 1.0]]), 0.5);
    }

    #[test]
    fn patches_of_missing_views_do_not_enter_the_penalty() {
        let device = Device::default();
        let penalty = |weights: Tensor<3>, missing: Option<Tensor<2, Bool>>| -> f32 {
            let mask = Tensor::from_data([[1.0f32, 1.0]], &device);
            doubly_stochastic_penalty(weights, &mask, missing.as_ref()).into_scalar()
        };
        let weights = Tensor::<3>::from_data([[[0.5, 0.5, 0.0], [0.25, 0.75, 0.0]]], &device);
        let missing = Tensor::from_data([[false, false, true]], &device);
        let alone = penalty(weights.clone().narrow(2, 0, 2), None);
        assert_eq!(penalty(weights, Some(missing)), alone);
    }
}
