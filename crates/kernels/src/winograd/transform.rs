//! The transforms, in explicit SIMD vectors, since the compiler does not vectorise array code
//! reliably here.

use std::marker::PhantomData;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::CHANNELS;
use super::places::{PLACES, Places};
use crate::buffers::{made_in_chunks, prefetch};

/// Rows of a matrix of filters that a thread transforms at once.
const BLOCK: usize = 16;

/// One dimension of a transform: that of a tile is the same along its rows, then along its columns.
pub(super) trait Line<const FROM: usize, const TO: usize>: Send + Sync {
    fn of<S: Simd>(simd: S, values: [S::f32s; FROM]) -> [S::f32s; TO];
}

/// `Bᵀ d`.
pub(super) struct InputLine;

impl Line<4, 4> for InputLine {
    #[inline(always)]
    fn of<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; 4]) -> [S::f32s; 4] {
        [
            simd.sub_f32s(a, c),
            simd.add_f32s(b, c),
            simd.sub_f32s(c, b),
            simd.sub_f32s(b, d),
        ]
    }
}

/// `G g`.
struct FilterLine;

impl Line<3, 4> for FilterLine {
    #[inline(always)]
    fn of<S: Simd>(simd: S, [a, b, c]: [S::f32s; 3]) -> [S::f32s; 4] {
        let half = simd.splat_f32s(0.5);
        let outer = simd.mul_f32s(simd.add_f32s(a, c), half);
        let middle = simd.mul_f32s(b, half);
        [
            a,
            simd.add_f32s(outer, middle),
            simd.sub_f32s(outer, middle),
            c,
        ]
    }
}

/// `Aᵀ m`.
struct OutputLine;

impl Line<4, 2> for OutputLine {
    #[inline(always)]
    fn of<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; 4]) -> [S::f32s; 2] {
        [
            simd.add_f32s(simd.add_f32s(a, b), c),
            simd.sub_f32s(simd.sub_f32s(b, c), d),
        ]
    }
}

/// `A ∂Y`.
pub(super) struct GradientLine;

impl Line<2, 4> for GradientLine {
    #[inline(always)]
    fn of<S: Simd>(simd: S, [a, b]: [S::f32s; 2]) -> [S::f32s; 4] {
        let none = simd.splat_f32s(0.0);
        [
            a,
            simd.add_f32s(a, b),
            simd.sub_f32s(a, b),
            simd.sub_f32s(none, b),
        ]
    }
}

/// `Gᵀ u`.
struct FilterGradientLine;

impl Line<4, 3> for FilterGradientLine {
    #[inline(always)]
    fn of<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; 4]) -> [S::f32s; 3] {
        let half = simd.splat_f32s(0.5);
        let sum = simd.mul_f32s(simd.add_f32s(b, c), half);
        let difference = simd.mul_f32s(simd.sub_f32s(b, c), half);
        [simd.add_f32s(a, sum), difference, simd.add_f32s(sum, d)]
    }
}

/// Transforms every row, then every column of what that gives.
#[inline(always)]
fn both_ways<S: Simd, L: Line<FROM, TO>, const FROM: usize, const TO: usize>(
    simd: S,
    cells: [[S::f32s; FROM]; FROM],
) -> [[S::f32s; TO]; TO] {
    let none = simd.splat_f32s(0.0);
    let mut by_row = [[none; TO]; FROM];
    for (out, cells) in by_row.iter_mut().zip(cells) {
        *out = L::of(simd, cells);
    }
    let mut out = [[none; TO]; TO];
    for x in 0..TO {
        let mut column = [none; FROM];
        for (value, row) in column.iter_mut().zip(&by_row) {
            *value = row[x];
        }
        for (out, value) in out.iter_mut().zip(L::of(simd, column)) {
            out[x] = value;
        }
    }
    out
}

/// The vector that begins at `at`.
#[inline(always)]
fn load<S: Simd>(values: &[f32], at: usize) -> S::f32s {
    S::as_simd_f32s(&values[at..at + S::F32_LANES]).0[0]
}

#[inline(always)]
fn store<S: Simd>(vector: S::f32s, values: &mut [f32], at: usize) {
    S::as_mut_simd_f32s(&mut values[at..at + S::F32_LANES]).0[0] = vector;
}

