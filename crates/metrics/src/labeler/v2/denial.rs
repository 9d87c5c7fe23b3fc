//! Negation of a finding, before or after its name.
//!
//! In the spirit of NegEx (Chapman et al., 2001) and NegBio (Peng et al., 2018), on words instead of parses.

use super::super::{class::FindingClass, tokens::Kind};
use super::cues::{
    AFTER_COMMA, CEASED, CESSATION, CHANGE, CHANGE_ADVERBS, CLEARLY, DENIALS, EXISTING, IN_PART,
    IN_PART_AFTER, NEW_STATEMENT, NOT, PROSPECTIVE, SEEN, SHOW,
};
use super::text::Text;

/// How far after the finding its negation may be, in words.
const REACH: usize = 20;

/// Whether a negation before a word reaches it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    /// None does.
    Asserted,
    /// One does, within its phrase or a list joined by "or".
    Denied,
    /// One does across a comma; a predicate of the finding's own would end it.
    DeniedAcrossComma,
}

/// The negation that applies to each word of a sentence.
///
/// A negation covers a whole list ("no A, B or C") and ends where another statement begins.
///
/// One pass for the whole sentence keeps the time linear.
pub(super) fn before(text: &Text) -> Vec<Before> {
    let mut reach = Before::Asserted;
    let mut is_local = false;
    (0..text.len())
        .map(|at| {
            let here = reach;
            let joins = text.is(at, Kind::Comma) || text.word(at) == "and";
            reach = if text.breaks(at) || (is_local && joins) {
                Before::Asserted
            } else if denies(text, at) {
                is_local = denies_locally(text, at);
                Before::Denied
            } else if reach == Before::Asserted || starts_statement(text, at) {
                Before::Asserted
            } else if text.is(at, Kind::Comma) {
                Before::DeniedAcrossComma
            } else if matches!(text.word(at), "or" | "nor") {
                Before::Denied
            } else {
                reach
            };
            here
        })
        .collect()
}

/// Whether this word negates the words after it.
fn denies(text: &Text, at: usize) -> bool {
    let (this, next) = (text.word(at), text.word(at + 1));
    match this {
        "no" if next == "longer" => begins_before_finding(text, at),
        "no" | "without" => !speaks_of_change(text, at + 1),
        // "w/o"
        "o" => text.before(at, 1) == "w",
        "cannot" | "can't" => false,
        _ if NOT.has(this) => {
            !(speaks_of_change(text, at + 1) || denies_before(text, at) || is_degree(text, at))
        }
        "free" | "absence" | "lack" => {
            matches!(next, "of" | "from") && !speaks_of_change(text, at + 2)
        }
        "clear" => next == "of",
        "instead" => next == "of",
        "negative" | "neg" => matches!(next, "for" | "of"),
        "unremarkable" => next == "for",
        "fails" | "failed" | "failure" => text.reads(at + 1, &["to"]) && !is_ceasing(text, at + 2),
        "rules" | "ruled" => next == "out" && !is_predicate(text, at) && !is_open(text, at),
        "excludes" => !is_open(text, at),
        "mimic" | "mimics" | "mimicking" | "mimicked" | "simulate" | "simulates" | "simulating"
        | "simulated" => true,
        "mistaken" | "confused" | "misinterpreted" => matches!(next, "for" | "with" | "as"),
        "artifactual" | "artefactual" | "spurious" | "factitious" => true,
        "non" => text.is_finding(at + 1),
        "resolved" | "cleared" => {
            text.is_word(at + 1) && !is_predicate(text, at) && !is_in_part(text, at)
        }
        _ if CESSATION.has(this) => {
            next == "of" && !is_in_part(text, at) && !text.any_before(at, 3, &PROSPECTIVE)
        }
        "absent" => !is_predicate(text, at),
        _ => DENIALS.has(this),
    }
}

