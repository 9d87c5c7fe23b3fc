//! The best constant report that can be composed of training sentences.

use std::collections::HashMap;
use std::fmt;

use foldhash::fast::RandomState;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::scorers::{BleuScorer, CiderScorer, Numbering, RougeScorer, Scorer};
use crate::{corpus::words, error::MetricsError};

/// Most frequent training sentences that a constant is composed of; bounds the work on large training sets.
const SENTENCES: usize = 400;

/// Most frequent training reports that composing may start from.
const REPORTS: usize = 1_000;

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

/// Composes a constant report that scores high on `references`, by hill climbing.
///
/// It starts from the best of the 1,000 most frequent training reports and the 400 most frequent training sentences. Then
/// the best of all single changes is made, as long as the score rises: one of those sentences inserted anywhere or put in
/// the place of another, or a sentence removed. A sentence ends with a word that ends with a full stop; what comes after
/// the last one is left out. `references` are those of a validation split, one a study, never of the split that is scored
/// in the end. Scores are those of [`score_corpus`](crate::score_corpus) with the constant as every hypothesis.
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
    let references: Vec<&str> = references.iter().map(AsRef::as_ref).collect();
    let mut numbering = Numbering::default();
    let scorer: Box<dyn Scorer + Sync> = match metric {
        OverlapMetric::Bleu4 => Box::new(BleuScorer::new(&references, &mut numbering)),
        OverlapMetric::RougeL => Box::new(RougeScorer::new(&references, &mut numbering)),
        OverlapMetric::Cider => Box::new(CiderScorer::new(&references, &mut numbering)),
    };
    let texts = TrainingTexts::new(training.iter().map(AsRef::as_ref));
    let candidates = texts.frequent_sentences();
    if candidates.is_empty() {
        return Err(MetricsError::Empty {
            what: "the list of training sentences",
        });
    }
    let numbered: Vec<Vec<u32>> = texts
        .sentences
        .iter()
        .map(|sentence| words(sentence).map(|word| numbering.id(word)).collect())
        .collect();
    let score = |report: &[usize]| {
        let words: Vec<u32> = report
            .iter()
            .flat_map(|&sentence| numbered[sentence].iter().copied())
            .collect();
        scorer.score(&words)
    };
    let mut starts = texts.frequent_reports();
    starts.extend(candidates.iter().map(|&sentence| vec![sentence]));
    let (mut best, mut report) = best_of(starts, &score);
    loop {
        let (found, changed) = best_of(changes(&report, &candidates), &score);
        if found <= best {
            break;
        }
        (best, report) = (found, changed);
    }
    Ok(ComposedReport {
        metric,
        sentences: report
            .into_iter()
            .map(|sentence| texts.sentences[sentence].clone())
            .collect(),
        score: best,
    })
}

/// A report as sentences by number.
type Report = Vec<usize>;

/// The first of the reports with the highest score.
fn best_of(reports: Vec<Report>, score: &(impl Fn(&[usize]) -> f64 + Sync)) -> (f64, Report) {
    let scores: Vec<f64> = reports.par_iter().map(|report| score(report)).collect();
    let mut best = 0;
    for (at, &value) in scores.iter().enumerate() {
        if value > scores[best] {
            best = at;
        }
    }
    let report = reports.into_iter().nth(best).unwrap_or_default();
    (scores.get(best).copied().unwrap_or(0.0), report)
}

/// All single changes of a report.
fn changes(report: &[usize], candidates: &[usize]) -> Vec<Report> {
    let mut changed = Vec::new();
    if report.len() > 1 {
        for at in 0..report.len() {
            changed.push([&report[..at], &report[at + 1..]].concat());
        }
    }
    for at in 0..=report.len() {
        for &sentence in candidates {
            if report.len() < MOST_SENTENCES {
                changed.push([&report[..at], &[sentence], &report[at..]].concat());
            }
            if at < report.len() && report[at] != sentence {
                changed.push([&report[..at], &[sentence], &report[at + 1..]].concat());
            }
        }
    }
    changed
}

/// Sentences of training reports, numbered, and how often they and whole reports occur.
#[derive(Default)]
struct TrainingTexts {
    sentences: Vec<String>,
    counts: Vec<usize>,
    reports: HashMap<Report, usize, RandomState>,
}

