//! Findings that a report names without reading the film: what was looked for, and what the patient once had.

use std::ops::Range;

use super::super::tokens::Kind;
use super::cues::{FINDINGS_HEADINGS, PRESUPPOSING, PURPOSE, REQUEST_HEADINGS, RISK, TREATMENT};
use super::denial::links;
use super::text::Text;

/// How far before a finding such a context may begin, in words.
const REACH: usize = 12;
/// How many words a heading may have.
const HEADING: usize = 5;

/// Whether the words before a finding ask for it ("evaluate for"), or speak of history or risk.
pub(super) fn is_elsewhere(text: &Text, start: usize, end: usize) -> bool {
    let (mut presupposed, mut is_new) = (false, false);
    // "history of CHF, edema is present": a statement of its own.
    let has_predicate = text.has_predicate(end);
    let (mut crossed_comma, mut is_list) = (false, false);
    for at in (start.saturating_sub(REACH)..start).rev() {
        let word = text.word(at);
        if text.breaks(at) {
            return false;
        }
        if is_purpose(text, at) {
            return (!presupposed || is_new) && !(crossed_comma && has_predicate);
        }
        if is_history(text, at) {
            return !crossed_comma || (is_list && !has_predicate);
        }
        if is_risk(text, at, start) {
            return true;
        }
        crossed_comma |= text.is(at, Kind::Comma);
        is_list |= matches!(word, "and" | "or");
        let conditional =
            matches!(text.before(at, 2), "if" | "whether") || text.before(at, 1) == "if";
        let states = matches!(
            word,
            "is" | "are"
                | "was"
                | "were"
                | "shows"
                | "demonstrates"
                | "reveals"
                | "showed"
                | "without"
                | "no"
                | "now"
                | "confirms"
                | "shown"
                | "there"
                | "revealed"
                | "demonstrated"
        );
        if (states && !conditional) || (word == "with" && !links(text, at)) {
            return false;
        }
        presupposed |= PRESUPPOSING.has(word);
        is_new |= matches!(
            word,
            "development" | "occurrence" | "any" | "possible" | "new"
        );
    }
    is_hard_to_judge(text, start, end)
}

/// "evaluate for", "assessment of the chest for", "evaluate presence of".
fn is_purpose(text: &Text, at: usize) -> bool {
    let is_verb = |at: usize| PURPOSE.has(text.word(at));
    match text.word(at) {
        "for" => (at.saturating_sub(5)..at)
            .rev()
            .take_while(|&at| text.is_word(at) && !text.breaks(at))
            .any(is_verb),
        // "Evaluate pneumothorax." as a whole request
        "evaluate" | "assess" | "eval" => {
            let is_known = matches!(text.word(at + 1), "the" | "this" | "known");
            at <= 1 && !is_known && (at + 1..at + 3).any(|at| text.is_finding(at))
        }
        "presence" => (at.saturating_sub(4)..at).any(is_verb),
        _ => false,
    }
}

/// "history of", "h/o", "mastectomy for", "treated for".
fn is_history(text: &Text, at: usize) -> bool {
    match text.word(at) {
        "of" | "for" => {
            let before = text.before(at, 1);
            let history = |back: usize| matches!(text.before(at, back), "history" | "hx");
            let treated = |word: &str| TREATMENT.has(word) || word.ends_with("ectomy");
            history(1)
                || (text.word(at) == "for" && history(2))
                || treated(before)
                || (text.word(at) == "for" && treated(text.before(at, 2)))
        }
        "hx" => text.is_finding(at + 1),
        "o" => text.before(at, 1) == "h",
        _ => false,
    }
}

/// "risk of", "to prevent".
fn is_risk(text: &Text, at: usize, start: usize) -> bool {
    RISK.has(text.word(at)) && start - at <= 4
}

/// "evaluation of pneumothorax is limited", "limits detection of".
fn is_hard_to_judge(text: &Text, start: usize, end: usize) -> bool {
    let judged = (start.saturating_sub(5)..start).any(|at| {
        matches!(
            text.word(at),
            "evaluation"
                | "assessment"
                | "detection"
                | "exclusion"
                | "sensitivity"
                | "visualization"
        ) && matches!(text.word(at + 1), "of" | "for" | "to")
    });
    let limits = |word: &str| {
        matches!(
            word,
            "limited"
                | "limits"
                | "limiting"
                | "limit"
                | "difficult"
                | "suboptimal"
                | "degraded"
                | "degrades"
                | "precluded"
                | "precludes"
                | "impaired"
                | "hampered"
                | "reduced"
                | "decreased"
        )
    };
    let near = start.saturating_sub(8)..text.len().min(end + 6);
    judged && near.into_iter().any(|at| limits(text.word(at)))
}

/// The words under a heading such as "Indication:" that begins the sentence; empty without one.
pub(super) fn requested(text: &Text) -> Range<usize> {
    let is_colon = |at: &usize| text.word(*at) == ":";
    let Some(colon) = (1..text.len().min(HEADING + 1)).find(is_colon) else {
        return 0..0;
    };
    let asks = |at: usize| REQUEST_HEADINGS.has(text.word(at)) || text.reads(at, &["r", "o"]);
    if !(0..colon).any(asks) {
        return 0..0;
    }
    let end = (colon + 1..text.len())
        .find(|&at| FINDINGS_HEADINGS.has(text.word(at)) && text.is(at + 1, Kind::Break));
    colon + 1..end.unwrap_or(text.len())
}
