use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use crate::cleaning::{Cleaning, is_blank};
use crate::error::DataError;

/// Token for every word outside the vocabulary.
pub const UNKNOWN_WORD: &str = "<unk>";

/// R2Gen's tokenizer: cleaning rules and a vocabulary of whole words.
///
/// Token ids are `1..=len`, in code point order; id 0 is BOS, EOS and PAD.
///
/// ```
/// use ithn_data::{Cleaning, Tokenizer};
///
/// let reports = ["No effusion. Heart normal.", "No pneumothorax. Heart normal."];
/// let tokenizer = Tokenizer::fit(reports, Cleaning::IuXray, 2)?;
/// assert_eq!(tokenizer.words(), [".", "<unk>", "heart", "no", "normal"]);
/// let ids = tokenizer.encode("Heart normal.");
/// assert_eq!(ids, [0, 3, 5, 1, 0]);
/// assert_eq!(tokenizer.decode(&ids[1..]), "heart normal .");
/// # Ok::<(), ithn_data::DataError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub struct Tokenizer {
    cleaning: Cleaning,
    words: Vec<String>,
    ids: HashMap<String, u32>,
    unknown: u32,
}

/// Serialized form of a tokenizer in a checkpoint.
#[derive(Clone, Serialize, Deserialize)]
struct Stored {
    cleaning: Cleaning,
    words: Vec<String>,
}

impl From<Stored> for Tokenizer {
    fn from(stored: Stored) -> Self {
        Tokenizer::from_words(stored.words, stored.cleaning)
    }
}

impl From<Tokenizer> for Stored {
    fn from(tokenizer: Tokenizer) -> Self {
        Stored {
            cleaning: tokenizer.cleaning,
            words: tokenizer.words,
        }
    }
}

impl Tokenizer {
    /// A vocabulary of the words that occur at least `minimum` times in the reports, and `<unk>`.
    ///
    /// # Errors
    ///
    /// [`DataError::EmptyVocabulary`] if no word does.
    pub fn fit(
        reports: impl IntoIterator<Item = impl AsRef<str>>,
        cleaning: Cleaning,
        minimum: usize,
    ) -> Result<Self, DataError> {
        let mut counts: HashMap<String, usize> = HashMap::new();
        for report in reports {
            for word in cleaning.clean(report.as_ref()).split(is_blank) {
                if !word.is_empty() {
                    *counts.entry(word.to_owned()).or_default() += 1;
                }
            }
        }
        let mut words: BTreeSet<String> = counts
            .into_iter()
            .filter(|(_, count)| *count >= minimum)
            .map(|(word, _)| word)
            .collect();
        if words.is_empty() {
            return Err(DataError::EmptyVocabulary { minimum });
        }
        words.insert(UNKNOWN_WORD.to_owned());
        Ok(Tokenizer::from_words(words.into_iter().collect(), cleaning))
    }

    /// A given vocabulary, in the order of its ids from 1; `<unk>` is appended if it is absent.
    pub fn from_words(mut words: Vec<String>, cleaning: Cleaning) -> Self {
        if !words.iter().any(|word| word == UNKNOWN_WORD) {
            words.push(UNKNOWN_WORD.to_owned());
        }
        let ids: HashMap<String, u32> = (1u32..)
            .zip(&words)
            .map(|(id, word)| (word.clone(), id))
            .collect();
        let unknown = ids[UNKNOWN_WORD];
        Tokenizer {
            cleaning,
            words,
            ids,
            unknown,
        }
    }

    /// A placeholder vocabulary for `vocabulary` logits: `#1`, `#2`, …, and `<unk>` last.
    ///
    /// # Panics
    ///
    /// If `vocabulary` is below 2 (token 0 and `<unk>`).
    pub fn numbered(vocabulary: usize, cleaning: Cleaning) -> Self {
        assert!(vocabulary >= 2, "a vocabulary has token 0 and <unk>");
        let words = (1..vocabulary - 1).map(|id| format!("#{id}")).collect();
        Tokenizer::from_words(words, cleaning)
    }

    /// Words in the order of their ids, from 1.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// Number of logits: one per word, and token 0.
    pub fn vocabulary(&self) -> usize {
        self.words.len() + 1
    }