/// "not" before anything but a verb of seeing negates no list: "heart is not large, effusion".
fn denies_locally(text: &Text, at: usize) -> bool {
    NOT.has(text.word(at)) && !(at + 1..at + 4).any(|at| SHOW.has(text.word(at)))
}

/// Whether "no longer" at `at` negates a finding after it ("no longer any effusion"), not one before
/// it ("the effusion is no longer seen").
fn begins_before_finding(text: &Text, at: usize) -> bool {
    let ahead = at + 2..at + 7;
    let mut words = ahead.take_while(|&at| text.is_word(at) && text.word(at) != "and");
    let is_degree = is_degree(text, at + 1) || matches!(text.word(at + 2), "only" | "just");
    !is_predicate(text, at) && !is_degree && words.any(|at| text.is_finding(at))
}

/// Whether this word belongs to the words before it: "has resolved", "effusion now resolved".
fn is_predicate(text: &Text, at: usize) -> bool {
    let mut behind = (at.saturating_sub(3)..at).rev();
    text.has_finding_before(at)
        && behind.any(|at| {
            text.is_finding(at)
                || matches!(
                    text.word(at),
                    "is" | "are" | "was" | "were" | "has" | "have" | "been"
                )
        })
}

/// "cannot rule out", "to rule out": not an answer.
fn is_open(text: &Text, at: usize) -> bool {
    (at.saturating_sub(4)..at).any(|at| {
        let word = text.word(at);
        NOT.has(word)
            || matches!(
                word,
                "to" | "difficult" | "unable" | "until" | "once" | "if"
            )
    })
}

fn is_ceasing(text: &Text, at: usize) -> bool {
    matches!(
        text.word(at),
        "resolve" | "clear" | "disappear" | "improve" | "respond"
    )
}

/// "partially resolved", "has not cleared", "near complete resolution of".
fn is_in_part(text: &Text, at: usize) -> bool {
    text.any_before(at, 3, &IN_PART)
}

/// "no significant change in the effusion", "no more than a small effusion".
fn speaks_of_change(text: &Text, from: usize) -> bool {
    let skips = |at: &usize| !CHANGE_ADVERBS.has(text.word(*at));
    let Some(first) = (from..text.len()).take(6).find(skips) else {
        return false;
    };
    CHANGE.has(text.word(first)) || text.reads(first, &["more", "than"])
}

/// "not as large", "no longer so dense": of the degree, not the finding.
fn is_degree(text: &Text, at: usize) -> bool {
    matches!(text.word(at + 1), "as" | "so" | "quite" | "too" | "very")
}

/// Whether a negation before this word does not reach beyond it.
fn starts_statement(text: &Text, at: usize) -> bool {
    let word = text.word(at);
    let joins = text.is(at, Kind::Comma) || word == "and";
    let status_post = (word == "status" && text.word(at + 1) == "post")
        || (word == "s" && text.word(at + 1) == "p");
    (joins && AFTER_COMMA.has(text.word(at + 1)))
        || (NEW_STATEMENT.has(word) && !links(text, at) && !is_denied_verb(text, at))
        || status_post
}

/// The verb of "does not show" and "no longer have" passes the negation on.
fn is_denied_verb(text: &Text, at: usize) -> bool {
    let verb = matches!(
        text.word(at),
        "show" | "shows" | "have" | "has" | "demonstrates" | "reveals"
    );
    let denied = |word: &str| NOT.has(word) || word == "longer";
    // "not seen is an effusion"
    if matches!(text.word(at), "is" | "are") && SEEN.has(text.before(at, 1)) {
        return denied(text.before(at, 2));
    }
    let remains = text.word(at) == "remains" && text.before(at, 1) == "nothing";
    remains || verb && (denied(text.before(at, 1)) || denied(text.before(at, 2)))
}

