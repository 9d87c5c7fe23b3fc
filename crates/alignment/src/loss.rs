use burn::tensor::activation::{log_softmax, softplus};
use burn::tensor::{Bool, Tensor};
use serde::{Deserialize, Serialize};

use crate::temperature::Temperatures;

/// Where the hardened negative enters the contrastive loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HardNegativePlacement {
    /// Subtracted on the diagonal of the mean score matrix, as released.
    DiagonalPenalty,
    /// One more candidate in its row's softmax, the usual place of a hard negative.
    Candidate,
    /// The only other candidate: `softplus(e^{τ3} (z_i·ũ_i − z_i·u_i))`. Other studies of the batch
    /// do not count, so nothing is learnt that tells images apart and not reports.
    Pair,
    /// Left out: plain contrastive learning on both pairs.
    Absent,
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

/// Unit embeddings of a batch of studies and of their negatives, each `[batch, projection_width]`.
#[derive(Debug, Clone)]
pub struct Similarities {
    /// Images `z`.
    pub images: Tensor<2>,
    /// Their reports `u`.
    pub reports: Tensor<2>,
    /// Images of the negatives `z⁻`, for placements that [compare
    /// them](HardNegativePlacement::compares_negative_images).
    pub negative_images: Option<Tensor<2>>,
    /// Reports of the negatives `u⁻`.
    pub negative_reports: Tensor<2>,
    /// Hardened negative reports `ũ`.
    pub hardened: Tensor<2>,
}

/// The score matrix `S`, `[batch, batch]`, rows images and columns reports.
///
/// - [`DiagonalPenalty`](HardNegativePlacement::DiagonalPenalty):
///   `(e^{τ1} Z Uᵀ + e^{τ1} Z⁻ U⁻ᵀ − diag(e^{τ3} z_i·ũ_i)) / 3`
/// - [`Candidate`](HardNegativePlacement::Candidate): `e^{τ1} Z Uᵀ`, so that the candidate, which the
///   loss adds, competes with the study's own report alone
/// - [`Pair`](HardNegativePlacement::Pair): the same, though its loss reads none of it
/// - [`Absent`](HardNegativePlacement::Absent): `(e^{τ1} Z Uᵀ + e^{τ1} Z⁻ U⁻ᵀ) / 2`
///
/// # Panics
///
/// If the placement compares the negatives' images and there are none.
pub fn contrastive_scores(
    embeddings: &Similarities,
    temperatures: &Temperatures,
    placement: HardNegativePlacement,
) -> Tensor<2> {
    let pairs = |images: &Tensor<2>, reports: &Tensor<2>| {
        images.clone().matmul(reports.clone().transpose()) * temperatures.pair_scale()
    };
    let positive = pairs(&embeddings.images, &embeddings.reports);
    let negative = || {
        let images = embeddings.negative_images.as_ref();
        pairs(
            images.expect("the placement compares the negatives' images"),
            &embeddings.negative_reports,
        )
    };
    match placement {
        HardNegativePlacement::DiagonalPenalty => {
            let [batch, _] = positive.dims();
            let penalty = hardened_scores(embeddings, temperatures)
                .expand([batch, batch])
                .mask_fill(off_diagonal(batch, &positive), 0.0);
            (positive + negative() - penalty) / 3.0
        }
        HardNegativePlacement::Candidate | HardNegativePlacement::Pair => positive,
        HardNegativePlacement::Absent => (positive + negative()) / 2.0,
    }
}

/// `½ (CE(S, diagonal) + CE(Sᵀ, diagonal))`, the loss `L_cp`, `[1]`.
///
/// With [`Candidate`](HardNegativePlacement::Candidate), row `i` of the image-to-report softmax has
/// the extra score `e^{τ3} z_i·ũ_i` to beat.
pub fn contrastive_loss(
    embeddings: Similarities,
    temperatures: &Temperatures,
    placement: HardNegativePlacement,
) -> Tensor<1> {
    if placement == HardNegativePlacement::Pair {
        return pair_loss(&embeddings, temperatures);
    }
    let scores = contrastive_scores(&embeddings, temperatures, placement);
    let candidates = match placement {
        HardNegativePlacement::Candidate => {
            let hardened = hardened_scores(&embeddings, temperatures);
            Tensor::cat(vec![scores.clone(), hardened], 1)
        }
        HardNegativePlacement::DiagonalPenalty
        | HardNegativePlacement::Absent
        | HardNegativePlacement::Pair => scores.clone(),
    };
    (diagonal_cross_entropy(candidates) + diagonal_cross_entropy(scores.transpose())) / 2.0
}

