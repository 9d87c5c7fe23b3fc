//! 3×3 convolution with stride 1 and padding 1 by Winograd's F(2×2, 3×3) (Lavin and Gray, 2016).
//!
//! `Y = Aᵀ [ (G g Gᵀ) ⊙ (Bᵀ d B) ] A` for every 2×2 tile of the output, summed over channels: 16
//! products where the definition takes 36. Each of the 16 places of a tile is one matrix product over
//! all tiles. Being linear in `d` and in `g`, the same three transforms give both gradients.

use std::marker::PhantomData;

use rayon::prelude::*;

use crate::buffers::{Scratch, append_in_chunks, made_in_chunks};
use crate::cpu::{Kernel, vectorised};
use crate::gemm::{Matrix, Target, Threads, multiply};
use crate::geometry::Geometry;
use crate::lanes::Lanes;

/// Places of a transformed tile.
const PLACES: usize = 16;

/// Tiles that are transformed before they are multiplied, which bounds the memory they take.
const TILES: usize = 4096;

/// Tiles under which the products are too thin to gain anything.
const FEWEST_TILES: usize = 24;

/// Rows of a matrix of filters that a thread transforms at once.
const BLOCK: usize = Lanes::COUNT;

/// Where row or column `i` of a transformed filter lies in that of the filter turned by 180°.
const TURNED: [usize; 4] = [3, 1, 2, 0];

/// Whether this algorithm computes the convolution, and well.
pub(crate) fn suits(geometry: &Geometry) -> bool {
    let whole = |channels: usize| channels.is_multiple_of(Lanes::COUNT);
    (geometry.kernel, geometry.stride, geometry.padding) == (3, 1, 1)
        && whole(geometry.channels)
        && whole(geometry.filters)
        && geometry.batch * tiles(geometry.output) >= FEWEST_TILES
}

fn tiles([height, width]: [usize; 2]) -> usize {
    height.div_ceil(2) * width.div_ceil(2)
}

/// `input` `[batch, height, width, channels]` by `weights` `[filters, channels, 3, 3]`.
pub(crate) fn forward(input: &[f32], weights: &[f32], geometry: &Geometry) -> Vec<f32> {
    let sizes = [geometry.channels, geometry.filters];
    let filters = transform_filters(weights, sizes, [9, 9 * geometry.channels]);
    convolve(input, geometry.input, sizes, &filters, |place| place)
}

/// Gradient of the input: the gradient of the output convolved with the filters turned by 180°.
pub(crate) fn input_gradient(gradient: &[f32], weights: &[f32], geometry: &Geometry) -> Vec<f32> {
    let sizes = [geometry.filters, geometry.channels];
    let filters = transform_filters(weights, sizes, [9 * geometry.channels, 9]);
    convolve(gradient, geometry.input, sizes, &filters, |place| {
        TURNED[place / 4] * 4 + TURNED[place % 4]
    })
}

/// Gradient of the weights: `Gᵀ [ Σ (A ∂Y Aᵀ) ⊙ (Bᵀ d B) ] G`.
pub(crate) fn weight_gradient(input: &[f32], gradient: &[f32], geometry: &Geometry) -> Vec<f32> {
    let Geometry {
        channels, filters, ..
    } = *geometry;
    let size = geometry.input;
    let mut transformed = Places::take(filters * channels);
    let images = images_at_once(size);
    for (index, (input, gradient)) in input
        .chunks(images * geometry.input_len())
        .zip(gradient.chunks(images * geometry.positions() * filters))
        .enumerate()
    {
        let input = transform::<InputLine, 4>(input, size, channels, 1);
        let gradient = transform::<GradientLine, 2>(gradient, size, filters, 0);
        let count = input.length / channels;
        let target = match index {
            0 => Target::Replace,
            _ => Target::Add,
        };
        transformed.each_mut().for_each(|(place, out)| {
            multiply(
                Matrix::rows(gradient.of(place), [count, filters]).transposed(),
                Matrix::rows(input.of(place), [count, channels]),
                out,
                channels,
                target,
                Threads::One,
            );
        });
    }
    filter_gradients(&transformed, filters, channels)
}