    /// The cleaning rules.
    pub fn cleaning(&self) -> Cleaning {
        self.cleaning
    }

    /// The id of `<unk>`.
    pub fn unknown(&self) -> u32 {
        self.unknown
    }

    /// Cleans a report and returns BOS, its token ids, EOS.
    pub fn encode(&self, report: &str) -> Vec<u32> {
        let cleaned = self.cleaning.clean(report);
        let words = cleaned
            .split(is_blank)
            .filter(|word| !word.is_empty())
            .map(|word| self.ids.get(word).copied().unwrap_or(self.unknown));
        std::iter::once(0)
            .chain(words)
            .chain(std::iter::once(0))
            .collect()
    }

    /// Cleans a text and returns the ids of its first `most` words, without BOS and EOS.
    pub fn encode_words(&self, text: &str, most: usize) -> Vec<u32> {
        let mut words = self.encode(text);
        words.retain(|&word| word != 0);
        words.truncate(most);
        words
    }

    /// [`encode`](Self::encode), truncated to `max_tokens` as R2Gen does: a truncated report has no
    /// EOS.
    ///
    /// # Errors
    ///
    /// [`DataError::EmptyReport`] if cleaning leaves nothing but full stops.
    pub fn encode_study(
        &self,
        study: &str,
        report: &str,
        max_tokens: usize,
    ) -> Result<Vec<u32>, DataError> {
        let mut ids = self.encode(report);
        let stop = self.ids.get(".").copied();
        if ids.iter().all(|id| *id == 0 || Some(*id) == stop) {
            return Err(DataError::EmptyReport {
                study: study.to_owned(),
            });
        }
        ids.truncate(max_tokens);
        Ok(ids)
    }

    /// The reference that R2Gen scores against: the cleaned report, decoded from its first `max_tokens`
    /// token ids (BOS included), rare words as `<unk>`.
    ///
    /// ```
    /// use ithn_data::{Cleaning, Tokenizer};
    ///
    /// let tokenizer = Tokenizer::fit(["No effusion.", "No edema."], Cleaning::IuXray, 2)?;
    /// assert_eq!(tokenizer.reference("No effusion.", 60), "no <unk> .");
    /// assert_eq!(tokenizer.reference("No effusion.", 3), "no <unk>");
    /// # Ok::<(), ithn_data::DataError>(())
    /// ```
    pub fn reference(&self, report: &str, max_tokens: usize) -> String {
        let mut ids = self.encode(report);
        ids.truncate(max_tokens);
        self.decode(ids.get(1..).unwrap_or_default())
    }

    /// Words joined by blanks, up to the first EOS.
    pub fn decode(&self, ids: &[u32]) -> String {
        let words: Vec<&str> = ids
            .iter()
            .take_while(|id| **id != 0)
            .map(|id| {
                self.words
                    .get(*id as usize - 1)
                    .map_or(UNKNOWN_WORD, String::as_str)
            })
            .collect();
        words.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tokenizer_survives_json() {
        let tokenizer =
            Tokenizer::fit(["no effusion ."], Cleaning::MimicCxr, 1).expect("there are words");
        let json = serde_json::to_string(&tokenizer).expect("serialisable");
        let read: Tokenizer = serde_json::from_str(&json).expect("readable");
        assert_eq!(read, tokenizer);
    }

    #[test]
    fn a_report_of_full_stops_is_refused() {
        let tokenizer =
            Tokenizer::fit(["no effusion ."], Cleaning::IuXray, 1).expect("there are words");
        let error = tokenizer.encode_study("s1", ". . .", 60).unwrap_err();
        assert!(error.to_string().contains("study s1"));
    }

    #[test]
    fn a_cut_report_has_no_closing_zero() {
        let tokenizer = Tokenizer::fit(["a b c d"], Cleaning::IuXray, 1).expect("there are words");
        let ids = tokenizer
            .encode_study("s", "a b c d", 3)
            .expect("not empty");
        assert_eq!(ids.len(), 3);
        assert!(ids[2] != 0);
    }

    #[test]
    fn no_frequent_word_is_an_error() {
        let error = Tokenizer::fit(["a b"], Cleaning::IuXray, 9).unwrap_err();
        assert!(error.to_string().contains("at least 9 times"));
    }
}
