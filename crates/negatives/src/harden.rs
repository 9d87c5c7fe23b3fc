use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// Squared distance under which a negative counts as equal to the report.
const ZERO_SQUARED_DISTANCE: f64 = 1e-24;

/// Which projection of the image onto the line of negative and report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Projection {
    /// `p_i = u⁻_i + ((v_i·d_i)/‖d_i‖²) d_i`: what the method means.
    #[default]
    PerSample,
    /// `p_i = u⁻_i + Σ_j (v_i·d_j) d_j/‖d_j‖`: what the release computes. It mixes the samples of a
    /// batch and misses one division by `‖d_j‖`; kept to reproduce its curves.
    BatchMixed,
}

/// Whether gradients pass through the hardened negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GradientFlow {
    /// No: the negative is the auxiliary variable of the min-max problem, fixed while the weights
    /// learn.
    #[default]
    Detached,
    /// Yes, as released: the weights can also soften the negative.
    Through,
}

/// How far along the line a hardened negative may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HardeningRange {
    /// Anywhere, as released: it can pass the true report.
    #[default]
    Line,
    /// Between the negative and the true report. Applies to [`Projection::PerSample`] alone, since
    /// the mixed projection has no line of its own.
    Segment,
}

/// Norm of the hardened negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NegativeNorm {
    /// As it comes out, as released.
    #[default]
    AsIs,
    /// Back on the unit sphere, where the embeddings live.
    Unit,
}

/// How a negative is hardened; the default is what the method means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HardeningConfig {
    /// Which projection.
    pub projection: Projection,
    /// Whether gradients pass through it.
    pub gradient: GradientFlow,
    /// How far it may go.
    pub range: HardeningRange,
    /// Its norm.
    pub norm: NegativeNorm,
}

impl HardeningConfig {
    /// What the release computes: mixed projection, gradients through it, no bounds.
    pub fn released() -> Self {
        HardeningConfig {
            projection: Projection::BatchMixed,
            gradient: GradientFlow::Through,
            range: HardeningRange::Line,
            norm: NegativeNorm::AsIs,
        }
    }
}

/// `ũ = λ u⁻ + (1 − λ) p`, with `p` the hardest report on the line through `u⁻` and `u`: the point
/// nearest the image.
///
/// A negative equal to its report is left where it is.
///
/// # Shapes
///
/// - images, reports, negatives: `[batch, width]`, unit embeddings `z`, `u`, `u⁻`
/// - lambda: in `[0, 1]`; 1 leaves the negative alone
/// - output: `[batch, width]`
///
/// # Panics
///
/// If `lambda` lies outside `[0, 1]`.
pub fn harden(
    images: Tensor<2>,
    reports: Tensor<2>,
    negatives: Tensor<2>,
    lambda: f64,
    config: &HardeningConfig,
) -> Tensor<2> {
    assert!(
        (0.0..=1.0).contains(&lambda),
        "lambda must lie in [0, 1], got {lambda}"
    );
    let (images, reports, negatives) = match config.gradient {
        GradientFlow::Through => (images, reports, negatives),
        GradientFlow::Detached => (images.detach(), reports.detach(), negatives.detach()),
    };
    let towards_image = images - negatives.clone();
    let towards_report = reports - negatives.clone();
    let step = match config.projection {
        Projection::PerSample => per_sample(towards_image, towards_report, config.range),
        Projection::BatchMixed => batch_mixed(towards_image, towards_report),
    };
    let hardened = negatives + step * (1.0 - lambda);
    match config.norm {
        NegativeNorm::AsIs => hardened,
        NegativeNorm::Unit => {
            let norms = nonzero_norms(hardened.clone());
            hardened / norms
        }
    }
}

/// `((v_i·d_i)/‖d_i‖²) d_i`.
fn per_sample(
    towards_image: Tensor<2>,
    towards_report: Tensor<2>,
    range: HardeningRange,
) -> Tensor<2> {
    let squared = nonzero_norms(towards_report.clone()).square();
    let along = (towards_image * towards_report.clone()).sum_dim(1) / squared;
    let along = match range {
        HardeningRange::Line => along,
        HardeningRange::Segment => along.clamp(0.0, 1.0),
    };
    towards_report * along
}

/// `Σ_j (v_i·d_j) d_j/‖d_j‖`.
fn batch_mixed(towards_image: Tensor<2>, towards_report: Tensor<2>) -> Tensor<2> {
    let directions = towards_report.clone() / nonzero_norms(towards_report.clone());
    towards_image
        .matmul(towards_report.transpose())
        .matmul(directions)
}

