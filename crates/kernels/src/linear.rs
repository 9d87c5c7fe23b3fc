use burn::nn::Linear;
use burn::tensor::Tensor;

use crate::precision;

/// `x W + b` over the last axis, as [`Linear::forward`] computes it.
///
/// On the CPU the bias is where the product begins rather than a pass of its own, weights of a few
/// rows are read once in the order in which they lie, and the gradient of the bias is one pass.
///
/// # Shapes
///
/// - input: `[.., d_input]`
/// - output: `[.., d_output]`
///
/// # Panics
///
/// If the last axis is not `d_input` long.
pub fn linear<const D: usize>(layer: &Linear, input: Tensor<D>) -> Tensor<D> {
    if precision::rounds(&input) {
        return rounded(layer, input);
    }
    #[cfg(feature = "flex")]
    if let Some(bias) = &layer.bias {
        let (weight, bias) = (layer.weight.val(), bias.val());
        let [d_input, _] = weight.dims();
        let dims = input.dims();
        assert_eq!(
            dims[D - 1],
            d_input,
            "width of what a linear layer is given"
        );
        let ours = crate::cpu::is_ours(&input)
            && crate::cpu::is_ours(&weight)
            && crate::cpu::is_ours(&bias);
        if ours && dims.iter().product::<usize>() > 0 {
            return affine(input, weight, bias);
        }
    }
    layer.forward(input)
}

/// The form inside [`in_bfloat16`](crate::in_bfloat16).
fn rounded<const D: usize>(layer: &Linear, input: Tensor<D>) -> Tensor<D> {
    let weight = layer.weight.val();
    let [d_input, d_output] = weight.dims();
    let mut dims = input.dims();
    let rows = dims[..D - 1].iter().product();
    dims[D - 1] = d_output;
    let output = precision::product(input.reshape([rows, d_input]), weight);
    match &layer.bias {
        Some(bias) => output + bias.val().unsqueeze(),
        None => output,
    }
    .reshape(dims)
}

