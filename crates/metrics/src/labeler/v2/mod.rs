//! Version 2: findings that are gone, asked about, looked for, explained away, of other organs, or taken out.
//!
//! The phrases are version 1's and a few more; the assertion is decided anew. Each module is one way in which a
//! finding can be named and not be there.

mod anatomy;
mod context;
mod cues;
mod denial;
mod devices;
mod doubt;
mod explained;
mod organs;
mod question;
mod rules;
mod text;

use std::sync::LazyLock;

use super::{
    class::{FindingClass, Status},
    lexicon::{Lexicon, Meaning},
    matches::{Match, find},
    tokens::{Sentence, Token},
    v1,
    words::Words,
};
use cues::{VOID_FINDING, VOID_NORMAL};
use denial::{After, Before};
pub(super) use question::answer;
pub(super) use rules::RULES;
use text::Text;

static LEXICON: LazyLock<Lexicon> = LazyLock::new(|| Lexicon::new(v1::RULES.iter().chain(RULES)));

/// Assertion of a sentence about one of its findings.
pub(super) struct Reading {
    pub found: Match,
    pub status: Status,
    /// Whether the sentence asks, so that a later one can answer.
    pub is_question: bool,
}

/// Findings of a sentence with what it says about each.
///
/// Those of other organs and those that a request, a history or a risk names are left out.
pub(super) fn read(sentence: &Sentence) -> Vec<Reading> {
    let tokens = &sentence.tokens;
    let matches = find(tokens, &LEXICON, is_void);
    if matches.is_empty() {
        return Vec::new();
    }
    let text = Text::new(tokens, &matches);
    let denied = denial::before(&text);
    let asked_from = question::asked_from(&text, sentence.asked);
    let requested = context::requested(&text);
    let mut readings = Vec::with_capacity(matches.len());
    for found in matches {
        let start = found.place.start;
        let is_question = found.place.end > asked_from;
        let status = if requested.contains(&start) {
            None
        } else if found.meaning == Meaning::Normal {
            (!is_question).then_some(Status::Negative)
        } else {
            status(&text, &found, denied[start], is_question)
        };
        if let Some(status) = status {
            readings.push(Reading {
                found,
                status,
                is_question,
            });
        }
    }
    readings
}

/// `None` for a finding of another organ, or one that only a request, a history or a risk names.
fn status(text: &Text, found: &Match, denied: Before, is_question: bool) -> Option<Status> {
    let (class, start, end) = (found.class, found.place.start, found.place.end);
    let is_device = class == FindingClass::SupportDevices;
    if organs::is_of_other_organ(text, class, start, end)
        || (!is_device && context::is_elsewhere(text, start, end))
    {
        return None;
    }
    let status = if is_question {
        Status::Uncertain
    } else if is_device && devices::is_removed(text, start, end) {
        Status::Negative
    } else {
        assertion(text, found, denied)
    };
    Some(match found.meaning {
        Meaning::Hint => status.at_most_uncertain(),
        Meaning::Finding | Meaning::Normal | Meaning::Ignore => status,
    })
}

fn assertion(text: &Text, found: &Match, denied: Before) -> Status {
    let (start, end) = (found.place.start, found.place.end);
    if doubt::cannot_be_excluded(text, start, end) {
        return Status::Uncertain;
    }
    let denied = match denied {
        Before::Asserted => false,
        Before::Denied => true,
        Before::DeniedAcrossComma => !text.persists(end),
    };
    if denied || denial::inside(text, start, end) {
        return Status::Negative;
    }
    match denial::after(text, start, end, found.class) {
        After::Denied => return Status::Negative,
        After::Doubted => return Status::Uncertain,
        After::Nothing => {}
    }
    if let Some(status) = explained::explained(text, found.class, end) {
        return status;
    }
    if doubt::is_doubted(text, start, end) {
        Status::Uncertain
    } else {
        Status::Positive
    }
}

fn is_void(meaning: Meaning, inner: &[Token]) -> bool {
    let has = |words: &[Token], list: &Words| words.iter().any(|token| list.has(token.text));
    if meaning != Meaning::Normal {
        return has(inner, &VOID_FINDING);
    }
    // "hyperexpanded but otherwise clear": the contrast is to what stands before it.
    let contrast = inner.iter().rposition(|token| token.text == "but");
    match contrast {
        Some(but) if inner.len() - but <= 3 => {
            let rest = &inner[but + 1..];
            has(&inner[..but], &VOID_NORMAL) || rest.iter().any(|token| token.text == "not")
        }
        _ => has(inner, &VOID_NORMAL),
    }
}
