use burn::tensor::Tensor;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;

use crate::precision;

/// Convolution of channels-last images by square filters, without bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Convolution {
    /// Steps from one window to the next, along both axes.
    pub stride: usize,
    /// Rows and columns of zeros around the image.
    pub padding: usize,
}

impl Convolution {
    /// `y[p, o] = Σ_{tap, c} w[o, c, tap] x[p · stride + tap − padding, c]`.
    ///
    /// On the CPU a pointwise convolution is one matrix product for the whole batch, a 3×3 one with
    /// stride 1 goes through Winograd's algorithm, any other through unfolded windows; the same for
    /// both gradients.
    ///
    /// # Shapes
    ///
    /// - input: `[batch, height, width, channels]`
    /// - weights: `[filters, channels, kernel, kernel]`
    /// - output: `[batch, height', width', filters]`
    ///
    /// # Panics
    ///
    /// If channels differ, filters are not square, or a filter is larger than the padded image.
    pub fn forward(&self, input: Tensor<4>, weights: Tensor<4>) -> Tensor<4> {
        if precision::rounds(&input) {
            let [input, weights] = [input, weights].map(precision::rounded);
            return precision::single(self.elsewhere(input, weights));
        }
        #[cfg(feature = "flex")]
        if crate::cpu::is_ours(&input) && crate::cpu::is_ours(&weights) {
            return fused::forward(*self, input, weights);
        }
        self.elsewhere(input, weights)
    }

    /// Returns the convolution's output and its input, `(y, x)`, for a shortcut that bypasses it.
    ///
    /// In the backward pass, the shortcut's gradient is added while the input's gradient is
    /// computed. Two separate uses of `x` would need another pass over memory for that sum.
    ///
    /// # Shapes
    ///
    /// As in [`forward`](Self::forward).
    ///
    /// # Panics
    ///
    /// As [`forward`](Self::forward); in the backward pass, if what is differentiated depends on the
    /// second result and not on the first.
    pub fn forward_beside(&self, input: Tensor<4>, weights: Tensor<4>) -> (Tensor<4>, Tensor<4>) {
        #[cfg(feature = "flex")]
        if !precision::rounds(&input)
            && crate::cpu::is_ours(&input)
            && crate::cpu::is_ours(&weights)
        {
            return fused::forward_beside(*self, input, weights);
        }
        (self.forward(input.clone(), weights), input)
    }

    /// Where the CPU's fused form does not serve.
    fn elsewhere(&self, input: Tensor<4>, weights: Tensor<4>) -> Tensor<4> {
        #[cfg(feature = "cube")]
        if crate::cube::is_ours(&input) && crate::cube::is_ours(&weights) {
            return products::forward(*self, input, weights);
        }
        self.composed(input, weights)
    }

    /// [`forward`](Self::forward) composed of Burn's public operations.
    fn composed(&self, input: Tensor<4>, weights: Tensor<4>) -> Tensor<4> {
        let options = ConvOptions::new([self.stride; 2], [self.padding; 2], [1, 1], 1);
        conv2d(input.permute([0, 3, 1, 2]), weights, None, options).permute([0, 2, 3, 1])
    }
}

#[cfg(feature = "flex")]
mod fused;
#[cfg(feature = "cube")]
mod products;
#[cfg(feature = "cube")]
mod windows_on_gpu;

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;
    use crate::agreement::assert_agree;

    fn check(
        [height, width]: [usize; 2],
        [channels, filters]: [usize; 2],
        kernel: usize,
        stride: usize,
    ) {
        let convolution = Convolution {
            stride,
            padding: kernel / 2,
        };
        let shaped = |x: &[Tensor<1>]| {
            (
                x[0].clone().reshape([2, height, width, channels]),
                x[1].clone().reshape([filters, channels, kernel, kernel]),
            )
        };
        assert_agree(
            &[
                2 * height * width * channels,
                filters * channels * kernel * kernel,
            ],
            &|x| {
                let (input, weights) = shaped(x);
                convolution.forward(input, weights).reshape([-1])
            },
            &|x| {
                let (input, weights) = shaped(x);
                convolution.composed(input, weights).reshape([-1])
            },
        );
    }

    #[test]
    fn a_pointwise_convolution_is_a_product() {
        check([5, 4], [3, 7], 1, 1);
    }

    #[test]
    fn windows_may_step_and_overlap() {
        check([7, 6], [3, 5], 3, 2);
        check([6, 7], [4, 3], 1, 2);
        check([9, 8], [3, 4], 7, 2);
    }

    #[test]
    fn filters_are_turned_whatever_their_number() {
        check([4, 5], [32, 48], 1, 2);
        check([5, 4], [17, 19], 3, 2);
        check([5, 4], [48, 7], 3, 2);
    }

    #[test]
    fn winograds_algorithm_is_the_convolution() {
        check([8, 10], [16, 32], 3, 1);
    }

    #[test]
    fn winograds_algorithm_takes_odd_maps() {
        check([7, 9], [32, 16], 3, 1);
    }

    #[test]
    fn few_channels_go_through_windows() {
        check([5, 5], [3, 4], 3, 1);
    }

    #[test]
    fn a_shortcuts_gradient_joins_that_of_the_convolution_beside_it() {
        for (kernel, stride, channels, filters) in [(1, 1, 5, 7), (1, 2, 3, 4), (3, 1, 16, 16)] {
            let (height, width) = (6, 8);
            let convolution = Convolution {
                stride,
                padding: kernel / 2,
            };
            let both = |x: &[Tensor<1>], is_ours: bool| {
                let input = x[0].clone().reshape([2, height, width, channels]);
                let weights = x[1].clone().reshape([filters, channels, kernel, kernel]);
                let (output, shortcut) = match is_ours {
                    true => convolution.forward_beside(input, weights),
                    false => (convolution.composed(input.clone(), weights), input),
                };
                let shortcut: Tensor<1> = shortcut.powi_scalar(2).reshape([-1]);
                Tensor::cat(vec![output.reshape([-1]), shortcut], 0)
            };
            assert_agree(
                &[
                    2 * height * width * channels,
                    filters * channels * kernel * kernel,
                ],
                &|x| both(x, true),
                &|x| both(x, false),
            );
        }
    }
}
