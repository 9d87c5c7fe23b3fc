//! The best constant report that can be composed of training sentences.

use std::collections::HashMap;
use std::fmt;

use foldhash::fast::RandomState;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::scorers::{BleuScorer, CiderScorer, Numbering, RougeScorer, Scorer};
use crate::{corpus::words, error::MetricsError};

/// Most frequent training sentences that a constant is composed of; bounds the work on large training sets.
const CANDIDATES: usize = 1_000;

/// Most sentences of a constant.
const MOST_SENTENCES: usize = 30;

/// An overlap metric for which a constant is composed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OverlapMetric {
    /// BLEU-4 of the corpus.
    #[serde(rename = "bleu_4")]
    Bleu4,
    /// ROUGE-L, mean over studies.
    RougeL,
    /// CIDEr, mean over studies.
    Cider,
}

impl OverlapMetric {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Bleu4, Self::RougeL, Self::Cider];

    /// Its name in a table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bleu4 => "BLEU-4",
            Self::RougeL => "ROUGE-L",
            Self::Cider => "CIDEr",
        }
    }
}

impl fmt::Display for OverlapMetric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A constant report composed of training sentences.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ComposedReport {
    /// The metric that it was composed for.
    pub metric: OverlapMetric,
    /// Its sentences, in order.
    pub sentences: Vec<String>,
    /// Its score on the references that it was composed on.
    pub score: f64,
}

impl ComposedReport {
    /// The report.
    pub fn text(&self) -> String {
        self.sentences.join(" ")
    }
}

/// The most frequent of some reports, compared word by word; the earliest of equally frequent ones.
///
/// `None` without reports.
pub fn most_frequent<S: AsRef<str>>(reports: &[S]) -> Option<&str> {
    let mut counts: HashMap<Vec<&str>, (usize, usize), RandomState> = HashMap::default();
    for (at, report) in reports.iter().enumerate() {
        let words = words(report.as_ref()).collect();
        counts.entry(words).or_insert((0, at)).0 += 1;
    }
    counts
        .into_values()
        .max_by_key(|&(count, first)| (count, std::cmp::Reverse(first)))
        .map(|(_, first)| reports[first].as_ref())
}

/// Composes the constant report that scores best on `references`: greedily, one sentence after the other, as long as the
/// score rises.
///
/// Candidates are the 1,000 most frequent sentences of `training`. A sentence ends with a word that ends with a full stop;
/// what comes after the last one is left out. `references` are those of a validation split, one a study, never of the
/// split that is scored in the end. Scores are those of [`score_corpus`](crate::score_corpus) with the constant as every
/// hypothesis. The result may have no sentence, with score 0, if nothing scores.
///
/// # Errors
/// [`MetricsError::Empty`] without references or without a training sentence.
///
/// # Example
/// ```
/// use ithn_metrics::floors::{OverlapMetric, compose_constant};
///
/// let training = ["heart is normal . no effusion .", "no effusion . lungs are clear ."];
/// let validation = ["lungs are clear . no effusion .", "lungs are clear . there is edema ."];
/// let constant = compose_constant(&training, &validation, OverlapMetric::RougeL)?;
/// assert_eq!(constant.text(), "lungs are clear . no effusion .");
/// # Ok::<(), ithn_metrics::MetricsError>(())
/// ```
pub fn compose_constant<T: AsRef<str>, R: AsRef<str>>(
    training: &[T],
    references: &[R],
    metric: OverlapMetric,
) -> Result<ComposedReport, MetricsError> {
    if references.is_empty() {
        return Err(MetricsError::Empty {
            what: "the list of references",
        });
    }
    let candidates = frequent_sentences(training.iter().map(AsRef::as_ref));
    if candidates.is_empty() {
        return Err(MetricsError::Empty {
            what: "the list of training sentences",
        });
    }
    let references: Vec<&str> = references.iter().map(AsRef::as_ref).collect();
    let mut numbering = Numbering::default();
    let mut scorer: Box<dyn Scorer + Sync> = match metric {
        OverlapMetric::Bleu4 => Box::new(BleuScorer::new(&references, &mut numbering)),
        OverlapMetric::RougeL => Box::new(RougeScorer::new(&references, &mut numbering)),
        OverlapMetric::Cider => Box::new(CiderScorer::new(&references, &mut numbering)),
    };
    let numbered: Vec<Vec<u32>> = candidates
        .iter()
        .map(|sentence| words(sentence).map(|word| numbering.id(word)).collect())
        .collect();
    let mut composed = ComposedReport {
        metric,
        sentences: Vec::new(),
        score: 0.0,
    };
    while composed.sentences.len() < MOST_SENTENCES {
        let scores: Vec<f64> = numbered
            .par_iter()
            .map(|sentence| scorer.score_with(sentence))
            .collect();
        let mut best = 0;
        for (at, &score) in scores.iter().enumerate() {
            if score > scores[best] {
                best = at;
            }
        }
        if scores[best] <= composed.score {
            break;
        }
        composed.score = scores[best];
        composed.sentences.push(candidates[best].clone());
        scorer.append(&numbered[best]);
    }
    Ok(composed)
}

