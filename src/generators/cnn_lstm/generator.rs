use burn::config::Config;
use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Embedding, EmbeddingConfig, Linear, LinearConfig};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor};
use ithn_backbone::{ImageFeatures, ResNet, ResNetConfig};
use ithn_generator::{
    EncodedImages, ForcedReports, ReportEvidence, ReportGenerator, StepDecoder, row_indices,
    token_column,
};

use super::attentive_lstm::{
    AnnotationVectors, AttentiveLstm, AttentiveLstmConfig, AttentiveState, Glimpse,
};
use crate::generators::views::join_views;

/// Configuration of a [`CnnLstm`].
#[derive(Config, Debug, PartialEq)]
pub struct CnnLstmConfig {
    /// Image backbone; its patches are the annotation vectors.
    pub backbone: ResNetConfig,
    /// Word embedding, attention and LSTM.
    pub lstm: AttentiveLstmConfig,
    /// Logits: the words and token 0.
    pub vocabulary: usize,
    /// Images per study; their patches are joined along the patches, their pooled features along
    /// the channels.
    #[config(default = 1)]
    pub views: usize,
}

/// Show, Attend and Tell (Xu et al., ICML 2015) with soft attention: a convolutional backbone and an
/// LSTM that attends to its patches.
///
/// A *hidden state* is the paper's deep output before the vocabulary, `E y + L_h h + L_z ẑ`; words
/// are `L_o` of it.
#[derive(Module, Debug)]
pub struct CnnLstm {
    /// Image to annotation vectors.
    pub backbone: ResNet,
    /// `E`, words to vectors.
    pub token_embedding: Embedding,
    /// Attention and recurrence.
    pub lstm: AttentiveLstm,
    /// `L_h`.
    pub state_output: Linear,
    /// `L_z`.
    pub context_output: Linear,
    dropout: Dropout,
    /// `L_o`, hidden states to words.
    pub logits: Linear,
    views: usize,
    pooled_width: usize,
    doubly_stochastic: f64,
}

/// A teacher-forced pass: hidden states, and where each word looked.
struct ForcedPass {
    /// `[batch, tokens, embedding_width]`.
    hidden: Tensor<3>,
    /// `α`, `[batch, tokens, patches]`.
    weights: Tensor<3>,
}

impl CnnLstmConfig {
    /// Creates the generator.
    ///
    /// # Panics
    ///
    /// If the backbone has an empty stage.
    pub fn init(&self, device: &Device) -> CnnLstm {
        let channels = self.backbone.channels();
        let width = self.lstm.embedding_width;
        CnnLstm {
            backbone: self.backbone.init(device),
            token_embedding: EmbeddingConfig::new(self.vocabulary, width).init(device),
            lstm: self.lstm.init(channels, device),
            state_output: LinearConfig::new(self.lstm.hidden_width, width).init(device),
            context_output: LinearConfig::new(channels, width).init(device),
            dropout: DropoutConfig::new(self.lstm.dropout).init(),
            logits: LinearConfig::new(width, self.vocabulary).init(device),
            views: self.views,
            pooled_width: self.views * channels,
            doubly_stochastic: self.lstm.doubly_stochastic,
        }
    }
}

impl CnnLstm {
    /// Backbone features of all views of a study; shapes as for
    /// [`R2GenCmn::look`](crate::generators::R2GenCmn::look).
    pub fn look(&self, images: Tensor<5>) -> ImageFeatures {
        let [seen] = join_views(&self.backbone, [images], self.views);
        seen
    }

    fn encode_seen(&self, seen: ImageFeatures) -> EncodedImages<AnnotationVectors> {
        EncodedImages {
            context: self.lstm.annotate(seen.patches),
            pooled: seen.pooled,
        }
    }

    /// Looks and hears a word, and returns the deep output before the vocabulary.
    fn hear(&self, word: Tensor<2>, state: &mut AttentiveState) -> (Tensor<2>, Tensor<2>) {
        let Glimpse {
            hidden,
            context,
            weights,
        } = self.lstm.step(word.clone(), state);
        let output =
            word + self.state_output.forward(hidden) + self.context_output.forward(context);
        (output, weights)
    }

