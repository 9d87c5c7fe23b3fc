//! 3×3 convolution with stride 1 and padding 1 by Winograd's F(2×2, 3×3) (Lavin and Gray, 2016).
//!
//! `Y = Aᵀ [ (G g Gᵀ) ⊙ (Bᵀ d B) ] A` for every 2×2 tile of the output, summed over channels: 16
//! products where the definition takes 36. Each of the 16 places of a tile is one matrix product over
//! all tiles. Being linear in `d` and in `g`, the same three transforms give both gradients.

use rayon::prelude::*;

use crate::cpu::vectorised;
use crate::gemm::{Matrix, Target, Threads, multiply, product};
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
    let mut transformed = vec![0.0; PLACES * filters * channels];
    let images = images_at_once(size);
    for (input, gradient) in input
        .chunks(images * geometry.input_len())
        .zip(gradient.chunks(images * geometry.positions() * filters))
    {
        let input = transform(input, size, channels, input_tile);
        let gradient = transform(gradient, size, filters, gradient_tile);
        let count = input.len() / (PLACES * channels);
        transformed
            .par_chunks_exact_mut(filters * channels)
            .zip(gradient.par_chunks_exact(count * filters))
            .zip(input.par_chunks_exact(count * channels))
            .for_each(|((out, gradient), input)| {
                multiply(
                    Matrix::rows(gradient, [count, filters]).transposed(),
                    Matrix::rows(input, [count, channels]),
                    out,
                    channels,
                    Target::Add,
                    Threads::One,
                );
            });
    }
    filter_gradients(&transformed, filters, channels)
}

fn images_at_once(size: [usize; 2]) -> usize {
    (TILES / tiles(size)).max(1)
}

/// Transforms, multiplies place by place and transforms back; `filters` are `[PLACES, from, to]`, of
/// which `named(place)` belong to a place.
fn convolve(
    input: &[f32],
    size: [usize; 2],
    [from, to]: [usize; 2],
    filters: &[f32],
    named: impl Fn(usize) -> usize + Sync,
) -> Vec<f32> {
    let [height, width] = size;
    let pixels = height * width;
    let mut output = vec![0.0; input.len() / from * to];
    let images = images_at_once(size);
    for (input, output) in input
        .chunks(images * pixels * from)
        .zip(output.chunks_mut(images * pixels * to))
    {
        let transformed = transform(input, size, from, input_tile);
        let count = transformed.len() / (PLACES * from);
        let places: Vec<Vec<f32>> = transformed
            .par_chunks_exact(count * from)
            .enumerate()
            .map(|(place, values)| {
                let filters = &filters[named(place) * from * to..][..from * to];
                product(
                    Matrix::rows(values, [count, from]),
                    Matrix::rows(filters, [from, to]),
                    Threads::One,
                )
            })
            .collect();
        let per_image = tiles(size);
        let images = output.par_chunks_exact_mut(pixels * to).enumerate();
        images.for_each(|(image, output)| {
            let rows = output.par_chunks_mut(2 * width * to).enumerate();
            rows.for_each(|(row, output)| {
                let first = image * per_image + row * width.div_ceil(2);
                vectorised(|| output_row(&places, first, width, to, output));
            });
        });
    }
    output
}

/// Tiles of one image as the transforms see them: 4×4 cells, `None` outside the image.
struct Tile<'a> {
    image: &'a [f32],
    size: [usize; 2],
    channels: usize,
    /// Row and column of the tile.
    place: [usize; 2],
}

impl Tile<'_> {
    /// Value of channels from `channel` at a cell whose corner lies `before` cells before the tile's
    /// own corner.
    #[inline(always)]
    fn cell(&self, [y, x]: [usize; 2], before: usize, channel: usize) -> Lanes {
        let [height, width] = self.size;
        let inside = |place: usize, cell: usize, side: usize| {
            (2 * place + cell)
                .checked_sub(before)
                .filter(|&at| at < side)
        };
        match (
            inside(self.place[0], y, height),
            inside(self.place[1], x, width),
        ) {
            (Some(y), Some(x)) => {
                Lanes::load(self.image, (y * width + x) * self.channels + channel)
            }
            _ => Lanes::ZERO,
        }
    }
}

