//! Loops over `[positions, channels]` that batch normalisation is made of, on all threads.

use rayon::prelude::*;

use crate::buffers::append_in_chunks;
use crate::cpu::{Kernel, vectorised};

/// Values that a thread takes at once: they stay in its cache from one loop to the next.
const BLOCK: usize = 1 << 15;

fn block_len(channels: usize) -> usize {
    (BLOCK / channels).max(1) * channels
}

/// `f(scale · x + shift + shortcut)`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Affine<'a> {
    pub(crate) scale: &'a [f32],
    pub(crate) shift: &'a [f32],
    pub(crate) shortcut: Option<&'a [f32]>,
    /// Whether negative results become 0.
    pub(crate) rectify: bool,
}

impl Affine<'_> {
    pub(crate) fn append(&self, input: &[f32], output: &mut Vec<f32>) {
        let block = block_len(self.scale.len());
        append_in_chunks(output, input.len(), block, |index, output| {
            let start = index * block;
            output.copy_from_slice(&input[start..start + output.len()]);
            self.apply_to_block(start, output);
        });
    }

    pub(crate) fn apply_in_place(&self, values: &mut [f32]) {
        let block = block_len(self.scale.len());
        let blocks = values.par_chunks_mut(block).enumerate();
        blocks.for_each(|(index, values)| self.apply_to_block(index * block, values));
    }

    /// In place, to values that begin at `start` of the whole.
    fn apply_to_block(&self, start: usize, values: &mut [f32]) {
        let shortcut = self
            .shortcut
            .map(|shortcut| &shortcut[start..start + values.len()]);
        vectorised(AffineBlock {
            affine: Affine { shortcut, ..*self },
            values,
        });
    }
}

/// Some rows, and the part of the shortcut that belongs to them.
struct AffineBlock<'a> {
    affine: Affine<'a>,
    values: &'a mut [f32],
}

impl Kernel for AffineBlock<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Affine {
            scale,
            shift,
            shortcut,
            rectify,
        } = self.affine;
        // A NaN stays one.
        let floor = if rectify { 0.0 } else { f32::NEG_INFINITY };
        let rows = self.values.chunks_exact_mut(scale.len());
        match shortcut {
            None => {
                for row in rows {
                    for (value, (scale, shift)) in row.iter_mut().zip(scale.iter().zip(shift)) {
                        let result = *value * scale + shift;
                        *value = if result < floor { floor } else { result };
                    }
                }
            }
            Some(shortcut) => {
                for (row, shortcut) in rows.zip(shortcut.chunks_exact(scale.len())) {
                    let factors = scale.iter().zip(shift).zip(shortcut);
                    for (value, ((scale, shift), shortcut)) in row.iter_mut().zip(factors) {
                        let result = *value * scale + shift + shortcut;
                        *value = if result < floor { floor } else { result };
                    }
                }
            }
        }
    }
}

/// Mean and biased variance of every channel: each block's own, then joined (Chan et al., 1983),
/// which loses no digits however far the mean lies from 0.
pub(crate) fn moments(values: &[f32], channels: usize) -> (Vec<f32>, Vec<f32>) {
    let blocks: Vec<Moments> = values
        .par_chunks(block_len(channels))
        .map(|values| vectorised(BlockMoments { values, channels }))
        .collect();
    let mut mean = vec![0.0; channels];
    let mut variance = vec![0.0; channels];
    for channel in 0..channels {
        let (mut count, mut average, mut squares) = (0.0, 0.0, 0.0);
        for block in &blocks {
            let added = block.count as f64;
            let step = f64::from(block.mean[channel]) - average;
            let total = count + added;
            average += step * added / total;
            squares += f64::from(block.squares[channel]) + step * step * count * added / total;
            count = total;
        }
        mean[channel] = average as f32;
        variance[channel] = (squares / count) as f32;
    }
    (mean, variance)
}

/// Rows, their mean, and the sum of squared deviations from it.
struct Moments {
    count: usize,
    mean: Vec<f32>,
    squares: Vec<f32>,
}

struct BlockMoments<'a> {
    values: &'a [f32],
    channels: usize,
}

impl Kernel for BlockMoments<'_> {
    type Output = Moments;

    #[inline(always)]
    fn run(self) -> Moments {
        let channels = self.channels;
        let count = self.values.len() / channels;
        let mut mean = vec![0.0; channels];
        for row in self.values.chunks_exact(channels) {
            for (sum, value) in mean.iter_mut().zip(row) {
                *sum += value;
            }
        }
        for sum in &mut mean {
            *sum /= count as f32;
        }
        let mut squares = vec![0.0; channels];
        for row in self.values.chunks_exact(channels) {
            for ((sum, value), mean) in squares.iter_mut().zip(row).zip(&mean) {
                let deviation = value - mean;
                *sum += deviation * deviation;
            }
        }
        Moments {
            count,
            mean,
            squares,
        }
    }
}

/// Values of the forward pass that the backward pass of batch normalisation needs, except its
/// input.
pub(crate) struct NormGradient<'a> {
    /// The output after ReLU, if there is one.
    pub(crate) rectified: Option<&'a [f32]>,
    pub(crate) gamma: &'a [f32],
    pub(crate) mean: &'a [f32],
    /// `1 / √(variance + ε)`.
    pub(crate) inverse: &'a [f32],
}

