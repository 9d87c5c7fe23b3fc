use burn::module::{Initializer, Module, Param};
use burn::nn::Linear;
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor, assert_shape};
use ithn_decoder::{standardise, xavier_linear};
use ithn_kernels::linear;

/// Initial bias of the official MLPs.
const BIAS: f64 = 0.1;

/// Memory-driven conditional layer norm (R2Gen, §3.3): the relational memory changes scale and shift
/// of the norm at every token.
///
/// `(γ + f_γ(m)) · (x − mean) / (std + ε) + (β + f_β(m))`, with `f` two-layer perceptrons and `m`
/// the joined slots; mean and deviation as in [`DeviationNorm`](ithn_decoder::DeviationNorm).
#[derive(Module, Debug)]
pub struct ConditionalNorm {
    /// Scale `γ`, `[d_model]`.
    pub scale: Param<Tensor<1>>,
    /// Shift `β`, `[d_model]`.
    pub shift: Param<Tensor<1>>,
    /// `f_γ`.
    pub scale_change: MemoryPerceptron,
    /// `f_β`.
    pub shift_change: MemoryPerceptron,
}

/// Two layers from joined slots to a change of the norm's scale or shift.
#[derive(Module, Debug)]
pub struct MemoryPerceptron {
    /// `slots · d_model` to `d_model`.
    pub inner: Linear,
    /// `d_model` to `d_model`.
    pub outer: Linear,
}

impl MemoryPerceptron {
    fn init(d_model: usize, slots: usize, device: &Device) -> Self {
        let layer = |width| {
            let mut linear = xavier_linear(width, d_model, device);
            linear.bias = Some(Initializer::Constant { value: BIAS }.init([d_model], device));
            linear
        };
        MemoryPerceptron {
            inner: layer(slots * d_model),
            outer: layer(d_model),
        }
    }

    fn forward(&self, memory: Tensor<3>) -> Tensor<3> {
        linear(&self.outer, relu(linear(&self.inner, memory)))
    }
}

impl ConditionalNorm {
    /// Unit scale, zero shift, Xavier-uniform perceptrons.
    pub fn init(d_model: usize, slots: usize, device: &Device) -> Self {
        ConditionalNorm {
            scale: Initializer::Ones.init([d_model], device),
            shift: Initializer::Zeros.init([d_model], device),
            scale_change: MemoryPerceptron::init(d_model, slots, device),
            shift_change: MemoryPerceptron::init(d_model, slots, device),
        }
    }

    /// # Shapes
    ///
    /// - input and output: `[batch, length, d_model]`
    /// - memory: `[batch, length, slots · d_model]`
    pub fn forward(&self, input: Tensor<3>, memory: Tensor<3>) -> Tensor<3> {
        let [batch, length, _] = input.dims();
        assert_shape!(memory, [batch, length, _]);
        let scale = self.scale_change.forward(memory.clone()) + self.scale.val().unsqueeze();
        let shift = self.shift_change.forward(memory) + self.shift.val().unsqueeze();
        standardise(input) * scale + shift
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Tolerance;
    use ithn_decoder::DeviationNorm;

    use ithn_generator::seeded::{seeded, values};

    #[test]
    fn perceptrons_of_zero_leave_the_plain_norm() {
        let device = Device::default();
        let mut norm = ConditionalNorm::init(4, 2, &device);
        for change in [&mut norm.scale_change, &mut norm.shift_change] {
            change.outer.weight = Initializer::Zeros.init([4, 4], &device);
            change.outer.bias = Some(Initializer::Zeros.init([4], &device));
        }
        let input = values([2, 3, 4], 1, &device);
        let plain = DeviationNorm::init(4, &device).forward(input.clone());
        norm.forward(input, values([2, 3, 8], 2, &device))
            .into_data()
            .assert_approx_eq::<f32>(&plain.into_data(), Tolerance::absolute(1e-6));
    }

    #[test]
    fn another_memory_is_another_norm() {
        let device = Device::default();
        let norm = seeded(ConditionalNorm::init(4, 2, &device), 1);
        let input = values([1, 1, 4], 2, &device);
        let with =
            |value: f32| norm.forward(input.clone(), Tensor::full([1, 1, 8], value, &device));
        let change: f32 = (with(1.0) - with(-1.0)).abs().max().into_scalar();
        assert!(change > 1e-3, "{change}");
    }
}
