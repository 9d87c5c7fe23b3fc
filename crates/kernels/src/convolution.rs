use burn::tensor::Tensor;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;

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
        #[cfg(feature = "flex")]
        if crate::cpu::is_ours(&input) && crate::cpu::is_ours(&weights) {
            return fused::forward(*self, input, weights);
        }
        self.composed(input, weights)
    }

    /// The same from public operations.
    fn composed(&self, input: Tensor<4>, weights: Tensor<4>) -> Tensor<4> {
        let (stride, padding) = ([self.stride; 2], [self.padding; 2]);
        let options = ConvOptions::new(stride, padding, [1, 1], 1);
        conv2d(input.permute([0, 3, 1, 2]), weights, None, options).permute([0, 2, 3, 1])
    }
}

#[cfg(feature = "flex")]
mod fused {
    use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
    use burn::backend::autodiff::grads::Gradients;
    use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
    use burn::backend::flex::FlexTensor;
    use burn::backend::tensor::FloatTensor;
    use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};

    use super::{Convolution, Tensor};
    use crate::cpu::{Contiguous, dims, tensor};
    use crate::geometry::Geometry;
    use crate::{windows, winograd};

    #[backend_extension(Flex, Autodiff)]
    trait ConvolutionOps: Backend {
        fn convolve(
            input: FloatTensor<Self>,
            weights: FloatTensor<Self>,
            convolution: Convolution,
        ) -> FloatTensor<Self>;
    }

    pub(super) fn forward(
        convolution: Convolution,
        input: Tensor<4>,
        weights: Tensor<4>,
    ) -> Tensor<4> {
        Tensor::from_dispatch(<Dispatch as ConvolutionOps>::convolve(
            input.into_dispatch(),
            weights.into_dispatch(),
            convolution,
        ))
    }

    impl ConvolutionOps for Flex {
        fn convolve(
            input: FlexTensor,
            weights: FlexTensor,
            convolution: Convolution,
        ) -> FlexTensor {
            Pass::new(input, weights, convolution).output()
        }
    }

    impl<C: CheckpointStrategy> ConvolutionOps for Autodiff<Flex, C> {
        fn convolve(
            input: FloatTensor<Self>,
            weights: FloatTensor<Self>,
            convolution: Convolution,
        ) -> FloatTensor<Self> {
            let ((input, input_node), (weights, weight_node)) =
                (input.into_parts(), weights.into_parts());
            let pass = Pass::new(input, weights, convolution);
            let output = pass.output();
            match Gradient
                .prepare::<C>([input_node, weight_node])
                .compute_bound()
                .stateful()
            {
                OpsKind::Tracked(prep) => prep.finish(pass, output),
                OpsKind::UnTracked(prep) => prep.finish(output),
            }
        }
    }

    /// What went in.
    #[derive(Debug, Clone)]
    struct Pass {
        input: FlexTensor,
        weights: FlexTensor,
        geometry: Geometry,
    }

    impl Pass {
        fn new(input: FlexTensor, weights: FlexTensor, convolution: Convolution) -> Self {
            let Convolution { stride, padding } = convolution;
            Pass {
                geometry: Geometry::new(dims(&input), dims(&weights), stride, padding),
                input: input.to_contiguous(),
                weights: weights.to_contiguous(),
            }
        }

        fn output(&self) -> FlexTensor {
            let geometry = &self.geometry;
            let (input, weights) = (self.input.clone(), self.weights.clone());
            let (input, weights) = (Contiguous::new(input), Contiguous::new(weights));
            let forward = match winograd::suits(geometry) {
                true => winograd::forward,
                false => windows::forward,
            };
            let output = forward(input.values(), weights.values(), geometry);
            let [height, width] = geometry.output;
            tensor(output, [geometry.batch, height, width, geometry.filters])
        }

        fn input_gradient(&self, gradient: &Contiguous) -> FlexTensor {
            let geometry = &self.geometry;
            let weights = Contiguous::new(self.weights.clone());
            let backward = match winograd::suits(geometry) {
                true => winograd::input_gradient,
                false => windows::input_gradient,
            };
            let input = backward(gradient.values(), weights.values(), geometry);
            tensor(input, dims::<4>(&self.input))
        }

        fn weight_gradient(&self, gradient: &Contiguous) -> FlexTensor {
            let geometry = &self.geometry;
            let input = Contiguous::new(self.input.clone());
            let backward = match winograd::suits(geometry) {
                true => winograd::weight_gradient,
                false => windows::weight_gradient,
            };
            let weights = backward(input.values(), gradient.values(), geometry);
            tensor(weights, dims::<4>(&self.weights))
        }
    }

    #[derive(Debug)]
    struct Gradient;

    impl Backward<Flex, 2> for Gradient {
        type State = Pass;

        fn backward(
            self,
            ops: Ops<Pass, 2>,
            gradients: &mut Gradients,
            _checkpointer: &mut Checkpointer,
        ) {
            let pass = ops.state;
            let gradient = Contiguous::new(gradients.consume::<Flex>(&ops.node));
            let [input, weights] = ops.parents;
            if let Some(node) = input {
                gradients.register::<Flex>(node.id, pass.input_gradient(&gradient));
            }
            if let Some(node) = weights {
                gradients.register::<Flex>(node.id, pass.weight_gradient(&gradient));
            }
        }
    }
}

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
}