impl TrainingTexts {
    fn new<'a>(reports: impl Iterator<Item = &'a str>) -> Self {
        let mut texts = Self::default();
        let mut numbers: HashMap<String, usize, RandomState> = HashMap::default();
        for report in reports {
            let mut numbered = Report::new();
            for sentence in whole_sentences(report) {
                let number = *numbers.entry(sentence).or_insert_with_key(|sentence| {
                    texts.sentences.push(sentence.clone());
                    texts.counts.push(0);
                    texts.sentences.len() - 1
                });
                texts.counts[number] += 1;
                numbered.push(number);
            }
            if !numbered.is_empty() {
                *texts.reports.entry(numbered).or_insert(0) += 1;
            }
        }
        texts
    }

    /// The most frequent sentences; of equally frequent ones the first in alphabetical order.
    fn frequent_sentences(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.sentences.len()).collect();
        order.sort_unstable_by(|&a, &b| {
            let by_text = || self.sentences[a].cmp(&self.sentences[b]);
            self.counts[b].cmp(&self.counts[a]).then_with(by_text)
        });
        order.truncate(SENTENCES);
        order
    }

    /// The most frequent reports; of equally frequent ones those whose sentences came first.
    fn frequent_reports(&self) -> Vec<Report> {
        let mut order: Vec<(&Report, &usize)> = self.reports.iter().collect();
        order.sort_unstable_by(|(a, often), (b, other)| other.cmp(often).then_with(|| a.cmp(b)));
        order.truncate(REPORTS);
        order
            .into_iter()
            .map(|(report, _)| report.clone())
            .collect()
    }
}

/// Sentences of a report that end with a full stop, their words joined by single blanks.
fn whole_sentences(report: &str) -> Vec<String> {
    let (mut sentences, mut sentence) = (Vec::new(), Vec::new());
    for word in words(report) {
        sentence.push(word);
        if word.ends_with('.') {
            sentences.push(std::mem::take(&mut sentence).join(" "));
        }
    }
    sentences
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
            for sentence in training.iter().flat_map(|report| whole_sentences(report)) {
                let longer = format!("{text} {sentence}");
                assert!(corpus_score(metric, &longer, &references) <= score + 1e-9);
                assert!(corpus_score(metric, &sentence, &references) <= score + 1e-9);
            }
        }
    }

    #[test]
    fn no_training_report_scores_higher() {
        let (training, references) = reports();
        for metric in OverlapMetric::ALL {
            let found = compose_constant(&training, &references, metric).expect("references");
            for report in &training {
                assert!(corpus_score(metric, report, &references) <= found.score + 1e-9);
            }
        }
    }

    #[test]
    fn unfinished_sentences_are_no_candidates_and_order_is_by_frequency() {
        let texts = TrainingTexts::new(["b . a . c", "a . b .", "b . a .", "a .", "c"].into_iter());
        let named = |numbers: &[usize]| -> Vec<&str> {
            numbers
                .iter()
                .map(|&at| texts.sentences[at].as_str())
                .collect()
        };
        assert_eq!(named(&texts.frequent_sentences()), ["a .", "b ."]);
        let reports = texts.frequent_reports();
        assert_eq!(reports.len(), 3);
        assert_eq!(named(&reports[0]), ["b .", "a ."]);
        assert_eq!(
            whole_sentences("No effusion. Clear  lungs."),
            ["No effusion.", "Clear lungs."]
        );
        assert!(compose_constant(&["no stop"], &["a ."], OverlapMetric::Bleu4).is_err());
        let none: [&str; 0] = [];
        assert!(compose_constant(&["a ."], &none, OverlapMetric::Bleu4).is_err());
    }

    #[test]
    fn every_single_change_is_tried() {
        let found = changes(&[0, 1], &[2]);
        let expected = [
            vec![1],
            vec![0],
            vec![2, 0, 1],
            vec![2, 1],
            vec![0, 2, 1],
            vec![0, 2],
            vec![0, 1, 2],
        ];
        assert_eq!(found, expected);
        assert_eq!(changes(&[0], &[0]), [vec![0, 0], vec![0, 0]]);
    }

    #[test]
    fn nothing_in_common_scores_nothing() {
        let found = compose_constant(&["a ."], &["b c"], OverlapMetric::RougeL).expect("given");
        assert_eq!((found.text().as_str(), found.score), ("a .", 0.0));
    }

    #[test]
    fn the_earliest_of_equally_frequent_reports_is_taken() {
        assert_eq!(most_frequent(&["a b", "c", "c", "a  b"]), Some("a b"));
        assert_eq!(most_frequent::<&str>(&[]), None);
    }
}
