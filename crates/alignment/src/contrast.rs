use burn::tensor::activation::{log_softmax, softplus};
use burn::tensor::{Bool, Tensor};
use serde::{Deserialize, Serialize};

use crate::temperature::Temperatures;

/// Where the hard negative enters the contrastive loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HardNegativePlacement {
    /// Subtracted on the diagonal of the mean score matrix, as published.
    DiagonalPenalty,
    /// One more candidate in its row's image-to-report softmax, the usual place of a hard negative.
    Candidate,
    /// The same, and the further mined negatives of the study are candidates as well, as they are. With first negatives as
    /// they are it is the control of their hull: all `k` of them, unhardened.
    Candidates,
    /// The only other candidate: `softplus(e^{τ3} (z_i·ũ_i − z_i·u_i))`. Other studies of the batch do
    /// not enter, so the loss cannot be lowered by telling images apart.
    Pair,
    /// Nowhere: plain contrastive learning on the studies and on their negatives.
    Absent,
    /// Nowhere, and the negatives do not enter either: plain contrastive learning on the studies of the batch, as in
    /// CLIP. An experiment compares with it to see what mined negatives add.
    InBatch,
}

impl HardNegativePlacement {
    /// Whether the negatives' own images enter the loss.
    pub fn compares_negative_images(self) -> bool {
        matches!(
            self,
            HardNegativePlacement::DiagonalPenalty | HardNegativePlacement::Absent
        )
    }
}

/// Unit embeddings of a batch of studies and of their first negatives, each
/// `[batch, projection_width]`.
#[derive(Debug, Clone)]
pub struct Embeddings {
    /// Images `z`.
    pub images: Tensor<2>,
    /// Their reports `u`.
    pub reports: Tensor<2>,
    /// Images of the negatives `z⁻`, for placements that [compare
    /// them](HardNegativePlacement::compares_negative_images) and for the separation loss.
    pub negative_images: Option<Tensor<2>>,
    /// Reports of the negatives `u⁻`.
    pub negative_reports: Tensor<2>,
    /// Reports of further mined negatives of each study, `u⁻_2` and on; mostly empty.
    pub more_negative_reports: Vec<Tensor<2>>,
}

impl Embeddings {
    /// The rows of several batches, one batch after the other. Images of the negatives are there if every
    /// batch has them.
    ///
    /// # Panics
    ///
    /// If there is no batch, the widths differ, or some have more negatives than others.
    pub fn concat(batches: &[Embeddings]) -> Self {
        let rows = |of: fn(&Embeddings) -> &Tensor<2>| {
            Tensor::cat(batches.iter().map(|batch| of(batch).clone()).collect(), 0)
        };
        let negative_images: Option<Vec<Tensor<2>>> = batches
            .iter()
            .map(|batch| batch.negative_images.clone())
            .collect();
        Embeddings {
            images: rows(|batch| &batch.images),
            reports: rows(|batch| &batch.reports),
            negative_images: negative_images.map(|images| Tensor::cat(images, 0)),
            negative_reports: rows(|batch| &batch.negative_reports),
            more_negative_reports: (0..batches[0].more_negative_reports.len())
                .map(|index| {
                    let of = |batch: &Embeddings| batch.more_negative_reports[index].clone();
                    Tensor::cat(batches.iter().map(of).collect(), 0)
                })
                .collect(),
        }
    }

    /// The same without autodiff.
    pub(crate) fn inner(&self) -> Self {
        Embeddings {
            images: self.images.clone().inner(),
            reports: self.reports.clone().inner(),
            negative_images: self.negative_images.clone().map(Tensor::inner),
            negative_reports: self.negative_reports.clone().inner(),
            more_negative_reports: (self.more_negative_reports.iter())
                .map(|reports| reports.clone().inner())
                .collect(),
        }
    }
}

/// Which reports of a batch count as equal, word for word or by what they state: their pairs are not negatives.
#[derive(Debug, Clone)]
pub struct EqualReports {
    /// True where the reports of two studies count as equal, `[batch, batch]`.
    pub studies: Tensor<2, Bool>,
    /// True where the reports of two negatives count as equal, `[batch, batch]`.
    pub negatives: Tensor<2, Bool>,
    /// True where a study's report and that of its own negative count as equal, `[batch, 1]`.
    pub own_negative: Tensor<2, Bool>,
}

/// The contrastive loss at given temperatures; see [`Alignment::scores`](crate::Alignment::scores)
/// and [`Alignment::contrast`](crate::Alignment::contrast).
#[derive(Clone, Copy)]
pub(crate) struct Contrast<'a> {
    pub(crate) temperatures: &'a Temperatures,
    pub(crate) placement: HardNegativePlacement,
    pub(crate) equal: Option<&'a EqualReports>,
}

