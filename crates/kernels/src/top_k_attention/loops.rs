//! What happens to each head of each query, compiled per vector width.

use super::TopKAttention;
use super::fused::{Kept, Pass};
use crate::cpu::{Contiguous, Kernel, dims};
use crate::top_k::top_k;

/// Gradients of the queries, keys and values of one head.
pub(super) struct HeadGradients<'a> {
    pub(super) pass: &'a Pass,
    pub(super) head: usize,
    pub(super) kept: &'a Kept,
    /// Of the response.
    pub(super) gradient: &'a [f32],
}

impl Kernel for HeadGradients<'_> {
    type Output = [Vec<f32>; 3];

    #[inline(always)]
    fn run(self) -> [Vec<f32>; 3] {
        let HeadGradients {
            pass,
            head,
            kept,
            gradient,
        } = self;
        let [positions, width] = dims(&pass.queries);
        let [rows, _] = dims(&pass.keys);
        let TopKAttention {
            heads, top_k: k, ..
        } = pass.attention;
        let d_head = width / heads;
        let (queries, keys, values) = (
            Contiguous::new(pass.queries.clone()),
            Contiguous::new(pass.keys.clone()),
            Contiguous::new(pass.values.clone()),
        );
        let (queries, keys, values) = (queries.values(), keys.values(), values.values());
        let mut by_query = vec![0.0; positions * d_head];
        let mut by_key = vec![0.0; rows * d_head];
        let mut by_value = vec![0.0; rows * d_head];
        let mut by_weight = vec![0.0; k];
        let column = head * d_head;
        for position in 0..positions {
            let place = position * heads + head;
            let chosen = &kept.rows[place * k..][..k];
            let weights = &kept.weights[place * k..][..k];
            let gradient = part(gradient, position * width + column, d_head);
            let query = part(queries, position * width + column, d_head);
            let scales = Scales::of_place(pass, place);
            let mut mean = 0.0;
            for slot in 0..k {
                let row = chosen[slot] as usize;
                let scale = scales.of(slot);
                by_weight[slot] = scale * dot(gradient, part(values, row * width + column, d_head));
                mean += weights[slot] * by_weight[slot];
                let by_value = &mut by_value[row * d_head..][..d_head];
                add_scaled(by_value, weights[slot] * scale, gradient);
            }
            let by_query = &mut by_query[position * d_head..][..d_head];
            for slot in 0..k {
                let row = chosen[slot] as usize;
                let by_score = weights[slot] * (by_weight[slot] - mean);
                add_scaled(by_query, by_score, part(keys, row * width + column, d_head));
                let by_key = &mut by_key[row * d_head..][..d_head];
                add_scaled(by_key, by_score, query);
            }
        }
        [by_query, by_key, by_value]
    }
}

#[inline(always)]
fn part(values: &[f32], start: usize, length: usize) -> &[f32] {
    &values[start..start + length]
}

#[inline(always)]
fn add_scaled(out: &mut [f32], scale: f32, values: &[f32]) {
    for (out, value) in out.iter_mut().zip(values) {
        *out += scale * value;
    }
}

/// Selection, softmax and response of one head of one query.
pub(super) struct Respond<'a> {
    pub(super) pass: &'a Pass,
    /// Number of the head of the query.
    pub(super) place: usize,
    pub(super) scores: &'a [f32],
    /// The head's first column of the values, and all after it.
    pub(super) values: &'a [f32],
    pub(super) candidates: &'a mut Vec<(f32, u32)>,
    pub(super) kept: &'a mut [u32],
    pub(super) weights: &'a mut [f32],
    pub(super) out: &'a mut [f32],
}

impl Kernel for Respond<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let [_, width] = dims(&self.pass.queries);
        top_k(self.scores, self.candidates, self.kept, self.weights);
        softmax(self.weights);
        let scales = Scales::of_place(self.pass, self.place);
        for (slot, (&kept, &weight)) in self.kept.iter().zip(&*self.weights).enumerate() {
            let value = part(self.values, kept as usize * width, self.out.len());
            add_scaled(self.out, weight * scales.of(slot), value);
        }
    }
}

/// Dot product with 16 independent partial sums, which the compiler vectorises; the fixed order of
/// a single sum would prevent that. The sums are then added by halves for the same reason.
#[inline(always)]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0; 16];
    let (a_chunks, b_chunks) = (a.chunks_exact(16), b.chunks_exact(16));
    let rest = a_chunks.remainder().iter().zip(b_chunks.remainder());
    let rest: f32 = rest.map(|(a, b)| a * b).sum();
    for (a, b) in a_chunks.zip(b_chunks) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    let sums: [f32; 8] = std::array::from_fn(|lane| sums[lane] + sums[lane + 8]);
    let sums: [f32; 4] = std::array::from_fn(|lane| sums[lane] + sums[lane + 4]);
    rest + (sums[0] + sums[2]) + (sums[1] + sums[3])
}

#[inline(always)]
fn softmax(scores: &mut [f32]) {
    let highest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut total = 0.0;
    for score in &mut *scores {
        *score = (*score - highest).exp();
        total += *score;
    }
    for score in scores {
        *score /= total;
    }
}

/// Factors that dropout gives to weights, one after the other.
struct Scales {
    seed: u64,
    first: usize,
    /// Draws below it are dropped.
    limit: u32,
    scale: f32,
}

impl Scales {
    /// What dropout makes of the weights of a head of a query, numbered by `place`.
    #[inline(always)]
    fn of_place(pass: &Pass, place: usize) -> Self {
        let first = place * pass.attention.top_k;
        let Some((probability, [low, high])) = pass.dropout else {
            return Scales {
                seed: 0,
                first,
                limit: 0,
                scale: 1.0,
            };
        };
        Scales {
            seed: u64::from(low) | u64::from(high) << 32,
            first,
            limit: (probability * u32::MAX as f64) as u32,
            scale: (1.0 / (1.0 - probability)) as f32,
        }
    }

    #[inline(always)]
    fn of(&self, slot: usize) -> f32 {
        if self.limit > 0 && draw(self.seed, self.first + slot) < self.limit {
            0.0
        } else {
            self.scale
        }
    }
}

/// Hashes seed and index to a random number that is uniform over `u32` (SplitMix64).
#[inline(always)]
fn draw(seed: u64, index: usize) -> u32 {
    let mut z = seed.wrapping_add((index as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ (z >> 31)) >> 32) as u32
}
