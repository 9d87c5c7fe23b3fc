use ithn_alignment::{AlignmentConfig, HardNegativePlacement, Pooling, TemperatureConfig};
use ithn_generator::config::{ConfigError, Fraction, NonNegative, Positive, check_count};
use ithn_negatives::Hardening;
use serde::{Deserialize, Serialize};

use crate::likelihood::LikelihoodContrast;

/// Weights of the three loss terms.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct LossWeights {
    /// Weight of the language loss `L_LM` and of the generator's own penalty.
    pub language: NonNegative,
    /// Weight of the contrastive loss `L_cp`.
    pub contrastive: NonNegative,
    /// Weight of the image separation loss `L_cs`.
    pub separation: NonNegative,
}

impl Default for LossWeights {
    /// 1, 0.03 and 0, chosen by the measurements in `docs/evidence.md`.
    fn default() -> Self {
        LossWeights::literal(1.0, 0.03, 0.0)
    }
}

impl LossWeights {
    /// These weights.
    pub const fn new(
        language: NonNegative,
        contrastive: NonNegative,
        separation: NonNegative,
    ) -> Self {
        LossWeights {
            language,
            contrastive,
            separation,
        }
    }

    /// Weights written in the program: language, contrastive, separation.
    ///
    /// # Panics
    ///
    /// If one is negative or not finite.
    pub const fn literal(language: f64, contrastive: f64, separation: f64) -> Self {
        LossWeights {
            language: NonNegative::literal(language),
            contrastive: NonNegative::literal(contrastive),
            separation: NonNegative::literal(separation),
        }
    }

    /// 0.7, 0.1 and 0.2, as published.
    pub fn published() -> Self {
        LossWeights::literal(0.7, 0.1, 0.2)
    }
}

/// A classification loss beside the others, in training only. A linear layer predicts findings from the pooled image
/// feature. The loss also trains the layers that compute this feature.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Classification {
    /// Weight of the loss.
    pub weight: Positive,
    /// Findings of [`StudyBatch::findings`](ithn_generator::StudyBatch::findings), 1 to 65,536.
    pub findings: usize,
}

impl Classification {
    /// The loss of that many findings at a weight.
    pub const fn new(weight: Positive, findings: usize) -> Self {
        Classification { weight, findings }
    }
}

/// Most findings of a classification loss.
const MOST_FINDINGS: usize = 65_536;

/// The image that the decoder cross-attends to for a report embedding's hidden states.
///
/// With the report's own image, the image alone can distinguish report embeddings, whatever the
/// report states. Without an image, an image and a report embedding can agree only through the
/// report's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextPath {
    /// The report's own image, as published: `u_i = u(image i, report i)` and
    /// `u⁻_i = u(image of negative i, negative report i)`.
    WithImage,
    /// The image of the study that the report is compared with: `u_i = u(image i, report i)` and
    /// `u⁻_i = u(image i, negative report i)`.
    SameImage,
    /// None: `u_i = u(report i)`, decoded in the generator's imageless context.
    ReportAlone,
}

/// What the contrast makes of a patient's other studies. They are about the same body, often with the same findings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SamePatient {
    /// Nothing else than of anybody's.
    #[default]
    Ordinary,
    /// They are no negatives: their pairs are left out of the contrast. Batches whose
    /// [patients](ithn_generator::TokenBatch::with_patients) are unknown are as in [`Ordinary`](Self::Ordinary).
    Masked,
    /// They are the hardest ones: a study's first negative is the patient's other study with the most similar report, where
    /// there is one with another report, and pairs of one patient stay in the contrast. Between such studies the body does
    /// not differ, only what has changed. Negatives that a dataset states itself stay.
    Hardest,
}

/// How ITHN trains a generator. The defaults did best in `docs/evidence.md`; [`official`] is what the
/// official code computes.
///
/// [`official`]: IthnConfig::official
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct IthnConfig {
    /// Width of the shared space of images and reports, 1 to 65,536.
    pub projection_width: usize,
    /// The image that report embeddings depend on.
    pub text_path: TextPath,
    /// Hidden states that are averaged into a report embedding.
    pub pooling: Pooling,
    /// Whether alignment detaches the hidden states of report embeddings, so that it trains the
    /// image encoder and the projection heads only. Absent in a file means `false`: files older
    /// than this option were trained with gradients through them. A new configuration starts with
    /// `true`.
    #[serde(default)]
    pub hold_report_states: bool,
    /// How negatives are hardened.
    pub hardening: Hardening,
    /// Where the hard negative enters the loss.
    pub placement: HardNegativePlacement,
    /// Whether pairs of studies whose reports are equal word for word are left out of the contrast,
    /// instead of counting as negatives. Absent in a file means `false`: files older than this option
    /// were trained without the mask. A new configuration starts with `true`.
    #[serde(default)]
    pub mask_equal_reports: bool,
    /// Whether pairs of studies whose reports state the same findings are left out of the contrast, and hard negatives
    /// whose first negative states the study's own findings. On real data most reports state none, so that most pairs
    /// are no negatives. Off by default and where a file does not have it.
    #[serde(default)]
    pub mask_equal_labels: bool,
    /// What becomes of a patient's other studies. Absent in a file means `ordinary`: files older than this option were
    /// trained so. A new configuration starts with `masked`.
    #[serde(default)]
    pub same_patient: SamePatient,
    /// Whether processes that train together contrast the studies of all their batches, as one process
    /// does with a batch as large as theirs together, instead of each its own. Nothing changes with a
    /// single process. Off by default and where a file does not have it.
    #[serde(default)]
    pub contrast_over_ranks: bool,
    /// Initial values and training of the temperatures.
    pub temperatures: TemperatureConfig,
    /// Weights of the loss terms.
    pub weights: LossWeights,
    /// Share of each target word's probability that the language loss spreads evenly over the vocabulary (Szegedy et al.,
    /// 2016). 0 by default and where a file does not have it.
    #[serde(default = "none")]
    pub label_smoothing: Fraction,
    /// Classification of findings beside the other losses; none by default and where a file does not have it.
    #[serde(default)]
    pub classification: Option<Classification>,
    /// Contrast of likelihoods beside that of embeddings; none by default and where a file does not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub likelihood: Option<LikelihoodContrast>,
}

