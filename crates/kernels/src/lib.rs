//! Fused operations with hand-written gradients.
//!
//! These are the operations in which generators spend most time, with as few passes over memory as
//! possible. Every operation works on any Burn device. The fused version runs for single precision
//! on the CPU backend `flex` (cargo feature `flex`). GPUs (features `cuda` and `wgpu`) have forms of their
//! own for convolution, batch normalisation and top-k attention. Everywhere else Burn's public operations
//! run. Tests assert that all agree, gradients included.
//!
//! | operation | fused into one |
//! |---|---|
//! | [`TopKAttention`] | scores, selection, softmax, dropout, weighted sum; a gradient that touches kept rows alone |
//! | [`Convolution`] | channels-last: pointwise as one product, 3×3 by Winograd's algorithm |
//! | [`linear`] | the bias into the product; a few rows without packing |
//! | [`self_attention`] | queries, keys and values read where one projection wrote them; softmax; padding skipped |
//! | [`gelu`] | the error function by a rational approximation, in place |
//! | [`MaxPool`] | channels-last windows, all channels at once |
//! | [`select_append`] | rows that change places and grow, one copy |
//! | [`AmsGradStep`] | moments, penalty and weight in one pass, in place |
//! | [`BatchNormTraining`], [`scale_shift`] | statistics, normalisation, shortcut, ReLU |
//!
//! ```
//! use burn::tensor::{Device, Distribution, Tensor};
//! use ithn_kernels::Convolution;
//!
//! let device = Device::default();
//! let images = Tensor::<4>::random([2, 8, 8, 16], Distribution::Default, &device);
//! let filters = Tensor::<4>::random([32, 16, 3, 3], Distribution::Default, &device);
//! let maps = Convolution { stride: 1, padding: 1 }.forward(images, filters);
//! assert_eq!(maps.dims(), [2, 8, 8, 32]);
//! ```

#[cfg(all(test, feature = "flex"))]
mod agreement;
mod amsgrad;
mod batch_norm;
#[cfg(feature = "flex")]
mod buffers;
#[cfg(feature = "flex")]
mod channel_rows;
mod convolution;
#[cfg(feature = "flex")]
mod cpu;
#[cfg(feature = "cube")]
mod cube;
#[cfg(feature = "flex")]
mod few_rows;
mod freed_memory;
mod gelu;
#[cfg(feature = "flex")]
mod gemm;
#[cfg(feature = "flex")]
mod geometry;
#[cfg(feature = "flex")]
mod lanes;
mod linear;
mod max_pool;
mod precision;
mod scale_shift;
mod select_append;
mod self_attention;
#[cfg(feature = "flex")]
mod top_k;
mod top_k_attention;
#[cfg(feature = "flex")]
mod windows;
#[cfg(feature = "flex")]
mod winograd;
mod worker;

pub use amsgrad::{AmsGradStep, AmsGradWeight};
pub use batch_norm::{BatchNormOutput, BatchNormTraining};
pub use convolution::Convolution;
pub use freed_memory::keep_freed_memory;
pub use gelu::gelu;
pub use linear::linear;
pub use max_pool::MaxPool;
pub use precision::{in_bfloat16, product};
pub use scale_shift::{Activation, scale_shift};
pub use select_append::select_append;
pub use self_attention::{padding_mask, self_attention};
pub use top_k_attention::{TopKAttention, laid_by_column};
pub use worker::{join_workers, join_workers_of, on_worker};

use burn::tensor::{Device, Tensor};

/// Whether the fused operations take this tensor; if not, they are made of public ones.
pub fn is_fused<const D: usize>(tensor: &Tensor<D>) -> bool {
    #[cfg(feature = "flex")]
    return cpu::is_ours(tensor);
    #[cfg(not(feature = "flex"))]
    {
        let _ = tensor;
        false
    }
}

/// Whether maps are best laid out channels-last, `[batch, height, width, channels]`, as
/// [`Convolution`] and [`BatchNormTraining`] take them: on the CPU backend and on GPUs.
pub fn prefers_channels_last<const D: usize>(tensor: &Tensor<D>) -> bool {
    #[cfg(feature = "cube")]
    if cube::is_ours(tensor) {
        return true;
    }
    is_fused(tensor)
}

/// What a length that changes from batch to batch is best rounded up to a multiple of, by padding that is
/// masked.
///
/// 16 on GPUs: CubeCL and Burn's fusion compile a kernel anew where lengths divide by other powers of two (the
/// width of loads, the tiles of products). 1 elsewhere, where padding is only work.
pub fn length_multiple(device: &Device) -> usize {
    #[cfg(feature = "cube")]
    if cube::is_device(device) {
        return 16;
    }
    let _ = device;
    1
}

/// The examples of the README are tested.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