/// The values of a tile that begin at `at` of every place.
#[inline(always)]
fn tile<S: Simd>(simd: S, places: &[&[f32]; PLACES], at: usize) -> [[S::f32s; 4]; 4] {
    let mut tile = [[simd.splat_f32s(0.0); 4]; 4];
    for (y, row) in tile.iter_mut().enumerate() {
        for (x, cell) in row.iter_mut().enumerate() {
            *cell = load::<S>(places[4 * y + x], at);
        }
    }
    tile
}

/// All tiles of all images: places of `[tiles, channels]`. Tiles are `SIDE` cells wide and begin
/// `before` cells before the two that they represent.
pub(super) fn transform_tiles<L: Line<SIDE, 4>, const SIDE: usize>(
    images: &[f32],
    size: [usize; 2],
    channels: usize,
    before: usize,
) -> Places {
    let [height, width] = size;
    let (rows, columns) = (height.div_ceil(2), width.div_ceil(2));
    let image_len = height * width * channels;
    let count = images.len() / image_len;
    let mut out = Places::take(count * rows * columns * channels);
    out.parts_mut(columns * channels)
        .into_par_iter()
        .enumerate()
        .for_each(|(row, out)| {
            Arch::new().dispatch(TileRow::<L, SIDE> {
                image: &images[row / rows * image_len..][..image_len],
                size,
                channels,
                before,
                row: row % rows,
                out,
                line: PhantomData,
            });
        });
    out
}

/// A row of tiles of one image.
struct TileRow<'a, L, const SIDE: usize> {
    image: &'a [f32],
    size: [usize; 2],
    channels: usize,
    before: usize,
    row: usize,
    /// The row's part of every place.
    out: Vec<&'a mut [f32]>,
    line: PhantomData<L>,
}

impl<L, const SIDE: usize> TileRow<'_, L, SIDE> {
    /// Channels from `channel` of a cell of a tile; 0 outside the image.
    #[inline(always)]
    fn cell<S: Simd>(&self, simd: S, column: usize, [y, x]: [usize; 2], channel: usize) -> S::f32s {
        let [height, width] = self.size;
        // Wraps around before the first row or column, and so lies outside.
        let y = (2 * self.row + y).wrapping_sub(self.before);
        let x = (2 * column + x).wrapping_sub(self.before);
        if y < height && x < width {
            load::<S>(self.image, (y * width + x) * self.channels + channel)
        } else {
            simd.splat_f32s(0.0)
        }
    }
}

impl<L: Line<SIDE, 4>, const SIDE: usize> WithSimd for TileRow<'_, L, SIDE> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let [_, width] = self.size;
        for column in 0..width.div_ceil(2) {
            for channel in (0..self.channels).step_by(S::F32_LANES) {
                let mut cells = [[simd.splat_f32s(0.0); SIDE]; SIDE];
                for (y, row) in cells.iter_mut().enumerate() {
                    for (x, cell) in row.iter_mut().enumerate() {
                        *cell = self.cell(simd, column, [y, x], channel);
                    }
                }
                let places = both_ways::<S, L, SIDE, 4>(simd, cells);
                for (out, vector) in self.out.iter_mut().zip(places.as_flattened()) {
                    store::<S>(*vector, out, column * self.channels + channel);
                }
            }
        }
    }
}

/// `Aᵀ m A` of a row of tiles, the first of which is number `first`: two rows of pixels, or one at
/// the lower edge.
pub(super) fn output_row(
    products: &Places,
    first: usize,
    [width, channels]: [usize; 2],
    out: &mut [f32],
) {
    Arch::new().dispatch(OutputRow {
        products: std::array::from_fn(|place| products.of(place)),
        first,
        width,
        channels,
        out,
    });
}

struct OutputRow<'a> {
    products: [&'a [f32]; PLACES],
    first: usize,
    width: usize,
    channels: usize,
    out: &'a mut [f32],
}

impl WithSimd for OutputRow<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (width, channels) = (self.width, self.channels);
        let height = self.out.len() / (width * channels);
        for column in 0..width.div_ceil(2) {
            for channel in (0..channels).step_by(S::F32_LANES) {
                let at = (self.first + column) * channels + channel;
                let products = tile(simd, &self.products, at);
                let pixels = both_ways::<S, OutputLine, 4, 2>(simd, products);
                for (y, row) in pixels.into_iter().take(height).enumerate() {
                    for (x, pixel) in row.into_iter().take(width - 2 * column).enumerate() {
                        let place = y * width + 2 * column + x;
                        store::<S>(pixel, self.out, place * channels + channel);
                    }
                }
            }
        }
    }
}

