//! The windows of a convolution on GPUs, copied once.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata, backend_extension};
use burn::tensor::Shape;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use burn_cubecl::{CubeBackend, cubecl};

use super::Convolution;
use crate::cube::{beside, elements, vector_size};

/// Threads of a cube, and how many of them a row of the result has at most.
const THREADS: usize = 256;
const ACROSS: usize = 64;

#[backend_extension(Cube, Fusion)]
pub(super) trait Windows: Backend {
    /// What each position of the output looks at, taps then channels, `[batch · height' · width', kernel · kernel ·
    /// channels]`, of maps `[batch, height, width, channels]`; 0 beyond the border.
    #[fusion(dtype = input, shape = shape(input, *kernel, convolution))]
    fn windows_on_gpu(
        input: FloatTensor<Self>,
        kernel: usize,
        convolution: Convolution,
    ) -> FloatTensor<Self>;
}

fn shape(input: &Shape, kernel: usize, convolution: &Convolution) -> Shape {
    let dims: [usize; 4] = input.dims();
    let [batch, down, across, _] = convolution.output(dims, [1, dims[3], kernel, kernel]);
    Shape::from([batch * down * across, kernel * kernel * dims[3]])
}

impl Windows for CubeBackend {
    fn windows_on_gpu(input: CubeTensor, kernel: usize, convolution: Convolution) -> CubeTensor {
        let input = into_contiguous(input);
        let dims: [usize; 4] = input.shape().dims();
        let [_, height, width, channels] = dims;
        let [_, down, across, _] = convolution.output(dims, [1, channels, kernel, kernel]);
        let output = beside(&input, shape(&input.shape(), kernel, &convolution));
        let [rows, columns] = output.shape().dims();
        let size = vector_size(channels);
        let columns = columns / size;
        let wide = ACROSS.min(columns.next_power_of_two());
        let tall = THREADS / wide;
        let count = CubeCount::Static(rows.div_ceil(tall) as u32, columns.div_ceil(wide) as u32, 1);

        copy_windows::launch(
            &output.client,
            count,
            CubeDim::new_2d(wide as u32, tall as u32),
            size,
            input.clone().into_buffer_arg(),
            output.clone().into_buffer_arg(),
            rows as u32,
            columns as u32,
            height as u32,
            width as u32,
            (channels / size) as u32,
            down as u32,
            across as u32,
            kernel as u32,
            convolution.stride as u32,
            convolution.padding as u32,
            elements(&input),
        );
        output
    }
}

#[cube(launch)]
fn copy_windows<F: Float, N: Size>(
    input: &[Vector<F, N>],
    output: &mut [Vector<F, N>],
    rows: u32,
    columns: u32,
    height: u32,
    width: u32,
    channels: u32,
    down: u32,
    across: u32,
    #[comptime] kernel: u32,
    #[comptime] stride: u32,
    #[comptime] padding: u32,
    #[define(F)] _type: ElemType,
) {
    let row = CUBE_POS_X * CUBE_DIM_Y + UNIT_POS_Y;
    let column = CUBE_POS_Y * CUBE_DIM_X + UNIT_POS_X;
    if row >= rows || column >= columns {
        terminate!();
    }
    let tap = column / channels;
    let channel = column - tap * channels;
    let line = row / across;
    let image = line / down;
    // From the corner of the padding, so that no number is negative.
    let y = (line - image * down) * stride + tap / kernel;
    let x = (row - line * across) * stride + tap % kernel;
    let mut value = Vector::new(F::new(0.0));
    if y >= padding && x >= padding && y - padding < height && x - padding < width {
        let position = (image * height + y - padding) * width + x - padding;
        value = input[position as usize * channels as usize + channel as usize];
    }
    output[row as usize * columns as usize + column as usize] = value;
}
