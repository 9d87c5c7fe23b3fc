use burn::module::Module;
use burn::tensor::{Device, Tensor};
use ithn_generator::config::{ConfigError, LARGEST_WIDTH, check_count};
use ithn_negatives::Hardening;
use serde::{Deserialize, Serialize};

use crate::contrast::{Contrast, Embeddings, EqualReports, HardNegativePlacement};
use crate::embedding::{AlignmentHeads, AlignmentHeadsConfig};
use crate::pooling::Pooling;
use crate::temperature::{TemperatureConfig, Temperatures};

/// Configuration of [`Alignment`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlignmentConfig {
    /// Width of the shared space of images and reports, 1 to 65,536 (512 as published).
    pub projection_width: usize,
    /// Hidden states that are averaged into a report embedding.
    pub pooling: Pooling,
    /// How first negatives become hard negatives.
    pub hardening: Hardening,
    /// Where the hard negative enters the loss.
    pub placement: HardNegativePlacement,
    /// Initial values and training of the temperatures.
    pub temperatures: TemperatureConfig,
}

impl Default for AlignmentConfig {
    /// Projection width 512, pooling over report tokens, closed-form hardening,
    /// [`HardNegativePlacement::Candidate`].
    fn default() -> Self {
        AlignmentConfig {
            projection_width: 512,
            pooling: Pooling::ReportTokens,
            hardening: Hardening::default(),
            placement: HardNegativePlacement::Candidate,
            temperatures: TemperatureConfig::default(),
        }
    }
}

impl AlignmentConfig {
    /// Checks all numbers and combinations.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming the key.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check_count("projection_width", self.projection_width, LARGEST_WIDTH)?;
        let hardening = self.hardening.validate();
        hardening.map_err(|error| error.within("hardening"))?;
        let temperatures = self.temperatures.validate();
        temperatures.map_err(|error| error.within("temperatures"))
    }

    /// Creates heads for pooled images of `image_width` and hidden states of `report_width`, and both
    /// temperatures.
    pub fn init(&self, image_width: usize, report_width: usize, device: &Device) -> Alignment {
        let heads = AlignmentHeadsConfig::new(image_width, report_width, self.projection_width);
        Alignment {
            heads: heads.init(device),
            temperatures: self.temperatures.init(device),
            pooling: self.pooling,
            hardening: self.hardening,
            placement: self.placement,
        }
    }
}

/// Everything that ITHN's alignment loss owns: heads, temperatures, hardening and placement.
///
/// Training only: a generator writes reports without it.
#[derive(Module, Debug)]
pub struct Alignment {
    /// Projection heads onto the shared sphere.
    pub heads: AlignmentHeads,
    /// Scales of the scores.
    pub temperatures: Temperatures,
    #[module(skip)]
    pooling: Pooling,
    #[module(skip)]
    hardening: Hardening,
    #[module(skip)]
    placement: HardNegativePlacement,
}

/// Loss terms of a batch and its mean similarities, each `[1]`.
#[derive(Debug, Clone)]
pub struct AlignmentTerms {
    /// Contrastive loss `L_cp`.
    pub contrastive: Tensor<1>,
    /// Image separation loss `L_cs`; 0 without images of the negatives.
    pub separation: Tensor<1>,
    /// Mean `z·u` of an image and its own report, without autograd history.
    pub positive_similarity: Tensor<1>,
    /// Mean `z·u⁻` of an image and its first negative, without autograd history.
    pub negative_similarity: Tensor<1>,
    /// Mean `z·ũ` of an image and its hard negative, without autograd history.
    pub hardened_similarity: Tensor<1>,
}

impl Alignment {
    /// Unit image embeddings `z`, `[batch, projection_width]`, of pooled images
    /// `[batch, image_width]`.
    pub fn embed_images(&self, pooled: Tensor<2>) -> Tensor<2> {
        self.heads.embed_images(pooled)
    }

    /// Unit report embeddings `u`: projections of the hidden states, averaged as [`Pooling`] chooses.
    ///
    /// # Shapes
    ///
    /// - hidden: `[batch, length, report_width]`, teacher-forced hidden states
    /// - mask: `[batch, length]`, 1 where the input belongs to the report, 0 at padding; without effect
    ///   under [`Pooling::AllPositions`]
    /// - output: `[batch, projection_width]`
    pub fn embed_reports(&self, hidden: Tensor<3>, mask: &Tensor<2>) -> Tensor<2> {
        self.heads.embed_reports(self.pooling.pool(hidden, mask))
    }

    /// Whether reports are pooled over padding too, as officially.
    pub fn pools_padding(&self) -> bool {
        self.pooling == Pooling::AllPositions
    }

    /// This alignment with its temperatures held constant: they get no gradient.
    #[must_use]
    pub fn with_constant_temperatures(mut self) -> Self {
        self.temperatures = self.temperatures.no_grad();
        self
    }

    /// Where the hard negative enters the loss.
    pub fn placement(&self) -> HardNegativePlacement {
        self.placement
    }

