use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use ithn_alignment::{Alignment, AlignmentTerms, Embeddings, EqualReports};
use ithn_generator::{EncodedStudies, ReportGenerator, StudyBatch, TokenBatch};

use crate::batch::{
    NegativeBatch, TrainingBatch, equal_by_either, equal_labels, equal_patients, equal_reports,
};
use crate::classification::classification_loss;
use crate::config::{Classification, IthnConfig, LossWeights, SamePatient, TextPath};
use crate::language::smoothed_language_loss;
use crate::likelihood::{LikelihoodContrast, Likelihoods, mean_log_probs};

/// Loss terms of a batch, each `[1]`.
#[derive(Debug, Clone)]
pub struct LossTerms {
    /// The weighted sum that training minimises. Without negatives, the language loss and the penalty
    /// at their weight.
    pub total: Tensor<1>,
    /// Token cross-entropy of the studies' own reports, smoothed if so configured.
    pub language: Tensor<1>,
    /// Cross-entropy of findings, if it is configured.
    pub classification: Option<Tensor<1>>,
    /// Contrast of likelihoods, if it is configured and the batch has negatives.
    pub likelihood: Option<Tensor<1>>,
    /// The generator's own penalty, if it has one; it has the weight of the language loss.
    pub penalty: Option<Tensor<1>>,
    /// Alignment, if the batch has negatives.
    pub alignment: Option<AlignmentTerms>,
}

/// A report generator with ITHN's alignment around it.
///
/// Writing reports needs [`generator`](Ithn::generator) only. Parameter paths are `generator.…`,
/// `heads.…`, `temperatures.…`, and `findings_head.…` with a classification loss.
#[derive(Debug, Clone)]
pub struct Ithn<G> {
    /// The generator, unchanged.
    pub generator: G,
    /// Heads, temperatures, hardening and placement; training only.
    pub alignment: Alignment,
    /// Pooled image feature to one logit per finding, if findings are classified; training only.
    pub findings_head: Option<Linear>,
    pub(crate) text_path: TextPath,
    pub(crate) hold_report_states: bool,
    pub(crate) mask_equal_reports: bool,
    pub(crate) mask_equal_labels: bool,
    pub(crate) same_patient: SamePatient,
    pub(crate) weights: LossWeights,
    pub(crate) label_smoothing: f64,
    pub(crate) classification: Option<Classification>,
    pub(crate) likelihood: Option<LikelihoodContrast>,
}

/// A batch after its forward pass: its language loss, and what the alignment compares.
#[derive(Debug, Clone)]
pub struct ForwardPass {
    pub(crate) language: Tensor<1>,
    pub(crate) penalty: Option<Tensor<1>>,
    pub(crate) classification: Option<Tensor<1>>,
    /// Language loss, penalty and classification loss, weighted.
    pub(crate) learnt: Tensor<1>,
    pub(crate) compared: Option<Compared>,
}

/// Embeddings of a batch, and the reports that they are of.
#[derive(Debug, Clone)]
pub(crate) struct Compared {
    pub(crate) embeddings: Embeddings,
    pub(crate) reports: TokenBatch,
    pub(crate) negatives: TokenBatch,
    pub(crate) likelihoods: Option<Likelihoods>,
}

impl ForwardPass {
    /// Unit embeddings of the batch, if it has negatives.
    pub fn embeddings(&self) -> Option<&Embeddings> {
        self.compared.as_ref().map(|compared| &compared.embeddings)
    }
}

/// What alignment compares before its heads: pooled images, and hidden states of reports.
struct Features {
    images: Tensor<2>,
    reports: Tensor<3>,
    negative_images: Option<Tensor<2>>,
    negative_reports: Tensor<3>,
    more_negative_reports: Vec<Tensor<3>>,
}