/// The fused form.
#[cfg(feature = "flex")]
fn affine<const D: usize>(input: Tensor<D>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<D> {
    let [d_input, d_output] = weight.dims();
    let mut dims = input.dims();
    let rows = dims[..D - 1].iter().product();
    dims[D - 1] = d_output;
    fused::forward(input.reshape([rows, d_input]), weight, bias).reshape(dims)
}

#[cfg(feature = "flex")]
mod fused {
    use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
    use burn::backend::autodiff::grads::Gradients;
    use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
    use burn::backend::flex::FlexTensor;
    use burn::backend::tensor::FloatTensor;
    use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
    use rayon::prelude::*;

    use super::Tensor;
    use crate::cpu::{Contiguous, Kernel, dims, tensor, vectorised};
    use crate::few_rows::{AddProduct, FEW};
    use crate::gemm::{Matrix, Target, Threads, multiply, product};
    use crate::lanes::Lanes;

    /// Weights of a few rows that are worth waking another thread for: one thread reads smaller
    /// matrices sooner than another has woken up.
    const SHARED: usize = 1 << 20;

    #[backend_extension(Flex, Autodiff)]
    trait LinearOps: Backend {
        fn affine(
            input: FloatTensor<Self>,
            weight: FloatTensor<Self>,
            bias: FloatTensor<Self>,
        ) -> FloatTensor<Self>;
    }

    pub(super) fn forward(input: Tensor<2>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<2> {
        Tensor::from_dispatch(<Dispatch as LinearOps>::affine(
            input.into_dispatch(),
            weight.into_dispatch(),
            bias.into_dispatch(),
        ))
    }

    impl LinearOps for Flex {
        fn affine(input: FlexTensor, weight: FlexTensor, bias: FlexTensor) -> FlexTensor {
            Pass::new(input, weight).output(bias)
        }
    }

    impl<C: CheckpointStrategy> LinearOps for Autodiff<Flex, C> {
        fn affine(
            input: FloatTensor<Self>,
            weight: FloatTensor<Self>,
            bias: FloatTensor<Self>,
        ) -> FloatTensor<Self> {
            let ((input, input_node), (weight, weight_node), (bias, bias_node)) =
                (input.into_parts(), weight.into_parts(), bias.into_parts());
            let pass = Pass::new(input, weight);
            let output = pass.output(bias);
            match Gradient
                .prepare::<C>([input_node, weight_node, bias_node])
                .compute_bound()
                .stateful()
            {
                OpsKind::Tracked(prep) => prep.finish(pass, output),
                OpsKind::UnTracked(prep) => prep.finish(output),
            }
        }
    }

    /// What went in, `[rows, d_input]` and `[d_input, d_output]`.
    #[derive(Debug, Clone)]
    struct Pass {
        input: FlexTensor,
        weight: FlexTensor,
    }

    impl Pass {
        fn new(input: FlexTensor, weight: FlexTensor) -> Self {
            Pass {
                input: input.to_contiguous(),
                weight: weight.to_contiguous(),
            }
        }

        fn output(&self, bias: FlexTensor) -> FlexTensor {
            let [rows, _] = dims(&self.input);
            let [d_input, d_output] = dims(&self.weight);
            let (input, weight, bias) = (
                Contiguous::new(self.input.clone()),
                Contiguous::new(self.weight.clone()),
                Contiguous::new(bias),
            );
            let (input, weight, bias) = (input.values(), weight.values(), bias.values());
            let output = if rows <= FEW {
                few(input, weight, bias)
            } else {
                let mut output = bias.repeat(rows);
                multiply(
                    Matrix::rows(input, [rows, d_input]),
                    Matrix::rows(weight, [d_input, d_output]),
                    &mut output,
                    d_output,
                    Target::Add,
                    Threads::All,
                );
                output
            };
            tensor(output, [rows, d_output])
        }

        /// Gradients of input, weight and bias, where wanted: `g Wᵀ`, `xᵀ g`, `Σ g`.
        fn gradients(&self, gradient: FlexTensor, wanted: [bool; 3]) -> [Option<FlexTensor>; 3] {
            let [rows, _] = dims(&self.input);
            let [d_input, d_output] = dims(&self.weight);
            let gradient = Contiguous::new(gradient);
            let by_output = Matrix::rows(gradient.values(), [rows, d_output]);
            let input = || {
                let weight = Contiguous::new(self.weight.clone());
                let weight = Matrix::rows(weight.values(), [d_input, d_output]);
                let input = product(by_output, weight.transposed(), Threads::All);
                tensor(input, [rows, d_input])
            };
            let weight = || {
                let input = Contiguous::new(self.input.clone());
                let input = Matrix::rows(input.values(), [rows, d_input]);
                let weight = product(input.transposed(), by_output, Threads::All);
                tensor(weight, [d_input, d_output])
            };
            let bias = || tensor(sum_of_rows(gradient.values(), d_output), [d_output]);
            [
                wanted[0].then(input),
                wanted[1].then(weight),
                wanted[2].then(bias),
            ]
        }
    }

    /// `x W + b` of a few rows.
    fn few(input: &[f32], weight: &[f32], bias: &[f32]) -> Vec<f32> {
        let d_output = bias.len();
        let rows = input.len() / (weight.len() / d_output);
        let threads = if weight.len() < SHARED {
            1
        } else {
            rayon::current_num_threads()
        };
        let share = d_output.div_ceil(threads).next_multiple_of(Lanes::COUNT);
        if share >= d_output {
            return columns(input, weight, d_output, 0, bias);
        }
        let parts: Vec<Vec<f32>> = bias
            .par_chunks(share)
            .enumerate()
            .map(|(part, bias)| columns(input, weight, d_output, part * share, bias))
            .collect();
        let mut output = Vec::with_capacity(rows * d_output);
        for row in 0..rows {
            for part in &parts {
                let length = part.len() / rows;
                output.extend_from_slice(&part[row * length..][..length]);
            }
        }
        output
    }

    /// The columns of `input · weight` from `first` on, as many as `bias` has.
    fn columns(
        input: &[f32],
        weight: &[f32],
        d_output: usize,
        first: usize,
        bias: &[f32],
    ) -> Vec<f32> {
        let d_input = weight.len() / d_output;
        let rows = input.len() / d_input;
        let mut sums = bias.repeat(rows);
        vectorised(AddProduct {
            input: Matrix::rows(input, [rows, d_input]),
            weight: Matrix::strided(&weight[first..], [d_input, bias.len()], d_output),
            sums: &mut sums,
        });
        sums
    }

    /// Adds rows of as many values as there are sums.
    struct SumRows<'a> {
        rows: &'a [f32],
        sums: &'a mut [f32],
    }

    impl Kernel for SumRows<'_> {
        type Output = ();

        #[inline(always)]
        fn run(self) {
            for row in self.rows.chunks_exact(self.sums.len()) {
                for (sum, value) in self.sums.iter_mut().zip(row) {
                    *sum += value;
                }
            }
        }
    }

    fn sum_of_rows(rows: &[f32], columns: usize) -> Vec<f32> {
        let mut sums = vec![0.0; columns];
        vectorised(SumRows {
            rows,
            sums: &mut sums,
        });
        sums
    }

    #[derive(Debug)]
    struct Gradient;

    impl Backward<Flex, 3> for Gradient {
        type State = Pass;

        fn backward(
            self,
            ops: Ops<Pass, 3>,
            gradients: &mut Gradients,
            _checkpointer: &mut Checkpointer,
        ) {
            let gradient = gradients.consume::<Flex>(&ops.node);
            let wanted = ops.parents.each_ref().map(Option::is_some);
            let found = ops.state.gradients(gradient, wanted);
            for (parent, gradient) in ops.parents.into_iter().zip(found) {
                if let Some((node, gradient)) = parent.zip(gradient) {
                    gradients.register::<Flex>(node.id, gradient);
                }
            }
        }
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;
    use crate::agreement::assert_agree;
    use burn::nn::LinearConfig;
    use burn::tensor::Device;
    use burn::tensor::module;

    fn check(rows: usize, d_input: usize, d_output: usize) {
        let shaped = |x: &[Tensor<1>]| {
            (
                x[0].clone().reshape([1, rows, d_input]),
                x[1].clone().reshape([d_input, d_output]),
                x[2].clone(),
            )
        };
        assert_agree(
            &[rows * d_input, d_input * d_output, d_output],
            &|x| {
                let (input, weight, bias) = shaped(x);
                affine::<3>(input, weight, bias).reshape([-1])
            },
            &|x| {
                let (input, weight, bias) = shaped(x);
                module::linear::<3>(input, weight, Some(bias)).reshape([-1])
            },
        );
    }

    #[test]
    fn many_rows_are_a_product_onto_the_bias() {
        check(9, 5, 7);
    }

    #[test]
    fn few_rows_are_sums_of_weights() {
        check(3, 19, 37);
        check(1, 8, 16);
        check(8, 3, 5);
    }

    #[test]
    fn threads_take_columns_apart() {
        check(1, 2048, 528);
    }

    #[test]
    #[should_panic(expected = "width of what a linear layer is given")]
    fn another_width_is_refused() {
        let device = Device::flex();
        let layer = LinearConfig::new(4, 2).init(&device);
        linear(&layer, Tensor::<2>::zeros([3, 5], &device));
    }
}
