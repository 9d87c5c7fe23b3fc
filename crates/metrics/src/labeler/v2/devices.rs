//! Whether a line, tube or other device has been removed.

use super::super::tokens::Kind;
use super::cues::{ADVICE, DONE, IN_PART, PLANNED, PROSPECTIVE};
use super::text::Text;

/// How far from the device its removal may be, in words.
const REACH: usize = 14;

/// Whether a device is reported as removed: "has been removed", "removal of", "tube removal", "no
/// longer in place".
pub(super) fn is_removed(text: &Text, start: usize, end: usize) -> bool {
    !is_one_of_several(text, start)
        && (removed_before(text, start, end)
            || names_removal(text, start, end)
            || removed_after(text, start, end))
}

/// "one of two chest tubes has been removed": others are still there.
fn is_one_of_several(text: &Text, start: usize) -> bool {
    (start.saturating_sub(5)..start)
        .any(|at| text.reads(at, &["one", "of"]) || text.reads(at, &["some", "of"]))
}

/// "removal of the right chest tube and the catheter", "recently removed tube".
fn removed_before(text: &Text, start: usize, end: usize) -> bool {
    let mut crossed = false;
    for at in (start.saturating_sub(REACH)..start).rev() {
        let word = text.word(at);
        let ends = matches!(
            word,
            "placement"
                | "insertion"
                | "new"
                | "replacement"
                | "replaced"
                | "remains"
                | "remaining"
                | "with"
                | "without"
                | "is"
                | "are"
                | "was"
                | "were"
                | "placed"
                | "there"
                | "exchange"
                | "via"
                | "through"
        );
        if text.breaks(at) || ends {
            return false;
        }
        crossed |= text.is(at, Kind::Comma) || word == "and";
        let noun = is_removal(word) && text.word(at + 1) == "of";
        let participle = matches!(word, "removed" | "removing" | "explanted" | "discontinued")
            && !crossed
            && start - at <= 4;
        if noun || participle {
            let planned = is_planned(text, at) || text.any_before(at, 2, &IN_PART);
            let planned = planned || is_planned_after(text, end);
            return !(planned || crossed && text.persists(end));
        }
    }
    false
}

/// "chest tube removal", but not "before chest tube removal".
fn names_removal(text: &Text, start: usize, end: usize) -> bool {
    let removal = (end..end + 3)
        .take_while(|&at| text.is_word(at) && !text.starts_predicate(at))
        .find(|&at| is_removal(text.word(at)));
    let Some(at) = removal else {
        return false;
    };
    let planned = is_planned_after(text, at + 1);
    !planned && !is_planned(text, at) && !is_planned(text, start)
}

/// "has been removed", "is out", "no longer in place".
fn removed_after(text: &Text, start: usize, end: usize) -> bool {
    let mut has_predicate = (start..end).any(|at| text.starts_predicate(at));
    for at in end..text.len().min(end + REACH) {
        let word = text.word(at);
        let colon = at == end && text.is(at, Kind::Break);
        if text.breaks(at) && !colon {
            return false;
        }
        let is_comma = text.is(at, Kind::Comma);
        if is_comma || word == "and" {
            let continues = matches!(
                text.word(at + 1),
                "has"
                    | "have"
                    | "is"
                    | "are"
                    | "was"
                    | "were"
                    | "now"
                    | "since"
                    | "subsequently"
                    | "then"
                    | "removed"
            );
            if (has_predicate && !continues) || (is_comma && text.word(at + 1) == "the") {
                return false;
            }
        }
        if matches!(
            word,
            "with" | "without" | "placed" | "inserted" | "tip" | "tips"
        ) {
            return false;
        }
        if matches!(word, "no" | "not") {
            let from = at + 1 + usize::from(text.reads(at, &["no", "longer"]));
            let place = (from..from + 2)
                .any(|at| text.reads(at, &["in", "place"]) || text.reads(at, &["in", "position"]));
            if place {
                return true;
            }
        }
        if takes_out(text, at) {
            let replaced = (at + 1..at + 4)
                .any(|at| matches!(text.word(at), "replaced" | "exchanged" | "reinserted"));
            let in_part = text.any_before(at, 4, &IN_PART);
            return !is_planned(text, at) && !in_part && !replaced && text.reaches_back(end, at);
        }
        has_predicate |= text.starts_predicate(at);
    }
    false
}

/// Whether a verb at this word takes the device out of the body, rather than moving it.
fn takes_out(text: &Text, at: usize) -> bool {
    let next = text.word(at + 1);
    let moves = || {
        let distance = next.starts_with(|c: char| c.is_ascii_digit());
        distance
            || matches!(
                next,
                "back"
                    | "slightly"
                    | "by"
                    | "approximately"
                    | "about"
                    | "into"
                    | "to"
                    | "partially"
                    | "proximally"
                    | "several"
                    | "a"
                    | "out"
                    | "up"
                    | "superiorly"
                    | "somewhat"
            ) && text.word(at + 2) != "completely"
    };
    match text.word(at) {
        "removed" | "explanted" | "discontinued" | "extracted" | "retrieved" | "extubated"
        | "decannulated" => true,
        "withdrawn" | "pulled" => next == "out" || !moves(),
        "taken" => next == "out",
        // "NG tube out."
        "out" if at > 0 && text.is_finding(at - 1) => !text.is_word(at + 1),
        "out" => {
            matches!(
                text.before(at, 1),
                "is" | "are" | "been" | "now" | "come" | "came" | "fallen" | "taken"
            ) && !matches!(next, "of")
        }
        _ => false,
    }
}

fn is_removal(word: &str) -> bool {
    matches!(
        word,
        "removal"
            | "explantation"
            | "extraction"
            | "discontinuation"
            | "withdrawal"
            | "extubation"
            | "removals"
    )
}

/// "is recommended", "can be considered".
fn is_planned_after(text: &Text, from: usize) -> bool {
    (from..from + 4)
        .take_while(|&at| text.is_word(at))
        .any(|at| PLANNED.has(text.word(at)))
}

/// "should be removed", "prior to removal", "for removal of": not yet done.
fn is_planned(text: &Text, at: usize) -> bool {
    let to_base = text.before(at, 1) == "to" || text.reads(at.saturating_sub(2), &["to", "be"]);
    let planned = text.any_before(at, 4, &PROSPECTIVE) || text.any_before(at, 4, &ADVICE);
    to_base || (planned && !text.any_before(at, 2, &DONE))
}