    fn forced_pass(&self, annotations: &AnnotationVectors, tokens: Tensor<2, Int>) -> ForcedPass {
        let [_, length] = tokens.dims();
        let words = self.token_embedding.forward(tokens);
        let mut state = self.lstm.start(annotations.clone());
        let (hidden, weights) = (0..length)
            .map(|position| {
                let word = words.clone().narrow(1, position, 1).squeeze_dim(1);
                let (output, weights) = self.hear(word, &mut state);
                (output.unsqueeze_dim::<3>(1), weights.unsqueeze_dim::<3>(1))
            })
            .unzip();
        ForcedPass {
            hidden: Tensor::cat(hidden, 1),
            weights: Tensor::cat(weights, 1),
        }
    }
}

/// Mean over batch and patches of `(1 − Σ_t α_ti)²` over the words of each report, `[1]`: every patch
/// is to be looked at once.
///
/// Padding looks at nothing; `tokens` are the inputs, `[batch, length]`, and `weights`
/// `[batch, length, patches]`.
fn looked_at_once(weights: Tensor<3>, tokens: Tensor<2, Int>) -> Tensor<1> {
    let [batch, length, _] = weights.dims();
    let words = tokens.narrow(1, 1, length - 1).not_equal_elem(0).float();
    let first = Tensor::ones([batch, 1], &weights.device());
    let heard = Tensor::cat(vec![first, words], 1).unsqueeze_dim(2);
    let looks = (weights * heard).sum_dim(1);
    (looks.neg() + 1.0).square().mean()
}

impl ReportGenerator for CnnLstm {
    type Context = AnnotationVectors;

    fn encode(&self, images: Tensor<5>) -> EncodedImages<AnnotationVectors> {
        self.encode_seen(self.look(images))
    }

    fn encode_both(&self, images: [Tensor<5>; 2]) -> [EncodedImages<AnnotationVectors>; 2] {
        join_views(&self.backbone, images, self.views).map(|seen| self.encode_seen(seen))
    }

    fn pooled(&self, images: Tensor<5>) -> Tensor<2> {
        self.look(images).pooled
    }

    /// One annotation vector of zeros per row.
    fn imageless_context(&self, batch: usize) -> AnnotationVectors {
        let weight = &self.lstm.annotation_key.weight;
        let [channels, _] = weight.dims();
        self.lstm
            .annotate(Tensor::zeros([batch, 1, channels], &weight.device()))
    }

    fn hidden_states(&self, context: &AnnotationVectors, tokens: Tensor<2, Int>) -> Tensor<3> {
        self.forced_pass(context, tokens).hidden
    }

    fn force(&self, context: &AnnotationVectors, tokens: Tensor<2, Int>) -> ForcedReports {
        let pass = self.forced_pass(context, tokens.clone());
        let penalty = (self.doubly_stochastic != 0.0)
            .then(|| looked_at_once(pass.weights, tokens) * self.doubly_stochastic);
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
    type State = AttentiveState;

    fn start(&self, images: Tensor<5>) -> AttentiveState {
        let patches = self.look(images).patches;
        self.lstm.start(self.lstm.annotate(patches))
    }

    fn step(&self, tokens: &[u32], state: &mut AttentiveState) -> Tensor<2> {
        let tokens = token_column(tokens, &self.logits.weight.device());
        let word = self.token_embedding.forward(tokens).squeeze_dim(1);
        let (output, _) = self.hear(word, state);
        self.log_probs(output.unsqueeze_dim(1)).squeeze_dim(1)
    }

    fn reorder(&self, state: AttentiveState, rows: &[usize]) -> AttentiveState {
        state.select(&row_indices(rows, &self.logits.weight.device()))
    }

    /// `α` as the one head of one layer.
    fn explain(&self, images: Tensor<5>, tokens: Tensor<2, Int>) -> Option<ReportEvidence> {
        let annotations = self.lstm.annotate(self.look(images).patches);
        let weights = self.forced_pass(&annotations, tokens).weights;
        Some(ReportEvidence {
            attention: vec![weights.unsqueeze_dim(1)],
            memory: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looking_at_every_patch_once_costs_nothing_and_padding_does_not_count() {
        let device = Device::default();
        let weights = Tensor::<3>::from_data([[[0.5, 0.5], [0.5, 0.5], [1.0, 0.0]]], &device);
        let penalty = |tokens: [[i64; 3]; 1]| -> f32 {
            looked_at_once(weights.clone(), Tensor::from_data(tokens, &device)).into_scalar()
        };
        assert_eq!(penalty([[0, 4, 0]]), 0.0);
        assert_eq!(penalty([[0, 4, 5]]), 0.5);
    }
}