fn images_at_once(size: [usize; 2]) -> usize {
    (TILES / tiles(size)).max(1)
}

/// Transforms, multiplies place by place and transforms back; `filters` are places of `[from, to]`, of
/// which `named(place)` belong to a place.
fn convolve(
    input: &[f32],
    size: [usize; 2],
    [from, to]: [usize; 2],
    filters: &Places,
    named: impl Fn(usize) -> usize + Sync,
) -> Vec<f32> {
    let [height, width] = size;
    let pixels = height * width;
    let mut output = Vec::with_capacity(input.len() / from * to);
    let images = images_at_once(size);
    for input in input.chunks(images * pixels * from) {
        let transformed = transform::<InputLine, 4>(input, size, from, 1);
        let count = transformed.length / from;
        let mut products = Places::take(count * to);
        products.each_mut().for_each(|(place, out)| {
            multiply(
                Matrix::rows(transformed.of(place), [count, from]),
                Matrix::rows(filters.of(named(place)), [from, to]),
                out,
                to,
                Target::Replace,
                Threads::One,
            );
        });
        let per_image = tiles(size);
        let length = input.len() / from * to;
        append_in_chunks(&mut output, length, pixels * to, |image, output| {
            let rows = output.par_chunks_mut(2 * width * to).enumerate();
            rows.for_each(|(row, output)| {
                let first = image * per_image + row * width.div_ceil(2);
                vectorised(OutputRow {
                    products: &products,
                    first,
                    width,
                    channels: to,
                    out: output,
                });
            });
        });
    }
    output
}

/// [`PLACES`] matrices of one size.
///
/// Places lie apart, though a tile is transformed to all of them at once: rows of one place then
/// follow each other, where a matrix product that strode over the others would always hit the same
/// lines of its cache. The gap between them keeps the 16 values of a tile from doing so.
#[derive(Debug)]
struct Places {
    values: Scratch,
    /// Values of one place.
    length: usize,
}

impl Places {
    /// Values between one place and the next.
    const GAP: usize = Lanes::COUNT;

    /// Places of any content.
    fn take(length: usize) -> Self {
        Places {
            values: Scratch::take(PLACES * (length + Self::GAP)),
            length,
        }
    }

    #[inline(always)]
    fn of(&self, place: usize) -> &[f32] {
        &self.values[place * (self.length + Self::GAP)..][..self.length]
    }

    /// The values of a tile that begin at `at` of every place.
    #[inline(always)]
    fn tile(&self, at: usize) -> [[Lanes; 4]; 4] {
        let mut tile = [[Lanes::ZERO; 4]; 4];
        for (place, lanes) in tile.as_flattened_mut().iter_mut().enumerate() {
            *lanes = Lanes::load(self.of(place), at);
        }
        tile
    }

    /// Every place with its number, for threads to write.
    fn each_mut(&mut self) -> impl IndexedParallelIterator<Item = (usize, &mut [f32])> {
        let length = self.length;
        let places = self.values.par_chunks_exact_mut(length + Self::GAP);
        places.map(move |place| &mut place[..length]).enumerate()
    }

    /// Parts of every place that threads write apart from one another: part `i` has the `i`-th
    /// `length` values of all places.
    fn parts_mut(&mut self, length: usize) -> Vec<Vec<&mut [f32]>> {
        let mut parts: Vec<Vec<&mut [f32]>> = (0..self.length.div_ceil(length))
            .map(|_| Vec::with_capacity(PLACES))
            .collect();
        for place in self.values.chunks_exact_mut(self.length + Self::GAP) {
            let place = &mut place[..self.length];
            for (part, values) in parts.iter_mut().zip(place.chunks_mut(length)) {
                part.push(values);
            }
        }
        parts
    }
}