/// Whether the "with" at this word continues a statement, as in "consistent with".
pub(super) fn links(text: &Text, at: usize) -> bool {
    text.word(at) == "with"
        && matches!(
            text.before(at, 1),
            "consistent" | "compatible" | "associated" | "confused"
        )
}

/// Assertion after a finding about its presence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    Nothing,
    Denied,
    /// It may have ended.
    Doubted,
}

/// Whether a negation is among the words of the finding: "heart is not enlarged", but not "is no longer as
/// enlarged".
pub(super) fn inside(text: &Text, start: usize, end: usize) -> bool {
    (start..end).any(|at| {
        let degree = at + 1 + usize::from(text.word(at + 1) == "longer");
        matches!(text.word(at), "not" | "no" | "nor")
            && !matches!(text.word(degree), "as" | "so" | "quite" | "more")
    })
}

/// Finds a negation after the finding: "is not seen", "has resolved", "is gone", ": none".
pub(super) fn after(text: &Text, start: usize, end: usize, class: FindingClass) -> After {
    match cue_after(text, start, end, class) {
        Some((at, after)) if text.reaches_back(end, at) => after,
        _ => After::Nothing,
    }
}

/// The first word after the finding that settles whether it is negated, and how.
fn cue_after(text: &Text, start: usize, end: usize, class: FindingClass) -> Option<(usize, After)> {
    let mut has_predicate = (start..end).any(|at| text.starts_predicate(at));
    let mut in_relative_clause = false;
    for at in end..text.len().min(end + REACH) {
        let word = text.word(at);
        if text.is(at, Kind::Break) && at == end && is_short_no(text, at + 1) {
            return Some((at, After::Denied));
        }
        if text.breaks(at) {
            return None;
        }
        let is_comma = text.is(at, Kind::Comma);
        if is_comma && in_relative_clause {
            (in_relative_clause, has_predicate) = (false, false);
        } else if is_comma || matches!(word, "and" | "or") {
            let other = has_predicate && !continues(text, at + 1);
            if other || (is_comma && text.word(at + 1) == "the") {
                return None;
            }
        }
        match word {
            "which" | "that" => in_relative_clause = true,
            "with" | "without" | "there" => return None,
            "w" if text.word(at + 1) == "o" => return None,
            "no" if text.word(at + 1) == "longer" => {
                if ceases(text, at + 2) {
                    return Some((at, After::Denied));
                }
                return None;
            }
            "no" if text.reads(at, &["no", "more"]) && !text.is_word(at + 2) => {
                return Some((at, After::Denied));
            }
            "no" => return None,
            "none" | "nil" if at == end && !text.is_word(at + 1) => {
                return Some((at, After::Denied));
            }
            "absent" | "ruled" | "excluded" if is_of_earlier_film(text, at) => {}
            "absent" | "ruled" | "excluded" => return Some((at, After::Denied)),
            "gone" => return Some((at, gone(text, at))),
            _ if CEASED.has(word) => return Some((at, ceased(text, at))),
            _ if NOT.has(word) => {
                // A device whose tip is not well seen is still there.
                let is_view = class == FindingClass::SupportDevices
                    && (matches!(
                        text.word(at + 1),
                        "well" | "clearly" | "fully" | "completely" | "entirely"
                    ) || (end..at)
                        .any(|at| matches!(text.word(at), "tip" | "tips" | "end" | "course")));
                let denied = denies_before(text, at) && !is_degree(text, at) && !is_view;
                match denied {
                    true if is_of_earlier_film(text, at) => {}
                    true => return Some((at, After::Denied)),
                    false => return None,
                }
            }
            _ => has_predicate |= text.starts_predicate(at),
        }
    }
    None
}

/// "Effusion: none.", "Pneumothorax: not seen."
fn is_short_no(text: &Text, at: usize) -> bool {
    let next = text.word(at + 1);
    match text.word(at) {
        "no" | "none" | "nil" | "absent" | "negative" | "resolved" | "gone" | "cleared"
        | "removed" => {
            let is_rest = matches!(
                next,
                "seen" | "identified" | "evidence" | "evident" | "present"
            );
            !text.is_word(at + 1) || is_rest
        }
        "not" => SEEN.has(next),
        _ => false,
    }
}