/// `G g Gᵀ` of all filters as places of `[from, to]`, which a product takes as they are; the nine taps
/// from one channel to another begin at `from · strides[0] + to · strides[1]` of `weights`.
pub(super) fn transform_filters(
    weights: &[f32],
    [from, to]: [usize; 2],
    strides: [usize; 2],
) -> Places {
    let mut out = Places::take(from * to);
    out.parts_mut(BLOCK * to)
        .into_par_iter()
        .enumerate()
        .for_each(|(block, out)| {
            Arch::new().dispatch(FilterRows {
                weights: &weights[block * BLOCK * strides[0]..],
                to,
                strides,
                out,
            });
        });
    out
}

/// [`BLOCK`] rows of transformed filters.
struct FilterRows<'a> {
    weights: &'a [f32],
    to: usize,
    strides: [usize; 2],
    /// The rows' part of every place.
    out: Vec<&'a mut [f32]>,
}

impl FilterRows<'_> {
    /// Asks for the taps of the channels from `first`.
    #[inline(always)]
    fn prefetch(&self, first: usize) {
        let [short, long] = [
            self.strides[0].min(self.strides[1]),
            self.strides[0].max(self.strides[1]),
        ];
        let begin = first * self.strides[1];
        for run in 0..CHANNELS {
            for at in (0..BLOCK * short).step_by(16) {
                prefetch(self.weights, begin + run * long + at);
            }
        }
    }
}

impl WithSimd for FilterRows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let mut taps = [[[0.0; CHANNELS]; 9]; BLOCK];
        for first in (0..self.to).step_by(CHANNELS) {
            self.prefetch(first + CHANNELS);
            for lane in 0..CHANNELS {
                for (row, taps) in taps.iter_mut().enumerate() {
                    let at = row * self.strides[0] + (first + lane) * self.strides[1];
                    for (lanes, weight) in taps.iter_mut().zip(&self.weights[at..at + 9]) {
                        lanes[lane] = *weight;
                    }
                }
            }
            for (row, taps) in taps.iter().enumerate() {
                for lane in (0..CHANNELS).step_by(S::F32_LANES) {
                    let mut cells = [[simd.splat_f32s(0.0); 3]; 3];
                    for (y, cells) in cells.iter_mut().enumerate() {
                        for (x, cell) in cells.iter_mut().enumerate() {
                            *cell = load::<S>(&taps[3 * y + x], lane);
                        }
                    }
                    let places = both_ways::<S, FilterLine, 3, 4>(simd, cells);
                    for (out, vector) in self.out.iter_mut().zip(places.as_flattened()) {
                        store::<S>(*vector, out, row * self.to + first + lane);
                    }
                }
            }
        }
    }
}

/// `Gᵀ u G` of places of `[filters, channels]`: `[filters, channels, 3, 3]`.
pub(super) fn filter_gradients(transformed: &Places, filters: usize, channels: usize) -> Vec<f32> {
    let length = 9 * channels;
    made_in_chunks(filters * length, length, |filter, out| {
        Arch::new().dispatch(FilterGradientRow {
            transformed: std::array::from_fn(|place| transformed.of(place)),
            filter,
            channels,
            out,
        });
    })
}

/// The gradients of one filter.
struct FilterGradientRow<'a> {
    transformed: [&'a [f32]; PLACES],
    filter: usize,
    channels: usize,
    out: &'a mut [f32],
}

impl WithSimd for FilterGradientRow<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let mut taps = [[0.0; CHANNELS]; 9];
        for channel in (0..self.channels).step_by(S::F32_LANES) {
            let at = self.filter * self.channels + channel;
            let products = tile(simd, &self.transformed, at);
            let gradients = both_ways::<S, FilterGradientLine, 4, 3>(simd, products);
            for (taps, vector) in taps.iter_mut().zip(gradients.as_flattened()) {
                store::<S>(*vector, taps, 0);
            }
            let out = &mut self.out[9 * channel..][..9 * S::F32_LANES];
            for (lane, out) in out.chunks_exact_mut(9).enumerate() {
                for (out, taps) in out.iter_mut().zip(&taps) {
                    *out = taps[lane];
                }
            }
        }
    }
}
