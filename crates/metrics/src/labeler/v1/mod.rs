//! Version 1, frozen: scores that say `rules-14` without a version were read by these rules.

mod assertion;
mod cues;
mod rules;

use std::sync::LazyLock;

use super::{
    class::Status,
    lexicon::{Lexicon, Meaning},
    matches::{Match, find},
    tokens::Token,
};
use cues::{VOID_FINDING, VOID_NORMAL};
pub(super) use rules::RULES;

static LEXICON: LazyLock<Lexicon> = LazyLock::new(|| Lexicon::new(RULES));

/// Findings of a sentence with what it says about each.
pub(super) fn read(tokens: &[Token]) -> Vec<(Match, Status)> {
    let matches = find(tokens, &LEXICON, is_void);
    if matches.is_empty() {
        return Vec::new();
    }
    let denied = assertion::denied_before(tokens);
    let read = |found: Match| {
        let status = status(tokens, &found, &denied);
        (found, status)
    };
    matches.into_iter().map(read).collect()
}

fn status(tokens: &[Token], found: &Match, denied: &[bool]) -> Status {
    let asserted = || assertion::status(tokens, denied, found.place.start, found.place.end);
    match found.meaning {
        Meaning::Normal => Status::Negative,
        Meaning::Hint => asserted().at_most_uncertain(),
        Meaning::Finding | Meaning::Ignore => asserted(),
    }
}

fn is_void(meaning: Meaning, inner: &[Token]) -> bool {
    let words = match meaning {
        Meaning::Normal => VOID_NORMAL,
        Meaning::Finding | Meaning::Hint | Meaning::Ignore => VOID_FINDING,
    };
    inner.iter().any(|token| words.has(token.text))
}
