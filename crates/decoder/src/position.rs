use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig};
use burn::tensor::{DType, Device, Tensor, TensorData};

/// Adds sinusoidal positional encodings (Vaswani et al., 2017), then dropout.
///
/// Channels `2i` and `2i + 1` of position `p` are `sin(p · 10000^(−2i/d))` and
/// `cos(p · 10000^(−2i/d))`.
#[derive(Module, Debug)]
pub struct SinusoidalPosition {
    d_model: usize,
    dropout: Dropout,
}

impl SinusoidalPosition {
    /// Encodings of width `d_model`, followed by dropout in [0, 1).
    ///
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

    /// Encodings of the positions `first .. first + length`, `[length, d_model]`, on the device and
    /// in the precision of the input.
    fn table(&self, first: usize, length: usize, options: (&Device, DType)) -> Tensor<2> {
        let step = -(10_000f32.ln()) / self.d_model as f32;
        let mut values = Vec::with_capacity(length * self.d_model);
        for position in first..first + length {
            for channel in (0..self.d_model).step_by(2) {
                let angle = position as f32 * (channel as f32 * step).exp();
                values.push(angle.sin());
                values.push(angle.cos());
            }
        }
        Tensor::from_data(TensorData::new(values, [length, self.d_model]), options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Tolerance;

    #[test]
    fn encodings_are_the_formula() {
        let position = SinusoidalPosition::init(6, 0.0);
        let zeros = Tensor::<3>::zeros([1, 5, 6], &Device::default());
        let encodings = position.forward(zeros, 2).into_data();
        for (index, got) in encodings.iter::<f64>().enumerate() {
            let (position, channel) = (2 + index / 6, index % 6);
            let exponent = -((channel / 2 * 2) as f64) / 6.0;
            let angle = position as f64 * 10_000_f64.powf(exponent);
            let expected = [angle.sin(), angle.cos()][channel % 2];
            assert!((got - expected).abs() < 1e-5, "{index}: {got} {expected}");
        }
    }

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
