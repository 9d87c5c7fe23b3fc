use burn::config::Config;
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

/// Squared norm below which a vector is treated as zero.
const ZERO_SQUARED_NORM: f64 = 1e-24;

/// Configuration of [`AlignmentHeads`].
#[derive(Config, Debug, PartialEq)]
#[non_exhaustive]
pub struct AlignmentHeadsConfig {
    /// Width of a pooled image feature.
    pub image_width: usize,
    /// Width of a pooled report state.
    pub report_width: usize,
    /// Width of the shared space (512 as published).
    pub projection_width: usize,
}

/// Projection heads without bias onto one unit sphere: `unit(W_img · image)`, `unit(W_txt · report)`.
///
/// Training only: a generator writes reports without them.
#[derive(Module, Debug)]
pub struct AlignmentHeads {
    /// Projection head of the images, `W_img`.
    pub image: Linear,
    /// Projection head of the reports, `W_txt`.
    pub report: Linear,
}

impl AlignmentHeadsConfig {
    /// Creates both projection heads.
    pub fn init(&self, device: &Device) -> AlignmentHeads {
        let projection = |width| {
            LinearConfig::new(width, self.projection_width)
                .with_bias(false)
                .init(device)
        };
        AlignmentHeads {
            image: projection(self.image_width),
            report: projection(self.report_width),
        }
    }
}

impl AlignmentHeads {
    /// Image embeddings `z`.
    ///
    /// # Shapes
    ///
    /// - pooled: `[batch, image_width]`
    /// - output: `[batch, projection_width]`, rows of norm 1
    pub fn embed_images(&self, pooled: Tensor<2>) -> Tensor<2> {
        unit(self.image.forward(pooled))
    }

    /// Report embeddings `u`.
    ///
    /// # Shapes
    ///
    /// - pooled: `[batch, report_width]`, from [`Pooling::pool`](crate::Pooling::pool)
    /// - output: `[batch, projection_width]`, rows of norm 1
    pub fn embed_reports(&self, pooled: Tensor<2>) -> Tensor<2> {
        unit(self.report.forward(pooled))
    }
}

/// Rows scaled to norm 1; a zero row stays zero, with a finite gradient.
///
/// # Shapes
///
/// - input and output: `[batch, width]`
pub fn unit(rows: Tensor<2>) -> Tensor<2> {
    let squared = rows.clone().square().sum_dim(1);
    let zero = squared.clone().lower_elem(ZERO_SQUARED_NORM);
    rows / squared.mask_fill(zero, 1.0).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Tolerance;

    #[test]
    fn rows_have_norm_one_and_zero_stays_zero() {
        let device = Device::default();
        let rows = Tensor::<2>::from_data([[3.0, 4.0], [0.0, 0.0]], &device);
        unit(rows)
            .into_data()
            .assert_approx_eq::<f32>(&[[0.6, 0.8], [0.0, 0.0]].into(), Tolerance::absolute(1e-6));
    }

    #[test]
    fn a_zero_row_has_a_finite_gradient() {
        let device = Device::default().autodiff();
        let rows = Tensor::<2>::zeros([2, 3], &device).require_grad();
        let gradient = rows
            .grad(&unit(rows.clone()).sum().backward())
            .expect("the rows are tracked");
        assert!(gradient.into_data().iter::<f32>().all(f32::is_finite));
    }
}
