//! BLEU-1 to BLEU-4 (Papineni et al., 2002), as pycocoevalcap 1.2 computes them.

use std::ops::AddAssign;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::corpus::{Corpus, MAX_ORDER, Ngram, Study, join};

/// Added to matches so that the logarithm of no match is finite; pycocoevalcap's `tiny`.
const TINY: f64 = 1e-15;
/// Added to guesses so that an empty report does not divide by zero; pycocoevalcap's `small`.
const SMALL: f64 = 1e-9;

/// BLEU of a corpus and of each of its studies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bleu {
    /// BLEU-1 to BLEU-4 from the counts of all studies together, in [0, 1].
    pub corpus: [f64; MAX_ORDER],
    /// BLEU-1 to BLEU-4 of each study alone, in the order given. Their mean is *not* the corpus BLEU.
    pub per_study: Vec<[f64; MAX_ORDER]>,
}

/// Sufficient statistics of BLEU: the sum over studies gives corpus BLEU.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BleuCounts {
    /// n-grams of the hypothesis found in a reference, each counted at most as often as in the reference
    /// that has it most often; by order minus one.
    pub correct: [u64; MAX_ORDER],
    /// n-grams of the hypothesis, by order minus one.
    pub guess: [u64; MAX_ORDER],
    /// Words of the hypothesis.
    pub hypothesis_words: u64,
    /// Words of the reference closest in length; of two equally close ones, the shorter.
    pub reference_words: u64,
}

impl BleuCounts {
    /// BLEU-1 to BLEU-4 from these counts.
    ///
    /// BLEU-n = bp · (∏ₖ₌₁ⁿ (correctₖ + 1e-15) / (guessₖ + 1e-9))^(1/n), with
    /// bp = exp(1 − 1/r) for r = (hypothesis words + 1e-15) / (reference words + 1e-9) below 1, else 1.
    pub fn scores(&self) -> [f64; MAX_ORDER] {
        let ratio = (self.hypothesis_words as f64 + TINY) / (self.reference_words as f64 + SMALL);
        let brevity = if ratio < 1.0 {
            (1.0 - 1.0 / ratio).exp()
        } else {
            1.0
        };
        let mut product = 1.0;
        std::array::from_fn(|k| {
            product *= (self.correct[k] as f64 + TINY) / (self.guess[k] as f64 + SMALL);
            product.powf(1.0 / (k + 1) as f64) * brevity
        })
    }
}

impl AddAssign for BleuCounts {
    fn add_assign(&mut self, other: Self) {
        for k in 0..MAX_ORDER {
            self.correct[k] += other.correct[k];
            self.guess[k] += other.guess[k];
        }
        self.hypothesis_words += other.hypothesis_words;
        self.reference_words += other.reference_words;
    }
}

/// BLEU-1 to BLEU-4 of a corpus and of each study.
pub fn bleu(corpus: &Corpus) -> Bleu {
    let counts = bleu_counts(corpus);
    let mut total = BleuCounts::default();
    counts.iter().for_each(|&study| total += study);
    Bleu {
        corpus: total.scores(),
        per_study: counts.iter().map(BleuCounts::scores).collect(),
    }
}

/// The counts of each study: what a significance test over studies resamples
/// (see [`approximate_randomization`](crate::approximate_randomization)).
pub fn bleu_counts(corpus: &Corpus) -> Vec<BleuCounts> {
    corpus.studies.par_iter().map(count_study).collect()
}

fn count_study(study: &Study) -> BleuCounts {
    let length = study.hypothesis.length;
    let closest = study
        .references
        .iter()
        .map(|reference| reference.length)
        .min_by_key(|&words| (words.abs_diff(length), words))
        .expect("a corpus has a reference for every study");
    BleuCounts {
        correct: std::array::from_fn(|k| clipped_matches(study, k)),
        guess: std::array::from_fn(|k| length.saturating_sub(k) as u64),
        hypothesis_words: length as u64,
        reference_words: closest as u64,
    }
}

fn clipped_matches(study: &Study, k: usize) -> u64 {
    let hypothesis = &study.hypothesis.ngrams[k];
    let sum = |reference: &[(Ngram, u32)]| {
        join(hypothesis, reference)
            .map(|(have, want)| u64::from(have.min(want)))
            .sum()
    };
    match study.references.as_slice() {
        [only] => sum(&only.ngrams[k]),
        several => {
            let mut most: Vec<(Ngram, u32)> = several
                .iter()
                .flat_map(|reference| reference.ngrams[k].iter().copied())
                .collect();
            most.sort_unstable_by_key(|&(ngram, count)| (ngram, std::cmp::Reverse(count)));
            most.dedup_by_key(|&mut (ngram, _)| ngram);
            sum(&most)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Pair;

    fn counts(pair: Pair) -> BleuCounts {
        bleu_counts(&Corpus::new([pair]).unwrap())[0]
    }

    #[test]
    fn matches_are_clipped_by_the_reference_that_has_most() {
        let pair = Pair::with_references("the the the the", ["the cat", "the the mat"]);
        let counts = counts(pair);
        assert_eq!(counts.correct, [2, 1, 0, 0]);
        assert_eq!(counts.guess, [4, 3, 2, 1]);
    }

    #[test]
    fn closest_length_ties_go_to_the_shorter_reference() {
        assert_eq!(
            counts(Pair::with_references("a b c", ["a b c d", "a b"])).reference_words,
            2
        );
        assert_eq!(
            counts(Pair::with_references("a b c", ["a b c d", "a"])).reference_words,
            4
        );
    }

    #[test]
    fn short_reports_pay_the_brevity_penalty() {
        let bleu = bleu(&Corpus::new([("a b", "a b c d")]).unwrap());
        assert!((bleu.corpus[0] - (-1.0f64).exp()).abs() < 1e-8);
        let long = super::bleu(&Corpus::new([("a b c d", "a b")]).unwrap());
        assert!((long.corpus[0] - 0.5).abs() < 1e-8);
    }

    #[test]
    fn corpus_pools_counts_rather_than_scores() {
        let bleu = bleu(&Corpus::new([("a", "a"), ("b c d", "x y z")]).unwrap());
        assert!((bleu.corpus[0] - 0.25).abs() < 1e-8);
        assert!((bleu.per_study[0][0] - 1.0).abs() < 1e-8);
        assert!(bleu.per_study[1][0] < 1e-8);
    }
}
