//! METEOR's counts of a study, and their score.

use std::iter::Sum;

use serde::{Deserialize, Serialize};

use super::words::is_function_word;

/// Number of ways in which words can match.
pub(super) const MODULES: usize = 4;

/// Weight of a match by module: exact, stem, synonym, paraphrase.
const WEIGHTS: [f64; MODULES] = [1.0, 0.6, 0.8, 0.6];
/// Weight of recall against precision.
const ALPHA: f64 = 0.85;
/// Exponent of the fragmentation penalty.
const BETA: f64 = 0.20;
/// Weight of the fragmentation penalty.
const GAMMA: f64 = 0.60;
/// Weight of content words; function words weigh 1 − δ.
const DELTA: f64 = 0.75;

/// Words and matched words on one side of an alignment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SideCounts {
    pub words: u64,
    pub function_words: u64,
    /// Matched content words by module.
    pub content: [u64; MODULES],
    /// Matched function words by module.
    pub function: [u64; MODULES],
}

/// Sufficient statistics of METEOR: those of a corpus are the sum of its studies'.
///
/// Resample these, not the per-study scores, to test a difference in corpus METEOR.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeteorCounts {
    pub(super) hypothesis: SideCounts,
    pub(super) reference: SideCounts,
    pub(super) chunks: u64,
}

impl SideCounts {
    /// Counts the words of a report, none of them matched yet.
    pub fn of(words: &[String]) -> Self {
        let function_words = words.iter().filter(|word| is_function_word(word)).count();
        Self {
            words: words.len() as u64,
            function_words: function_words as u64,
            ..Self::default()
        }
    }

    /// Counts words matched by a module.
    pub fn add_matched(&mut self, words: &[String], module: usize) {
        for word in words {
            if is_function_word(word) {
                self.function[module] += 1;
            } else {
                self.content[module] += 1;
            }
        }
    }

    fn matched(&self) -> u64 {
        self.content.iter().chain(&self.function).sum()
    }

    /// Weighted share of the words that are matched: precision or recall. NaN without words.
    fn share(&self) -> f64 {
        let weighted = |matches: &[u64; MODULES]| -> f64 {
            matches
                .iter()
                .zip(WEIGHTS)
                .map(|(&matches, weight)| matches as f64 * weight)
                .sum()
        };
        let matched = DELTA * weighted(&self.content) + (1.0 - DELTA) * weighted(&self.function);
        let content_words = self.words - self.function_words;
        matched / (DELTA * content_words as f64 + (1.0 - DELTA) * self.function_words as f64)
    }

    fn add(&mut self, other: &Self) {
        self.words += other.words;
        self.function_words += other.function_words;
        for module in 0..MODULES {
            self.content[module] += other.content[module];
            self.function[module] += other.function[module];
        }
    }
}

impl MeteorCounts {
    /// METEOR of these counts, in [0, 1].
    ///
    /// F·(1 − γ·(chunks / matches)^β) with F = 1 / ((1 − α)/p + α/r); 0 where nothing matches.
    pub fn score(&self) -> f64 {
        let (precision, recall) = (self.hypothesis.share(), self.reference.share());
        let mean = 1.0 / ((1.0 - ALPHA) / precision + ALPHA / recall);
        let matched = (self.hypothesis.matched() + self.reference.matched()) as f64 / 2.0;
        let fragmentation = if self.is_perfect() {
            0.0
        } else {
            self.chunks as f64 / matched
        };
        let score = mean * (1.0 - GAMMA * fragmentation.powf(BETA));
        if score.is_nan() { 0.0 } else { score.max(0.0) }
    }

    /// Whether every word is matched in one chunk.
    fn is_perfect(&self) -> bool {
        self.chunks == 1
            && self.hypothesis.matched() == self.hypothesis.words
            && self.reference.matched() == self.reference.words
    }
}

impl<'a> Sum<&'a MeteorCounts> for MeteorCounts {
    /// Adds up studies; a perfect study's single chunk does not count, as in METEOR.
    fn sum<I: Iterator<Item = &'a MeteorCounts>>(studies: I) -> Self {
        studies.fold(Self::default(), |mut total, study| {
            total.hypothesis.add(&study.hypothesis);
            total.reference.add(&study.reference);
            total.chunks += if study.is_perfect() { 0 } else { study.chunks };
            total
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(words: u64, content: u64) -> SideCounts {
        SideCounts {
            words,
            content: [content, 0, 0, 0],
            ..SideCounts::default()
        }
    }

    #[test]
    fn score_by_hand() {
        let counts = MeteorCounts {
            hypothesis: side(4, 2),
            reference: side(5, 2),
            chunks: 2,
        };
        let mean = 1.0 / (0.15 / 0.5 + 0.85 / 0.4);
        assert!((counts.score() - mean * (1.0 - 0.6)).abs() < 1e-12);
    }

    #[test]
    fn nothing_matched_scores_nothing() {
        for words in [0, 3] {
            let counts = MeteorCounts {
                hypothesis: side(words, 0),
                reference: side(4, 0),
                chunks: 0,
            };
            assert_eq!(counts.score(), 0.0);
        }
    }

    #[test]
    fn perfect_studies_cost_no_chunk() {
        let perfect = MeteorCounts {
            hypothesis: side(3, 3),
            reference: side(3, 3),
            chunks: 1,
        };
        assert_eq!(perfect.score(), 1.0);
        let total: MeteorCounts = [perfect, perfect].iter().sum();
        assert_eq!((total.chunks, total.score()), (0, 1.0));
    }
}