/// Whether "not" at this word negates the words before it: "is not clearly seen".
fn denies_before(text: &Text, at: usize) -> bool {
    let seen = (at + 1..at + 4).find(|&at| !CLEARLY.has(text.word(at)));
    let seen = seen.is_some_and(|at| SEEN.has(text.word(at)));
    let earlier = (at + 1..at + 3).any(|at| is_earlier(text.word(at)));
    let later = (at + 1..at + 4).any(|at| SEEN.has(text.word(at)));
    text.has_finding_before(at) && (seen || later) && !earlier
}

/// "is no longer seen", "no longer exists", "no longer."; but not "no longer small".
fn ceases(text: &Text, from: usize) -> bool {
    let first = (from..from + 4).find(|&at| !CLEARLY.has(text.word(at)));
    first.is_some_and(|at| {
        let word = text.word(at);
        !text.is_word(at) || SEEN.has(word) || EXISTING.has(word)
    })
}

/// "gone", "gone away"; but not "gone from bad to worse" or "gone up".
fn gone(text: &Text, at: usize) -> After {
    let moves = matches!(
        text.word(at + 1),
        "from"
            | "up"
            | "down"
            | "through"
            | "on"
            | "to"
            | "into"
            | "bad"
            | "unnoticed"
            | "undetected"
            | "unseen"
            | "worse"
            | "out"
            | "back"
            | "over"
    );
    if moves {
        After::Nothing
    } else {
        ceased(text, at)
    }
}

fn ceased(text: &Text, at: usize) -> After {
    let near: Vec<&str> = (at.saturating_sub(4)..at).map(|at| text.word(at)).collect();
    let any = |words: &[&str]| near.iter().any(|word| words.contains(word));
    let to_come = any(&[
        "will", "should", "until", "expected", "would", "must", "if", "when", "once",
    ]);
    let to_base = near.last() == Some(&"to") || near.ends_with(&["to", "be"]);
    let in_part_after = IN_PART_AFTER.has(text.word(at + 1)) || text.reads(at + 1, &["in", "part"]);
    if is_in_part(text, at) || in_part_after || to_come || to_base {
        After::Nothing
    } else if any(&[
        "may", "might", "could", "probably", "likely", "possibly", "perhaps",
    ]) {
        After::Doubted
    } else {
        After::Denied
    }
}

/// "not seen on the prior film" says that the finding is new.
fn is_of_earlier_film(text: &Text, at: usize) -> bool {
    let compares = |word: &str| {
        matches!(
            word,
            "compared" | "since" | "from" | "than" | "this" | "current" | "as"
        )
    };
    (at + 1..at + 9)
        .take_while(|&at| text.is_word(at))
        .map(|at| text.word(at))
        .find(|word| is_earlier(word) || compares(word))
        .is_some_and(is_earlier)
}

fn is_earlier(word: &str) -> bool {
    matches!(
        word,
        "prior"
            | "previous"
            | "previously"
            | "earlier"
            | "before"
            | "yesterday"
            | "preceding"
            | "old"
    )
}

/// Whether what follows a comma or "and" still speaks of the same finding: "and is now gone".
fn continues(text: &Text, at: usize) -> bool {
    let word = text.word(at);
    let adverb = matches!(
        word,
        "now"
            | "no"
            | "not"
            | "subsequently"
            | "then"
            | "since"
            | "also"
            | "currently"
            | "today"
            | "completely"
            | "fully"
            | "entirely"
            | "gone"
            | "which"
    );
    adverb
        || CEASED.has(word)
        || matches!(word, "is" | "are" | "was" | "were" | "has" | "have" | "had")
}
