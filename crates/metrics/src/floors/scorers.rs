//! Scores of one report against many references.
//!
//! Each gives what its metric gives with the report as the hypothesis of every study; references are counted once.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::bleu::BleuCounts;
use crate::cider::{SCALE, SIGMA};
use crate::corpus::{MAX_ORDER, Ngram, count_ngrams, words};
use crate::rouge::{f_score, longest_common_subsequence};

/// Numbers words.
#[derive(Default)]
pub(super) struct Numbering {
    ids: HashMap<String, u32, RandomState>,
}

impl Numbering {
    pub(super) fn id(&mut self, word: &str) -> u32 {
        if let Some(&id) = self.ids.get(word) {
            return id;
        }
        let id = u32::try_from(self.ids.len()).expect("fewer than 2^32 distinct words");
        self.ids.insert(word.to_owned(), id);
        id
    }

    fn words(&mut self, text: &str) -> Vec<u32> {
        words(text).map(|word| self.id(word)).collect()
    }
}

/// An overlap metric with its references.
pub(super) trait Scorer {
    /// Score of a report, given as numbered words, as the hypothesis of every study.
    fn score(&self, report: &[u32]) -> f64;
}

type Counts = [Vec<(Ngram, u32)>; MAX_ORDER];

fn counts(words: &[u32]) -> Counts {
    let mut scratch = Vec::new();
    std::array::from_fn(|order| count_ngrams(words, order + 1, &mut scratch))
}

/// BLEU-4: clipped matches with all references depend on an n-gram and its count alone.
pub(super) struct BleuScorer {
    /// At c − 1, the sum over references of min(c, count in the reference).
    matches: [HashMap<Ngram, Vec<u64>, RandomState>; MAX_ORDER],
    reference_words: u64,
    studies: u64,
}

impl BleuScorer {
    pub(super) fn new(references: &[&str], numbering: &mut Numbering) -> Self {
        let mut occurrences: [HashMap<Ngram, Vec<u32>, RandomState>; MAX_ORDER] =
            std::array::from_fn(|_| HashMap::default());
        let mut reference_words = 0;
        for reference in references {
            let words = numbering.words(reference);
            reference_words += words.len() as u64;
            for (of_order, counts) in occurrences.iter_mut().zip(counts(&words)) {
                for (ngram, count) in counts {
                    of_order.entry(ngram).or_default().push(count);
                }
            }
        }
        let clipped = |counts: Vec<u32>| -> Vec<u64> {
            let most = counts.iter().copied().max().unwrap_or(0);
            (1..=most)
                .map(|have| counts.iter().map(|&want| u64::from(want.min(have))).sum())
                .collect()
        };
        BleuScorer {
            matches: occurrences.map(|of_order| {
                of_order
                    .into_iter()
                    .map(|(ngram, counts)| (ngram, clipped(counts)))
                    .collect()
            }),
            reference_words,
            studies: references.len() as u64,
        }
    }
}

impl Scorer for BleuScorer {
    fn score(&self, report: &[u32]) -> f64 {
        let mut total = BleuCounts {
            hypothesis_words: self.studies * report.len() as u64,
            reference_words: self.reference_words,
            ..BleuCounts::default()
        };
        for (order, counts) in counts(report).iter().enumerate() {
            total.guess[order] = self.studies * report.len().saturating_sub(order) as u64;
            for (ngram, count) in counts {
                if let Some(clipped) = self.matches[order].get(ngram) {
                    total.correct[order] += clipped[(*count as usize).min(clipped.len()) - 1];
                }
            }
        }
        total.scores()[MAX_ORDER - 1]
    }
}

/// ROUGE-L.
pub(super) struct RougeScorer {
    references: Vec<Vec<u32>>,
}

impl RougeScorer {
    pub(super) fn new(references: &[&str], numbering: &mut Numbering) -> Self {
        // As in ROUGE-L, runs of blanks give empty words.
        RougeScorer {
            references: references
                .iter()
                .map(|text| text.split(' ').map(|word| numbering.id(word)).collect())
                .collect(),
        }
    }
}

