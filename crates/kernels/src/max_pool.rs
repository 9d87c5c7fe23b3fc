use burn::tensor::Tensor;
use burn::tensor::module::max_pool2d;
use burn::tensor::ops::MaxPoolOptions;

/// Largest value of every window of channels-last images, channel by channel; padding never wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxPool {
    /// Side of the square window.
    pub kernel: usize,
    /// Steps from one window to the next, along both axes.
    pub stride: usize,
    /// Rows and columns of padding around the image, less than `kernel`.
    pub padding: usize,
}

impl MaxPool {
    /// The gradient goes to the first largest value of each window.
    ///
    /// # Shapes
    ///
    /// - input: `[batch, height, width, channels]`
    /// - output: `[batch, height', width', channels]`
    ///
    /// # Panics
    ///
    /// If the padding is not smaller than the window or the window larger than the padded image.
    pub fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        assert!(self.padding < self.kernel && self.stride > 0);
        #[cfg(feature = "flex")]
        if crate::cpu::is_ours(&input) {
            return fused::forward(*self, input);
        }
        self.composed(input)
    }

    /// [`forward`](Self::forward) composed of Burn's public operations.
    fn composed(&self, input: Tensor<4>) -> Tensor<4> {
        let options = MaxPoolOptions::new([self.kernel; 2])
            .with_stride([self.stride; 2])
            .with_padding([self.padding; 2]);
        let pooled = max_pool2d(input.permute([0, 3, 1, 2]), options);
        pooled.permute([0, 2, 3, 1])
    }
}

#[cfg(feature = "flex")]
mod fused {
    use std::sync::Arc;

    use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
    use burn::backend::autodiff::grads::Gradients;
    use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
    use burn::backend::flex::FlexTensor;
    use burn::backend::tensor::FloatTensor;
    use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
    use rayon::prelude::*;

    use super::{MaxPool, Tensor};
    use crate::buffers::made_in_chunks;
    use crate::cpu::{Contiguous, Kernel, dims, tensor, vectorised};
    use crate::geometry::Geometry;

    #[backend_extension(Flex, Autodiff)]
    trait MaxPoolOps: Backend {
        fn pool(input: FloatTensor<Self>, pool: MaxPool) -> FloatTensor<Self>;
    }

    pub(super) fn forward(pool: MaxPool, input: Tensor<4>) -> Tensor<4> {
        Tensor::from_dispatch(<Dispatch as MaxPoolOps>::pool(input.into_dispatch(), pool))
    }

    impl MaxPoolOps for Flex {
        fn pool(input: FlexTensor, pool: MaxPool) -> FlexTensor {
            Winners::find(input, pool).0
        }
    }

    impl<C: CheckpointStrategy> MaxPoolOps for Autodiff<Flex, C> {
        fn pool(input: FloatTensor<Self>, pool: MaxPool) -> FloatTensor<Self> {
            let (input, node) = input.into_parts();
            let (output, winners) = Winners::find(input, pool);
            match Gradient.prepare::<C>([node]).compute_bound().stateful() {
                OpsKind::Tracked(prep) => prep.finish(winners, output),
                OpsKind::UnTracked(prep) => prep.finish(output),
            }
        }
    }

    /// Which tap of its window each output value is.
    #[derive(Debug, Clone)]
    struct Winners {
        taps: Arc<Vec<u32>>,
        geometry: Geometry,
    }

    impl Winners {
        fn find(input: FlexTensor, pool: MaxPool) -> (FlexTensor, Self) {
            let shape = dims::<4>(&input);
            let [batch, _, _, channels] = shape;
            let MaxPool {
                kernel,
                stride,
                padding,
            } = pool;
            let weights = [channels, channels, kernel, kernel];
            let geometry = Geometry::new(shape, weights, stride, padding);
            let [height, width] = geometry.output;
            let input = Contiguous::new(input);
            let mut output = vec![f32::NEG_INFINITY; batch * geometry.positions() * channels];
            let mut taps = vec![0; output.len()];
            output
                .par_chunks_exact_mut(width * channels)
                .zip(taps.par_chunks_exact_mut(width * channels))
                .enumerate()
                .for_each(|(row, (output, taps))| {
                    let image = row / height * geometry.input_len();
                    let image = &input.values()[image..][..geometry.input_len()];
                    vectorised(PoolRow {
                        geometry: &geometry,
                        row: row % height,
                        image,
                        output,
                        taps,
                    });
                });
            let winners = Winners {
                taps: Arc::new(taps),
                geometry,
            };
            (tensor(output, [batch, height, width, channels]), winners)
        }

