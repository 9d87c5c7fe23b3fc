//! Loops over `[positions, channels]` that batch normalisation is made of, on all threads.

use rayon::prelude::*;

use crate::cpu::vectorised;

/// Values that a thread takes at once: they stay in its cache from one loop to the next.
const BLOCK: usize = 1 << 15;

fn block_len(channels: usize) -> usize {
    (BLOCK / channels).max(1) * channels
}

/// `f(scale · x + shift + shortcut)`.
pub(crate) struct Affine<'a> {
    pub(crate) scale: &'a [f32],
    pub(crate) shift: &'a [f32],
    pub(crate) shortcut: Option<&'a [f32]>,
    /// Whether negative results become 0.
    pub(crate) rectify: bool,
}

impl Affine<'_> {
    pub(crate) fn apply(&self, input: &[f32]) -> Vec<f32> {
        let mut output = input.to_vec();
        self.apply_in_place(&mut output);
        output
    }

    pub(crate) fn apply_in_place(&self, values: &mut [f32]) {
        let channels = self.scale.len();
        let block = block_len(channels);
        // A NaN stays one.
        let floor = if self.rectify { 0.0 } else { f32::NEG_INFINITY };
        let above = |value: f32| if value < floor { floor } else { value };
        values
            .par_chunks_mut(block)
            .enumerate()
            .for_each(|(index, values)| {
                vectorised(|| {
                    let rows = values.chunks_exact_mut(channels);
                    match self.shortcut {
                        None => {
                            for row in rows {
                                let factors = self.scale.iter().zip(self.shift);
                                for (value, (scale, shift)) in row.iter_mut().zip(factors) {
                                    *value = above(*value * scale + shift);
                                }
                            }
                        }
                        Some(shortcut) => {
                            let shortcut = &shortcut[index * block..];
                            for (row, shortcut) in rows.zip(shortcut.chunks_exact(channels)) {
                                let factors = self.scale.iter().zip(self.shift).zip(shortcut);
                                for (value, ((scale, shift), shortcut)) in
                                    row.iter_mut().zip(factors)
                                {
                                    *value = above(*value * scale + shift + shortcut);
                                }
                            }
                        }
                    }
                });
            });
    }
}

/// Mean and biased variance of every channel: each block's own, then joined (Chan et al., 1983),
/// which loses no digits however far the mean lies from 0.
pub(crate) fn moments(values: &[f32], channels: usize) -> (Vec<f32>, Vec<f32>) {
    let blocks: Vec<(usize, Vec<f32>, Vec<f32>)> = values
        .par_chunks(block_len(channels))
        .map(|values| {
            vectorised(|| {
                let count = values.len() / channels;
                let mut mean = vec![0.0; channels];
                for row in values.chunks_exact(channels) {
                    for (sum, value) in mean.iter_mut().zip(row) {
                        *sum += value;
                    }
                }
                for sum in &mut mean {
                    *sum /= count as f32;
                }
                let mut squares = vec![0.0; channels];
                for row in values.chunks_exact(channels) {
                    for ((sum, value), mean) in squares.iter_mut().zip(row).zip(&mean) {
                        let deviation = value - mean;
                        *sum += deviation * deviation;
                    }
                }
                (count, mean, squares)
            })
        })
        .collect();
    let mut mean = vec![0.0; channels];
    let mut variance = vec![0.0; channels];
    for channel in 0..channels {
        let (mut count, mut average, mut squares) = (0.0, 0.0, 0.0);
        for (block_count, block_mean, block_squares) in &blocks {
            let added = *block_count as f64;
            let step = f64::from(block_mean[channel]) - average;
            let total = count + added;
            average += step * added / total;
            squares += f64::from(block_squares[channel]) + step * step * count * added / total;
            count = total;
        }
        mean[channel] = average as f32;
        variance[channel] = (squares / count) as f32;
    }
    (mean, variance)
}

/// The gradient where the output is positive, 0 elsewhere.
pub(crate) fn rectified(gradient: &[f32], output: &[f32]) -> Vec<f32> {
    let mut kept = vec![0.0; gradient.len()];
    kept.par_chunks_mut(BLOCK)
        .zip(gradient.par_chunks(BLOCK))
        .zip(output.par_chunks(BLOCK))
        .for_each(|((kept, gradient), output)| {
            vectorised(|| {
                for ((kept, gradient), output) in kept.iter_mut().zip(gradient).zip(output) {
                    *kept = if *output > 0.0 { *gradient } else { 0.0 };
                }
            });
        });
    kept
}

/// What a gradient through batch normalisation needs of the forward pass.
pub(crate) struct NormGradient<'a> {
    pub(crate) input: &'a [f32],
    pub(crate) gamma: &'a [f32],
    pub(crate) mean: &'a [f32],
    /// `1 / √(variance + ε)`.
    pub(crate) inverse: &'a [f32],
}

/// Gradients of what goes into batch normalisation.
pub(crate) struct NormGradients {
    pub(crate) input: Vec<f32>,
    pub(crate) gamma: Vec<f32>,
    pub(crate) beta: Vec<f32>,
}

impl NormGradient<'_> {
    /// With `x̂` the normalised input: `∂β = Σ g`, `∂γ = Σ g x̂`,
    /// `∂x = γ/σ (g − mean(g) − x̂ mean(g x̂))`.
    pub(crate) fn of(&self, gradient: &[f32]) -> NormGradients {
        let channels = self.gamma.len();
        let (beta, gamma) = self.sums(gradient);
        let count = (gradient.len() / channels) as f32;
        // The formula as a g + b x + c per channel.
        let mut factors = vec![[0.0; 3]; channels];
        for (channel, factors) in factors.iter_mut().enumerate() {
            let inverse = self.inverse[channel];
            let outer = self.gamma[channel] * inverse;
            let slope = -outer * inverse * gamma[channel] / count;
            let constant = -outer * beta[channel] / count - slope * self.mean[channel];
            *factors = [outer, slope, constant];
        }
        let column = |index: usize| -> Vec<f32> { factors.iter().map(|f| f[index]).collect() };
        let (outer, slope, constant) = (column(0), column(1), column(2));
        let mut input = vec![0.0; gradient.len()];
        let block = block_len(channels);
        input
            .par_chunks_mut(block)
            .zip(gradient.par_chunks(block))
            .zip(self.input.par_chunks(block))
            .for_each(|((out, gradient), input)| {
                vectorised(|| {
                    let rows = gradient
                        .chunks_exact(channels)
                        .zip(input.chunks_exact(channels));
                    for (out, (gradient, input)) in out.chunks_exact_mut(channels).zip(rows) {
                        let factors = outer.iter().zip(&slope).zip(&constant);
                        let values = gradient.iter().zip(input).zip(factors);
                        for (out, ((gradient, input), ((outer, slope), constant))) in
                            out.iter_mut().zip(values)
                        {
                            *out = outer * gradient + (slope * input + constant);
                        }
                    }
                });
            });
        NormGradients { input, gamma, beta }
    }

    /// `Σ g` and `Σ g x̂`.
    fn sums(&self, gradient: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let channels = self.gamma.len();
        let block = block_len(channels);
        let parts: Vec<(Vec<f32>, Vec<f32>)> = gradient
            .par_chunks(block)
            .zip(self.input.par_chunks(block))
            .map(|(gradient, input)| {
                vectorised(|| {
                    let (mut plain, mut weighted) = (vec![0.0; channels], vec![0.0; channels]);
                    let rows = gradient
                        .chunks_exact(channels)
                        .zip(input.chunks_exact(channels));
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
        (plain.collect(), weighted.collect())
    }
}