    /// Hardens the negatives and computes all loss terms of a batch.
    ///
    /// `equal` masks pairs of equal reports: they enter neither softmax, and neither does a hard
    /// negative whose first negative equals the study's own report. With `None`, every other
    /// study of the batch counts as a negative. `lambda` lies in `[0, 1]`; 1 keeps the first negatives.
    ///
    /// # Panics
    ///
    /// If `lambda` lies outside `[0, 1]`, or the placement compares the negatives' images and there
    /// are none.
    pub fn loss(
        &self,
        embeddings: &Embeddings,
        equal: Option<&EqualReports>,
        lambda: f64,
    ) -> AlignmentTerms {
        let hardened = self.harden(embeddings, equal, lambda);
        let images = &embeddings.images;
        let similarity = |reports: &Tensor<2>| {
            (images.clone().detach() * reports.clone().detach())
                .sum_dim(1)
                .mean()
        };
        AlignmentTerms {
            positive_similarity: similarity(&embeddings.reports),
            negative_similarity: similarity(&embeddings.negative_reports),
            hardened_similarity: similarity(&hardened),
            separation: match &embeddings.negative_images {
                Some(negatives) => image_separation_loss(images.clone(), negatives.clone()),
                None => Tensor::zeros([1], (&images.device(), images.dtype())),
            },
            contrastive: self.contrast(embeddings, &hardened, equal),
        }
    }

    /// Hard negatives `ũ`, `[batch, projection_width]`. Ascent maximises the contrastive loss over
    /// the negatives alone. The closed form does not evaluate that loss.
    ///
    /// # Panics
    ///
    /// As [`loss`](Self::loss).
    pub fn harden(
        &self,
        embeddings: &Embeddings,
        equal: Option<&EqualReports>,
        lambda: f64,
    ) -> Tensor<2> {
        let reports = embeddings.reports.clone();
        let negatives = embeddings.negative_reports.clone();
        match &self.hardening {
            Hardening::ClosedForm(form) => {
                form.harden(embeddings.images.clone(), reports, negatives, lambda)
            }
            Hardening::Ascent(ascent) => {
                let constant = embeddings.inner();
                let contrast = Contrast {
                    temperatures: &self.temperatures.valid(),
                    placement: self.placement,
                    equal,
                };
                ascent.harden(reports, negatives, lambda, |hardened| {
                    contrast.loss(&constant, &hardened)
                })
            }
            Hardening::Hull(hull) => {
                let corners: Vec<Tensor<2>> = std::iter::once(negatives)
                    .chain(embeddings.more_negative_reports.iter().cloned())
                    .collect();
                hull.harden(embeddings.images.clone(), &corners, lambda)
            }
        }
    }

    /// The contrastive loss `L_cp = ½ (CE(S, diagonal) + CE(Sᵀ, diagonal))`, `[1]`, with `S` from
    /// [`scores`](Self::scores) and `hardened` the hard negatives `ũ`, `[batch, projection_width]`.
    ///
    /// [`Candidate`](HardNegativePlacement::Candidate) appends the score `e^{τ3} z_i·ũ_i` to row `i` of
    /// the image-to-report softmax, [`Candidates`](HardNegativePlacement::Candidates) also `e^{τ3} z_i·u⁻_ij` of every
    /// further negative. [`Pair`](HardNegativePlacement::Pair) is
    /// `mean_i softplus(e^{τ3} (z_i·ũ_i − z_i·u_i))` instead.
    ///
    /// Masked by `equal`: the hard negative of a row where
    /// [`own_negative`](EqualReports::own_negative) is true. The mean is still over the whole batch.
    ///
    /// # Panics
    ///
    /// If the placement compares the negatives' images and there are none.
    pub fn contrast(
        &self,
        embeddings: &Embeddings,
        hardened: &Tensor<2>,
        equal: Option<&EqualReports>,
    ) -> Tensor<1> {
        self.at(equal).loss(embeddings, hardened)
    }

    /// The score matrix `S`, `[batch, batch]`, rows images and columns reports.
    ///
    /// - [`DiagonalPenalty`](HardNegativePlacement::DiagonalPenalty):
    ///   `(e^{τ1} Z Uᵀ + e^{τ1} Z⁻ U⁻ᵀ − diag(e^{τ3} z_i·ũ_i)) / 3`
    /// - [`Candidate`](HardNegativePlacement::Candidate) and
    ///   [`Candidates`](HardNegativePlacement::Candidates): `e^{τ1} Z Uᵀ`
    /// - [`Pair`](HardNegativePlacement::Pair): the same, but its loss does not use it
    /// - [`Absent`](HardNegativePlacement::Absent): `(e^{τ1} Z Uᵀ + e^{τ1} Z⁻ U⁻ᵀ) / 2`
    /// - [`InBatch`](HardNegativePlacement::InBatch): `e^{τ1} Z Uᵀ`, and nothing more enters the loss
    ///
    /// Masked by `equal`, −∞: off-diagonal pairs of equal reports, and where the placement compares
    /// the negatives' images also those of equal negative reports, since `S_ij` mixes both.
    ///
    /// # Panics
    ///
    /// If the placement compares the negatives' images and there are none.
    pub fn scores(
        &self,
        embeddings: &Embeddings,
        hardened: &Tensor<2>,
        equal: Option<&EqualReports>,
    ) -> Tensor<2> {
        self.at(equal).scores(embeddings, hardened)
    }

    fn at<'a>(&'a self, equal: Option<&'a EqualReports>) -> Contrast<'a> {
        Contrast {
            temperatures: &self.temperatures,
            placement: self.placement,
            equal,
        }
    }
}

/// The image separation loss `L_cs = mean_i |cos(z_i, z⁻_i)|`, `[1]`.
///
/// # Shapes
///
/// - images, negative_images: `[batch, projection_width]`, rows of norm 1
pub fn image_separation_loss(images: Tensor<2>, negative_images: Tensor<2>) -> Tensor<1> {
    (images * negative_images).sum_dim(1).abs().mean()
}