/// Parts of every place that threads write apart from one another: part `i` has the `i`-th `length`
/// values of all `[PLACES, _]`.
///
/// Places lie apart, though a tile is transformed to all of them at once: rows of one place then
/// follow each other, where a matrix product that strode over the others would always hit the same
/// lines of its cache.
fn parts_of_places(values: &mut [f32], length: usize) -> Vec<Vec<&mut [f32]>> {
    let place = values.len() / PLACES;
    let mut parts: Vec<Vec<&mut [f32]>> = (0..place.div_ceil(length))
        .map(|_| Vec::with_capacity(PLACES))
        .collect();
    for place in values.chunks_exact_mut(place) {
        for (part, values) in parts.iter_mut().zip(place.chunks_mut(length)) {
            part.push(values);
        }
    }
    parts
}

/// All tiles of all images: `[PLACES, tiles, channels]`.
fn transform(
    images: &[f32],
    size: [usize; 2],
    channels: usize,
    tile: impl Fn(&Tile, usize) -> [Lanes; PLACES] + Sync,
) -> Vec<f32> {
    let [height, width] = size;
    let (rows, columns) = (height.div_ceil(2), width.div_ceil(2));
    let image_len = height * width * channels;
    let count = images.len() / image_len;
    let mut out = vec![0.0; count * rows * columns * PLACES * channels];
    parts_of_places(&mut out, columns * channels)
        .into_par_iter()
        .enumerate()
        .for_each(|(row, mut out)| {
            let image = &images[row / rows * image_len..][..image_len];
            vectorised(|| {
                for column in 0..columns {
                    let place = Tile {
                        image,
                        size,
                        channels,
                        place: [row % rows, column],
                    };
                    for channel in (0..channels).step_by(Lanes::COUNT) {
                        let lanes = tile(&place, channel);
                        for (out, lanes) in out.iter_mut().zip(lanes) {
                            lanes.store(out, column * channels + channel);
                        }
                    }
                }
            });
        });
    out
}

/// `Bᵀ d B` of the 4×4 cells around a tile.
#[inline(always)]
fn input_tile(tile: &Tile, channel: usize) -> [Lanes; PLACES] {
    let line = |[a, b, c, d]: [Lanes; 4]| [a - c, b + c, c - b, b - d];
    let mut cells = [[Lanes::ZERO; 4]; 4];
    for (y, row) in cells.iter_mut().enumerate() {
        for (x, cell) in row.iter_mut().enumerate() {
            *cell = tile.cell([y, x], 1, channel);
        }
    }
    both_ways(cells, line)
}

/// `A ∂Y Aᵀ` of the 2×2 cells of a tile.
#[inline(always)]
fn gradient_tile(tile: &Tile, channel: usize) -> [Lanes; PLACES] {
    let line = |[a, b]: [Lanes; 2]| [a, a + b, a - b, Lanes::ZERO - b];
    let cell = |y, x| tile.cell([y, x], 0, channel);
    both_ways([[cell(0, 0), cell(0, 1)], [cell(1, 0), cell(1, 1)]], line)
}

/// Applies `line` to every row, then to every column of what that gives.
#[inline(always)]
fn both_ways<const N: usize>(
    cells: [[Lanes; N]; N],
    line: impl Fn([Lanes; N]) -> [Lanes; 4],
) -> [Lanes; PLACES] {
    let mut by_row = [[Lanes::ZERO; 4]; N];
    for (out, cells) in by_row.iter_mut().zip(cells) {
        *out = line(cells);
    }
    let mut out = [Lanes::ZERO; PLACES];
    for x in 0..4 {
        let mut column = [Lanes::ZERO; N];
        for (value, row) in column.iter_mut().zip(&by_row) {
            *value = row[x];
        }
        for (y, value) in line(column).into_iter().enumerate() {
            out[y * 4 + x] = value;
        }
    }
    out
}