/// One dimension of a transform: that of a tile is the same along its rows, then along its columns.
trait Line<const FROM: usize, const TO: usize> {
    fn of(values: [Lanes; FROM]) -> [Lanes; TO];
}

/// `Bᵀ d`.
struct InputLine;

impl Line<4, 4> for InputLine {
    #[inline(always)]
    fn of([a, b, c, d]: [Lanes; 4]) -> [Lanes; 4] {
        [a - c, b + c, c - b, b - d]
    }
}

/// `G g`.
struct FilterLine;

impl Line<3, 4> for FilterLine {
    #[inline(always)]
    fn of([a, b, c]: [Lanes; 3]) -> [Lanes; 4] {
        let (outer, middle) = ((a + c) * 0.5, b * 0.5);
        [a, outer + middle, outer - middle, c]
    }
}

/// `Aᵀ m`.
struct OutputLine;

impl Line<4, 2> for OutputLine {
    #[inline(always)]
    fn of([a, b, c, d]: [Lanes; 4]) -> [Lanes; 2] {
        [a + b + c, b - c - d]
    }
}

/// `A ∂Y`.
struct GradientLine;

impl Line<2, 4> for GradientLine {
    #[inline(always)]
    fn of([a, b]: [Lanes; 2]) -> [Lanes; 4] {
        [a, a + b, a - b, Lanes::ZERO - b]
    }
}

/// `Gᵀ u`.
struct FilterGradientLine;

impl Line<4, 3> for FilterGradientLine {
    #[inline(always)]
    fn of([a, b, c, d]: [Lanes; 4]) -> [Lanes; 3] {
        let (sum, difference) = ((b + c) * 0.5, (b - c) * 0.5);
        [a + sum, difference, sum + d]
    }
}

/// Transforms every row, then every column of what that gives.
#[inline(always)]
fn both_ways<L: Line<FROM, TO>, const FROM: usize, const TO: usize>(
    cells: [[Lanes; FROM]; FROM],
) -> [[Lanes; TO]; TO] {
    let mut by_row = [[Lanes::ZERO; TO]; FROM];
    for (out, cells) in by_row.iter_mut().zip(cells) {
        *out = L::of(cells);
    }
    let mut out = [[Lanes::ZERO; TO]; TO];
    for x in 0..TO {
        let mut column = [Lanes::ZERO; FROM];
        for (value, row) in column.iter_mut().zip(&by_row) {
            *value = row[x];
        }
        for (out, value) in out.iter_mut().zip(L::of(column)) {
            out[x] = value;
        }
    }
    out
}

/// All tiles of all images: places of `[tiles, channels]`. Tiles are `SIDE` cells wide and begin
/// `before` cells before the two that they stand for.
fn transform<L: Line<SIDE, 4>, const SIDE: usize>(
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
            vectorised(TileRow::<L, SIDE> {
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
    fn cell(&self, column: usize, [y, x]: [usize; 2], channel: usize) -> Lanes {
        let [height, width] = self.size;
        // Wraps around before the first row or column, and so lies outside.
        let y = (2 * self.row + y).wrapping_sub(self.before);
        let x = (2 * column + x).wrapping_sub(self.before);
        if y < height && x < width {
            Lanes::load(self.image, (y * width + x) * self.channels + channel)
        } else {
            Lanes::ZERO
        }
    }
}

impl<L: Line<SIDE, 4>, const SIDE: usize> Kernel for TileRow<'_, L, SIDE> {
    type Output = ();

    #[inline(always)]
    fn run(mut self) {
        let [_, width] = self.size;
        for column in 0..width.div_ceil(2) {
            for channel in (0..self.channels).step_by(Lanes::COUNT) {
                let mut cells = [[Lanes::ZERO; SIDE]; SIDE];
                for (y, row) in cells.iter_mut().enumerate() {
                    for (x, cell) in row.iter_mut().enumerate() {
                        *cell = self.cell(column, [y, x], channel);
                    }
                }
                let places = both_ways::<L, SIDE, 4>(cells);
                for (out, lanes) in self.out.iter_mut().zip(places.as_flattened()) {
                    lanes.store(out, column * self.channels + channel);
                }
            }
        }
    }
}

/// `Aᵀ m A` of a row of tiles, the first of which is number `first`: two rows of pixels, or one at
/// the lower edge.
struct OutputRow<'a> {
    products: &'a Places,
    first: usize,
    width: usize,
    channels: usize,
    out: &'a mut [f32],
}

