//! ITHN as a plug-in: training-only heads around any report generator.

mod config;

use burn::module::Module;
use burn::tensor::{Int, Tensor, assert_shape};
use ithn_alignment::{
    AlignmentHeads, Similarities, Temperatures, contrastive_loss, image_separation_loss,
};
use ithn_generator::{EncodedImages, ReportGenerator};
use ithn_negatives::harden_against;

pub use config::{IthnConfig, LossWeights, TextPath};

/// A batch of studies to learn from.
#[derive(Debug, Clone)]
pub struct TrainingBatch {
    /// `[batch, views, 3, height, width]`, normalised.
    pub images: Tensor<5>,
    /// `[batch, tokens]`: 0, the words, 0, padding.
    pub tokens: Tensor<2, Int>,
    /// `[batch, tokens]`: 1 up to and including the closing 0, then 0.
    pub token_mask: Tensor<2>,
    /// The closest other studies, if training uses negatives.
    pub negatives: Option<NegativeBatch>,
}

/// The first negatives of a batch, row by row.
#[derive(Debug, Clone)]
pub struct NegativeBatch {
    /// `[batch, views, 3, height, width]`, normalised.
    pub images: Tensor<5>,
    /// `[batch, tokens]`: 0, the words, 0, padding.
    pub tokens: Tensor<2, Int>,
}

/// Loss terms of a batch, each `[1]`.
#[derive(Debug, Clone)]
pub struct LossTerms {
    /// What is minimised: the weighted sum.
    pub total: Tensor<1>,
    /// Token cross-entropy of the positive reports.
    pub language: Tensor<1>,
    /// The generator's own penalty, if it has one; weighed like the language loss.
    pub penalty: Option<Tensor<1>>,
    /// What ITHN adds, if the batch has negatives.
    pub alignment: Option<AlignmentTerms>,
}

/// What ITHN adds to the language loss, and how hard the negatives were; each `[1]`.
#[derive(Debug, Clone)]
pub struct AlignmentTerms {
    /// `L_cp`.
    pub contrastive: Tensor<1>,
    /// `L_cs`; 0 if neither its weight nor the placement asks for the negatives' images.
    pub separation: Tensor<1>,
    /// Mean `z·u`, image with its own report.
    pub positive_similarity: Tensor<1>,
    /// Mean `z·u⁻`, image with its first negative.
    pub negative_similarity: Tensor<1>,
    /// Mean `z·ũ`, image with its hardened negative.
    pub hardened_similarity: Tensor<1>,
}

/// A report generator with ITHN's training-only parts around it.
///
/// Writing reports needs [`generator`](Ithn::generator) alone.
#[derive(Module, Debug)]
pub struct Ithn<G> {
    /// The generator, unchanged.
    pub generator: G,
    /// Projections onto the shared sphere.
    pub heads: AlignmentHeads,
    /// Learned scales of the scores.
    pub temperatures: Temperatures,
    #[module(skip)]
    config: IthnConfig,
}

impl<G: ReportGenerator> Ithn<G> {
    /// Losses of a batch; `lambda` in `[0, 1]` is 1 for untouched negatives.
    pub fn losses(&self, batch: TrainingBatch, lambda: f64) -> LossTerms {
        let (encoded, negative) = self.encode(batch.images, batch.negatives.as_ref());
        let (inputs, targets, target_mask) = shift(batch.tokens, batch.token_mask);
        let forced = self.generator.force(&encoded.context, inputs.clone());
        let hidden = forced.hidden;
        let log_probs = self.generator.log_probs(hidden.clone());
        let language = language_loss(log_probs, targets, target_mask);
        let learnt = match &forced.penalty {
            Some(penalty) => language.clone() + penalty.clone(),
            None => language.clone(),
        };

        let weights = self.config.weights;
        let (total, alignment) = match batch.negatives {
            None => (learnt, None),
            Some(negatives) => {
                let terms = self.align(encoded, negative, hidden, inputs, negatives, lambda);
                let total = learnt * weights.language
                    + terms.contrastive.clone() * weights.contrastive
                    + terms.separation.clone() * weights.separation;
                (total, Some(terms))
            }
        };
        LossTerms {
            total,
            language,
            penalty: forced.penalty,
            alignment,
        }
    }