impl NormGradient<'_> {
    /// With `x̂` the normalised input: `∂β = Σ g`, `∂γ = Σ g x̂`,
    /// `∂x = γ/σ (g − mean(g) − x̂ mean(g x̂))`. Returns `∂γ` and `∂β`; `gradient` becomes `g`, that
    /// of what went into the ReLU, and `input` becomes `∂x`.
    pub(crate) fn of(&self, gradient: &mut [f32], input: &mut [f32]) -> [Vec<f32>; 2] {
        let channels = self.gamma.len();
        let [gamma, beta] = self.sums(gradient, input);
        let count = (gradient.len() / channels) as f32;
        // The formula as a g + b x + c per channel.
        let mut factors = InputFactors {
            outer: Vec::with_capacity(channels),
            slope: Vec::with_capacity(channels),
            constant: Vec::with_capacity(channels),
        };
        for channel in 0..channels {
            let inverse = self.inverse[channel];
            let outer = self.gamma[channel] * inverse;
            let slope = -outer * inverse * gamma[channel] / count;
            factors.outer.push(outer);
            factors.slope.push(slope);
            let constant = -outer * beta[channel] / count - slope * self.mean[channel];
            factors.constant.push(constant);
        }
        let block = block_len(channels);
        let blocks = input.par_chunks_mut(block).zip(gradient.par_chunks(block));
        blocks.for_each(|(input, gradient)| {
            vectorised(InputGradientBlock {
                factors: &factors,
                gradient,
                input,
            });
        });
        [gamma, beta]
    }

    /// `Σ g x̂` and `Σ g`.
    fn sums(&self, gradient: &mut [f32], input: &[f32]) -> [Vec<f32>; 2] {
        let channels = self.gamma.len();
        let block = block_len(channels);
        let parts: Vec<(Vec<f32>, Vec<f32>)> = gradient
            .par_chunks_mut(block)
            .zip(input.par_chunks(block))
            .enumerate()
            .map(|(index, (gradient, input))| {
                let rectified = self.rectified.map(|output| &output[index * block..]);
                vectorised(BlockSums {
                    rectified,
                    gradient,
                    input,
                    mean: self.mean,
                })
            })
            .collect();
        let plain = (0..channels).map(|channel| {
            let values = parts.iter().map(|(plain, _)| f64::from(plain[channel]));
            values.sum::<f64>() as f32
        });
        let weighted = (0..channels).map(|channel| {
            let values = parts
                .iter()
                .map(|(_, weighted)| f64::from(weighted[channel]));
            values.sum::<f64>() as f32 * self.inverse[channel]
        });
        [weighted.collect(), plain.collect()]
    }
}

/// Per channel, the factors of the output's gradient, of the input and of 1 in the input's
/// gradient.
struct InputFactors {
    outer: Vec<f32>,
    slope: Vec<f32>,
    constant: Vec<f32>,
}

struct InputGradientBlock<'a> {
    factors: &'a InputFactors,
    gradient: &'a [f32],
    /// Becomes its gradient.
    input: &'a mut [f32],
}

impl Kernel for InputGradientBlock<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let InputFactors {
            outer,
            slope,
            constant,
        } = self.factors;
        let channels = outer.len();
        let rows = self.gradient.chunks_exact(channels);
        for (input, gradient) in self.input.chunks_exact_mut(channels).zip(rows) {
            let factors = outer.iter().zip(slope).zip(constant);
            for ((input, gradient), ((outer, slope), constant)) in
                input.iter_mut().zip(gradient).zip(factors)
            {
                *input = outer * gradient + (slope * *input + constant);
            }
        }
    }
}

/// `Σ g` and `Σ g (x − mean)` of some rows, where `g` is the gradient where a ReLU let its input pass
/// and 0 elsewhere.
struct BlockSums<'a> {
    rectified: Option<&'a [f32]>,
    /// Becomes `g`.
    gradient: &'a mut [f32],
    input: &'a [f32],
    mean: &'a [f32],
}

impl Kernel for BlockSums<'_> {
    type Output = (Vec<f32>, Vec<f32>);

    #[inline(always)]
    fn run(self) -> Self::Output {
        if let Some(rectified) = self.rectified {
            for (gradient, output) in self.gradient.iter_mut().zip(rectified) {
                *gradient = if *output > 0.0 { *gradient } else { 0.0 };
            }
        }
        let channels = self.mean.len();
        let (mut plain, mut weighted) = (vec![0.0; channels], vec![0.0; channels]);
        let rows = self
            .gradient
            .chunks_exact(channels)
            .zip(self.input.chunks_exact(channels));
        for (gradient, input) in rows {
            let sums = plain.iter_mut().zip(&mut weighted).zip(self.mean);
            for (((plain, weighted), mean), (gradient, input)) in
                sums.zip(gradient.iter().zip(input))
            {
                *plain += gradient;
                *weighted += gradient * (input - mean);
            }
        }
        (plain, weighted)
    }
}
