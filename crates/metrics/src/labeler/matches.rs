//! Finds the phrases of a lexicon in a sentence.

use std::cmp::Reverse;
use std::ops::Range;

use super::{
    class::FindingClass,
    lexicon::{Lexicon, Meaning},
    tokens::Token,
};

/// A phrase of the lexicon found in a sentence.
#[derive(Debug)]
pub(super) struct Match {
    pub class: FindingClass,
    pub meaning: Meaning,
    /// Words of the sentence that the phrase covers.
    pub place: Range<usize>,
}

/// The phrases that count, in the order of the text: for each class the longest of those that overlap.
///
/// `is_void` says that the words inside a phrase contradict its meaning.
pub(super) fn find(
    tokens: &[Token],
    lexicon: &Lexicon,
    is_void: fn(Meaning, &[Token]) -> bool,
) -> Vec<Match> {
    let mut matches: Vec<Match> = Vec::new();
    // For each word, the end of the longest `Ignore` phrase that begins at or before it.
    let mut hidden_until = vec![0; tokens.len()];
    let mut hidden = 0;
    for start in 0..tokens.len() {
        for entry in lexicon.starting_with(tokens[start].text) {
            let Some(end) = entry.phrase.match_at(tokens, start) else {
                continue;
            };
            let meaning = entry.rule.meaning;
            if meaning == Meaning::Ignore {
                hidden = hidden.max(end);
            } else if !is_void(meaning, inner(&tokens[start..end])) {
                let found = |&class| Match {
                    class,
                    meaning,
                    place: start..end,
                };
                matches.extend(entry.rule.classes.iter().map(found));
            }
        }
        hidden_until[start] = hidden;
    }
    matches.retain(|found| found.place.end > hidden_until[found.place.start]);
    matches.sort_by_key(|found| (found.class, Reverse(found.place.len())));
    // The class that last claimed each word. Longer phrases come first, so a later one that overlaps another of
    // its class has its first or last word inside it.
    let mut taken = vec![None; tokens.len()];
    matches.retain(|found| {
        let Range { start, end } = found.place;
        let class = Some(found.class);
        let is_free = taken[start] != class && taken[end - 1] != class;
        if is_free {
            taken[start..end].fill(class);
        }
        is_free
    });
    matches.sort_by_key(|found| (found.place.start, found.class));
    matches
}

/// The words between the ends of a phrase, which are the words that the phrase asks for.
fn inner<'s, 't>(inside: &'s [Token<'t>]) -> &'s [Token<'t>] {
    inside.get(1..inside.len().saturating_sub(1)).unwrap_or(&[])
}