/// `Aᵀ m A` of a row of tiles, the first of which is number `first`: two rows of pixels, or one at
/// the lower edge.
#[inline(always)]
fn output_row(places: &[Vec<f32>], first: usize, width: usize, channels: usize, out: &mut [f32]) {
    let height = out.len() / (width * channels);
    let line = |[a, b, c, d]: [Lanes; 4]| [a + b + c, b - c - d];
    for column in 0..width.div_ceil(2) {
        for channel in (0..channels).step_by(Lanes::COUNT) {
            let at = (first + column) * channels + channel;
            let mut by_row = [[Lanes::ZERO; 2]; 4];
            for (y, row) in by_row.iter_mut().enumerate() {
                let mut cells = [Lanes::ZERO; 4];
                for (x, cell) in cells.iter_mut().enumerate() {
                    *cell = Lanes::load(&places[y * 4 + x], at);
                }
                *row = line(cells);
            }
            for x in 0..2.min(width - 2 * column) {
                let pixels = line(by_row.map(|row| row[x]));
                for (y, pixel) in pixels.into_iter().take(height).enumerate() {
                    pixel.store(out, (y * width + 2 * column + x) * channels + channel);
                }
            }
        }
    }
}

/// `G g Gᵀ` of all filters as `[PLACES, from, to]`, which a product takes as it is; the nine taps
/// from one channel to another begin at `from · strides[0] + to · strides[1]` of `weights`.
fn transform_filters(weights: &[f32], [from, to]: [usize; 2], strides: [usize; 2]) -> Vec<f32> {
    let line = |[a, b, c]: [Lanes; 3]| {
        let (outer, middle) = ((a + c) * 0.5, b * 0.5);
        [a, outer + middle, outer - middle, c]
    };
    let mut out = vec![0.0; PLACES * from * to];
    parts_of_places(&mut out, BLOCK * to)
        .into_par_iter()
        .enumerate()
        .for_each(|(block, mut out)| {
            let mut taps = [0.0; BLOCK * 9 * Lanes::COUNT];
            vectorised(|| {
                for first in (0..to).step_by(Lanes::COUNT) {
                    for lane in 0..Lanes::COUNT {
                        for row in 0..BLOCK {
                            let at =
                                (block * BLOCK + row) * strides[0] + (first + lane) * strides[1];
                            for (tap, &weight) in weights[at..at + 9].iter().enumerate() {
                                taps[(row * 9 + tap) * Lanes::COUNT + lane] = weight;
                            }
                        }
                    }
                    for row in 0..BLOCK {
                        let tap = |y: usize, x: usize| {
                            Lanes::load(&taps, (row * 9 + y * 3 + x) * Lanes::COUNT)
                        };
                        let taps = [
                            [tap(0, 0), tap(0, 1), tap(0, 2)],
                            [tap(1, 0), tap(1, 1), tap(1, 2)],
                            [tap(2, 0), tap(2, 1), tap(2, 2)],
                        ];
                        let lanes = both_ways(taps, line);
                        for (out, lanes) in out.iter_mut().zip(lanes) {
                            lanes.store(out, row * to + first);
                        }
                    }
                }
            });
        });
    out
}

/// `Gᵀ u G` of `[PLACES, filters, channels]`: `[filters, channels, 3, 3]`.
fn filter_gradients(transformed: &[f32], filters: usize, channels: usize) -> Vec<f32> {
    let line = |[a, b, c, d]: [Lanes; 4]| {
        let (sum, difference) = ((b + c) * 0.5, (b - c) * 0.5);
        [a + sum, difference, sum + d]
    };
    let mut out = vec![0.0; filters * channels * 9];
    out.par_chunks_exact_mut(9 * channels)
        .enumerate()
        .for_each_init(
            || vec![0.0; 9 * channels],
            |taps, (filter, out)| {
                vectorised(|| {
                    for channel in (0..channels).step_by(Lanes::COUNT) {
                        let mut by_row = [[Lanes::ZERO; 3]; 4];
                        for (y, row) in by_row.iter_mut().enumerate() {
                            let mut cells = [Lanes::ZERO; 4];
                            for (x, cell) in cells.iter_mut().enumerate() {
                                let place = (y * 4 + x) * filters + filter;
                                *cell = Lanes::load(transformed, place * channels + channel);
                            }
                            *row = line(cells);
                        }
                        for x in 0..3 {
                            let column = by_row.map(|row| row[x]);
                            for (y, lanes) in line(column).into_iter().enumerate() {
                                lanes.store(taps, (y * 3 + x) * channels + channel);
                            }
                        }
                    }
                    for (channel, out) in out.chunks_exact_mut(9).enumerate() {
                        for (tap, out) in out.iter_mut().enumerate() {
                            *out = taps[tap * channels + channel];
                        }
                    }
                });
            },
        );
    out
}
