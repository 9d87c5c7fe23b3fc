use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, SeedableRng};
use siphasher::sip::SipHasher13;

use crate::Sampling;

/// Draws a token from scores.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sampler {
    temperature: f64,
    top_k: Option<usize>,
    top_p: Option<f64>,
}

/// The random streams of all reports: `sampling.returned` per study.
pub(crate) fn streams(sampling: &Sampling, studies: &[&str]) -> Vec<Xoshiro256PlusPlus> {
    studies
        .iter()
        .flat_map(|study| (0..sampling.returned).map(|report| stream(sampling.seed, study, report)))
        .collect()
}

/// The random stream of one report: a function of the seed, the study's id and the report's number,
/// so that it is the same in any batch.
///
/// SipHash-1-3 and xoshiro256++ are fixed algorithms: the stream is the same on every platform and
/// for every version of the crates.
fn stream(seed: u64, study: &str, report: usize) -> Xoshiro256PlusPlus {
    let hash = SipHasher13::new_with_keys(seed, report as u64).hash(study.as_bytes());
    Xoshiro256PlusPlus::seed_from_u64(hash)
}

/// A number in [0, 1) from the upper 53 bits of the next word.
fn uniform(random: &mut Xoshiro256PlusPlus) -> f64 {
    (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

impl Sampler {
    pub(crate) fn of(sampling: &Sampling) -> Self {
        Sampler {
            temperature: sampling.temperature,
            top_k: sampling.top_k,
            top_p: sampling.top_p,
        }
    }

    /// Draws a token; `None` if all scores are −∞.
    pub(crate) fn draw(&self, scores: &[f32], random: &mut Xoshiro256PlusPlus) -> Option<u32> {
        let candidates = self.candidates(scores);
        let total: f64 = candidates.iter().map(|candidate| candidate.weight).sum();
        let mut left = uniform(random) * total;
        for candidate in &candidates {
            left -= candidate.weight;
            if left < 0.0 {
                return Some(candidate.token);
            }
        }
        // Rounding can leave a remainder at or above 0; it belongs to the last candidate.
        candidates.last().map(|candidate| candidate.token)
    }

    /// The tokens that may be drawn, with unnormalised probabilities.
    fn candidates(&self, scores: &[f32]) -> Vec<Candidate> {
        let highest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let weight = |score: f32| (f64::from(score - highest) / self.temperature).exp();
        let mut candidates: Vec<Candidate> = (0..)
            .zip(scores)
            .filter(|(_, score)| **score > f32::NEG_INFINITY)
            .map(|(token, &score)| Candidate {
                token,
                score,
                weight: weight(score),
            })
            .collect();
        if let Some(top_k) = self.top_k {
            keep_highest(&mut candidates, top_k);
        }
        if let Some(top_p) = self.top_p {
            keep_nucleus(&mut candidates, top_p);
        }
        candidates
    }
}

#[derive(Debug, Clone, Copy)]
struct Candidate {
    token: u32,
    score: f32,
    weight: f64,
}

impl Candidate {
    /// Higher scores first, then lower tokens.
    fn order(&self, other: &Self) -> std::cmp::Ordering {
        let scores = other.score.total_cmp(&self.score);
        scores.then(self.token.cmp(&other.token))
    }
}

fn keep_highest(candidates: &mut Vec<Candidate>, count: usize) {
    if count < candidates.len() {
        candidates.select_nth_unstable_by(count, Candidate::order);
        candidates.truncate(count);
    }
    // Partial selection leaves no defined order.
    candidates.sort_unstable_by_key(|candidate| candidate.token);
}

/// Keeps the smallest set of the most probable candidates that holds `share` of the total weight
/// (nucleus, Holtzman et al. 2020).
fn keep_nucleus(candidates: &mut Vec<Candidate>, share: f64) {
    candidates.sort_unstable_by(Candidate::order);
    let enough = share * candidates.iter().map(|c| c.weight).sum::<f64>();
    let mut held = 0.0;
    let needed = |candidate: &&Candidate| {
        let needed = held < enough;
        held += candidate.weight;
        needed
    };
    let count = candidates.iter().take_while(needed).count();
    candidates.truncate(count);
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROBS: [f32; 5] = [0.05, 0.4, 0.15, 0.3, 0.1];

    fn tokens(top_k: Option<usize>, top_p: Option<f64>) -> Vec<u32> {
        let sampler = Sampler {
            temperature: 1.0,
            top_k,
            top_p,
        };
        let candidates = sampler.candidates(&PROBS.map(f32::ln));
        let mut tokens: Vec<u32> = candidates.iter().map(|c| c.token).collect();
        tokens.sort_unstable();
        tokens
    }

    /// Golden numbers of SipHash-1-3, SplitMix64 and xoshiro256++ written out in Python.
    #[test]
    fn streams_are_fixed_for_good() {
        let first = |seed, study, report| {
            let mut random = stream(seed, study, report);
            [random.next_u64(), random.next_u64()]
        };
        assert_eq!(
            first(0, "", 0),
            [0xA190_46E2_DF0D_AEBF, 0x5E1A_DC1F_3A27_B972]
        );
        assert_eq!(
            first(11, "study-17", 0),
            [0x05E4_AF00_E961_168B, 0x2C2E_1561_0943_7D2D]
        );
        assert_eq!(
            first(11, "study-17", 1),
            [0x76C3_03BA_6E49_BBE7, 0xA044_07F3_23F8_84B3]
        );
        assert_eq!(
            first(12, "a/b.png, ü", 0),
            [0x96B9_2365_82F8_8E83, 0xE39E_224E_3DA5_4F10]
        );
    }

    #[test]
    fn the_nucleus_is_the_smallest_set() {
        assert_eq!(tokens(None, Some(0.39)), [1]);
        assert_eq!(tokens(None, Some(0.41)), [1, 3]);
        assert_eq!(tokens(None, Some(0.84)), [1, 2, 3]);
        assert_eq!(tokens(None, Some(1.0)), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn the_nucleus_is_taken_of_the_top_k() {
        assert_eq!(tokens(Some(2), None), [1, 3]);
        assert_eq!(tokens(Some(9), None), [0, 1, 2, 3, 4]);
        // 0.4 of the 0.7 that two tokens hold is 57 %.
        assert_eq!(tokens(Some(2), Some(0.57)), [1]);
        assert_eq!(tokens(Some(2), Some(0.58)), [1, 3]);
    }

    #[test]
    fn draws_follow_the_probabilities() {
        let sampler = Sampler::of(&Sampling::new(1.0, 3));
        let mut random = stream(3, "study", 0);
        let scores = PROBS.map(f32::ln);
        let mut counts = [0_u32; 5];
        for _ in 0..20_000 {
            counts[sampler.draw(&scores, &mut random).unwrap() as usize] += 1;
        }
        for (count, prob) in counts.iter().zip(PROBS) {
            let share = f64::from(*count) / 20_000.0;
            assert!((share - f64::from(prob)).abs() < 0.015, "{counts:?}");
        }
    }

    #[test]
    fn blocked_tokens_are_never_drawn() {
        let sampler = Sampler::of(&Sampling::new(2.0, 3).with_top_k(3).with_top_p(1.0));
        let mut random = stream(3, "study", 0);
        let blocked = f32::NEG_INFINITY;
        for _ in 0..50 {
            let scores = [blocked, -1.0, blocked, blocked];
            assert_eq!(sampler.draw(&scores, &mut random), Some(1));
        }
        assert_eq!(sampler.draw(&[blocked; 3], &mut random), None);
    }
}