impl IthnConfig {
    /// Wraps a generator in the plug-in. The configuration must be [valid](Self::validate).
    pub fn init<G: ReportGenerator>(&self, generator: G, device: &Device) -> Ithn<G> {
        let widths = [generator.pooled_width(), generator.hidden_width()];
        let [image_width, report_width] = widths;
        Ithn {
            generator,
            alignment: self.alignment().init(image_width, report_width, device),
            findings_head: self.classification.map(|classification| {
                LinearConfig::new(image_width, classification.findings).init(device)
            }),
            text_path: self.text_path,
            hold_report_states: self.hold_report_states,
            mask_equal_reports: self.mask_equal_reports,
            mask_equal_labels: self.mask_equal_labels,
            same_patient: self.same_patient,
            weights: self.weights,
            label_smoothing: self.label_smoothing.get(),
            classification: self.classification,
            likelihood: self.likelihood,
        }
    }
}

impl<G: ReportGenerator> Ithn<G> {
    /// Losses of a batch. `lambda` lies in `[0, 1]`; 1 leaves the first negatives unhardened.
    ///
    /// # Panics
    ///
    /// If `lambda` lies outside `[0, 1]`; if equal labels are masked and the batch has no
    /// [sets of labels](TokenBatch::with_label_sets); if findings are classified and the studies have none, or another number;
    /// if there are further negatives and reports are not embedded [alone](TextPath::ReportAlone).
    pub fn losses(&self, batch: TrainingBatch, lambda: f64) -> LossTerms {
        let pass = self.forward(batch);
        let alignment = pass.compared.as_ref().map(|compared| {
            let equal = self.equal(&compared.reports, &compared.negatives);
            (self.alignment).loss(&compared.embeddings, equal.as_ref(), lambda)
        });
        self.terms(&pass, alignment, lambda)
    }

    /// The forward pass of a batch, up to what the alignment compares. [`losses_among`](Self::losses_among)
    /// goes on from it.
    pub fn forward(&self, batch: TrainingBatch) -> ForwardPass {
        let findings = batch.studies.findings.clone();
        let (encoded, negative) = self.encode(batch.studies, batch.negatives.as_ref());
        let forced = self.generator.force(&encoded.context, &batch.reports);
        let hidden = forced.hidden;
        let log_probs = self.generator.log_probs(hidden.clone());
        let own_likelihoods = (self.likelihood.is_some() && batch.negatives.is_some())
            .then(|| mean_log_probs(log_probs.clone(), &batch.reports));
        let language = smoothed_language_loss(log_probs, &batch.reports, self.label_smoothing);
        let learnt = match &forced.penalty {
            Some(penalty) => language.clone() + penalty.clone(),
            None => language.clone(),
        };
        let mut learnt = learnt * self.weights.language.get();
        let classification = self.findings_head.as_ref().map(|head| {
            let findings = findings.expect("classification needs StudyBatch::with_findings");
            classification_loss(head, encoded.pooled.clone(), findings)
        });
        if let (Some(loss), Some(of)) = (&classification, self.classification) {
            learnt = learnt + loss.clone() * of.weight.get();
        }
        let compared = batch.negatives.map(|negatives| {
            let negative_reports = negatives.reports.clone();
            let likelihoods = own_likelihoods.map(|reports| Likelihoods {
                reports,
                negatives: self.mean_log_probs(&encoded, &negative_reports),
            });
            let tokens: Vec<TokenBatch> = [&batch.reports, &negative_reports]
                .into_iter()
                .chain(&negatives.more)
                .cloned()
                .collect();
            let features = self.features(encoded, negative, hidden, &batch.reports, negatives);
            Compared {
                embeddings: self.embed(features, &tokens),
                reports: batch.reports,
                negatives: negative_reports,
                likelihoods,
            }
        });
        ForwardPass {
            language,
            penalty: forced.penalty,
            classification,
            learnt,
            compared,
        }
    }

    /// Loss terms of a forward pass; `alignment` are those of its embeddings.
    pub(crate) fn terms(
        &self,
        pass: &ForwardPass,
        alignment: Option<AlignmentTerms>,
        lambda: f64,
    ) -> LossTerms {
        let mut total = pass.learnt.clone();
        let likelihood = self.likelihood_loss(pass, lambda);
        if let (Some(loss), Some(of)) = (&likelihood, self.likelihood) {
            total = total + loss.clone() * of.weight.get();
        }
        if let Some(terms) = &alignment {
            total = total
                + terms.contrastive.clone() * self.weights.contrastive.get()
                + terms.separation.clone() * self.weights.separation.get();
        }
        LossTerms {
            total,
            language: pass.language.clone(),
            classification: pass.classification.clone(),
            likelihood,
            penalty: pass.penalty.clone(),
            alignment,
        }
    }

