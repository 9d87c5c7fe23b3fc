use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::rollout::ReportId;

/// How a word is drawn from scores.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sampler {
    pub(super) temperature: f64,
    pub(super) top_k: Option<usize>,
    pub(super) top_p: Option<f64>,
}

/// Random numbers of one report: a function of the seed, the study's number and the report's, and
/// so the same in any batch.
pub(super) fn random_numbers(seed: u64, id: ReportId) -> StdRng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&(id.study as u64).to_le_bytes());
    key[16..24].copy_from_slice(&(id.report as u64).to_le_bytes());
    StdRng::from_seed(key)
}

impl Sampler {
    /// Draws a token; none if all scores are −∞.
    pub(super) fn draw(&self, scores: &[f32], random: &mut StdRng) -> Option<u32> {
        let candidates = self.candidates(scores);
        let total: f64 = candidates.iter().map(|candidate| candidate.weight).sum();
        let mut left = random.random::<f64>() * total;
        for candidate in &candidates {
            left -= candidate.weight;
            if left < 0.0 {
                return Some(candidate.token);
            }
        }
        // Rounding may leave a trace: it belongs to the last.
        candidates.last().map(|candidate| candidate.token)
    }

    /// What may be drawn, with its unnormalised probability.
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
    // What partial selection leaves is in no defined order.
    candidates.sort_unstable_by_key(|candidate| candidate.token);
}

/// Keeps the smallest set of the most probable candidates that holds `share` of all weight
/// (Holtzman et al. 2020).
fn keep_nucleus(candidates: &mut Vec<Candidate>, share: f64) {
    candidates.sort_unstable_by(Candidate::order);
    let enough = share * candidates.iter().map(|c| c.weight).sum::<f64>();
    let mut held = 0.0;
    let still_missing = |candidate: &&Candidate| {
        let missing = held < enough;
        held += candidate.weight;
        missing
    };
    let count = candidates.iter().take_while(still_missing).count();
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
        // 0.4 of the 0.7 that two words hold is 57 %.
        assert_eq!(tokens(Some(2), Some(0.57)), [1]);
        assert_eq!(tokens(Some(2), Some(0.58)), [1, 3]);
    }

    #[test]
    fn draws_follow_the_probabilities() {
        let sampler = Sampler {
            temperature: 1.0,
            top_k: None,
            top_p: None,
        };
        let mut random = random_numbers(
            3,
            ReportId {
                study: 0,
                report: 0,
            },
        );
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
        let sampler = Sampler {
            temperature: 2.0,
            top_k: Some(3),
            top_p: Some(1.0),
        };
        let mut random = random_numbers(
            3,
            ReportId {
                study: 0,
                report: 0,
            },
        );
        let blocked = f32::NEG_INFINITY;
        for _ in 0..50 {
            let scores = [blocked, -1.0, blocked, blocked];
            assert_eq!(sampler.draw(&scores, &mut random), Some(1));
        }
        assert_eq!(sampler.draw(&[blocked; 3], &mut random), None);
    }
}