const fn none() -> Fraction {
    Fraction::literal(0.0)
}

impl Default for IthnConfig {
    fn default() -> Self {
        IthnConfig {
            projection_width: 512,
            text_path: TextPath::ReportAlone,
            pooling: Pooling::ReportTokens,
            hold_report_states: true,
            hardening: Hardening::default(),
            placement: HardNegativePlacement::Candidate,
            mask_equal_reports: true,
            mask_equal_labels: false,
            same_patient: SamePatient::Masked,
            contrast_over_ranks: false,
            temperatures: TemperatureConfig::default(),
            weights: LossWeights::default(),
            label_smoothing: none(),
            classification: None,
            likelihood: None,
        }
    }
}

impl IthnConfig {
    /// What the official code computes: report embeddings with their own images, mixed projection,
    /// gradients through negatives and reports, pooling over all positions, diagonal penalty, equal
    /// reports and a patient's other studies as negatives.
    pub fn official() -> Self {
        IthnConfig {
            text_path: TextPath::WithImage,
            pooling: Pooling::AllPositions,
            hold_report_states: false,
            hardening: Hardening::official(),
            placement: HardNegativePlacement::DiagonalPenalty,
            mask_equal_reports: false,
            same_patient: SamePatient::Ordinary,
            weights: LossWeights::published(),
            ..IthnConfig::default()
        }
    }

    /// Sets [`projection_width`](Self::projection_width).
    #[must_use]
    pub fn with_projection_width(mut self, projection_width: usize) -> Self {
        self.projection_width = projection_width;
        self
    }

    /// Sets [`text_path`](Self::text_path).
    #[must_use]
    pub fn with_text_path(mut self, text_path: TextPath) -> Self {
        self.text_path = text_path;
        self
    }

    /// Sets [`pooling`](Self::pooling).
    #[must_use]
    pub fn with_pooling(mut self, pooling: Pooling) -> Self {
        self.pooling = pooling;
        self
    }

    /// Sets [`hold_report_states`](Self::hold_report_states).
    #[must_use]
    pub fn with_hold_report_states(mut self, hold_report_states: bool) -> Self {
        self.hold_report_states = hold_report_states;
        self
    }

    /// Sets [`hardening`](Self::hardening).
    #[must_use]
    pub fn with_hardening(mut self, hardening: impl Into<Hardening>) -> Self {
        self.hardening = hardening.into();
        self
    }

    /// Sets [`placement`](Self::placement).
    #[must_use]
    pub fn with_placement(mut self, placement: HardNegativePlacement) -> Self {
        self.placement = placement;
        self
    }

    /// Sets [`mask_equal_reports`](Self::mask_equal_reports).
    #[must_use]
    pub fn with_mask_equal_reports(mut self, mask_equal_reports: bool) -> Self {
        self.mask_equal_reports = mask_equal_reports;
        self
    }

    /// Sets [`mask_equal_labels`](Self::mask_equal_labels).
    #[must_use]
    pub fn with_mask_equal_labels(mut self, mask_equal_labels: bool) -> Self {
        self.mask_equal_labels = mask_equal_labels;
        self
    }

    /// Sets [`same_patient`](Self::same_patient).
    #[must_use]
    pub fn with_same_patient(mut self, same_patient: SamePatient) -> Self {
        self.same_patient = same_patient;
        self
    }

    /// Sets [`contrast_over_ranks`](Self::contrast_over_ranks).
    #[must_use]
    pub fn with_contrast_over_ranks(mut self, contrast_over_ranks: bool) -> Self {
        self.contrast_over_ranks = contrast_over_ranks;
        self
    }

    /// Sets [`temperatures`](Self::temperatures).
    #[must_use]
    pub fn with_temperatures(mut self, temperatures: TemperatureConfig) -> Self {
        self.temperatures = temperatures;
        self
    }

    /// Sets [`weights`](Self::weights).
    #[must_use]
    pub fn with_weights(mut self, weights: LossWeights) -> Self {
        self.weights = weights;
        self
    }

    /// Sets [`label_smoothing`](Self::label_smoothing).
    #[must_use]
    pub fn with_label_smoothing(mut self, label_smoothing: Fraction) -> Self {
        self.label_smoothing = label_smoothing;
        self
    }

    /// Sets [`classification`](Self::classification).
    #[must_use]
    pub fn with_classification(mut self, classification: Option<Classification>) -> Self {
        self.classification = classification;
        self
    }

    /// Sets [`likelihood`](Self::likelihood).
    #[must_use]
    pub fn with_likelihood(mut self, likelihood: Option<LikelihoodContrast>) -> Self {
        self.likelihood = likelihood;
        self
    }

    /// Checks all numbers and combinations.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming the key, such as `temperatures.training.highest`.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if let Some(classification) = &self.classification {
            check_count(
                "classification.findings",
                classification.findings,
                MOST_FINDINGS,
            )?;
        }
        self.alignment().validate()
    }

    /// The part that the alignment owns.
    pub(crate) fn alignment(&self) -> AlignmentConfig {
        AlignmentConfig {
            projection_width: self.projection_width,
            pooling: self.pooling,
            hardening: self.hardening,
            placement: self.placement,
            temperatures: self.temperatures.clone(),
        }
    }
}
