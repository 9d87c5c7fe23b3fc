//! What kernels of GPUs share. They are written in CubeCL's language, which compiles to CUDA and WebGPU.

use burn::backend::{DispatchDevice, DispatchTensorKind, TensorMetadata};
use burn::tensor::{Device, Shape, Tensor};
use burn_cubecl::cubecl::prelude::{CubeCount, CubeDim};
use burn_cubecl::cubecl::{calculate_cube_count_elemwise, ir::ElemType};
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;

/// Whether a tensor lies on a device of CubeCL: a GPU through CUDA or WebGPU.
pub(crate) fn is_ours<const D: usize>(tensor: &Tensor<D>) -> bool {
    on_cube(&tensor.clone().into_dispatch().kind)
}

/// Whether a device is one of CubeCL.
pub(crate) fn is_device(device: &Device) -> bool {
    matches!(
        device.clone().inner().as_dispatch(),
        DispatchDevice::Cube(_)
    )
}

fn on_cube(kind: &DispatchTensorKind) -> bool {
    match kind {
        DispatchTensorKind::Cube(_) => true,
        DispatchTensorKind::Autodiff(inner) => on_cube(inner),
        #[allow(unreachable_patterns)] // when no other backend is built in
        _ => false,
    }
}

/// The largest divisor of `number` that is at most `most`.
pub(crate) fn divisor(number: usize, most: usize) -> usize {
    (1..=most.clamp(1, number.max(1)))
        .rev()
        .find(|divisor| number.is_multiple_of(*divisor))
        .unwrap_or(1)
}

/// How many of `length` values that lie side by side a thread reads at once.
pub(crate) fn vector_size(length: usize) -> usize {
    [4, 2]
        .into_iter()
        .find(|size| length.is_multiple_of(*size))
        .unwrap_or(1)
}

/// A new tensor beside another, its values yet to be written.
pub(crate) fn beside(tensor: &CubeTensor, shape: impl Into<Shape>) -> CubeTensor {
    let (client, device) = (tensor.client.clone(), tensor.device.clone());
    empty_device_contiguous_dtype(client, device, shape.into(), tensor.dtype)
}

/// Cubes for `units` threads that know nothing of one another.
pub(crate) fn threads(tensor: &CubeTensor, units: usize) -> (CubeCount, CubeDim) {
    let cube = CubeDim::new(&tensor.client, units);
    (
        calculate_cube_count_elemwise(&tensor.client, units, cube),
        cube,
    )
}

/// The type of a tensor's values as kernels name it.
pub(crate) fn elements(tensor: &CubeTensor) -> ElemType {
    burn::backend::cubecl::dtype_to_storage_type(tensor.dtype())
}

/// Kernels of GPUs against those of the CPU backend: `cargo test -p ithn-kernels --features wgpu cube`.
#[cfg(all(test, feature = "flex", feature = "wgpu"))]
mod tests {
    use burn::tensor::{Device, DeviceKind, Tensor, TensorData};

    use crate::agreement::normal;
    use crate::{Activation, BatchNormTraining, Convolution, TopKAttention};

    /// The values of an operation and its gradients, on a device.
    fn run<const N: usize>(
        inputs: &[Tensor<4>; N],
        device: Device,
        operation: impl Fn([Tensor<4>; N]) -> Tensor<4>,
    ) -> Vec<TensorData> {
        let inputs = inputs.clone().map(|input| {
            Tensor::<4>::from_data(input.into_data(), &device.clone().autodiff()).require_grad()
        });
        let output = operation(inputs.clone());
        // Another weight for every value, so that no two gradients can be swapped unseen.
        let count = output.dims().iter().product::<usize>();
        let weights: Vec<f32> = (0..count).map(|at| (at as f32 * 0.37).sin()).collect();
        let weights = TensorData::new(weights, output.dims());
        let weights = Tensor::<4>::from_data(weights, &device.autodiff());
        let gradients = (output.clone() * weights).sum().backward();
        let mut found = vec![output.inner().into_data()];
        for input in inputs {
            found.push(input.grad(&gradients).expect("required").into_data());
        }
        found
    }