        fn input_gradient(&self, gradient: FlexTensor) -> FlexTensor {
            let geometry = &self.geometry;
            let channels = geometry.channels;
            let per_image = geometry.positions() * channels;
            let gradient = Contiguous::new(gradient);
            let (values, length) = (gradient.values(), geometry.input_len());
            let input = made_in_chunks(geometry.batch * length, length, |image, input| {
                let image = image * per_image..(image + 1) * per_image;
                let cells = values[image.clone()]
                    .chunks_exact(channels)
                    .zip(self.taps[image].chunks_exact(channels));
                let [_, width] = geometry.output;
                for (position, (gradient, taps)) in cells.enumerate() {
                    let (row, column) = (position / width, position % width);
                    for tap in 0..geometry.kernel * geometry.kernel {
                        let Some(source) = source(geometry, [row, column], tap) else {
                            continue;
                        };
                        let values = &mut input[source..][..channels];
                        for ((value, gradient), &winner) in
                            values.iter_mut().zip(gradient).zip(taps)
                        {
                            *value += if winner == tap as u32 { *gradient } else { 0.0 };
                        }
                    }
                }
            });
            let [height, width] = geometry.input;
            tensor(input, [geometry.batch, height, width, channels])
        }
    }

    /// Offset of the image cell that a tap of the window at an output position reads.
    #[inline(always)]
    fn source(geometry: &Geometry, [row, column]: [usize; 2], tap: usize) -> Option<usize> {
        let [height, width] = geometry.input;
        let y = geometry.source(row, tap / geometry.kernel, height)?;
        let x = geometry.source(column, tap % geometry.kernel, width)?;
        Some((y * width + x) * geometry.channels)
    }

    /// One row of windows of an image.
    struct PoolRow<'a> {
        geometry: &'a Geometry,
        row: usize,
        image: &'a [f32],
        output: &'a mut [f32],
        taps: &'a mut [u32],
    }

    impl Kernel for PoolRow<'_> {
        type Output = ();

        #[inline(always)]
        fn run(self) {
            let channels = self.geometry.channels;
            let cells = self
                .output
                .chunks_exact_mut(channels)
                .zip(self.taps.chunks_exact_mut(channels));
            for (column, (output, taps)) in cells.enumerate() {
                for tap in 0..self.geometry.kernel * self.geometry.kernel {
                    let Some(source) = source(self.geometry, [self.row, column], tap) else {
                        continue;
                    };
                    let values = &self.image[source..][..channels];
                    for ((best, winner), &value) in output.iter_mut().zip(&mut *taps).zip(values) {
                        let wins = value > *best || value.is_nan();
                        *best = if wins { value } else { *best };
                        *winner = if wins { tap as u32 } else { *winner };
                    }
                }
            }
        }
    }

    #[derive(Debug)]
    struct Gradient;

    impl Backward<Flex, 1> for Gradient {
        type State = Winners;

        fn backward(
            self,
            ops: Ops<Winners, 1>,
            gradients: &mut Gradients,
            _checkpointer: &mut Checkpointer,
        ) {
            let gradient = gradients.consume::<Flex>(&ops.node);
            let [input] = ops.parents;
            if let Some(node) = input {
                gradients.register::<Flex>(node.id, ops.state.input_gradient(gradient));
            }
        }
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;
    use crate::agreement::assert_agree;

    #[test]
    fn pooling_channels_last_is_pooling() {
        let pool = MaxPool {
            kernel: 3,
            stride: 2,
            padding: 1,
        };
        let shaped = |x: &[Tensor<1>]| x[0].clone().reshape([2, 7, 6, 5]);
        assert_agree(
            &[2 * 7 * 6 * 5],
            &|x| pool.forward(shaped(x)).reshape([-1]),
            &|x| pool.composed(shaped(x)).reshape([-1]),
        );
    }
}
