use burn::module::{Initializer, Module, Param};
use burn::tensor::{Device, Tensor};

/// Added to the standard deviation, not to the variance.
const EPSILON: f64 = 1e-6;

/// Keeps the square root's gradient finite on constant rows. Far below any variance of interest.
const TINY_VARIANCE: f64 = 1e-20;

/// `a · (x − mean) / (std + ε) + b` over the last axis, with the *unbiased* standard deviation.
///
/// This is the norm of the Annotated Transformer, which R2GenCMN inherited. It differs from layer
/// norm, whose variance is biased and whose ε is under the root; hence its own name.
#[derive(Module, Debug)]
pub struct DeviationNorm {
    /// Scale `a`, `[d_model]`.
    pub scale: Param<Tensor<1>>,
    /// Shift `b`, `[d_model]`.
    pub shift: Param<Tensor<1>>,
}

impl DeviationNorm {
    /// Creates the norm with unit scale and zero shift.
    pub fn init(d_model: usize, device: &Device) -> Self {
        DeviationNorm {
            scale: Initializer::Ones.init([d_model], device),
            shift: Initializer::Zeros.init([d_model], device),
        }
    }

    /// Normalises every position.
    ///
    /// # Shapes
    ///
    /// - input and output: `[batch, length, d_model]`, `d_model` at least 2
    pub fn forward(&self, input: Tensor<3>) -> Tensor<3> {
        standardise(input) * self.scale.val().unsqueeze() + self.shift.val().unsqueeze()
    }
}

/// `(x − mean) / (std + ε)` over the last axis, with the unbiased standard deviation.
///
/// # Shapes
///
/// - input and output: `[batch, length, d_model]`, `d_model` at least 2
pub fn standardise(input: Tensor<3>) -> Tensor<3> {
    let [_, _, d_model] = input.dims();
    let centred = input.clone() - input.mean_dim(2);
    let variance = centred.clone().square().sum_dim(2) / (d_model - 1) as f64;
    let deviation = (variance + TINY_VARIANCE).sqrt() + EPSILON;
    centred / deviation
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Tolerance;

    #[test]
    fn the_deviation_is_unbiased() {
        let device = Device::default();
        let norm = DeviationNorm::init(3, &device);
        let input = Tensor::<3>::from_data([[[1.0, 2.0, 3.0]]], &device);
        // Mean 2, unbiased deviation 1.
        norm.forward(input)
            .into_data()
            .assert_approx_eq::<f32>(&[[[-1.0, 0.0, 1.0]]].into(), Tolerance::absolute(1e-5));
    }

    #[test]
    fn a_constant_row_has_a_finite_gradient() {
        let device = Device::default().autodiff();
        let norm = DeviationNorm::init(4, &device);
        let input = Tensor::<3>::ones([1, 1, 4], &device).require_grad();
        let output = norm.forward(input.clone()).square().sum();
        let gradient = input
            .grad(&output.backward())
            .expect("the input is tracked");
        assert!(gradient.into_data().iter::<f32>().all(f32::is_finite));
    }
}
