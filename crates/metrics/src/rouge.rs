//! ROUGE-L (Lin, 2004), as pycocoevalcap 1.2 computes it.

use rayon::prelude::*;

use crate::corpus::{Corpus, Study};

/// Weight of recall against precision, pycocoevalcap's.
const BETA: f64 = 1.2;

/// ROUGE-L of a corpus and of each of its studies.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct RougeL {
    /// Mean over studies, in [0, 1].
    pub corpus: f64,
    /// Each study, in the order given.
    pub per_study: Vec<f64>,
}

/// ROUGE-L of a corpus: F = (1 + β²) p r / (r + β² p), β = 1.2, averaged over studies.
///
/// p = LCS / words of the hypothesis and r = LCS / words of the reference, where LCS is the length of the
/// longest common subsequence; with several references the best p and the best r are taken, possibly from
/// different ones. Words are separated by *single* spaces, so a double space adds an empty word.
pub fn rouge_l(corpus: &Corpus) -> RougeL {
    let per_study: Vec<f64> = corpus
        .studies
        .par_iter()
        .map_init(Vec::new, |row, study| score_study(study, row))
        .collect();
    RougeL {
        corpus: per_study.iter().sum::<f64>() / per_study.len() as f64,
        per_study,
    }
}

fn score_study(
    Study {
        hypothesis,
        references,
    }: &Study,
    row: &mut Vec<u32>,
) -> f64 {
    let (mut precision, mut recall) = (0.0f64, 0.0f64);
    for reference in references {
        let common = f64::from(longest_common_subsequence(
            &hypothesis.spaced,
            &reference.spaced,
            row,
        ));
        precision = precision.max(common / hypothesis.spaced.len() as f64);
        recall = recall.max(common / reference.spaced.len() as f64);
    }
    f_score(precision, recall)
}

/// (1 + β²) p r / (r + β² p); 0 if either is 0.
pub(crate) fn f_score(precision: f64, recall: f64) -> f64 {
    if precision == 0.0 || recall == 0.0 {
        return 0.0;
    }
    let beta2 = BETA * BETA;
    (1.0 + beta2) * precision * recall / (recall + beta2 * precision)
}

/// Dynamic programme over one row; the buffer is reused between calls.
pub(crate) fn longest_common_subsequence(left: &[u32], right: &[u32], row: &mut Vec<u32>) -> u32 {
    row.clear();
    row.resize(right.len() + 1, 0);
    for word in left {
        let mut diagonal = 0;
        for (column, other) in right.iter().enumerate() {
            let above = row[column + 1];
            row[column + 1] = if word == other {
                diagonal + 1
            } else {
                above.max(row[column])
            };
            diagonal = above;
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Pair;

    fn score(pair: Pair) -> f64 {
        rouge_l(&Corpus::new([pair]).unwrap()).corpus
    }

    #[test]
    fn order_matters_but_gaps_do_not() {
        // LCS of "a x b" and "a b c d" is "a b": p = 2/3, r = 1/2.
        let expected = 2.44 * (2.0 / 3.0) * 0.5 / (0.5 + 1.44 * 2.0 / 3.0);
        assert!((score(Pair::new("a x b", "a b c d")) - expected).abs() < 1e-12);
        assert_eq!(score(Pair::new("a b", "b a")), 0.5);
    }

    #[test]
    fn best_precision_and_best_recall_may_come_from_different_references() {
        // p = 2/2 from the long reference, r = 1/1 from the short one.
        assert_eq!(score(Pair::with_references("a b", ["a b c d", "a"])), 1.0);
    }

    #[test]
    fn empty_reports_score_nothing_except_against_empty_ones() {
        assert_eq!(score(Pair::new("", "a b")), 0.0);
        assert_eq!(score(Pair::new("", "")), 1.0);
    }
}
