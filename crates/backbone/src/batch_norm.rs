use burn::config::Config;
use burn::module::{Flag, Initializer, Module, Param, RunningState};
use burn::tensor::module::{batch_norm, batch_norm_train};
use burn::tensor::{Device, Tensor, assert_shape};
use ithn_kernels::{Activation, BatchNormTraining, scale_shift};

use crate::running::average;

/// Configuration of a [`BatchNorm`].
#[derive(Config, Debug, PartialEq)]
#[non_exhaustive]
pub struct BatchNormConfig {
    /// Channels to normalise.
    pub channels: usize,
    /// Added to the variance.
    #[config(default = 1e-5)]
    pub epsilon: f64,
    /// Weight of the newest batch in the running statistics, in `[0, 1]`.
    #[config(default = 0.1)]
    pub momentum: f64,
}

/// Batch normalisation of `[batch, channels, height, width]` with the running variance *unbiased*.
///
/// The batch itself is normalised by the biased variance, as everywhere; what inference later
/// reads is the running average of the unbiased one (`n / (n − 1)` larger), which is what
/// torchvision's checkpoints hold. The framework's own layer averages the biased variance.
#[derive(Module, Debug)]
pub struct BatchNorm {
    /// Scale, `[channels]`.
    pub gamma: Param<Tensor<1>>,
    /// Shift, `[channels]`.
    pub beta: Param<Tensor<1>>,
    /// Running mean, `[channels]`.
    pub running_mean: RunningState<Tensor<1>>,
    /// Running unbiased variance, `[channels]`.
    pub running_var: RunningState<Tensor<1>>,
    training: Param<Flag>,
    momentum: f64,
    epsilon: f64,
}

impl BatchNormConfig {
    /// Creates the layer with unit scale and variance, zero shift and mean.
    pub fn init(&self, device: &Device) -> BatchNorm {
        let shape = [self.channels];
        BatchNorm {
            gamma: Initializer::Ones.init(shape, device),
            beta: Initializer::Zeros.init(shape, device),
            running_mean: RunningState::new(Tensor::zeros(shape, device)),
            running_var: RunningState::new(Tensor::ones(shape, device)),
            training: Param::from_bool(true),
            momentum: self.momentum,
            epsilon: self.epsilon,
        }
    }
}

impl BatchNorm {
    /// Normalises by the batch's statistics on an autodiff device (unless frozen), by the running
    /// ones otherwise.
    ///
    /// # Shapes
    ///
    /// - input: `[batch, channels, height, width]`
    /// - output: the same
    pub fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let [channels] = self.gamma.dims();
        assert_shape!(input, [_, channels, _, _]);
        if self.uses_batch_statistics(&input) {
            self.forward_train(input)
        } else {
            batch_norm(
                input,
                self.gamma.val(),
                self.beta.val(),
                self.running_mean.value(),
                self.running_var.value(),
                self.epsilon,
            )
        }
    }

    /// The same in one pass for channels-last maps, with what follows the norm in a residual block:
    /// `f(norm(x) + shortcut)`. In training, each of several batches that lie one after the other is
    /// normalised by its own statistics, and they enter the running ones in turn.
    ///
    /// # Shapes
    ///
    /// - input, shortcut, output: `[batches · batch, height, width, channels]`
    pub(crate) fn forward_channels_last(
        &self,
        input: Tensor<4>,
        shortcut: Option<Tensor<4>>,
        activation: Activation,
        batches: usize,
    ) -> Tensor<4> {
        let (gamma, beta) = (self.gamma.val(), self.beta.val());
        if self.uses_batch_statistics(&input) {
            let [images, height, width, _] = input.dims();
            let norm = BatchNormTraining {
                epsilon: self.epsilon,
                batches,
                activation,
            };
            let normed = norm.forward(input, gamma, beta, shortcut);
            let positions = images / batches * height * width;
            let batch =
                |statistics: &Tensor<2>, index| statistics.clone().slice(index).squeeze_dim(0);
            for index in 0..batches as i32 {
                let (mean, variance) = (batch(&normed.mean, index), batch(&normed.variance, index));
                self.average(mean, variance, positions);
            }
            return normed.output;
        }
        let scale = gamma / (self.running_var.value() + self.epsilon).sqrt();
        let shift = beta - self.running_mean.value() * scale.clone();
        scale_shift(input, scale, shift, shortcut, activation)
    }

    fn uses_batch_statistics(&self, input: &Tensor<4>) -> bool {
        input.device().is_autodiff() && self.training.is_enabled()
    }

    fn forward_train(&self, input: Tensor<4>) -> Tensor<4> {
        let [batch, _, height, width] = input.dims();
        let normalised = batch_norm_train(input, self.gamma.val(), self.beta.val(), self.epsilon);
        self.average(normalised.mean, normalised.variance, batch * height * width);
        normalised.output
    }

    /// Takes the statistics of a batch of `values` per channel into the running ones.
    fn average(&self, mean: Tensor<1>, biased_variance: Tensor<1>, values: usize) {
        let values = values as f64;
        let unbiased = if values > 1.0 {
            values / (values - 1.0)
        } else {
            1.0
        };
        average(&self.running_mean, mean, self.momentum);
        average(&self.running_var, biased_variance * unbiased, self.momentum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Tolerance;

    #[test]
    fn the_running_variance_is_unbiased() {
        let device = Device::default().autodiff();
        let norm = BatchNormConfig::new(1).with_momentum(1.0).init(&device);
        let input = Tensor::<4>::from_data([[[[1.0, 2.0], [3.0, 6.0]]]], &device);
        norm.forward(input);
        // Mean 3; squared deviations 4 + 1 + 0 + 9 = 14, over n − 1 = 3.
        norm.running_var
            .value_sync()
            .into_data()
            .assert_approx_eq::<f32>(&[14.0 / 3.0].into(), Tolerance::absolute(1e-5));
    }

    #[test]
    fn inference_uses_the_running_statistics() {
        let device = Device::default();
        let norm = BatchNormConfig::new(2).init(&device);
        let input = Tensor::<4>::ones([1, 2, 3, 3], &device) * 5.0;
        norm.forward(input.clone())
            .into_data()
            .assert_approx_eq::<f32>(&input.into_data(), Tolerance::relative(1e-4));
    }
}
