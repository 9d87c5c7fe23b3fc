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
        if crate::cpu::is_ours(&input) && crate::cpu::is_ours(&weights) {
            return fused::forward_beside(*self, input, weights);
        }
        (self.composed(input.clone(), weights), input)
    }

    /// [`forward`](Self::forward) composed of Burn's public operations.
    fn composed(&self, input: Tensor<4>, weights: Tensor<4>) -> Tensor<4> {
        let (stride, padding) = ([self.stride; 2], [self.padding; 2]);
        let options = ConvOptions::new(stride, padding, [1, 1], 1);
        conv2d(input.permute([0, 3, 1, 2]), weights, None, options).permute([0, 2, 3, 1])
    }
}

#[cfg(feature = "flex")]
mod fused {
    use std::sync::{Arc, Mutex, PoisonError};

    use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
    use burn::backend::autodiff::grads::Gradients;
    use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
    use burn::backend::flex::FlexTensor;
    use burn::backend::tensor::FloatTensor;
    use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};

    use rayon::prelude::*;

    use super::{Convolution, Tensor};
    use crate::cpu::{Contiguous, Kernel, dims, owned, tensor, vectorised};
    use crate::geometry::Geometry;
    use crate::{windows, winograd};

    #[backend_extension(Flex, Autodiff)]
    trait ConvolutionOps: Backend {
        fn convolve(
            input: FloatTensor<Self>,
            weights: FloatTensor<Self>,
            convolution: Convolution,
            shortcut: Option<ShortcutGradient>,
        ) -> FloatTensor<Self>;

        /// `input`, which also went into the convolution that gave `output`.
        fn beside(
            input: FloatTensor<Self>,
            output: FloatTensor<Self>,
            shortcut: ShortcutGradient,
        ) -> FloatTensor<Self>;
    }

    /// Holds a shortcut's gradient until the backward step of the convolution that it bypasses.
    #[derive(Debug, Clone, Default)]
    struct ShortcutGradient(Arc<Mutex<Option<FlexTensor>>>);

    impl ShortcutGradient {
        fn put(&self, gradient: FlexTensor) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(gradient);
        }

        fn take(&self) -> Option<FlexTensor> {
            let mut gradient = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            gradient.take()
        }
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
            None,
        ))
    }

    pub(super) fn forward_beside(
        convolution: Convolution,
        input: Tensor<4>,
        weights: Tensor<4>,
    ) -> (Tensor<4>, Tensor<4>) {
        let shortcut = ShortcutGradient::default();
        let (input, weights) = (input.into_dispatch(), weights.into_dispatch());
        let output = <Dispatch as ConvolutionOps>::convolve(
            input.clone(),
            weights,
            convolution,
            Some(shortcut.clone()),
        );
        let input = <Dispatch as ConvolutionOps>::beside(input, output.clone(), shortcut);
        (Tensor::from_dispatch(output), Tensor::from_dispatch(input))
    }

    impl ConvolutionOps for Flex {
        fn convolve(
            input: FlexTensor,
            weights: FlexTensor,
            convolution: Convolution,
            _shortcut: Option<ShortcutGradient>,
        ) -> FlexTensor {
            Pass::new(input, weights, convolution).output()
        }

        fn beside(input: FlexTensor, _output: FlexTensor, _: ShortcutGradient) -> FlexTensor {
            input
        }
    }

    impl<C: CheckpointStrategy> ConvolutionOps for Autodiff<Flex, C> {
        fn convolve(
            input: FloatTensor<Self>,
            weights: FloatTensor<Self>,
            convolution: Convolution,
            shortcut: Option<ShortcutGradient>,
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
                OpsKind::Tracked(prep) => prep.finish((pass, shortcut), output),
                OpsKind::UnTracked(prep) => prep.finish(output),
            }
        }

        /// Depends on the convolution's output for the order alone: its backward step comes first.
        fn beside(
            input: FloatTensor<Self>,
            output: FloatTensor<Self>,
            shortcut: ShortcutGradient,
        ) -> FloatTensor<Self> {
            let ((input, input_node), output_node) = (input.into_parts(), output.node());
            match Beside
                .prepare::<C>([input_node, output_node])
                .compute_bound()
                .stateful()
            {
                OpsKind::Tracked(prep) => prep.finish(shortcut, input),
                OpsKind::UnTracked(prep) => prep.finish(input),
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

        /// Adds the convolution's gradient of the input to the shortcut's.
        fn add_input_gradient(&self, gradient: &Contiguous, shortcut: FlexTensor) -> FlexTensor {
            let mut sum = owned(shortcut);
            let values = sum.storage_mut::<f32>();
            if self.geometry.is_pointwise() {
                let weights = Contiguous::new(self.weights.clone());
                let (gradient, weights) = (gradient.values(), weights.values());
                windows::add_pointwise_input_gradient(gradient, weights, &self.geometry, values);
            } else {
                let input = Contiguous::new(self.input_gradient(gradient));
                let parts = values.par_chunks_mut(CHUNK);
                parts
                    .zip(input.values().par_chunks(CHUNK))
                    .for_each(|(sum, added)| {
                        vectorised(Sum { sum, added });
                    });
            }
            sum
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
        type State = (Pass, Option<ShortcutGradient>);

        fn backward(
            self,
            ops: Ops<Self::State, 2>,
            gradients: &mut Gradients,
            _checkpointer: &mut Checkpointer,
        ) {
            let (pass, shortcut) = ops.state;
            let gradient = Contiguous::new(gradients.consume::<Flex>(&ops.node));
            let [input, weights] = ops.parents;
            if let Some(node) = input {
                let input = match shortcut.and_then(|shortcut| shortcut.take()) {
                    Some(shortcut) => pass.add_input_gradient(&gradient, shortcut),
                    None => pass.input_gradient(&gradient),
                };
                gradients.register::<Flex>(node.id, input);
            }
            if let Some(node) = weights {
                gradients.register::<Flex>(node.id, pass.weight_gradient(&gradient));
            }
        }
    }

    /// Backward step of the shortcut: stores its gradient, which the convolution's backward step
    /// then adds to the gradient of the input.
    #[derive(Debug)]
    struct Beside;

    impl Backward<Flex, 2> for Beside {
        type State = ShortcutGradient;

        fn backward(
            self,
            ops: Ops<ShortcutGradient, 2>,
            gradients: &mut Gradients,
            _checkpointer: &mut Checkpointer,
        ) {
            let gradient = gradients.consume::<Flex>(&ops.node);
            if let [Some(_), _] = ops.parents {
                ops.state.put(gradient);
            }
        }
    }

    /// Values that a thread adds at once.
    const CHUNK: usize = 1 << 14;

    struct Sum<'a> {
        sum: &'a mut [f32],
        added: &'a [f32],
    }

    impl Kernel for Sum<'_> {
        type Output = ();

        #[inline(always)]
        fn run(self) {
            for (sum, added) in self.sum.iter_mut().zip(self.added) {
                *sum += added;
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
