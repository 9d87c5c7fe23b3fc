//! Looks up phrases by the word they begin with.

use super::{class::FindingClass, phrase::Phrase};

/// What a phrase means for its classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Names the finding; negation and doubt around it decide the status.
    Finding,
    /// Speaks of a sign that often, not always, means the finding: uncertain unless negated.
    Hint,
    /// States that the region of the finding is normal: negative.
    Normal,
    /// Resembles a finding and is not one; no phrase inside it is matched.
    Ignore,
}

/// One row: these phrases mean this for these classes.
pub(super) struct Rule {
    pub classes: &'static [FindingClass],
    pub meaning: Meaning,
    pub phrases: &'static [&'static str],
}

/// A phrase and the rule it belongs to.
pub(super) struct Entry {
    pub phrase: Phrase,
    pub rule: &'static Rule,
}

/// Phrases by the first byte of their first word, so that most words are compared with few phrases.
pub(super) struct Lexicon {
    by_first_byte: Vec<Vec<Entry>>,
}

impl Lexicon {
    /// Compiles rules.
    pub fn new(rules: impl IntoIterator<Item = &'static Rule>) -> Self {
        let mut by_first_byte: Vec<Vec<Entry>> = (0..=u8::MAX).map(|_| Vec::new()).collect();
        for rule in rules {
            for pattern in rule.phrases {
                let phrase = Phrase::new(pattern);
                let mut bytes: Vec<u8> = phrase.first_bytes().collect();
                bytes.sort_unstable();
                bytes.dedup();
                for byte in bytes {
                    let phrase = phrase.clone();
                    by_first_byte[usize::from(byte)].push(Entry { phrase, rule });
                }
            }
        }
        Self { by_first_byte }
    }

    /// The phrases that may begin with this word.
    pub fn starting_with(&self, word: &str) -> &[Entry] {
        word.bytes()
            .next()
            .map_or(&[], |byte| &self.by_first_byte[usize::from(byte)])
    }
}

#[cfg(test)]
mod tests {
    use super::super::{v1, v2};
    use super::*;

    fn rules() -> impl Iterator<Item = &'static Rule> {
        v1::RULES.iter().chain(v2::RULES)
    }

    #[test]
    fn every_class_has_words_except_no_finding() {
        for class in FindingClass::all() {
            let named = v1::RULES
                .iter()
                .any(|rule| rule.meaning == Meaning::Finding && rule.classes.contains(&class));
            assert_eq!(named, class != FindingClass::NoFinding, "{}", class.name());
        }
    }

    #[test]
    fn phrases_are_well_formed() {
        for pattern in rules().flat_map(|rule| rule.phrases) {
            assert!(
                pattern.is_ascii() && *pattern == pattern.to_lowercase(),
                "{pattern}"
            );
            assert!(
                !pattern.starts_with('~') && !pattern.ends_with('~'),
                "{pattern}"
            );
            assert!(
                pattern.split([' ', '|']).all(|part| !part.is_empty()),
                "{pattern}"
            );
        }
    }
}
