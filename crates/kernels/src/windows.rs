//! Convolution as one matrix product per image: every output position's window is a row.
//!
//! A pointwise convolution needs no windows: its rows are the pixels themselves.

use std::borrow::Cow;

use rayon::prelude::*;

use crate::buffers::{Scratch, made_in_chunks};
use crate::cpu::{Kernel, vectorised};
use crate::gemm::{Matrix, Target, Threads, multiply, product};
use crate::geometry::Geometry;

/// `input` `[batch, height, width, channels]` by `weights` `[filters, channels, kernel, kernel]`:
/// `[batch, height, width, filters]`.
pub(crate) fn forward(input: &[f32], weights: &[f32], geometry: &Geometry) -> Vec<f32> {
    let (filters, window) = (geometry.filters, geometry.window_len());
    if geometry.is_pointwise() {
        let pixels = geometry.batch * geometry.positions();
        let weights = Matrix::rows(weights, [filters, window]).transposed();
        return product(Matrix::rows(input, [pixels, window]), weights, Threads::All);
    }
    // Every image's product reads them: better turned once here than by each.
    let weights = by_filter(weights, geometry);
    let weights = Matrix::rows(&weights, [window, filters]);
    let positions = geometry.positions();
    let mut output = vec![0.0; geometry.batch * positions * filters];
    let mut windows = Scratch::take(positions * window);
    for (image, output) in input
        .chunks_exact(geometry.input_len())
        .zip(output.chunks_exact_mut(positions * filters))
    {
        unfold(image, geometry, &mut windows);
        multiply(
            Matrix::rows(&windows, [positions, window]),
            weights,
            output,
            filters,
            Target::Replace,
            Threads::All,
        );
    }
    output
}

/// Gradient of the input from that of the output.
pub(crate) fn input_gradient(gradient: &[f32], weights: &[f32], geometry: &Geometry) -> Vec<f32> {
    let (filters, window) = (geometry.filters, geometry.window_len());
    let weights = channels_last(weights, geometry);
    let weights = Matrix::rows(&weights, [filters, window]);
    let positions = geometry.positions();
    let rows = |image, count| Matrix::rows(image, [count, filters]);
    if geometry.is_pointwise() {
        let pixels = geometry.batch * positions;
        return product(rows(gradient, pixels), weights, Threads::All);
    }
    let mut input = vec![0.0; geometry.batch * geometry.input_len()];
    for (gradient, input) in gradient
        .chunks_exact(positions * filters)
        .zip(input.chunks_exact_mut(geometry.input_len()))
    {
        let windows = product(rows(gradient, positions), weights, Threads::All);
        fold(&windows, geometry, input);
    }
    input
}

/// Adds the gradient of a pointwise convolution's input to `input`.
pub(crate) fn add_pointwise_input_gradient(
    gradient: &[f32],
    weights: &[f32],
    geometry: &Geometry,
    input: &mut [f32],
) {
    let Geometry {
        channels, filters, ..
    } = *geometry;
    let pixels = geometry.batch * geometry.positions();
    multiply(
        Matrix::rows(gradient, [pixels, filters]),
        Matrix::rows(weights, [filters, channels]),
        input,
        channels,
        Target::Add,
        Threads::All,
    );
}

/// Gradient of the weights from the input and the gradient of the output.
pub(crate) fn weight_gradient(input: &[f32], gradient: &[f32], geometry: &Geometry) -> Vec<f32> {
    let (filters, window) = (geometry.filters, geometry.window_len());
    let positions = geometry.positions();
    if geometry.is_pointwise() {
        let pixels = geometry.batch * positions;
        return product(
            Matrix::rows(gradient, [pixels, filters]).transposed(),
            Matrix::rows(input, [pixels, window]),
            Threads::All,
        );
    }
    let mut weights = vec![0.0; filters * window];
    let mut windows = Scratch::take(positions * window);
    for (image, gradient) in input
        .chunks_exact(geometry.input_len())
        .zip(gradient.chunks_exact(positions * filters))
    {
        unfold(image, geometry, &mut windows);
        multiply(
            Matrix::rows(gradient, [positions, filters]).transposed(),
            Matrix::rows(&windows, [positions, window]),
            &mut weights,
            window,
            Target::Add,
            Threads::All,
        );
    }
    channels_first(&weights, geometry).into_owned()
}

/// Writes the window of every output position as a row: taps, then channels; padding is 0.
fn unfold(image: &[f32], geometry: &Geometry, windows: &mut [f32]) {
    let Geometry {
        input: [height, width],
        channels,
        output: [_, columns],
        kernel,
        ..
    } = *geometry;
    let window = geometry.window_len();
    let rows = windows.par_chunks_exact_mut(columns * window);
    rows.enumerate().for_each(|(row, windows)| {
        for (column, window) in windows.chunks_exact_mut(window).enumerate() {
            for (tap, cell) in window.chunks_exact_mut(channels).enumerate() {
                let y = geometry.source(row, tap / kernel, height);
                let x = geometry.source(column, tap % kernel, width);
                match y.zip(x) {
                    Some((y, x)) => {
                        cell.copy_from_slice(&image[(y * width + x) * channels..][..channels]);
                    }
                    None => cell.fill(0.0),
                }
            }
        }
    });
}

