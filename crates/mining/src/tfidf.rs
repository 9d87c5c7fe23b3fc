use std::collections::{BTreeMap, HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::embedding::{Embedding, ReportEmbedding, SparseVector};

/// First dimension of words that were not fitted on; the vocabulary lies below.
const UNKNOWN: u32 = 1 << 31;

/// How the count of a word in a report weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TermFrequency {
    /// As it is: `tf = count`.
    #[default]
    Raw,
    /// Damped: `tf = 1 + ln(count)`.
    Sublinear,
}

/// How [`TfIdf`] weighs words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TfIdfConfig {
    /// How a word's count in the report enters its weight.
    pub term_frequency: TermFrequency,
}

impl TfIdfConfig {
    /// Counts in how many of `reports`, those of the training set, every word occurs. Strings of any kind will do:
    ///
    /// ```
    /// use ithn_mining::TfIdfConfig;
    ///
    /// let reports: Vec<String> = vec!["no effusion .".to_owned(), "small effusion .".to_owned()];
    /// let config = TfIdfConfig::default();
    /// assert_eq!(config.fit(&reports).vocabulary_size(), 3); // a borrowed vector,
    /// assert_eq!(config.fit(&reports[..]).vocabulary_size(), 3); // a slice,
    /// assert_eq!(config.fit(["no effusion .", "small effusion ."]).vocabulary_size(), 3); // or words as they stand
    /// ```
    pub fn fit(self, reports: impl IntoIterator<Item = impl AsRef<str>>) -> TfIdf {
        let mut document_frequencies: HashMap<String, u32> = HashMap::new();
        let mut documents = 0;
        for report in reports {
            documents += 1;
            for word in words(report.as_ref()).collect::<HashSet<_>>() {
                match document_frequencies.get_mut(word) {
                    Some(count) => *count += 1,
                    None => {
                        document_frequencies.insert(word.to_owned(), 1);
                    }
                }
            }
        }
        let mut by_word: Vec<_> = document_frequencies.into_iter().collect();
        by_word.sort_unstable();
        let vocabulary = by_word.into_iter().zip(0..);
        TfIdf {
            config: self,
            vocabulary: vocabulary
                .map(|((word, frequency), dimension)| {
                    (word, (dimension, idf(documents, frequency)))
                })
                .collect(),
            unknown_idf: idf(documents, 0),
        }
    }
}

/// Words weighed by `tf · idf`, with the smooth `idf = ln((1 + n) / (1 + df)) + 1` of `n` training
/// reports of which `df` have the word, then scaled to length 1.
///
/// Words are what white space separates, as cleaned reports have it; tokens without a letter or
/// digit are dropped. A word from outside the training reports has `df = 0`: it matches none of
/// them, but counts in the length.
#[derive(Debug, Clone)]
pub struct TfIdf {
    config: TfIdfConfig,
    /// Dimension and idf of every fitted word.
    vocabulary: HashMap<String, (u32, f64)>,
    unknown_idf: f64,
}

impl TfIdf {
    /// How many words it was fitted on.
    pub fn vocabulary_size(&self) -> usize {
        self.vocabulary.len()
    }

    /// The weights of a report's words, of length 1; empty without a word.
    pub fn weights(&self, report: &str) -> SparseVector {
        let mut counts: BTreeMap<u32, (f64, f64)> = BTreeMap::new();
        for word in words(report) {
            let (dimension, idf) = match self.vocabulary.get(word) {
                Some(known) => *known,
                None => (UNKNOWN | hash(word), self.unknown_idf),
            };
            counts.entry(dimension).or_insert((0.0, idf)).0 += 1.0;
        }
        let weights: Vec<(u32, f64)> = (counts.into_iter())
            .map(|(dimension, (count, idf))| (dimension, self.term_frequency(count) * idf))
            .collect();
        let length = weights
            .iter()
            .map(|(_, weight)| weight * weight)
            .sum::<f64>()
            .sqrt();
        let scaled = weights
            .into_iter()
            .map(|(term, weight)| (term, (weight / length) as f32));
        SparseVector::new(scaled.collect())
    }

    fn term_frequency(&self, count: f64) -> f64 {
        match self.config.term_frequency {
            TermFrequency::Raw => count,
            TermFrequency::Sublinear => 1.0 + count.ln(),
        }
    }
}

impl ReportEmbedding for TfIdf {
    fn embed(&self, report: &str) -> Embedding {
        Embedding::Sparse(self.weights(report))
    }
}

fn idf(documents: u32, document_frequency: u32) -> f64 {
    (f64::from(1 + documents) / f64::from(1 + document_frequency)).ln() + 1.0
}

fn words(report: &str) -> impl Iterator<Item = &str> {
    report
        .split_whitespace()
        .filter(|token| token.contains(char::is_alphanumeric))
}

/// FNV-1a, folded to 31 bits: the same on every machine and in every run.
fn hash(word: &str) -> u32 {
    let hash = word.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    ((hash ^ (hash >> 32)) & u64::from(UNKNOWN - 1)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORTS: [&str; 3] = ["heart heart normal .", "heart large .", "no effusion ."];

    fn weight(vector: &SparseVector, tf_idf: &TfIdf, word: &str) -> f32 {
        let dimension = tf_idf.vocabulary[word].0;
        let found = vector
            .components()
            .iter()
            .find(|component| component.0 == dimension);
        found.map_or(0.0, |component| component.1)
    }

    #[test]
    fn weights_follow_the_formula_and_have_length_one() {
        let tf_idf = TfIdfConfig::default().fit(REPORTS);
        assert_eq!(tf_idf.vocabulary_size(), 5);
        let vector = tf_idf.weights(REPORTS[0]);
        let heart = 2.0 * ((4.0_f64 / 3.0).ln() + 1.0);
        let normal = (4.0_f64 / 2.0).ln() + 1.0;
        let length = heart.hypot(normal);
        assert!((f64::from(weight(&vector, &tf_idf, "heart")) - heart / length).abs() < 1e-6);
        assert!((f64::from(weight(&vector, &tf_idf, "normal")) - normal / length).abs() < 1e-6);
    }

    #[test]
    fn sublinear_damps_repeated_words() {
        let config = TfIdfConfig {
            term_frequency: TermFrequency::Sublinear,
        };
        let (raw, damped) = (TfIdfConfig::default().fit(REPORTS), config.fit(REPORTS));
        let of = |tf_idf: &TfIdf| weight(&tf_idf.weights(REPORTS[0]), tf_idf, "heart");
        assert!(of(&damped) < of(&raw));
    }

    #[test]
    fn unknown_words_count_in_the_length_only() {
        let tf_idf = TfIdfConfig::default().fit(REPORTS);
        let vector = tf_idf.weights("heart dextrocardia");
        assert_eq!(vector.components().len(), 2);
        assert!(weight(&vector, &tf_idf, "heart") < 1.0);
    }

    #[test]
    fn punctuation_is_not_a_word() {
        assert!(
            TfIdfConfig::default()
                .fit(REPORTS)
                .weights(" . , ... ")
                .components()
                .is_empty()
        );
    }
}
