//! A sentence with its findings marked.

use super::super::{
    lexicon::Meaning,
    matches::Match,
    tokens::{Kind, Token},
    words::Words,
};
use super::cues::{AUXILIARIES, PERSISTING};

/// How many words after a finding are searched for the first word of its predicate, such as "remains".
const PREDICATE_REACH: usize = 6;

/// Words of a sentence, and which of them name findings.
pub(super) struct Text<'s, 't> {
    tokens: &'s [Token<'t>],
    finding: Vec<bool>,
    first_finding: usize,
}

impl<'s, 't> Text<'s, 't> {
    /// The words of a sentence and the findings among them.
    pub fn new(tokens: &'s [Token<'t>], matches: &[Match]) -> Self {
        let mut finding = vec![false; tokens.len()];
        // Each class has phrases that do not overlap, so this marks every word at most 14 times.
        let is_named = |found: &&Match| found.meaning != Meaning::Normal;
        for found in matches.iter().filter(is_named) {
            finding[found.place.clone()].fill(true);
        }
        let first_finding = matches
            .iter()
            .find(is_named)
            .map_or(tokens.len(), |found| found.place.start);
        Self {
            tokens,
            finding,
            first_finding,
        }
    }

    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// The word at a position; empty beyond the sentence.
    pub fn word(&self, at: usize) -> &'t str {
        self.tokens.get(at).map_or("", |token| token.text)
    }

    /// The word `back` words before a position; empty before the sentence.
    pub fn before(&self, at: usize, back: usize) -> &'t str {
        at.checked_sub(back).map_or("", |at| self.word(at))
    }

    /// Whether the token at a position is a word, not a mark and not the end.
    pub fn is_word(&self, at: usize) -> bool {
        self.tokens.get(at).is_some_and(Token::is_word)
    }

    pub fn is(&self, at: usize, kind: Kind) -> bool {
        self.tokens.get(at).is_some_and(|token| token.kind == kind)
    }

    /// Whether no scope runs across the token at a position.
    pub fn breaks(&self, at: usize) -> bool {
        self.tokens.get(at).is_some_and(Token::breaks)
    }

    /// Whether the word at a position is part of a finding.
    pub fn is_finding(&self, at: usize) -> bool {
        self.finding.get(at).copied().unwrap_or(false)
    }

    /// Whether a finding begins before a position.
    pub fn has_finding_before(&self, at: usize) -> bool {
        self.first_finding < at
    }

    /// Whether any of the `reach` words before a position is in a list; the search stops at marks and findings.
    pub fn any_before(&self, at: usize, reach: usize, words: &Words) -> bool {
        (at.saturating_sub(reach)..at)
            .rev()
            .take_while(|&at| self.is_word(at) && !self.is_finding(at))
            .any(|at| words.has(self.word(at)))
    }

    /// Whether the words from a position are these.
    pub fn reads(&self, at: usize, words: &[&str]) -> bool {
        words
            .iter()
            .enumerate()
            .all(|(ahead, word)| self.word(at + ahead) == *word)
    }

    /// Whether a finding that ends here has a predicate of its own that asserts it: "remains", "is unchanged",
    /// "in place".
    pub fn persists(&self, end: usize) -> bool {
        (end..self.len().min(end + PREDICATE_REACH))
            .take_while(|&at| self.is_word(at) && !matches!(self.word(at), "and" | "or" | "with"))
            .any(|at| self.starts_assertion(at))
    }

    /// Whether a finding that ends here has a predicate of any kind before the next comma.
    pub fn has_predicate(&self, end: usize) -> bool {
        (end..self.len().min(end + PREDICATE_REACH))
            .take_while(|&at| self.is_word(at))
            .any(|at| self.starts_predicate(at))
    }

    /// Whether a cue after a finding speaks of it: in "opacity, pneumonia not excluded" of the pneumonia alone, in
    /// "effusion, opacity or edema cannot be excluded" of all three.
    pub fn reaches_back(&self, end: usize, cue: usize) -> bool {
        let Some(comma) = (end..cue).find(|&at| self.is(at, Kind::Comma)) else {
            return true;
        };
        let rest = || comma..cue;
        let has_other = rest().any(|at| self.is_finding(at));
        let commas = rest().filter(|&at| self.is(at, Kind::Comma)).count();
        let is_list = commas > 1 || rest().any(|at| matches!(self.word(at), "or" | "and"));
        !has_other || is_list
    }

    /// Whether an asserting predicate begins at a position.
    pub fn starts_assertion(&self, at: usize) -> bool {
        PERSISTING.has(self.word(at))
            || (self.word(at) == "in" && matches!(self.word(at + 1), "place" | "position"))
    }

    /// Whether a predicate of any kind begins at a position.
    pub fn starts_predicate(&self, at: usize) -> bool {
        AUXILIARIES.has(self.word(at)) || self.starts_assertion(at)
    }
}
