//! ITHN as a plug-in: training-only heads around any report generator.

mod config;

use burn::module::Module;
use burn::tensor::Tensor;
use ithn_alignment::{
    AlignmentHeads, Similarities, Temperatures, contrastive_loss, image_separation_loss,
};
use ithn_generator::{EncodedStudies, ReportGenerator, StudyBatch, TokenBatch};
use ithn_negatives::harden_against;

pub use config::{IthnConfig, LossWeights, TextPath};

/// A batch of studies to learn from.
#[derive(Debug, Clone)]
pub struct TrainingBatch {
    /// Films.
    pub studies: StudyBatch,
    /// Their reports.
    pub reports: TokenBatch,
    /// The closest other studies, row by row, if training uses negatives.
    pub negatives: Option<NegativeBatch>,
}

/// The first negatives of a batch, row by row.
#[derive(Debug, Clone)]
pub struct NegativeBatch {
    /// Films.
    pub studies: StudyBatch,
    /// Their reports.
    pub reports: TokenBatch,
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
        let (encoded, negative) = self.encode(batch.studies, batch.negatives.as_ref());
        let forced = self.generator.force(&encoded.context, &batch.reports);
        let hidden = forced.hidden;
        let log_probs = self.generator.log_probs(hidden.clone());
        let language = language_loss(log_probs, &batch.reports);
        let learnt = match &forced.penalty {
            Some(penalty) => language.clone() + penalty.clone(),
            None => language.clone(),
        };