impl Scorer for RougeScorer {
    fn score(&self, report: &[u32]) -> f64 {
        let mut row = Vec::new();
        let mut sum = 0.0;
        for reference in &self.references {
            let common = f64::from(longest_common_subsequence(report, reference, &mut row));
            sum += f_score(
                common / report.len() as f64,
                common / reference.len() as f64,
            );
        }
        sum / self.references.len() as f64
    }
}

/// CIDEr: every n-gram knows the references that hold it.
pub(super) struct CiderScorer {
    ngrams: [HashMap<Ngram, Postings, RandomState>; MAX_ORDER],
    /// Weight of an n-gram that no reference holds.
    rare: f64,
    bigrams: Vec<usize>,
}

/// References that hold an n-gram, and how often.
type Holders = Vec<(usize, u32)>;

struct Postings {
    weight: f64,
    /// Study, TF-IDF value, and the value divided by the norm of the reference's vector.
    references: Vec<(usize, f64, f64)>,
}

impl CiderScorer {
    pub(super) fn new(references: &[&str], numbering: &mut Numbering) -> Self {
        let words: Vec<Vec<u32>> = references
            .iter()
            .map(|text| numbering.words(text))
            .collect();
        let counted: Vec<Counts> = words.iter().map(|words| counts(words)).collect();
        let rare = (references.len() as f64).ln();
        let mut held: [HashMap<Ngram, Holders, RandomState>; MAX_ORDER] =
            std::array::from_fn(|_| HashMap::default());
        for (study, counts) in counted.iter().enumerate() {
            for (of_order, counts) in held.iter_mut().zip(counts) {
                for &(ngram, count) in counts {
                    of_order.entry(ngram).or_default().push((study, count));
                }
            }
        }
        let mut order = 0;
        let ngrams = held.map(|of_order| {
            let weight = |holders: &Holders| rare - (holders.len() as f64).ln();
            // In the order of the n-grams, so that sums are the same in every process.
            let square = |&(ngram, count): &(Ngram, u32)| {
                (f64::from(count) * of_order.get(&ngram).map_or(0.0, weight)).powi(2)
            };
            let squares: Vec<f64> = counted
                .iter()
                .map(|counts| counts[order].iter().map(square).sum())
                .collect();
            order += 1;
            of_order
                .into_iter()
                .map(|(ngram, holders)| {
                    let weight = weight(&holders);
                    let reference = |(study, count): (usize, u32)| {
                        let value = f64::from(count) * weight;
                        let norm = squares[study];
                        let share = if norm > 0.0 { value / norm.sqrt() } else { 0.0 };
                        (study, value, share)
                    };
                    let references = holders.into_iter().map(reference).collect();
                    (ngram, Postings { weight, references })
                })
                .collect()
        });
        CiderScorer {
            ngrams,
            rare,
            bigrams: words
                .iter()
                .map(|words| words.len().saturating_sub(1))
                .collect(),
        }
    }
}

impl Scorer for CiderScorer {
    fn score(&self, report: &[u32]) -> f64 {
        let bigrams = report.len().saturating_sub(1);
        let penalties: Vec<f64> = self
            .bigrams
            .iter()
            .map(|&other| {
                let delta = bigrams.abs_diff(other) as f64;
                (-(delta * delta) / (2.0 * SIGMA * SIGMA)).exp()
            })
            .collect();
        let mut total = 0.0;
        for (of_order, counts) in self.ngrams.iter().zip(counts(report)) {
            let (mut products, mut squares) = (0.0, 0.0);
            for (ngram, count) in counts {
                let postings = of_order.get(&ngram);
                let weight = postings.map_or(self.rare, |postings| postings.weight);
                let value = f64::from(count) * weight;
                squares += value * value;
                for &(study, reference, share) in postings.iter().flat_map(|it| &it.references) {
                    products += value.min(reference) * share * penalties[study];
                }
            }
            if squares > 0.0 {
                total += products / squares.sqrt();
            }
        }
        SCALE * total / (MAX_ORDER * self.bigrams.len()) as f64
    }
}