    /// Contrast of likelihoods of a forward pass, `[1]`, if it is configured and there are negatives.
    pub(crate) fn likelihood_loss(&self, pass: &ForwardPass, lambda: f64) -> Option<Tensor<1>> {
        let (of, compared) = (self.likelihood?, pass.compared.as_ref()?);
        let equal = self.equal(&compared.reports, &compared.negatives);
        let own_negative = equal.map(|equal| equal.own_negative);
        let likelihoods = compared.likelihoods.as_ref()?;
        Some(of.loss(likelihoods, own_negative.as_ref(), lambda))
    }

    /// Which reports are equal by what is masked, or about one patient whose studies are masked, if anything is.
    ///
    /// # Panics
    ///
    /// If equal labels are masked and there are no [sets of labels](TokenBatch::with_label_sets).
    pub(crate) fn equal(
        &self,
        reports: &TokenBatch,
        negatives: &TokenBatch,
    ) -> Option<EqualReports> {
        let by_words = self
            .mask_equal_reports
            .then(|| equal_reports(reports, negatives));
        let by_labels = self
            .mask_equal_labels
            .then(|| equal_labels(reports, negatives));
        let by_patient = match self.same_patient {
            SamePatient::Masked => equal_patients(reports, negatives),
            SamePatient::Ordinary | SamePatient::Hardest => None,
        };
        let masked = [by_words, by_labels, by_patient].into_iter().flatten();
        masked.reduce(equal_by_either)
    }

    /// Encodes a batch, and its negatives if their reports are embedded with their own images.
    fn encode(
        &self,
        studies: StudyBatch,
        negatives: Option<&NegativeBatch>,
    ) -> (
        EncodedStudies<G::Context>,
        Option<EncodedStudies<G::Context>>,
    ) {
        match negatives {
            Some(negatives) if self.text_path == TextPath::WithImage => {
                let both = [studies, negatives.studies.clone()];
                let [encoded, negative] = self.generator.encode_both(both);
                (encoded, Some(negative))
            }
            _ => (self.generator.encode(studies), None),
        }
    }

    fn features(
        &self,
        encoded: EncodedStudies<G::Context>,
        negative: Option<EncodedStudies<G::Context>>,
        hidden: Tensor<3>,
        reports: &TokenBatch,
        negatives: NegativeBatch,
    ) -> Features {
        let states =
            |context: &G::Context| self.generator.hidden_states(context, &negatives.reports);
        let pooled = |studies: StudyBatch| {
            let needed = self.compares_negative_images();
            needed.then(|| self.generator.pooled(studies))
        };
        assert!(
            negatives.more.is_empty() || self.text_path == TextPath::ReportAlone,
            "further negatives need TextPath::ReportAlone"
        );
        let mut more_negative_reports = Vec::new();
        let (reports, negative_reports, negative_images) = match (self.text_path, negative) {
            (_, Some(negative)) => (hidden, states(&negative.context), Some(negative.pooled)),
            (TextPath::ReportAlone, None) => {
                let [own, negative, more @ ..] =
                    &self.states_alone(reports, &negatives.reports, &negatives.more)[..]
                else {
                    unreachable!("states of every batch of reports");
                };
                more_negative_reports = more.to_vec();
                (own.clone(), negative.clone(), pooled(negatives.studies))
            }
            (TextPath::SameImage | TextPath::WithImage, None) => {
                let negative_hidden = states(&encoded.context);
                (hidden, negative_hidden, pooled(negatives.studies))
            }
        };
        Features {
            images: encoded.pooled,
            reports,
            negative_images,
            negative_reports,
            more_negative_reports,
        }
    }

