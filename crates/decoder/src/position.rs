use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig};
use burn::tensor::{DType, Device, Tensor, TensorData};

/// Adds sinusoidal positions (Vaswani et al., 2017), then dropout.
///
/// Position `p` of channel pair `i` is `sin(p · 10000^(−2i/d))`, `cos(p · 10000^(−2i/d))`.
#[derive(Module, Debug)]
pub struct SinusoidalPosition {
    d_model: usize,
    dropout: Dropout,
}

impl SinusoidalPosition {
    /// # Panics
    ///
    /// If `d_model` is odd.
    pub fn init(d_model: usize, dropout: f64) -> Self {
        assert!(
            d_model.is_multiple_of(2),
            "d_model ({d_model}) must be even"
        );
        SinusoidalPosition {
            d_model,
            dropout: DropoutConfig::new(dropout).init(),
        }
    }

    /// Adds the positions `first .. first + length`.
    ///
    /// # Shapes
    ///
    /// - input and output: `[batch, length, d_model]`
    pub fn forward(&self, input: Tensor<3>, first: usize) -> Tensor<3> {
        let [_, length, _] = input.dims();
        let table = self.table(first, length, (&input.device(), input.dtype()));
        self.dropout.forward(input + table.unsqueeze())
    }

    /// The positions `first .. first + length`, `[length, d_model]`, in the numbers of what they
    /// are added to.
    fn table(&self, first: usize, length: usize, numbers: (&Device, DType)) -> Tensor<2> {
        let step = -(10_000f32.ln()) / self.d_model as f32;
        let mut values = Vec::with_capacity(length * self.d_model);
        for position in first..first + length {
            for channel in (0..self.d_model).step_by(2) {
                let angle = position as f32 * (channel as f32 * step).exp();
                values.push(angle.sin());
                values.push(angle.cos());
            }
        }
        Tensor::from_data(TensorData::new(values, [length, self.d_model]), numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Tolerance;

    #[test]
    fn a_later_start_continues_the_sequence() {
        let device = Device::default();
        let position = SinusoidalPosition::init(8, 0.0);
        let zeros = Tensor::<3>::zeros([1, 6, 8], &device);
        let whole = position.forward(zeros.clone(), 0).narrow(1, 4, 2);
        let tail = position.forward(zeros.narrow(1, 0, 2), 4);
        whole
            .into_data()
            .assert_approx_eq::<f32>(&tail.into_data(), Tolerance::absolute(1e-7));
    }
}
