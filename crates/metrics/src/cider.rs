//! CIDEr (Vedantam et al., 2015), in the "CIDEr-D" form that pycocoevalcap 1.2 calls CIDEr.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use rayon::prelude::*;

use crate::corpus::{Corpus, MAX_ORDER, Ngram, Report, Study, join};

/// Width of the Gaussian penalty on the difference in length.
pub(crate) const SIGMA: f64 = 6.0;
/// Scale of the published numbers.
pub(crate) const SCALE: f64 = 10.0;

/// CIDEr of a corpus and of each of its studies.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Cider {
    /// Mean over studies, in [0, 10].
    pub corpus: f64,
    /// Each study, in the order given. A score depends on the other studies through document frequencies.
    pub per_study: Vec<f64>,
}

/// CIDEr of a corpus: cosine similarity of TF-IDF n-gram vectors, n = 1..4.
///
/// For each n and reference, Σ min(h, r)·r / (‖h‖‖r‖) · exp(−δ² / 2σ²), where h and r weigh every n-gram by
/// count · ln(studies / document frequency); averaged over n and references, times 10. Document frequency is
/// the number of studies with the n-gram in a reference, so an n-gram of every study weighs nothing and a
/// corpus of one study scores 0. δ is the difference in the number of *bigrams*, and σ = 6.
pub fn cider(corpus: &Corpus) -> Cider {
    let weights = InverseFrequencies::new(corpus);
    let per_study: Vec<f64> = corpus
        .studies
        .par_iter()
        .map(|study| score_study(study, &weights))
        .collect();
    Cider {
        corpus: per_study.iter().sum::<f64>() / per_study.len() as f64,
        per_study,
    }
}

fn score_study(study: &Study, weights: &InverseFrequencies) -> f64 {
    let hypothesis = Vectors::new(&study.hypothesis, weights);
    let total: f64 = study
        .references
        .iter()
        .map(|reference| hypothesis.similarity(&Vectors::new(reference, weights)))
        .sum();
    SCALE * total / (MAX_ORDER * study.references.len()) as f64
}

/// ln(studies / document frequency) of the n-grams that occur in references.
struct InverseFrequencies {
    /// Only the n-grams that several studies share, few enough to stay in the CPU cache.
    shared: Vec<HashMap<Ngram, f64, RandomState>>,
    /// Weight of an n-gram that the references of at most one study have.
    rare: f64,
}

impl InverseFrequencies {
    fn new(corpus: &Corpus) -> Self {
        let rare = (corpus.len() as f64).ln();
        let of_order = |k| {
            document_frequencies(&corpus.studies, k)
                .into_iter()
                .filter(|&(_, documents)| documents > 1)
                .map(|(ngram, documents)| (ngram, rare - f64::from(documents).ln()))
                .collect()
        };
        let shared = (0..MAX_ORDER).into_par_iter().map(of_order).collect();
        Self { shared, rare }
    }

    /// Weight of an n-gram of order `k + 1`.
    fn weight(&self, k: usize, ngram: &Ngram) -> f64 {
        *self.shared[k].get(ngram).unwrap_or(&self.rare)
    }
}

fn document_frequencies(studies: &[Study], k: usize) -> HashMap<Ngram, u32, RandomState> {
    let mut documents: HashMap<Ngram, u32, RandomState> = HashMap::default();
    let mut in_study: Vec<Ngram> = Vec::new();
    for study in studies {
        in_study.clear();
        let counted = study
            .references
            .iter()
            .flat_map(|reference| &reference.ngrams[k]);
        in_study.extend(counted.map(|&(ngram, _)| ngram));
        if study.references.len() > 1 {
            in_study.sort_unstable();
            in_study.dedup();
        }
        for &ngram in &in_study {
            *documents.entry(ngram).or_insert(0) += 1;
        }
    }
    documents
}

/// A report as one sparse TF-IDF vector per order.
struct Vectors {
    values: [Vec<(Ngram, f64)>; MAX_ORDER],
    norms: [f64; MAX_ORDER],
    bigrams: f64,
}

impl Vectors {
    fn new(report: &Report, weights: &InverseFrequencies) -> Self {
        let values: [Vec<(Ngram, f64)>; MAX_ORDER] = std::array::from_fn(|k| {
            report.ngrams[k]
                .iter()
                .map(|(ngram, count)| (*ngram, f64::from(*count) * weights.weight(k, ngram)))
                .collect()
        });
        let norm = |vector: &Vec<(Ngram, f64)>| {
            vector
                .iter()
                .map(|(_, value)| value * value)
                .sum::<f64>()
                .sqrt()
        };
        let norms = std::array::from_fn(|k| norm(&values[k]));
        Self {
            values,
            norms,
            bigrams: report.length.saturating_sub(1) as f64,
        }
    }

    /// Sum over orders of the clipped, length-penalised cosine similarities, in [0, 4].
    fn similarity(&self, reference: &Self) -> f64 {
        let delta = self.bigrams - reference.bigrams;
        let penalty = (-(delta * delta) / (2.0 * SIGMA * SIGMA)).exp();
        let cosine = |k: usize| {
            let norms = self.norms[k] * reference.norms[k];
            let product: f64 = join(&self.values[k], &reference.values[k])
                .map(|(h, r)| h.min(r) * r)
                .sum();
            if norms == 0.0 { 0.0 } else { product / norms }
        };
        penalty * (0..MAX_ORDER).map(cosine).sum::<f64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Pair;

    #[test]
    fn identical_reports_score_ten() {
        let pairs = [("a b c d", "a b c d"), ("e f g h", "e f g h")];
        assert!((cider(&Corpus::new(pairs).unwrap()).corpus - 10.0).abs() < 1e-12);
    }

    #[test]
    fn what_every_reference_says_weighs_nothing() {
        let pairs = [("a", "a b"), ("a", "a c")];
        assert_eq!(cider(&Corpus::new(pairs).unwrap()).corpus, 0.0);
        assert_eq!(cider(&Corpus::new([("a b", "a b")]).unwrap()).corpus, 0.0);
    }

    #[test]
    fn one_shared_word_by_hand() {
        // Only the unigram "a" matches: ln2² / (ln2 · √2 ln2), one bigram of difference, a quarter of n.
        let scores = cider(&Corpus::new([("a", "a b"), ("x", "y z")]).unwrap());
        let expected = 10.0 / 4.0 / 2f64.sqrt() * (-1.0f64 / 72.0).exp();
        assert!((scores.per_study[0] - expected).abs() < 1e-12);
        assert_eq!(scores.per_study[1], 0.0);
    }

    #[test]
    fn references_are_averaged() {
        let one = [Pair::new("a b", "a b"), Pair::new("x", "y")];
        let two = [
            Pair::with_references("a b", ["a b", "q r"]),
            Pair::new("x", "y"),
        ];
        let score = |pairs: [Pair; 2]| cider(&Corpus::new(pairs).unwrap()).per_study[0];
        assert!((score(one) - 2.0 * score(two)).abs() < 1e-12);
    }
}