    /// Embeds features; `tokens` are the studies' reports, the negatives' and the further negatives'.
    fn embed(&self, features: Features, tokens: &[TokenBatch]) -> Embeddings {
        let reports = |hidden: Tensor<3>, reports: &TokenBatch| {
            let hidden = if self.hold_report_states {
                hidden.detach()
            } else {
                hidden
            };
            self.embed_states(hidden, reports)
        };
        Embeddings {
            images: self.alignment.embed_images(features.images),
            reports: reports(features.reports, &tokens[0]),
            negative_images: features
                .negative_images
                .map(|pooled| self.alignment.embed_images(pooled)),
            negative_reports: reports(features.negative_reports, &tokens[1]),
            more_negative_reports: (features.more_negative_reports.into_iter())
                .zip(&tokens[2..])
                .map(|(hidden, tokens)| reports(hidden, tokens))
                .collect(),
        }
    }

    /// Embeddings of reports from their hidden states, which may be padded beyond the longest report.
    fn embed_states(&self, hidden: Tensor<3>, reports: &TokenBatch) -> Tensor<2> {
        let ([_, length, _], longest) = (hidden.dims(), reports.longest());
        let mask = reports.mask();
        if longest == length || !self.alignment.pools_padding() {
            return self.alignment.embed_reports(hidden, mask);
        }
        let mask = mask.clone().narrow(1, 0, longest);
        (self.alignment).embed_reports(hidden.narrow(1, 0, longest), &mask)
    }

    /// Whether a loss term uses the negatives' own images.
    fn compares_negative_images(&self) -> bool {
        self.weights.separation.get() != 0.0
            || self.alignment.placement().compares_negative_images()
    }

    /// Hidden states of batches of reports in the imageless context, in one pass. Batching all changes only the padding, not
    /// the states.
    fn states_alone(
        &self,
        first: &TokenBatch,
        second: &TokenBatch,
        more: &[TokenBatch],
    ) -> Vec<Tensor<3>> {
        let all = more
            .iter()
            .fold(first.concat(second), |all, batch| all.concat(batch));
        let [rows, _] = all.dims();
        let context = self.generator.imageless_context(rows);
        let states = self.generator.hidden_states(&context, &all);
        let mut begin = 0;
        [first, second]
            .into_iter()
            .chain(more)
            .map(|batch| {
                let [rows, length] = batch.dims();
                let own = states.clone().narrow(0, begin, rows).narrow(1, 0, length);
                begin += rows;
                own
            })
            .collect()
    }

    /// The image that report embeddings depend on.
    pub fn text_path(&self) -> TextPath {
        self.text_path
    }

    /// Score of each report for the study in its row, `z_i · u(i, r_i)`, `[batch]`.
    pub fn alignment_scores(
        &self,
        encoded: &EncodedStudies<G::Context>,
        reports: &TokenBatch,
    ) -> Tensor<1> {
        let images = self.alignment.embed_images(encoded.pooled.clone());
        let embedded = match self.text_path {
            TextPath::ReportAlone => self.embed_reports_alone(reports),
            TextPath::WithImage | TextPath::SameImage => {
                let hidden = self.generator.hidden_states(&encoded.context, reports);
                self.embed_states(hidden, reports)
            }
        };
        (images * embedded).sum_dim(1).squeeze_dim(1)
    }

    /// Unit embeddings of reports in the imageless context, `[batch, projection_width]`.
    pub fn embed_reports_alone(&self, reports: &TokenBatch) -> Tensor<2> {
        let [batch, _] = reports.dims();
        let context = self.generator.imageless_context(batch);
        let hidden = self.generator.hidden_states(&context, reports);
        self.embed_states(hidden, reports)
    }

    /// Mean log-probability per token, in nats, of each report given the study in its row, `[batch]`.
    /// Needs the generator only.
    pub fn log_likelihoods(
        &self,
        encoded: &EncodedStudies<G::Context>,
        reports: &TokenBatch,
    ) -> Tensor<1> {
        self.mean_log_probs(encoded, reports).squeeze_dim(1)
    }

    /// The same, `[batch, 1]`.
    fn mean_log_probs(
        &self,
        encoded: &EncodedStudies<G::Context>,
        reports: &TokenBatch,
    ) -> Tensor<2> {
        let hidden = self.generator.hidden_states(&encoded.context, reports);
        mean_log_probs(self.generator.log_probs(hidden), reports)
    }
}