    /// A batch's images, and its negatives' if their reports are embedded in sight of them.
    fn encode(
        &self,
        images: Tensor<5>,
        negatives: Option<&NegativeBatch>,
    ) -> (EncodedImages<G::Context>, Option<EncodedImages<G::Context>>) {
        match negatives {
            Some(negatives) if self.config.text_path == TextPath::WithImage => {
                let both = [images, negatives.images.clone()];
                let [encoded, negative] = self.generator.encode_both(both);
                (encoded, Some(negative))
            }
            _ => (self.generator.encode(images), None),
        }
    }

    fn align(
        &self,
        encoded: EncodedImages<G::Context>,
        negative: Option<EncodedImages<G::Context>>,
        hidden: Tensor<3>,
        inputs: Tensor<2, Int>,
        negatives: NegativeBatch,
        lambda: f64,
    ) -> AlignmentTerms {
        let [_, length] = negatives.tokens.dims();
        let negative_inputs = negatives.tokens.narrow(1, 0, length - 1);
        let states = |context: &G::Context| {
            self.generator
                .hidden_states(context, negative_inputs.clone())
        };
        let pooled = |images: Tensor<5>| {
            let needed = self.config.compares_negative_images();
            needed.then(|| self.generator.pooled(images))
        };
        let (mut hidden, mut negative_hidden, negative_pooled) = match self.config.text_path {
            TextPath::WithImage => {
                let negative = negative.expect("encoded beside the batch's own images");
                (hidden, states(&negative.context), Some(negative.pooled))
            }
            TextPath::SameImage => (hidden, states(&encoded.context), pooled(negatives.images)),
            TextPath::ReportAlone => {
                let [positive, negative] =
                    self.states_alone([inputs.clone(), negative_inputs.clone()]);
                (positive, negative, pooled(negatives.images))
            }
        };

        if self.config.hold_report_states {
            hidden = hidden.detach();
            negative_hidden = negative_hidden.detach();
        }
        let images = self.heads.embed_images(encoded.pooled);
        let reports = self.embed_reports(hidden, inputs);
        let negative_images = negative_pooled.map(|pooled| self.heads.embed_images(pooled));
        let negative_reports = self.embed_reports(negative_hidden, negative_inputs);
        let fixed = Similarities {
            images: images.clone().inner(),
            reports: reports.clone().inner(),
            negative_images: negative_images.clone().map(Tensor::inner),
            negative_reports: negative_reports.clone().inner(),
            hardened: negative_reports.clone().inner(),
        };
        let hardened = self.harden(fixed, [&images, &reports, &negative_reports], lambda);
        let similarity = |other: &Tensor<2>| {
            (images.clone().detach() * other.clone().detach())
                .sum_dim(1)
                .mean()
        };
        AlignmentTerms {
            positive_similarity: similarity(&reports),
            negative_similarity: similarity(&negative_reports),
            hardened_similarity: similarity(&hardened),
            separation: match &negative_images {
                Some(negatives) => image_separation_loss(images.clone(), negatives.clone()),
                None => Tensor::zeros([1], &images.device()),
            },
            contrastive: contrastive_loss(
                Similarities {
                    images: images.clone(),
                    reports,
                    negative_images,
                    negative_reports,
                    hardened,
                },
                &self.temperatures,
                self.config.placement,
            ),
        }
    }

    /// Hardens negatives against the contrastive loss, all else in it `fixed`.
    fn harden(
        &self,
        fixed: Similarities,
        [images, reports, negatives]: [&Tensor<2>; 3],
        lambda: f64,
    ) -> Tensor<2> {
        let temperatures = self.temperatures.valid();
        let loss = |hardened: Tensor<2>| {
            let embeddings = Similarities {
                hardened,
                ..fixed.clone()
            };
            contrastive_loss(embeddings, &temperatures, self.config.placement)
        };
        harden_against(
            images.clone(),
            reports.clone(),
            negatives.clone(),
            lambda,
            &self.config.hardening,
            loss,
        )
    }

    /// Hidden states of two batches of reports that have seen no image, in one pass: nothing but
    /// padding depends on what else is in it.
    fn states_alone(&self, inputs: [Tensor<2, Int>; 2]) -> [Tensor<3>; 2] {
        let [[batch, first], [_, second]] = [inputs[0].dims(), inputs[1].dims()];
        let longest = first.max(second);
        let padded = inputs
            .into_iter()
            .map(|tokens| {
                let [_, length] = tokens.dims();
                let padding = Tensor::zeros([batch, longest - length], &tokens.device());
                match longest - length {
                    0 => tokens,
                    _ => Tensor::cat(vec![tokens, padding], 1),
                }
            })
            .collect();
        let context = self.generator.imageless_context(2 * batch);
        let states = self
            .generator
            .hidden_states(&context, Tensor::cat(padded, 0));
        [
            states.clone().narrow(0, 0, batch).narrow(1, 0, first),
            states.narrow(0, batch, batch).narrow(1, 0, second),
        ]
    }

