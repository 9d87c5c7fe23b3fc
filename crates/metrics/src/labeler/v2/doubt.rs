//! Is a finding in doubt?

use super::super::{tokens::Kind, words::Words};
use super::cues::{CONDITIONS, CONSIDERATION, DOUBTED, DOUBTS, NOT, OPPOSED};
use super::denial::links;
use super::text::Text;

/// How far doubt reaches, in words.
const REACH: usize = 12;
/// How many words before the second of two alternatives their "or" may be.
const ALTERNATIVE_REACH: usize = 3;

/// Between a verb and the adjective or noun of doubt.
const FILLERS: Words = Words::new(
    "very highly more most also still felt thought considered believed to be much somewhat clinically of in therefore \
     thus a the another main",
);

/// Whether the words around a finding make it uncertain.
pub(super) fn is_doubted(text: &Text, start: usize, end: usize) -> bool {
    before(text, start, end)
        || (start..end).any(|at| DOUBTS.has(text.word(at)))
        || after(text, end)
        || is_conditional(text, start, end)
        || is_alternative(text, start, end)
}

/// "cannot be excluded", "not excluded", "cannot rule out", "rule out", "r/o", on either side.
pub(super) fn cannot_be_excluded(text: &Text, start: usize, end: usize) -> bool {
    let excludes = |at: usize| match text.word(at) {
        "exclude" | "excluded" => true,
        "rule" | "ruled" => text.word(at + 1) == "out",
        _ => false,
    };
    let fails = |at: usize| {
        let word = text.word(at);
        NOT.has(word)
            || matches!(
                word,
                "difficult"
                    | "to"
                    | "should"
                    | "must"
                    | "needs"
                    | "need"
                    | "once"
                    | "until"
                    | "unless"
                    | "hard"
                    | "impossible"
                    | "unable"
                    | "limited"
            )
    };
    let open = |at: usize| excludes(at) && (at.saturating_sub(5)..at).any(fails);
    // A bare "rule out X" asks; "rules out X" and "ruled out X" answer.
    let asks = |at: usize| match text.word(at) {
        "rule" | "ruling" => text.word(at + 1) == "out" && text.before(at, 1) != "can",
        "r" => text.word(at + 1) == "o",
        "ro" | "ruleout" => true,
        _ => false,
    };
    let behind = (start.saturating_sub(REACH)..start)
        .rev()
        .take_while(|&at| !text.breaks(at) && !is_of_patient(text, at))
        .find(|&at| open(at) || asks(at));
    let ahead = (end..text.len().min(end + REACH))
        .take_while(|&at| !text.breaks(at))
        .find(|&at| open(at) && !excludes_next(text, at));
    behind.is_some_and(|cue| !(has_comma(text, cue, start) && text.persists(end)))
        || ahead.is_some_and(|cue| text.reaches_back(end, cue))
}

/// "effusion, cannot exclude pneumonia": the doubt is about what follows.
fn excludes_next(text: &Text, at: usize) -> bool {
    let is_active = matches!(text.word(at), "exclude" | "rule");
    let mut ahead = (at..text.len().min(at + 8)).take_while(|&at| !text.breaks(at));
    is_active && ahead.any(|at| text.is_finding(at))
}

/// "in this patient with": what the patient has is stated.
fn is_of_patient(text: &Text, at: usize) -> bool {
    text.word(at) == "with"
        && matches!(
            text.before(at, 1),
            "patient" | "man" | "woman" | "male" | "female"
        )
}

fn has_comma(text: &Text, from: usize, to: usize) -> bool {
    (from..to).any(|at| text.is(at, Kind::Comma))
}

fn before(text: &Text, start: usize, end: usize) -> bool {
    let mut crossed_comma = false;
    for at in (start.saturating_sub(REACH)..start).rev() {
        let word = text.word(at);
        crossed_comma |= text.is(at, Kind::Comma);
        if text.is(at, Kind::Query) {
            let bracketed = text.is(at + 1, Kind::Comma);
            return !bracketed && !crossed_comma;
        }
        if DOUBTS.has(word) && !is_denied_doubt(text, at) {
            return !(crossed_comma && text.persists(end));
        }
        let conditional = (1..=3).any(|back| CONDITIONS.has(text.before(at, back)));
        let states = matches!(word, "there" | "is" | "are" | "was" | "were") && !conditional;
        if states || text.breaks(at) || (word == "with" && !links(text, at)) {
            return false;
        }
    }
    false
}

/// "no doubt", "without question"; "suggest removing the tube" is advice.
fn is_denied_doubt(text: &Text, at: usize) -> bool {
    let denied = |back: usize| {
        matches!(
            text.before(at, back),
            "no" | "without" | "beyond" | "little"
        )
    };
    let next = text.word(at + 1);
    match text.word(at) {
        "doubt" | "question" => denied(1) || denied(2),
        "likely" => text.before(at, 2) == "as",
        "suggest" | "suggested" => {
            next.starts_with("remov")
                || next.starts_with("reposition")
                || next.starts_with("advanc")
        }
        _ => false,
    }
}