/// The most frequent sentences, words joined by single blanks; of equally frequent ones the first in alphabetical order.
fn frequent_sentences<'a>(reports: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut counts: HashMap<Vec<&str>, usize, RandomState> = HashMap::default();
    for report in reports {
        let mut sentence = Vec::new();
        for word in words(report) {
            sentence.push(word);
            if word.ends_with('.') {
                *counts.entry(std::mem::take(&mut sentence)).or_insert(0) += 1;
            }
        }
    }
    let mut sentences: Vec<(Vec<&str>, usize)> = counts.into_iter().collect();
    sentences.sort_unstable_by(|(a, often), (b, other)| other.cmp(often).then_with(|| a.cmp(b)));
    sentences.truncate(CANDIDATES);
    sentences
        .into_iter()
        .map(|(words, _)| words.join(" "))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score_corpus;

    fn reports() -> (Vec<String>, Vec<String>) {
        let sentences = [
            "the heart is normal in size .",
            "the lungs are clear .",
            "no pleural effusion .",
            "there is no pneumothorax .",
            "there is a small left pleural effusion .",
            "degenerative changes of the spine .",
        ];
        let report = |seed: usize| {
            (0..2 + seed % 3)
                .map(|at| sentences[(seed * 5 + at * (1 + seed % 4)) % sentences.len()])
                .collect::<Vec<_>>()
                .join(" ")
        };
        (
            (0..40).map(report).collect(),
            (100..130).map(report).collect(),
        )
    }

    fn corpus_score(metric: OverlapMetric, text: &str, references: &[String]) -> f64 {
        let scores = score_corpus(references.iter().map(|it| (text, it.as_str())))
            .expect("there are references")
            .corpus;
        match metric {
            OverlapMetric::Bleu4 => scores.bleu[3],
            OverlapMetric::RougeL => scores.rouge_l,
            OverlapMetric::Cider => scores.cider,
        }
    }

    #[test]
    fn its_score_is_that_of_the_corpus_and_no_sentence_would_raise_it() {
        let (training, references) = reports();
        for metric in OverlapMetric::ALL {
            let found = compose_constant(&training, &references, metric).expect("references");
            assert!(!found.sentences.is_empty(), "{metric}");
            let text = found.text();
            let score = corpus_score(metric, &text, &references);
            assert!((found.score - score).abs() < 1e-9, "{metric} {score}");
            for sentence in frequent_sentences(training.iter().map(String::as_str)) {
                let longer = format!("{text} {sentence}");
                assert!(corpus_score(metric, &longer, &references) <= score + 1e-9);
                assert!(corpus_score(metric, &sentence, &references) <= score + 1e-9);
            }
        }
    }

    #[test]
    fn it_beats_every_single_report_for_bleu() {
        let (training, references) = reports();
        let metric = OverlapMetric::Bleu4;
        let found = compose_constant(&training, &references, metric).expect("references");
        let frequent = most_frequent(&training).expect("there are reports");
        assert!(found.score >= corpus_score(metric, frequent, &references));
    }

    #[test]
    fn unfinished_sentences_are_no_candidates_and_order_is_by_frequency() {
        let reports = ["b . a . c", "a . b .", "a ."];
        assert_eq!(frequent_sentences(reports.into_iter()), ["a .", "b ."]);
        let raw = ["No effusion. Clear lungs."];
        assert_eq!(
            frequent_sentences(raw.into_iter()),
            ["Clear lungs.", "No effusion."]
        );
        assert!(compose_constant(&["no stop"], &["a ."], OverlapMetric::Bleu4).is_err());
        let none: [&str; 0] = [];
        assert!(compose_constant(&["a ."], &none, OverlapMetric::Bleu4).is_err());
    }

    #[test]
    fn nothing_in_common_composes_nothing() {
        let found = compose_constant(&["a ."], &["b c"], OverlapMetric::RougeL).expect("given");
        assert_eq!((found.sentences.len(), found.score), (0, 0.0));
        assert_eq!(found.text(), "");
    }

    #[test]
    fn the_earliest_of_equally_frequent_reports_is_taken() {
        assert_eq!(most_frequent(&["a b", "c", "c", "a  b"]), Some("a b"));
        assert_eq!(most_frequent::<&str>(&[]), None);
    }
}