    fn assert_agrees<const N: usize>(
        inputs: [Tensor<4>; N],
        operation: impl Fn([Tensor<4>; N]) -> Tensor<4>,
    ) {
        let gpu = Device::wgpu(DeviceKind::DefaultDevice);
        let expected = run(&inputs, Device::flex(), &operation);
        for (found, expected) in run(&inputs, gpu, &operation).iter().zip(&expected) {
            assert_eq!(found.shape(), expected.shape());
            let [found, expected] =
                [found, expected].map(|data| data.iter::<f64>().collect::<Vec<_>>());
            let largest = expected.iter().fold(1e-3, |most: f64, x| most.max(x.abs()));
            for (found, expected) in found.iter().zip(&expected) {
                let error = (found - expected).abs() / largest;
                assert!(error < 1e-4, "{found} for {expected}, at most {largest}");
            }
        }
    }

    #[test]
    fn convolutions_of_every_kind_in_a_residual_network() {
        let device = Device::flex();
        for (kernel, stride, padding) in [(1, 1, 0), (1, 2, 0), (3, 1, 1), (3, 2, 1), (7, 2, 3)] {
            let images = normal([2, 8, 10, 6], 1, &device);
            let filters = normal([5, 6, kernel, kernel], 2, &device);
            let convolution = Convolution { stride, padding };
            assert_agrees([images, filters], |[images, filters]| {
                convolution.forward(images, filters)
            });
        }
    }

    #[test]
    fn batch_norm_with_and_without_a_shortcut() {
        let device = Device::flex();
        let maps = || [1, 2].map(|seed| normal::<4>([4, 4, 5, 6], seed, &device));
        for (batches, activation) in [(1, Activation::Relu), (2, Activation::Identity)] {
            let norm = BatchNormTraining {
                epsilon: 1e-5,
                batches,
                activation,
            };
            let factors = [3, 4].map(|seed| normal::<4>([1, 1, 1, 6], seed, &device));
            let [input, shortcut] = maps();
            let [gamma, beta] = factors;
            assert_agrees(
                [input, gamma, beta, shortcut],
                |[input, gamma, beta, shortcut]| {
                    let [gamma, beta] = [gamma, beta].map(|factor| factor.reshape([6]));
                    norm.forward(input, gamma, beta, Some(shortcut)).output
                },
            );
            let [input, gamma] = maps();
            let gamma = gamma.narrow(0, 0, 1).narrow(1, 0, 1).narrow(2, 0, 1);
            assert_agrees([input, gamma], |[input, gamma]| {
                let gamma: Tensor<1> = gamma.reshape([6]);
                norm.forward(input, gamma.clone(), gamma, None).output
            });
        }
    }

    #[test]
    fn attention_to_the_best_rows() {
        let device = Device::flex();
        let tensor = |length, seed| normal::<4>([1, 1, length, 12], seed, &device);
        for (heads, top_k) in [(2, 4), (3, 1), (1, 9)] {
            let attention = TopKAttention {
                heads,
                top_k,
                dropout: 0.0,
            };
            let inputs = [tensor(7, 1), tensor(9, 2), tensor(9, 3)];
            assert_agrees(inputs, |inputs| {
                let [queries, keys, values] = inputs.map(|x| {
                    let [_, _, length, width] = x.dims();
                    x.reshape([length, width])
                });
                attention
                    .forward(queries, keys, values)
                    .reshape([1, 1, 7, 12])
            });
        }
    }

    #[test]
    fn dropout_of_attention_keeps_the_mean() {
        let gpu = Device::wgpu(DeviceKind::DefaultDevice).autodiff();
        let tensor = |length, seed| -> Tensor<2> {
            let values = normal::<2>([length, 12], seed, &Device::flex());
            Tensor::from_data(values.into_data(), &gpu)
        };
        let attention = TopKAttention {
            heads: 2,
            top_k: 5,
            dropout: 0.3,
        };
        let ones = Tensor::<2>::ones([9, 12], &gpu);
        let mean: f32 = attention
            .forward(tensor(400, 1), tensor(9, 2), ones)
            .mean()
            .into_scalar();
        assert!((1e-6..0.1).contains(&(mean - 1.0).abs()), "{mean}");
    }
}