/// Row norms `[batch, 1]`, 1 where a row is zero.
fn nonzero_norms(rows: Tensor<2>) -> Tensor<2> {
    let squared = rows.square().sum_dim(1);
    let zero = squared.clone().lower_elem(ZERO_SQUARED_DISTANCE);
    squared.mask_fill(zero, 1.0).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Distribution, Tolerance};

    fn batch(device: &Device) -> [Tensor<2>; 3] {
        [(); 3].map(|()| Tensor::random([4, 6], Distribution::Normal(0.0, 1.0), device))
    }

    #[test]
    fn lambda_one_leaves_the_negative_alone() {
        let device = Device::default();
        for config in [HardeningConfig::default(), HardeningConfig::released()] {
            let [z, u, n] = batch(&device);
            harden(z, u, n.clone(), 1.0, &config)
                .into_data()
                .assert_approx_eq::<f32>(&n.into_data(), Tolerance::absolute(1e-6));
        }
    }

    #[test]
    fn the_hardest_point_of_the_line_is_nearest_the_image() {
        let device = Device::default();
        let [z, u, n] = batch(&device);
        let hardest = harden(
            z.clone(),
            u.clone(),
            n.clone(),
            0.0,
            &HardeningConfig::default(),
        );
        let nearest = (z.clone() - hardest).square().sum_dim(1);
        for along in [-1.0, -0.1, 0.0, 0.3, 0.5, 1.0, 2.0] {
            let other = n.clone() + (u.clone() - n.clone()) * along;
            let distance = (z.clone() - other).square().sum_dim(1);
            let worst: f32 = (distance - nearest.clone()).min().into_scalar();
            assert!(worst >= -1e-5, "closer at {along}: {worst}");
        }
    }

    #[test]
    fn one_study_with_unit_distance_makes_both_projections_equal() {
        let device = Device::default();
        let z = Tensor::<2>::from_data([[0.3, 0.9]], &device);
        let u = Tensor::<2>::from_data([[1.0, 0.0]], &device);
        let n = Tensor::<2>::zeros([1, 2], &device);
        let hardened = |config| harden(z.clone(), u.clone(), n.clone(), 0.25, &config);
        hardened(HardeningConfig::default())
            .into_data()
            .assert_approx_eq::<f32>(
                &hardened(HardeningConfig::released()).into_data(),
                Tolerance::absolute(1e-6),
            );
    }

    #[test]
    fn a_negative_equal_to_its_report_stays_with_finite_gradients() {
        let device = Device::default().autodiff();
        for projection in [Projection::PerSample, Projection::BatchMixed] {
            let config = HardeningConfig {
                projection,
                ..HardeningConfig::released()
            };
            let z = Tensor::<2>::ones([2, 3], &device).require_grad();
            let u = Tensor::<2>::ones([2, 3], &device)
                .mul_scalar(0.5)
                .require_grad();
            let hardened = harden(z.clone(), u.clone(), u.clone(), 0.0, &config);
            hardened
                .clone()
                .into_data()
                .assert_approx_eq::<f32>(&u.clone().into_data(), Tolerance::absolute(1e-6));
            let gradients = hardened.sum().backward();
            let gradient = u.grad(&gradients).expect("the report is tracked");
            assert!(gradient.into_data().iter::<f32>().all(f32::is_finite));
        }
    }

    #[test]
    fn the_segment_stops_at_the_report() {
        let device = Device::default();
        let z = Tensor::<2>::from_data([[5.0, 1.0]], &device);
        let u = Tensor::<2>::from_data([[1.0, 0.0]], &device);
        let n = Tensor::<2>::zeros([1, 2], &device);
        let config = HardeningConfig {
            range: HardeningRange::Segment,
            ..HardeningConfig::default()
        };
        harden(z, u.clone(), n, 0.0, &config)
            .into_data()
            .assert_approx_eq::<f32>(&u.into_data(), Tolerance::absolute(1e-6));
    }

    #[test]
    fn detached_negatives_pass_no_gradient() {
        let device = Device::default().autodiff();
        let [z, u, n] = batch(&device).map(Tensor::require_grad);
        let weight = z.clone().sum();
        let hardened = harden(z, u.clone(), n, 0.5, &HardeningConfig::default());
        let gradients = (hardened.sum() * weight).backward();
        assert!(u.grad(&gradients).is_none());
    }
}