        let weights = self.config.weights;
        let (total, alignment) = match batch.negatives {
            None => (learnt, None),
            Some(negatives) => {
                let terms =
                    self.align(encoded, negative, hidden, &batch.reports, negatives, lambda);
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
        studies: StudyBatch,
        negatives: Option<&NegativeBatch>,
    ) -> (
        EncodedStudies<G::Context>,
        Option<EncodedStudies<G::Context>>,
    ) {
        match negatives {
            Some(negatives) if self.config.text_path == TextPath::WithImage => {
                let both = [studies, negatives.studies.clone()];
                let [encoded, negative] = self.generator.encode_both(both);
                (encoded, Some(negative))
            }
            _ => (self.generator.encode(studies), None),
        }
    }

    fn align(
        &self,
        encoded: EncodedStudies<G::Context>,
        negative: Option<EncodedStudies<G::Context>>,
        hidden: Tensor<3>,
        reports: &TokenBatch,
        negatives: NegativeBatch,
        lambda: f64,
    ) -> AlignmentTerms {
        let states =
            |context: &G::Context| self.generator.hidden_states(context, &negatives.reports);
        let pooled = |studies: StudyBatch| {
            let needed = self.config.compares_negative_images();
            needed.then(|| self.generator.pooled(studies))
        };
        let (mut hidden, mut negative_hidden, negative_pooled) = match self.config.text_path {
            TextPath::WithImage => {
                let negative = negative.expect("encoded beside the batch's own images");
                (hidden, states(&negative.context), Some(negative.pooled))
            }
            TextPath::SameImage => {
                let negative_hidden = states(&encoded.context);
                (hidden, negative_hidden, pooled(negatives.studies))
            }
            TextPath::ReportAlone => {
                let [positive, negative] = self.states_alone(reports, &negatives.reports);
                (positive, negative, pooled(negatives.studies))
            }
        };

        if self.config.hold_report_states {
            hidden = hidden.detach();
            negative_hidden = negative_hidden.detach();
        }
        let images = self.heads.embed_images(encoded.pooled);
        let embedded = self.embed_reports(hidden, reports);
        let negative_images = negative_pooled.map(|pooled| self.heads.embed_images(pooled));
        let negative_reports = self.embed_reports(negative_hidden, &negatives.reports);
        let fixed = Similarities {
            images: images.clone().inner(),
            reports: embedded.clone().inner(),
            negative_images: negative_images.clone().map(Tensor::inner),
            negative_reports: negative_reports.clone().inner(),
            hardened: negative_reports.clone().inner(),
        };
        let hardened = self.harden(fixed, [&images, &embedded, &negative_reports], lambda);
        let similarity = |other: &Tensor<2>| {
            (images.clone().detach() * other.clone().detach())
                .sum_dim(1)
                .mean()
        };
        AlignmentTerms {
            positive_similarity: similarity(&embedded),
            negative_similarity: similarity(&negative_reports),
            hardened_similarity: similarity(&hardened),
            separation: match &negative_images {
                Some(negatives) => image_separation_loss(images.clone(), negatives.clone()),
                None => Tensor::zeros([1], &images.device()),
            },
            contrastive: contrastive_loss(
                Similarities {
                    images: images.clone(),
                    reports: embedded,
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

    /// Hidden states of two batches of reports that have seen no image, in one pass. Batching both
    /// changes only the padding, not the states.
    fn states_alone(&self, first: &TokenBatch, second: &TokenBatch) -> [Tensor<3>; 2] {
        let [[batch, length], [others, other_length]] = [first.dims(), second.dims()];
        let context = self.generator.imageless_context(batch + others);
        let states = self
            .generator
            .hidden_states(&context, &first.concat(second));
        [
            states.clone().narrow(0, 0, batch).narrow(1, 0, length),
            states.narrow(0, batch, others).narrow(1, 0, other_length),
        ]
    }

    /// What report embeddings have seen.
    pub fn text_path(&self) -> TextPath {
        self.config.text_path
    }

    /// Score of each report for the study in its row, `z_i · u(i, r_i)`, `[batch]`.
    pub fn alignment_scores(
        &self,
        encoded: &EncodedStudies<G::Context>,
        reports: &TokenBatch,
    ) -> Tensor<1> {
        let images = self.heads.embed_images(encoded.pooled.clone());
        let embedded = match self.config.text_path {
            TextPath::ReportAlone => self.embed_reports_alone(reports),
            TextPath::WithImage | TextPath::SameImage => {
                let hidden = self.generator.hidden_states(&encoded.context, reports);
                self.embed_reports(hidden, reports)
            }
        };
        (images * embedded).sum_dim(1).squeeze_dim(1)
    }

    /// Unit embeddings of reports that have seen no image, `[batch, projection_width]`.
    pub fn embed_reports_alone(&self, reports: &TokenBatch) -> Tensor<2> {
        let [batch, _] = reports.dims();
        let context = self.generator.imageless_context(batch);
        let hidden = self.generator.hidden_states(&context, reports);
        self.embed_reports(hidden, reports)
    }

    /// Mean log-probability per token, in nats, that the generator gives each report in sight of the
    /// study in its row, `[batch]`; it needs nothing of the plug-in.
    pub fn log_likelihoods(
        &self,
        encoded: &EncodedStudies<G::Context>,
        reports: &TokenBatch,
    ) -> Tensor<1> {
        let hidden = self.generator.hidden_states(&encoded.context, reports);
        let chosen = target_log_probs(self.generator.log_probs(hidden), reports);
        let mask = reports.mask().clone();
        ((chosen * mask.clone()).sum_dim(1) / mask.sum_dim(1)).squeeze_dim(1)
    }

    /// Unit report embeddings, `[batch, projection_width]`, of teacher-forced hidden states,
    /// `[batch, length, hidden_width]`.
    pub fn embed_reports(&self, hidden: Tensor<3>, reports: &TokenBatch) -> Tensor<2> {
        self.heads
            .embed_reports(self.config.pooling.pool(hidden, reports.mask()))
    }
}

/// Mean negative log-probability of the targets, `[1]`; padding does not count.
///
/// # Shapes
///
/// - log_probs: `[batch, length, vocabulary]`
///
/// # Panics
///
/// If `log_probs` has other dimensions than the reports.
pub fn language_loss(log_probs: Tensor<3>, reports: &TokenBatch) -> Tensor<1> {
    let mask = reports.mask().clone();
    -(target_log_probs(log_probs, reports) * mask.clone()).sum() / mask.sum()
}

/// Log-probability of each target, `[batch, length]`.
fn target_log_probs(log_probs: Tensor<3>, reports: &TokenBatch) -> Tensor<2> {
    let targets = reports.targets().clone();
    log_probs.gather(2, targets.unsqueeze_dim(2)).squeeze_dim(2)
}

#[cfg(test)]
mod tests;