/// "is possible", "less likely", "versus X", "(?)", ": questionable": only where the doubt is about this finding
/// rather than about its cause.
fn after(text: &Text, end: usize) -> bool {
    // "edema (?)", "(edema?)", "edema (?mild)", but not "opacity (?edema)".
    let opens = usize::from(text.is(end, Kind::Comma));
    let is_query = text.is(end + opens, Kind::Query);
    let asks_itself = !(end + opens..end + opens + 5).any(|at| text.is_finding(at));
    let closes = text.is(end + opens + 1, Kind::Comma);
    let bracketed = is_query && (closes || (text.word(end) == "(" && asks_itself));
    if bracketed || matches!(text.word(end), "versus" | "vs") {
        return true;
    }
    if text.is(end, Kind::Break) {
        let word = text.word(end + 1);
        return !text.is_word(end + 2) && (DOUBTED.has(word) || word == "possibly");
    }
    if is_aside(text, end) {
        return true;
    }
    (end..text.len().min(end + REACH))
        .take_while(|&at| text.is_word(at) && !text.breaks(at))
        .any(|at| in_differential(text, at) || is_called_doubtful(text, at, end))
}

/// Whether an aside doubts the finding before `end`: ", though unlikely", "(less likely)" or ", less likely.".
/// If another finding follows the aside, the doubt is about that one.
fn is_aside(text: &Text, end: usize) -> bool {
    let mut at = end;
    let bracketed = text.word(at) == "(";
    let comma = text.is(at, Kind::Comma);
    at += usize::from(comma);
    let conceded = matches!(
        text.word(at),
        "although" | "though" | "but" | "while" | "albeit"
    );
    at += usize::from(conceded);
    if !comma && !conceded {
        return false;
    }
    let adverbs = [
        "considered",
        "felt",
        "thought",
        "much",
        "very",
        "somewhat",
        "highly",
    ];
    at += (at..at + 2)
        .take_while(|&at| adverbs.contains(&text.word(at)))
        .count();
    at += match text.word(at) {
        "less" | "least" if text.word(at + 1) == "likely" => 2,
        "unlikely" | "doubtful" | "questionable" | "equivocal" => 1,
        _ => return false,
    };
    at >= text.len() || ((bracketed || conceded) && !text.is_word(at))
}

fn in_differential(text: &Text, at: usize) -> bool {
    matches!(text.word(at), "in" | "within")
        && (at + 1..at + 3).any(|next| text.word(next) == "differential")
}

/// "is possible", "remains a possibility", "is felt to be less likely", "unlikely".
fn is_called_doubtful(text: &Text, at: usize, end: usize) -> bool {
    let verb = matches!(
        text.word(at),
        "is" | "are"
            | "be"
            | "remains"
            | "remain"
            | "seems"
            | "appears"
            | "felt"
            | "thought"
            | "considered"
            | "being"
    );
    if !verb && at != end {
        return false;
    }
    let from = at + usize::from(verb);
    let first = (from..from + 5).find(|&at| !FILLERS.has(text.word(at)));
    let Some(first) = first else {
        return false;
    };
    let word = text.word(first);
    let open = |at: usize| {
        !text.is_word(at)
            || matches!(
                text.word(at),
                "than" | "given" | "in" | "based" | "at" | "considering" | "but" | "from" | "on"
            )
    };
    if matches!(word, "less" | "least") && text.word(first + 1) == "likely" {
        return open(first + 2);
    }
    if NOT.has(word) {
        let article = usize::from(matches!(text.word(first + 1), "the" | "a"));
        let next = first + 1 + article;
        return verb && DOUBTED.has(text.word(next)) && (article == 1 || open(next + 1));
    }
    if CONSIDERATION.has(word) {
        return verb && !matches!(text.word(first + 1), "of" | "for");
    }
    if OPPOSED.has(word) {
        return text.word(first + 1) != "to" && (verb || open(first + 1));
    }
    DOUBTED.has(word) && (verb || first == end) && !text.is_word(first + 1)
}

/// "if any", "if present", "if real", on either side.
fn is_conditional(text: &Text, start: usize, end: usize) -> bool {
    let is_clause = |at: usize| {
        text.word(at) == "if"
            && matches!(
                text.word(at + 1),
                "any"
                    | "present"
                    | "real"
                    | "at"
                    | "there"
                    | "true"
                    | "existent"
                    | "that"
                    | "it"
                    | "they"
                    | "confirmed"
            )
    };
    let behind = (start.saturating_sub(REACH)..start)
        .rev()
        .take_while(|&at| !text.breaks(at))
        .any(is_clause);
    // Behind the finding, "if any change occurs" is about something else.
    let closed =
        |at: usize| !text.is_word(at) || matches!(text.word(at), "is" | "are" | "and" | "at");
    let ahead = (end..text.len().min(end + REACH))
        .take_while(|&at| !text.breaks(at))
        .any(|at| {
            is_clause(at)
                && match text.word(at + 1) {
                    "at" => text.word(at + 2) == "all",
                    "there" | "it" | "they" => {
                        matches!(text.word(at + 2), "is" | "are" | "at" | "exists" | "exist")
                    }
                    _ => closed(at + 2),
                }
        });
    behind || ahead
}

/// "atelectasis or infiltrate": each of the two is in doubt.
fn is_alternative(text: &Text, start: usize, end: usize) -> bool {
    let before = (start.saturating_sub(ALTERNATIVE_REACH)..start).rev();
    before
        .take_while(|&at| text.is_word(at))
        .any(|at| text.word(at) == "or")
        || text.word(end) == "or"
        || text.reads(end, &["and", "or"])
}
