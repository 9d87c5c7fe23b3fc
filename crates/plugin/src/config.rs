use burn::tensor::Device;
use ithn_alignment::{AlignmentHeadsConfig, HardNegativePlacement, Pooling, TemperatureConfig};
use ithn_generator::ReportGenerator;
use ithn_negatives::HardeningConfig;
use serde::{Deserialize, Serialize};

use super::Ithn;

/// Weights of the three loss terms.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LossWeights {
    /// Of the language loss `L_LM`.
    pub language: f64,
    /// Of the contrastive loss `L_cp`.
    pub contrastive: f64,
    /// Of the image separation loss `L_cs`.
    pub separation: f64,
}

impl Default for LossWeights {
    /// 1, 0.03 and 0: alignment that helps the language loss and does not compete with it. Why is
    /// measured in `docs/evidence.md`.
    fn default() -> Self {
        LossWeights {
            language: 1.0,
            contrastive: 0.03,
            separation: 0.0,
        }
    }
}

impl LossWeights {
    /// 0.7, 0.1 and 0.2.
    pub fn published() -> Self {
        LossWeights {
            language: 0.7,
            contrastive: 0.1,
            separation: 0.2,
        }
    }
}

/// What the hidden states behind a report embedding have seen.
///
/// Hidden states come out of cross-attention, so an embedding of the report *in sight of its image*
/// can be told from others by the image alone, whatever the report says. Without an image, image
/// and report agree only in what the report states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextPath {
    /// The report's own image, as published: `u_i = u(image i, report i)`.
    WithImage,
    /// The image of the study that it is compared with, a negative too: `u_i = u(image i, report i)`
    /// and `u⁻_i = u(image i, negative report i)`. What a negative has seen no longer gives it away.
    SameImage,
    /// Nothing: `u_i = u(report i)`, decoded in the generator's imageless context.
    ReportAlone,
}

/// How ITHN trains a generator; the defaults are what helped most in `docs/evidence.md`, [`released`]
/// is what the published code computes.
///
/// [`released`]: IthnConfig::released
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IthnConfig {
    /// Width of the shared space of images and reports.
    pub projection_width: usize,
    /// Whether a report embedding has seen an image.
    pub text_path: TextPath,
    /// Which hidden states make a report embedding.
    pub pooling: Pooling,
    /// Whether alignment holds the hidden states behind report embeddings fixed, so that it trains
    /// the image side and the projections alone.
    #[serde(default)]
    pub hold_report_states: bool,
    /// How negatives are hardened.
    pub hardening: HardeningConfig,
    /// Where the hardened negative enters the loss.
    pub placement: HardNegativePlacement,
    /// Start and training of the temperatures.
    pub temperatures: TemperatureConfig,
    /// Weights of the loss terms.
    pub weights: LossWeights,
}

impl Default for IthnConfig {
    fn default() -> Self {
        IthnConfig {
            projection_width: 512,
            text_path: TextPath::ReportAlone,
            pooling: Pooling::ReportTokens,
            hold_report_states: true,
            hardening: HardeningConfig::default(),
            placement: HardNegativePlacement::Candidate,
            temperatures: TemperatureConfig::default(),
            weights: LossWeights::default(),
        }
    }
}

impl IthnConfig {
    /// What the released code computes: reports in sight of their images, mixed projection, gradients
    /// through the negative and the report, pooling over all positions, diagonal penalty.
    pub fn released() -> Self {
        IthnConfig {
            text_path: TextPath::WithImage,
            pooling: Pooling::AllPositions,
            hold_report_states: false,
            hardening: HardeningConfig::released(),
            placement: HardNegativePlacement::DiagonalPenalty,
            weights: LossWeights::published(),
            ..IthnConfig::default()
        }
    }

    /// Whether training looks at the negatives' own images.
    pub(super) fn compares_negative_images(&self) -> bool {
        self.weights.separation != 0.0 || self.placement.compares_negative_images()
    }

    /// Puts the plug-in around a generator.
    pub fn init<G: ReportGenerator>(&self, generator: G, device: &Device) -> Ithn<G> {
        let heads = AlignmentHeadsConfig::new(
            generator.pooled_width(),
            generator.hidden_width(),
            self.projection_width,
        )
        .init(device);
        Ithn {
            generator,
            heads,
            temperatures: self.temperatures.init(device),
            config: self.clone(),
        }
    }
}
