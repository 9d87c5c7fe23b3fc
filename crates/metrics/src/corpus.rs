//! Reports to score, split into words and n-grams once for all metrics.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use rayon::prelude::*;

use crate::error::{MetricsError, check_paired};

/// Longest n-gram any of the metrics counts.
pub const MAX_ORDER: usize = 4;

/// A generated report with its references.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair<'a> {
    /// The generated report.
    pub hypothesis: &'a str,
    /// Reports by radiologists: usually one, at least one.
    pub references: Vec<&'a str>,
}

impl<'a> Pair<'a> {
    /// A hypothesis with its only reference.
    pub fn new(hypothesis: &'a str, reference: &'a str) -> Self {
        Self {
            hypothesis,
            references: vec![reference],
        }
    }

    /// A hypothesis with several references.
    pub fn with_references(
        hypothesis: &'a str,
        references: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        Self {
            hypothesis,
            references: references.into_iter().collect(),
        }
    }

    /// Pairs two lists in order, one reference per study.
    ///
    /// # Errors
    /// [`MetricsError::LengthMismatch`] when the lists differ in length.
    pub fn zip<H: AsRef<str>, R: AsRef<str>>(
        hypotheses: &'a [H],
        references: &'a [R],
    ) -> Result<Vec<Self>, MetricsError> {
        let (left, right) = (hypotheses.len(), references.len());
        if (left, right) != (0, 0) {
            check_paired(("hypotheses", left), ("references", right))?;
        }
        Ok(hypotheses
            .iter()
            .zip(references)
            .map(|(hypothesis, reference)| Pair::new(hypothesis.as_ref(), reference.as_ref()))
            .collect())
    }
}

impl<'a> From<(&'a str, &'a str)> for Pair<'a> {
    fn from((hypothesis, reference): (&'a str, &'a str)) -> Self {
        Pair::new(hypothesis, reference)
    }
}

impl<'a, 'p: 'a> From<&'p Pair<'a>> for Pair<'a> {
    fn from(pair: &'p Pair<'a>) -> Self {
        pair.clone()
    }
}

/// Tokenized studies. Never empty; every study has at least one reference.
///
/// Words are numbered and n-grams counted here, so that [`bleu`](crate::bleu), [`rouge_l`](crate::rouge_l)
/// and [`cider`](crate::cider) share the work.
#[derive(Debug, Clone)]
pub struct Corpus {
    pub(crate) studies: Vec<Study>,
}

impl Corpus {
    /// Cuts reports into words and counts their n-grams.
    ///
    /// # Errors
    /// [`MetricsError::Empty`] without studies, [`MetricsError::NoReference`] for a study without a reference.
    pub fn new<'a, P: Into<Pair<'a>>>(
        pairs: impl IntoIterator<Item = P>,
    ) -> Result<Self, MetricsError> {
        let mut vocabulary = Vocabulary::default();
        let mut numbered = Vec::new();
        for (index, pair) in pairs.into_iter().enumerate() {
            let pair = pair.into();
            if pair.references.is_empty() {
                return Err(MetricsError::NoReference { index });
            }
            let references = pair.references.iter();
            numbered.push((
                vocabulary.number(pair.hypothesis),
                references
                    .map(|text| vocabulary.number(text))
                    .collect::<Vec<_>>(),
            ));
        }
        if numbered.is_empty() {
            return Err(MetricsError::Empty { what: "the corpus" });
        }
        // Words are numbered on one thread, so that ids do not depend on scheduling. The reports are
        // independent after that.
        let count = |scratch: &mut Vec<Ngram>,
                     (hypothesis, references): (Numbers, Vec<Numbers>)| Study {
            hypothesis: Report::new(hypothesis, scratch),
            references: references
                .into_iter()
                .map(|numbers| Report::new(numbers, scratch))
                .collect(),
        };
        Ok(Self {
            studies: numbered.into_par_iter().map_init(Vec::new, count).collect(),
        })
    }

    /// Number of studies, at least 1.
    #[allow(clippy::len_without_is_empty)] // It cannot be empty.
    pub fn len(&self) -> usize {
        self.studies.len()
    }
}

/// One study as word ids and counts.
#[derive(Debug, Clone)]
pub(crate) struct Study {
    pub hypothesis: Report,
    pub references: Vec<Report>,
}

/// One report: word ids by both ways of splitting, and n-gram counts.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    /// Number of words between runs of whitespace (BLEU, CIDEr).
    pub length: usize,
    /// Words between single spaces: runs of spaces give empty words (ROUGE-L).
    pub spaced: Vec<u32>,
    /// Counts of the 1- to 4-grams, by order minus one, sorted by n-gram.
    pub ngrams: [Vec<(Ngram, u32)>; MAX_ORDER],
}

