//! BLEU, ROUGE-L and CIDEr in one call.

use serde::{Deserialize, Serialize};

use crate::{
    bleu::bleu,
    cider::cider,
    corpus::{Corpus, Pair},
    error::MetricsError,
    rouge::rouge_l,
};

/// BLEU, ROUGE-L and CIDEr of a corpus or of one study.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct OverlapScores {
    /// BLEU-1 to BLEU-4, in [0, 1].
    pub bleu: [f64; 4],
    /// ROUGE-L, in [0, 1].
    pub rouge_l: f64,
    /// CIDEr, in [0, 10].
    pub cider: f64,
}

/// The scores of a corpus and of every study in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CorpusScores {
    /// Corpus scores, which papers report.
    pub corpus: OverlapScores,
    /// One entry per study, in the order given.
    pub per_study: Vec<OverlapScores>,
}

/// Scores generated reports against their references with every text-overlap metric.
///
/// # Errors
/// [`MetricsError::Empty`] without studies, [`MetricsError::NoReference`] for a study without a reference.
///
/// # Example
/// ```
/// let scores = ithn_metrics::score_corpus([
///     ("heart size is normal .", "the heart is normal in size ."),
///     ("no effusion .", "there is no pleural effusion ."),
/// ])?;
/// assert!(scores.corpus.bleu[0] > scores.corpus.bleu[3]);
/// assert_eq!(scores.per_study.len(), 2);
/// # Ok::<(), ithn_metrics::MetricsError>(())
/// ```
pub fn score_corpus<'a, P: Into<Pair<'a>>>(
    pairs: impl IntoIterator<Item = P>,
) -> Result<CorpusScores, MetricsError> {
    Ok(Corpus::new(pairs)?.scores())
}

impl Corpus {
    /// BLEU, ROUGE-L and CIDEr of this corpus and of each of its studies.
    pub fn scores(&self) -> CorpusScores {
        let (bleu, rouge_l, cider) = (bleu(self), rouge_l(self), cider(self));
        let corpus = OverlapScores {
            bleu: bleu.corpus,
            rouge_l: rouge_l.corpus,
            cider: cider.corpus,
        };
        let per_study = bleu
            .per_study
            .into_iter()
            .zip(rouge_l.per_study)
            .zip(cider.per_study)
            .map(|((bleu, rouge_l), cider)| OverlapScores {
                bleu,
                rouge_l,
                cider,
            })
            .collect();
        CorpusScores { corpus, per_study }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_metrics_one_by_one() {
        let pairs = [("a b c", "a b d"), ("x y", "x y")];
        let corpus = Corpus::new(pairs).unwrap();
        let scores = score_corpus(pairs).unwrap();
        assert_eq!(scores.corpus.bleu, bleu(&corpus).corpus);
        assert_eq!(scores.corpus.rouge_l, rouge_l(&corpus).corpus);
        assert_eq!(scores.per_study[1].cider, cider(&corpus).per_study[1]);
    }
    #[test]
    fn threads_do_not_change_a_bit() {
        let words = ["heart", "lung", "is", "not", "clear", "."];
        let report = |seed: usize| {
            let word = |at: usize| words[(seed * seed + at * (seed % 7 + 1)) % words.len()];
            (0..3 + seed % 11).map(word).collect::<Vec<_>>().join(" ")
        };
        let (generated, references): (Vec<String>, Vec<String>) = (0..200)
            .map(|seed| (report(seed), report(seed + 3)))
            .unzip();
        let scores = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            pool.build()
                .unwrap()
                .install(|| score_corpus(Pair::zip(&generated, &references).unwrap()).unwrap())
        };
        let alone = scores(1);
        for threads in [2, 3] {
            assert_eq!(scores(threads), alone);
        }
    }
}