/// `mean_i softplus(e^{τ3} (z_i·ũ_i − z_i·u_i))`, `[1]`.
fn pair_loss(embeddings: &Similarities, temperatures: &Temperatures) -> Tensor<1> {
    let advantage = embeddings.hardened.clone() - embeddings.reports.clone();
    let scores = (embeddings.images.clone() * advantage).sum_dim(1) * temperatures.hardened_scale();
    softplus(scores, 1.0).mean()
}

/// `mean_i |cos(z_i, z⁻_i)|`, the loss `L_cs`, `[1]`; both arguments `[batch, width]`, unit rows.
pub fn image_separation_loss(images: Tensor<2>, negative_images: Tensor<2>) -> Tensor<1> {
    (images * negative_images).sum_dim(1).abs().mean()
}

/// `e^{τ3} z_i·ũ_i`, `[batch, 1]`.
fn hardened_scores(embeddings: &Similarities, temperatures: &Temperatures) -> Tensor<2> {
    (embeddings.images.clone() * embeddings.hardened.clone()).sum_dim(1)
        * temperatures.hardened_scale()
}

/// Cross-entropy of each row with its own index as target; `scores` is `[batch, ≥ batch]`.
fn diagonal_cross_entropy(scores: Tensor<2>) -> Tensor<1> {
    let [batch, _] = scores.dims();
    let own = log_softmax(scores, 1).narrow(1, 0, batch);
    let off_diagonal = off_diagonal(batch, &own);
    own.mask_fill(off_diagonal, 0.0).sum() / -(batch as f64)
}

/// What is not on the diagonal of a `[batch, batch]` matrix, on the device of `like`.
fn off_diagonal(batch: usize, like: &Tensor<2>) -> Tensor<2, Bool> {
    Tensor::diag_mask([batch, batch], 0, &like.device())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{TemperatureConfig, unit};
    use burn::tensor::{Device, Distribution, Tolerance};

    fn embeddings(batch: usize, device: &Device) -> Similarities {
        let random = || {
            unit(Tensor::random(
                [batch, 6],
                Distribution::Normal(0.0, 1.0),
                device,
            ))
        };
        Similarities {
            images: random(),
            reports: random(),
            negative_images: Some(random()),
            negative_reports: random(),
            hardened: random(),
        }
    }

    fn loss(embeddings: Similarities, placement: HardNegativePlacement) -> f32 {
        let temperatures = TemperatureConfig::default().init(&embeddings.images.device());
        contrastive_loss(embeddings, &temperatures, placement).into_scalar()
    }

    #[test]
    fn a_harder_negative_costs_more() {
        let device = Device::default();
        for placement in [
            HardNegativePlacement::DiagonalPenalty,
            HardNegativePlacement::Candidate,
            HardNegativePlacement::Pair,
        ] {
            let mut easy = embeddings(4, &device);
            easy.hardened = easy.images.clone().neg();
            let mut hard = easy.clone();
            hard.hardened = hard.images.clone();
            assert!(
                loss(hard, placement) > loss(easy, placement),
                "{placement:?}"
            );
        }
    }

    #[test]
    fn the_hardened_negative_is_ignored_when_absent() {
        let device = Device::default();
        let first = embeddings(4, &device);
        let mut second = first.clone();
        second.hardened = second.images.clone();
        let absent = HardNegativePlacement::Absent;
        assert_eq!(loss(first, absent), loss(second, absent));
    }

    #[test]
    fn one_study_has_a_finite_loss() {
        let device = Device::default();
        for placement in [
            HardNegativePlacement::DiagonalPenalty,
            HardNegativePlacement::Candidate,
            HardNegativePlacement::Pair,
            HardNegativePlacement::Absent,
        ] {
            assert!(loss(embeddings(1, &device), placement).is_finite());
        }
    }

    #[test]
    fn separation_is_the_mean_absolute_cosine() {
        let device = Device::default();
        let images = Tensor::<2>::from_data([[1.0, 0.0], [0.0, 1.0]], &device);
        let negatives = Tensor::<2>::from_data([[-1.0, 0.0], [1.0, 0.0]], &device);
        image_separation_loss(images, negatives)
            .into_data()
            .assert_approx_eq::<f32>(&[0.5].into(), Tolerance::absolute(1e-6));
    }
}
