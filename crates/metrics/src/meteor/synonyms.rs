//! WordNet's synonym sets, as METEOR 1.5 ships and queries them.

use std::collections::HashMap;

use super::data::{DataFile, MeteorDataError};

/// Synonym sets of words, and the base forms of irregular ones.
#[derive(Debug)]
pub(super) struct Synonyms {
    sets: HashMap<String, Vec<u32>>,
    bases: HashMap<String, Vec<String>>,
}

/// WordNet's regular endings and what replaces them: nouns, verbs, adjectives.
const ENDINGS: [(&str, &str); 20] = [
    ("s", ""),
    ("ses", "s"),
    ("xes", "x"),
    ("zes", "z"),
    ("ches", "ch"),
    ("shes", "sh"),
    ("men", "man"),
    ("ies", "y"),
    ("s", ""),
    ("ies", "y"),
    ("es", "e"),
    ("es", ""),
    ("ed", "e"),
    ("ed", ""),
    ("ing", "e"),
    ("ing", ""),
    ("er", ""),
    ("est", ""),
    ("er", "e"),
    ("est", "e"),
];

impl Synonyms {
    /// Reads `english.synsets` (a word, then the numbers of its sets, line by line) and `english.exceptions`
    /// (a base form, then its irregular forms).
    pub fn read(synsets: DataFile, exceptions: DataFile) -> Result<Self, MeteorDataError> {
        let mut sets = HashMap::new();
        synsets.each_record(|[word, numbers]| {
            let numbers: Result<Vec<u32>, _> =
                numbers.split_ascii_whitespace().map(str::parse).collect();
            let numbers = numbers.map_err(|_| "expected the numbers of synonym sets".to_owned())?;
            sets.insert(word.to_owned(), numbers);
            Ok(())
        })?;
        let mut bases: HashMap<String, Vec<String>> = HashMap::new();
        exceptions.each_record(|[base, forms]| {
            for form in forms.split_ascii_whitespace() {
                bases
                    .entry(form.to_owned())
                    .or_default()
                    .push(base.to_owned());
            }
            Ok(())
        })?;
        Ok(Self { sets, bases })
    }

    /// Numbers of the sets that a word or one of its base forms is in.
    pub fn sets(&self, word: &str) -> Vec<u32> {
        let mut found = self.of(word).to_vec();
        match self.bases.get(word) {
            Some(bases) => bases.iter().for_each(|base| found.extend(self.of(base))),
            None => found.extend(self.of(&self.base(word))),
        }
        found
    }

    fn of(&self, word: &str) -> &[u32] {
        self.sets.get(word).map_or(&[], Vec::as_slice)
    }

    /// The first regular base form that WordNet knows; empty if there is none.
    fn base(&self, word: &str) -> String {
        if word.ends_with("ss") || word.chars().count() <= 2 {
            return word.to_owned();
        }
        ENDINGS
            .iter()
            .filter_map(|(ending, base)| Some(word.strip_suffix(ending)?.to_owned() + base))
            .find(|base| self.sets.contains_key(base))
            .unwrap_or_default()
    }
}
