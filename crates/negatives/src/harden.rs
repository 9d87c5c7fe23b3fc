use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::ascent::{Around, AscentConfig, FeasibleSet, ascend};
use crate::norm::nonzero_norms;

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
    /// Between the negative and the true report. Applies to [`Projection::PerSample`] and to ascent
    /// on a line, since the mixed projection has no line of its own.
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

/// How the hardest negative is found.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum MaxStep {
    /// In closed form: the point nearest the image, which [`Projection`] describes.
    #[default]
    ClosedForm,
    /// By projected gradient ascent on the alignment loss itself, whatever that is. Gradients do not
    /// pass through what it finds: [`GradientFlow`] and [`Projection`] have no say.
    Ascent(AscentConfig),
}

/// How a negative is hardened; the default is what the method means.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct HardeningConfig {
    /// How the hardest negative is found.
    #[serde(default)]
    pub max_step: MaxStep,
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
            max_step: MaxStep::ClosedForm,
            projection: Projection::BatchMixed,
            gradient: GradientFlow::Through,
            range: HardeningRange::Line,
            norm: NegativeNorm::AsIs,
        }
    }

    /// Says which number is out of range, if one is.
    pub fn validate(&self) -> Result<(), String> {
        match self.max_step {
            MaxStep::ClosedForm => Ok(()),
            MaxStep::Ascent(config) => config.validate(),
        }
    }
}

/// `ũ = λ u⁻ + (1 − λ) p`, with `p` the hardest report on the line through `u⁻` and `u`: the point
/// nearest the image.
///
/// A negative equal to its report is left where it is. With [`MaxStep::Ascent`], nearness to the
/// image, `−‖z − ũ‖²`, is what ascent climbs; [`harden_against`] climbs any loss.
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
    let fixed = images.clone().inner();
    let nearness = |negatives: Tensor<2>| -(fixed.clone() - negatives).square().sum();
    harden_against(images, reports, negatives, lambda, config, nearness)
}

/// The same with the loss that the weights minimise, for the hardest negative to maximise.
///
/// `loss` takes hardened negatives, `[batch, width]`, and gives the loss of the batch, `[1]`; all
/// else in it is held fixed: give it tensors without autodiff (`inner`) or detached ones. The closed
/// form does not call it.
///
/// # Panics
///
/// If `lambda` lies outside `[0, 1]`.
pub fn harden_against(
    images: Tensor<2>,
    reports: Tensor<2>,
    negatives: Tensor<2>,
    lambda: f64,
    config: &HardeningConfig,
    loss: impl Fn(Tensor<2>) -> Tensor<1>,
) -> Tensor<2> {
    assert!(
        (0.0..=1.0).contains(&lambda),
        "lambda must lie in [0, 1], got {lambda}"
    );
    let hardened = match config.max_step {
        MaxStep::ClosedForm => closed_form(images, reports, negatives, lambda, config),
        MaxStep::Ascent(ascent) => climb(reports, negatives, lambda, ascent, config.range, loss),
    };
    match config.norm {
        NegativeNorm::AsIs => hardened,
        NegativeNorm::Unit => {
            let norms = nonzero_norms(hardened.clone());
            hardened / norms
        }
    }
}

fn closed_form(
    images: Tensor<2>,
    reports: Tensor<2>,
    negatives: Tensor<2>,
    lambda: f64,
    config: &HardeningConfig,
) -> Tensor<2> {
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
    negatives + step * (1.0 - lambda)
}

/// Ascends from the negatives; what comes back is as detached as they are tracked: on their device,
/// without a history.
fn climb(
    reports: Tensor<2>,
    negatives: Tensor<2>,
    lambda: f64,
    config: AscentConfig,
    range: HardeningRange,
    loss: impl Fn(Tensor<2>) -> Tensor<1>,
) -> Tensor<2> {
    let with_autodiff = negatives.is_autodiff();
    let (reports, negatives) = (reports.inner(), negatives.inner());
    let towards_report = reports - negatives.clone();
    let hardness = 1.0 - lambda;
    let hardened = match config.within {
        FeasibleSet::Ball { reach } => {
            let distances = towards_report.square().sum_dim(1).sqrt();
            let balls = Around::Balls(distances * (hardness * reach));
            ascend(negatives, &balls, &config, loss)
        }
        FeasibleSet::Line => {
            let bounded = range == HardeningRange::Segment;
            let lines = Around::Lines(towards_report, bounded);
            let hardest = ascend(negatives.clone(), &lines, &config, loss);
            negatives.clone() + (hardest - negatives) * hardness
        }
    };
    if with_autodiff {
        hardened.autodiff()
    } else {
        hardened
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
