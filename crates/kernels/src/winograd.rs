//! 3×3 convolution with stride 1 and padding 1 by Winograd's F(2×2, 3×3) (Lavin and Gray, 2016).
//!
//! `Y = Aᵀ [ (G g Gᵀ) ⊙ (Bᵀ d B) ] A` for every 2×2 tile of the output, summed over channels: 16
//! products where the definition takes 36. Each of the 16 places of a tile is one matrix product over
//! all tiles. Being linear in `d` and in `g`, the same three transforms give both gradients.

mod places;
mod transform;

use rayon::prelude::*;

use crate::buffers::append_in_chunks;
use crate::gemm::{Matrix, Target, Threads, multiply};
use crate::geometry::Geometry;
use places::Places;
use transform::{
    GradientLine, InputLine, filter_gradients, output_row, transform_filters, transform_tiles,
};

/// Channels come in so many at a time: a whole number of vectors of any width.
const CHANNELS: usize = 16;

/// Tiles that are transformed before they are multiplied, which bounds the memory they take.
const TILES: usize = 4096;

/// Tiles under which the products are too thin to gain anything.
const FEWEST_TILES: usize = 24;

/// Where row or column `i` of a transformed filter lies in that of the filter turned by 180°.
const TURNED: [usize; 4] = [3, 1, 2, 0];

/// Whether this algorithm supports the convolution and is fast for it.
pub(crate) fn suits(geometry: &Geometry) -> bool {
    let whole = |channels: usize| channels.is_multiple_of(CHANNELS);
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
        let input = transform_tiles::<InputLine, 4>(input, size, channels, 1);
        let gradient = transform_tiles::<GradientLine, 2>(gradient, size, filters, 0);
        let count = input.length() / channels;
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
        let transformed = transform_tiles::<InputLine, 4>(input, size, from, 1);
        let count = transformed.length() / from;
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
                output_row(&products, first, [width, to], output);
            });
        });
    }
    output
}