impl Contrast<'_> {
    pub(crate) fn scores(&self, embeddings: &Embeddings, hardened: &Tensor<2>) -> Tensor<2> {
        let pairs = |images: &Tensor<2>, reports: &Tensor<2>| {
            images.clone().matmul(reports.clone().transpose()) * self.temperatures.pair_scale()
        };
        let positive = pairs(&embeddings.images, &embeddings.reports);
        let negative = || {
            let images = embeddings.negative_images.as_ref();
            pairs(
                images.expect("the placement compares the negatives' images"),
                &embeddings.negative_reports,
            )
        };
        // Products: Burn rounds the gradient of a division by a scalar to single precision.
        match self.placement {
            HardNegativePlacement::DiagonalPenalty => {
                let [batch, _] = positive.dims();
                let mut penalty = self.hardened_scores(embeddings, hardened);
                if let Some(equal) = self.equal {
                    penalty = penalty.mask_fill(equal.own_negative.clone(), 0.0);
                }
                let penalty = penalty
                    .expand([batch, batch])
                    .mask_fill(off_diagonal(batch, &positive), 0.0);
                self.without_equal((positive + negative() - penalty) * (1.0 / 3.0))
            }
            HardNegativePlacement::Candidate
            | HardNegativePlacement::Candidates
            | HardNegativePlacement::Pair
            | HardNegativePlacement::InBatch => self.without_equal(positive),
            HardNegativePlacement::Absent => self.without_equal((positive + negative()) / 2.0),
        }
    }

    pub(crate) fn loss(&self, embeddings: &Embeddings, hardened: &Tensor<2>) -> Tensor<1> {
        if self.placement == HardNegativePlacement::Pair {
            return self.pair_loss(embeddings, hardened);
        }
        let scores = self.scores(embeddings, hardened);
        let candidates = match self.placement {
            HardNegativePlacement::Candidate | HardNegativePlacement::Candidates => {
                let mut candidate = self.hardened_scores(embeddings, hardened);
                if let Some(equal) = self.equal {
                    candidate = candidate.mask_fill(equal.own_negative.clone(), f64::NEG_INFINITY);
                }
                let mut all = vec![scores.clone(), candidate];
                if self.placement == HardNegativePlacement::Candidates {
                    let more = embeddings.more_negative_reports.iter();
                    all.extend(more.map(|reports| self.hardened_scores(embeddings, reports)));
                }
                Tensor::cat(all, 1)
            }
            HardNegativePlacement::DiagonalPenalty
            | HardNegativePlacement::Absent
            | HardNegativePlacement::InBatch
            | HardNegativePlacement::Pair => scores.clone(),
        };
        (diagonal_cross_entropy(candidates) + diagonal_cross_entropy(scores.transpose())) / 2.0
    }

    /// `mean_i softplus(e^{τ3} (z_i·ũ_i − z_i·u_i))`, `[1]`.
    fn pair_loss(&self, embeddings: &Embeddings, hardened: &Tensor<2>) -> Tensor<1> {
        let advantage = hardened.clone() - embeddings.reports.clone();
        let scores =
            (embeddings.images.clone() * advantage).sum_dim(1) * self.temperatures.hardened_scale();
        let mut losses = softplus(scores, 1.0);
        if let Some(equal) = self.equal {
            losses = losses.mask_fill(equal.own_negative.clone(), 0.0);
        }
        losses.mean()
    }

    /// `e^{τ3} z_i·ũ_i`, `[batch, 1]`.
    fn hardened_scores(&self, embeddings: &Embeddings, hardened: &Tensor<2>) -> Tensor<2> {
        (embeddings.images.clone() * hardened.clone()).sum_dim(1)
            * self.temperatures.hardened_scale()
    }

    /// Scores without the off-diagonal pairs whose reports are equal: −∞ leaves both softmaxes.
    fn without_equal(&self, scores: Tensor<2>) -> Tensor<2> {
        let Some(equal) = self.equal else {
            return scores;
        };
        let [batch, _] = scores.dims();
        let mut same = equal.studies.clone();
        if self.placement.compares_negative_images() {
            same = same.bool_or(equal.negatives.clone());
        }
        let masked = same.bool_and(off_diagonal(batch, &scores));
        scores.mask_fill(masked, f64::NEG_INFINITY)
    }
}

/// Cross-entropy of each row with its own index as target; `scores` is `[batch, ≥ batch]`.
fn diagonal_cross_entropy(scores: Tensor<2>) -> Tensor<1> {
    let [batch, _] = scores.dims();
    let own = log_softmax(scores, 1).narrow(1, 0, batch);
    let off_diagonal = off_diagonal(batch, &own);
    own.mask_fill(off_diagonal, 0.0).sum() * (-1.0 / batch as f64)
}

/// True off the diagonal of a `[batch, batch]` matrix, on the device of `like`.
fn off_diagonal(batch: usize, like: &Tensor<2>) -> Tensor<2, Bool> {
    Tensor::diag_mask([batch, batch], 0, &like.device())
}