/// Up to four word numbers of 32 bits, so two n-grams are equal exactly when these are.
pub(crate) type Ngram = u128;

impl Report {
    fn new(numbers: Numbers, scratch: &mut Vec<Ngram>) -> Self {
        let Numbers { words, spaced } = numbers;
        Report {
            length: words.len(),
            spaced,
            ngrams: std::array::from_fn(|order| count_ngrams(&words, order + 1, scratch)),
        }
    }
}

/// The words of a report by number, cut in both ways.
struct Numbers {
    words: Vec<u32>,
    spaced: Vec<u32>,
}

#[derive(Default)]
struct Vocabulary<'a> {
    ids: HashMap<&'a str, u32, RandomState>,
}

impl<'a> Vocabulary<'a> {
    fn id(&mut self, word: &'a str) -> u32 {
        let next = u32::try_from(self.ids.len()).expect("fewer than 2^32 distinct words");
        *self.ids.entry(word).or_insert(next)
    }

    fn number(&mut self, text: &'a str) -> Numbers {
        Numbers {
            words: words(text).map(|word| self.id(word)).collect(),
            spaced: text.split(' ').map(|word| self.id(word)).collect(),
        }
    }
}

/// Words as Python's `str.split()` cuts them: it also splits at the four ASCII separators 0x1c to 0x1f.
pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c))
        .filter(|word| !word.is_empty())
}

/// Counts sorted by n-gram; `scratch` saves its allocation from call to call.
pub(crate) fn count_ngrams(
    words: &[u32],
    order: usize,
    scratch: &mut Vec<Ngram>,
) -> Vec<(Ngram, u32)> {
    scratch.clear();
    scratch.extend(words.windows(order).map(|window| {
        window
            .iter()
            .fold(0, |packed, &word| packed << 32 | Ngram::from(word))
    }));
    scratch.sort_unstable();
    let mut counts: Vec<(Ngram, u32)> = Vec::with_capacity(scratch.len());
    for &ngram in scratch.iter() {
        match counts.last_mut() {
            Some((last, count)) if *last == ngram => *count += 1,
            _ => counts.push((ngram, 1)),
        }
    }
    counts
}

/// Merges two sorted lists and yields the values of the keys that both have.
pub(crate) fn join<'a, A: Copy, B: Copy>(
    left: &'a [(Ngram, A)],
    right: &'a [(Ngram, B)],
) -> impl Iterator<Item = (A, B)> + 'a {
    let mut rest = right;
    left.iter().filter_map(move |&(key, a)| {
        while let [(first, _), tail @ ..] = rest
            && *first < key
        {
            rest = tail;
        }
        match rest {
            [(first, b), ..] if *first == key => Some((a, *b)),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ngrams_are_counted_and_sorted() {
        let corpus = Corpus::new([("a b a b", "a")]).unwrap();
        let report = &corpus.studies[0].hypothesis;
        let counts = |order: usize| -> Vec<u32> {
            report.ngrams[order]
                .iter()
                .map(|&(_, count)| count)
                .collect()
        };
        assert_eq!(counts(0), [2, 2]);
        assert_eq!(counts(1), [2, 1]);
        assert_eq!(counts(3), [1]);
    }

    #[test]
    fn whitespace_and_single_spaces_cut_differently() {
        let corpus = Corpus::new([(" a  b\u{1f}c", "a")]).unwrap();
        let report = &corpus.studies[0].hypothesis;
        assert_eq!((report.length, report.spaced.len()), (3, 4));
    }

    #[test]
    fn join_keeps_common_keys() {
        let left = [(1, 'a'), (3, 'b'), (7, 'c')];
        let right = [(0, 1), (3, 2), (4, 3), (7, 4)];
        assert_eq!(
            join(&left, &right).collect::<Vec<_>>(),
            [('b', 2), ('c', 4)]
        );
    }

    #[test]
    fn bad_input_is_named() {
        let empty: [(&str, &str); 0] = [];
        assert_eq!(
            Corpus::new(empty).unwrap_err(),
            MetricsError::Empty { what: "the corpus" }
        );
        let unreferenced = [Pair::new("a", "b"), Pair::with_references("a", [])];
        assert_eq!(
            Corpus::new(unreferenced).unwrap_err(),
            MetricsError::NoReference { index: 1 }
        );
        assert!(matches!(
            Pair::zip(&["a", "b"], &["a"]).unwrap_err(),
            MetricsError::LengthMismatch {
                left_len: 2,
                right_len: 1,
                ..
            }
        ));
    }
}