impl Kernel for OutputRow<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let (width, channels) = (self.width, self.channels);
        let height = self.out.len() / (width * channels);
        for column in 0..width.div_ceil(2) {
            for channel in (0..channels).step_by(Lanes::COUNT) {
                let at = (self.first + column) * channels + channel;
                let pixels = both_ways::<OutputLine, 4, 2>(self.products.tile(at));
                for (y, row) in pixels.into_iter().take(height).enumerate() {
                    for (x, pixel) in row.into_iter().take(width - 2 * column).enumerate() {
                        let place = y * width + 2 * column + x;
                        pixel.store(self.out, place * channels + channel);
                    }
                }
            }
        }
    }
}

/// `G g Gᵀ` of all filters as places of `[from, to]`, which a product takes as they are; the nine taps
/// from one channel to another begin at `from · strides[0] + to · strides[1]` of `weights`.
fn transform_filters(weights: &[f32], [from, to]: [usize; 2], strides: [usize; 2]) -> Places {
    let mut out = Places::take(from * to);
    out.parts_mut(BLOCK * to)
        .into_par_iter()
        .enumerate()
        .for_each(|(block, out)| {
            vectorised(FilterRows {
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

impl Kernel for FilterRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run(mut self) {
        let mut taps = [[Lanes::ZERO; 9]; BLOCK];
        for first in (0..self.to).step_by(Lanes::COUNT) {
            for lane in 0..Lanes::COUNT {
                for (row, taps) in taps.iter_mut().enumerate() {
                    let at = row * self.strides[0] + (first + lane) * self.strides[1];
                    for (lanes, weight) in taps.iter_mut().zip(&self.weights[at..at + 9]) {
                        lanes.set(lane, *weight);
                    }
                }
            }
            for (row, [a, b, c, d, e, f, g, h, i]) in taps.iter().copied().enumerate() {
                let places = both_ways::<FilterLine, 3, 4>([[a, b, c], [d, e, f], [g, h, i]]);
                for (out, lanes) in self.out.iter_mut().zip(places.as_flattened()) {
                    lanes.store(out, row * self.to + first);
                }
            }
        }
    }
}

/// `Gᵀ u G` of places of `[filters, channels]`: `[filters, channels, 3, 3]`.
fn filter_gradients(transformed: &Places, filters: usize, channels: usize) -> Vec<f32> {
    let length = 9 * channels;
    made_in_chunks(filters * length, length, |filter, out| {
        vectorised(FilterGradientRow {
            transformed,
            filter,
            channels,
            out,
        });
    })
}

/// The gradients of one filter.
struct FilterGradientRow<'a> {
    transformed: &'a Places,
    filter: usize,
    channels: usize,
    out: &'a mut [f32],
}

impl Kernel for FilterGradientRow<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for channel in (0..self.channels).step_by(Lanes::COUNT) {
            let at = self.filter * self.channels + channel;
            let taps = both_ways::<FilterGradientLine, 4, 3>(self.transformed.tile(at));
            let out = &mut self.out[9 * channel..][..9 * Lanes::COUNT];
            for (tap, lanes) in taps.as_flattened().iter().enumerate() {
                for (lane, out) in out.chunks_exact_mut(9).enumerate() {
                    out[tap] = lanes.get(lane);
                }
            }
        }
    }
}