    /// What report embeddings have seen.
    pub fn text_path(&self) -> TextPath {
        self.config.text_path
    }

    /// Score of each report for the image in its row, `z_i · u(i, r_i)`, `[batch]`.
    ///
    /// # Shapes
    ///
    /// - encoded: a batch of images
    /// - tokens: `[batch, tokens]`: 0, the words, 0, padding
    pub fn alignment_scores(
        &self,
        encoded: &EncodedImages<G::Context>,
        tokens: Tensor<2, Int>,
    ) -> Tensor<1> {
        let images = self.heads.embed_images(encoded.pooled.clone());
        let reports = match self.config.text_path {
            TextPath::ReportAlone => self.embed_reports_alone(tokens),
            TextPath::WithImage | TextPath::SameImage => {
                let [_, length] = tokens.dims();
                let inputs = tokens.narrow(1, 0, length - 1);
                let hidden = self
                    .generator
                    .hidden_states(&encoded.context, inputs.clone());
                self.embed_reports(hidden, inputs)
            }
        };
        (images * reports).sum_dim(1).squeeze_dim(1)
    }

    /// Unit embeddings of reports that have seen no image, `[batch, projection_width]`; `tokens` as
    /// for [`alignment_scores`](Self::alignment_scores).
    pub fn embed_reports_alone(&self, tokens: Tensor<2, Int>) -> Tensor<2> {
        let [batch, length] = tokens.dims();
        let inputs = tokens.narrow(1, 0, length - 1);
        let context = self.generator.imageless_context(batch);
        let hidden = self.generator.hidden_states(&context, inputs.clone());
        self.embed_reports(hidden, inputs)
    }

    /// Mean log-probability per token that the generator gives each report in sight of the image in
    /// its row, `[batch]`; it needs nothing of the plug-in.
    ///
    /// # Shapes
    ///
    /// - encoded: a batch of images
    /// - tokens, mask: `[batch, tokens]`, as in [`TrainingBatch`]
    pub fn log_likelihoods(
        &self,
        encoded: &EncodedImages<G::Context>,
        tokens: Tensor<2, Int>,
        mask: Tensor<2>,
    ) -> Tensor<1> {
        let (inputs, targets, mask) = shift(tokens, mask);
        let hidden = self.generator.hidden_states(&encoded.context, inputs);
        let log_probs = self.generator.log_probs(hidden);
        let chosen: Tensor<2> = log_probs.gather(2, targets.unsqueeze_dim(2)).squeeze_dim(2);
        ((chosen * mask.clone()).sum_dim(1) / mask.sum_dim(1)).squeeze_dim(1)
    }

    /// Unit report embeddings `[batch, projection_width]` of teacher-forced hidden states.
    ///
    /// # Shapes
    ///
    /// - hidden: `[batch, length, hidden_width]`
    /// - inputs: `[batch, length]`, the tokens that gave them
    pub fn embed_reports(&self, hidden: Tensor<3>, inputs: Tensor<2, Int>) -> Tensor<2> {
        self.heads
            .embed_reports(self.config.pooling.pool(hidden, inputs))
    }
}

/// Inputs, targets and target mask: tokens fed, and the same shifted by one.
fn shift(tokens: Tensor<2, Int>, mask: Tensor<2>) -> (Tensor<2, Int>, Tensor<2, Int>, Tensor<2>) {
    let [_, length] = tokens.dims();
    (
        tokens.clone().narrow(1, 0, length - 1),
        tokens.narrow(1, 1, length - 1),
        mask.narrow(1, 1, length - 1),
    )
}

/// Mean negative log-probability of the targets, `[1]`.
///
/// # Shapes
///
/// - log_probs: `[batch, length, vocabulary]`
/// - targets, mask: `[batch, length]`; positions with mask 0 do not count
pub fn language_loss(log_probs: Tensor<3>, targets: Tensor<2, Int>, mask: Tensor<2>) -> Tensor<1> {
    let [batch, length, _] = log_probs.dims();
    assert_shape!(targets, [batch, length]);
    assert_shape!(mask, [batch, length]);
    let chosen: Tensor<2> = log_probs.gather(2, targets.unsqueeze_dim(2)).squeeze_dim(2);
    -(chosen * mask.clone()).sum() / mask.sum()
}

#[cfg(test)]
mod tests;