/// Adds every row of `windows` to where [`unfold`] took it from.
fn fold(windows: &[f32], geometry: &Geometry, image: &mut [f32]) {
    let Geometry {
        input: [height, width],
        channels,
        output: [rows, columns],
        kernel,
        ..
    } = *geometry;
    let window_len = geometry.window_len();
    let image_rows = image.par_chunks_exact_mut(width * channels);
    image_rows.enumerate().for_each(|(y, image_row)| {
        for row in 0..rows {
            for tap_row in 0..kernel {
                if geometry.source(row, tap_row, height) != Some(y) {
                    continue;
                }
                for column in 0..columns {
                    let window = &windows[(row * columns + column) * window_len..][..window_len];
                    for tap in 0..kernel {
                        let Some(x) = geometry.source(column, tap, width) else {
                            continue;
                        };
                        let cell = &mut image_row[x * channels..][..channels];
                        let added = &window[(tap_row * kernel + tap) * channels..][..channels];
                        for (cell, added) in cell.iter_mut().zip(added) {
                            *cell += added;
                        }
                    }
                }
            }
        }
    });
}

/// `[filters, channels, taps]` to `[taps, channels, filters]`: the filters of an output position side
/// by side, as a product reads them.
///
/// Tile by tile: every line of memory is then read once, however the strides fall into the cache.
fn by_filter(weights: &[f32], geometry: &Geometry) -> Vec<f32> {
    let filters = geometry.filters;
    made_in_chunks(weights.len(), SIDE * filters, |block, out| {
        vectorised(TurnedRows {
            weights,
            geometry,
            first: block * SIDE,
            out,
        });
    })
}

/// Rows and columns of a tile.
const SIDE: usize = 16;

/// At most [`SIDE`] rows of the output of [`by_filter`].
struct TurnedRows<'a> {
    weights: &'a [f32],
    geometry: &'a Geometry,
    first: usize,
    out: &'a mut [f32],
}

impl Kernel for TurnedRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let (filters, channels) = (self.geometry.filters, self.geometry.channels);
        let taps = self.geometry.kernel * self.geometry.kernel;
        let height = self.out.len() / filters;
        let mut places = [0; SIDE];
        for (row, place) in places.iter_mut().take(height).enumerate() {
            let row = self.first + row;
            *place = row % channels * taps + row / channels;
        }
        let mut tile = [[0.0; SIDE]; SIDE];
        for first in (0..filters).step_by(SIDE) {
            let width = SIDE.min(filters - first);
            let rows = self.weights[first * channels * taps..].chunks_exact(channels * taps);
            for (tile, weights) in tile.iter_mut().zip(rows.take(width)) {
                if taps == 1 && height == SIDE {
                    tile.copy_from_slice(&weights[places[0]..places[0] + SIDE]);
                } else {
                    for (value, &place) in tile.iter_mut().zip(&places).take(height) {
                        *value = weights[place];
                    }
                }
            }
            for (row, out) in self.out.chunks_exact_mut(filters).enumerate() {
                let mut column = [0.0; SIDE];
                for (value, tile) in column.iter_mut().zip(&tile) {
                    *value = tile[row];
                }
                out[first..first + width].copy_from_slice(&column[..width]);
            }
        }
    }
}

/// `[filters, channels, taps]` to `[filters, taps, channels]`.
fn channels_last<'a>(weights: &'a [f32], geometry: &Geometry) -> Cow<'a, [f32]> {
    let taps = geometry.kernel * geometry.kernel;
    transposed(weights, geometry.channels, taps)
}

/// `[filters, taps, channels]` to `[filters, channels, taps]`.
fn channels_first<'a>(weights: &'a [f32], geometry: &Geometry) -> Cow<'a, [f32]> {
    let taps = geometry.kernel * geometry.kernel;
    transposed(weights, taps, geometry.channels)
}

/// Transposes each of the `[rows, columns]` matrices that follow one another.
fn transposed(values: &[f32], rows: usize, columns: usize) -> Cow<'_, [f32]> {
    if rows == 1 || columns == 1 {
        return Cow::Borrowed(values);
    }
    let matrix = rows * columns;
    Cow::Owned(made_in_chunks(values.len(), matrix, |index, out| {
        let values = &values[index * matrix..][..matrix];
        for (column, out) in out.chunks_exact_mut(rows).enumerate() {
            for (row, out) in out.iter_mut().enumerate() {
                *out = values[row * columns + column];
            }
        }
    }))
}
