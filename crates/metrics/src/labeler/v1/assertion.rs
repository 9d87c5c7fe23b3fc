//! Is a finding that is named also asserted? Negation and doubt, within their scopes.
//!
//! In the spirit of NegEx (Chapman et al., 2001) and NegBio (Peng et al., 2018), on words instead of parses.

use super::{
    super::{
        class::Status,
        tokens::{Kind, Token},
    },
    cues::{AFTER_COMMA, CHANGE, CHANGE_ADVERBS, DENIALS, DOUBTED, DOUBTS, NEW_STATEMENT, SEEN},
};

/// How far doubt reaches, in words.
const DOUBT_REACH: usize = 12;
/// How far after the finding its negation may be, in words.
const DENIAL_REACH: usize = 14;
/// How many words before the second of two alternatives their "or" may be.
const ALTERNATIVE_REACH: usize = 3;

/// Status of the finding named by the words from `start` to `end` of a sentence; `denied` is [`denied_before`].
pub(super) fn status(tokens: &[Token], denied: &[bool], start: usize, end: usize) -> Status {
    if cannot_be_excluded(tokens, start, end) {
        Status::Uncertain
    } else if denied[start] || is_denied(tokens, start, end) {
        Status::Negative
    } else if is_doubted(tokens, start, end) {
        Status::Uncertain
    } else {
        Status::Positive
    }
}

/// Whether a negation before each word reaches it, through lists ("no A, B or C") but not into other
/// statements.
///
/// One pass for the whole sentence: its findings are many where it is long, and the negation may be at its
/// beginning.
pub(super) fn denied_before(tokens: &[Token]) -> Vec<bool> {
    let mut reaches = false;
    (0..tokens.len())
        .map(|at| {
            let here = reaches;
            reaches = !tokens[at].breaks()
                && (denies(tokens, at) || (reaches && !starts_statement(tokens, at)));
            here
        })
        .collect()
}

/// Whether a negation is among the words of the finding or after them.
fn is_denied(tokens: &[Token], start: usize, end: usize) -> bool {
    let inside = |token: &Token| matches!(token.text, "not" | "no" | "nor");
    tokens[start..end].iter().any(inside) || denied_after(tokens, end)
}

fn is_doubted(tokens: &[Token], start: usize, end: usize) -> bool {
    doubted_before(tokens, start)
        || tokens[start..end]
            .iter()
            .any(|token| DOUBTS.has(token.text))
        || doubted_after(tokens, end)
        || is_alternative(tokens, start, end)
}

/// The word at a position; empty beyond the sentence.
fn word<'a>(tokens: &[Token<'a>], at: usize) -> &'a str {
    tokens.get(at).map_or("", |token| token.text)
}

fn previous<'a>(tokens: &[Token<'a>], at: usize) -> &'a str {
    at.checked_sub(1).map_or("", |before| word(tokens, before))
}

/// Whether this word negates the words after it.
fn denies(tokens: &[Token], at: usize) -> bool {
    let (this, next) = (word(tokens, at), word(tokens, at + 1));
    match this {
        "no" | "without" => !speaks_of_change(tokens, at + 1),
        "not" => {
            !matches!(next, "exclude" | "excluded" | "only") && !speaks_of_change(tokens, at + 1)
        }
        "free" | "clear" | "absence" | "lack" | "resolution" | "removal" => next == "of",
        "negative" => matches!(next, "for" | "of"),
        "ruled" => next == "out",
        "resolved" => !next.is_empty() && !in_part(tokens, at),
        _ => DENIALS.has(this),
    }
}

/// "partially resolved", "has not cleared", "almost completely resolved".
fn in_part(tokens: &[Token], at: usize) -> bool {
    let modifies = |at: usize| {
        matches!(
            word(tokens, at),
            "not" | "incompletely" | "partially" | "partly" | "almost" | "nearly" | "mostly"
        )
    };
    (at.saturating_sub(2)..at).any(modifies)
}

/// "no significant change in the effusion" does not negate the effusion.
fn speaks_of_change(tokens: &[Token], from: usize) -> bool {
    let rest = tokens.get(from..).unwrap_or(&[]);
    let first = rest.iter().find(|token| !CHANGE_ADVERBS.has(token.text));
    first.is_some_and(|token| CHANGE.has(token.text))
}

/// Whether a negation before this word does not reach beyond it.
fn starts_statement(tokens: &[Token], at: usize) -> bool {
    let token = &tokens[at];
    let joins = token.kind == Kind::Comma || token.text == "and";
    (joins && AFTER_COMMA.has(word(tokens, at + 1)))
        || (NEW_STATEMENT.has(token.text) && !links(tokens, at))
}

/// Finds a negation after the finding: "is not seen", "has resolved".
fn denied_after(tokens: &[Token], end: usize) -> bool {
    for at in end..tokens.len().min(end + DENIAL_REACH) {
        if tokens[at].breaks() {
            return false;
        }
        match tokens[at].text {
            "with" | "without" | "no" | "there" => return false,
            "absent" | "ruled" | "excluded" => return true,
            "resolved" | "cleared" => return !in_part(tokens, at),
            "not" => return (1..4).any(|ahead| SEEN.has(word(tokens, at + ahead))),
            _ => {}
        }
    }
    false
}

/// "cannot be excluded", "not excluded", "cannot rule out", "difficult to exclude", on either side.
fn cannot_be_excluded(tokens: &[Token], start: usize, end: usize) -> bool {
    let excludes = |at: usize| match word(tokens, at) {
        "exclude" | "excluded" => true,
        "rule" | "ruled" => word(tokens, at + 1) == "out",
        _ => false,
    };
    let fails = |at: usize| {
        matches!(
            word(tokens, at),
            "cannot" | "can't" | "not" | "difficult" | "to"
        )
    };
    let doubts = |at: usize| excludes(at) && (at.saturating_sub(5)..at).any(fails);
    let before = (start.saturating_sub(DOUBT_REACH)..start).rev();
    let after = end..tokens.len().min(end + DOUBT_REACH);
    before.take_while(|&at| !tokens[at].breaks()).any(doubts)
        || after.take_while(|&at| !tokens[at].breaks()).any(doubts)
}

fn doubted_before(tokens: &[Token], start: usize) -> bool {
    for at in (start.saturating_sub(DOUBT_REACH)..start).rev() {
        let token = &tokens[at];
        if DOUBTS.has(token.text) {
            return true;
        }
        let states = matches!(token.text, "there" | "is" | "are" | "was" | "were");
        if states || token.breaks() || (token.text == "with" && !links(tokens, at)) {
            return false;
        }
    }
    false
}

/// "is possible", "versus X": only where the doubt is about this finding rather than about its cause.
fn doubted_after(tokens: &[Token], end: usize) -> bool {
    let doubted = |at: usize| {
        matches!(word(tokens, at), "is" | "are" | "be" | "remains")
            && DOUBTED.has(word(tokens, at + 1))
            && !tokens.get(at + 2).is_some_and(Token::is_word)
    };
    let after = end..tokens.len().min(end + DOUBT_REACH);
    let in_differential = |at: usize| {
        matches!(word(tokens, at), "in" | "within")
            && (at + 1..at + 3).any(|next| word(tokens, next) == "differential")
    };
    matches!(word(tokens, end), "versus" | "vs")
        || after
            .take_while(|&at| tokens[at].is_word() && !tokens[at].breaks())
            .any(|at| doubted(at) || in_differential(at))
}

/// Whether the finding is one of two alternatives, as in "atelectasis or infiltrate": both are
/// uncertain.
fn is_alternative(tokens: &[Token], start: usize, end: usize) -> bool {
    let before = (start.saturating_sub(ALTERNATIVE_REACH)..start).rev();
    before
        .take_while(|&at| tokens[at].is_word())
        .any(|at| word(tokens, at) == "or")
        || word(tokens, end) == "or"
        || (word(tokens, end), word(tokens, end + 1)) == ("and", "or")
}

/// Whether the "with" at this word continues a statement, as in "consistent with".
fn links(tokens: &[Token], at: usize) -> bool {
    word(tokens, at) == "with"
        && matches!(
            previous(tokens, at),
            "consistent" | "compatible" | "associated"
        )
}

#[cfg(test)]
mod tests {
    use super::{
        super::super::tokens::{QuestionMarks, sentences},
        *,
    };

    /// Status of the word "X" (in lower case) in a sentence.
    fn of_x(sentence: &str) -> Status {
        let text = sentence.to_ascii_lowercase();
        let tokens = &sentences(&text, QuestionMarks::Stop)[0].tokens;
        let at = tokens
            .iter()
            .position(|token| token.text == "x")
            .expect("an X");
        status(tokens, &denied_before(tokens), at, at + 1)
    }

    fn all(status: Status, sentences: &[&str]) {
        for sentence in sentences {
            assert_eq!(of_x(sentence), status, "{sentence}");
        }
    }

    #[test]
    fn denied() {
        all(
            Status::Negative,
            &[
                "No X.",
                "There is no evidence of focal X",
                "no Y, Z, or X",
                "no Y Z or X is seen",
                "Lungs are clear without X",
                "negative for Y or X",
                "Lungs are free of X",
                "No opacity consistent with X",
                "No Y to suggest X",
                "X is not clearly identified",
                "X and Y are not seen",
                "The X has resolved",
                "Interval resolution of X",
                "X has been ruled out",
                "Y and blunting of the left lateral costophrenic angle and X have cleared",
                "mild Y without X",
            ],
        );
    }

    #[test]
    fn asserted() {
        all(
            Status::Positive,
            &[
                "X",
                "There is X",
                "No Y but X is present",
                "No Y; X",
                "No Y is seen and there is X",
                "No Y, mild X",
                "No change in the X",
                "No significant interval change of X",
                "X is not significantly changed",
                "The previous Y is not seen, with new X",
                "X with no Y",
                "X has not resolved",
                "almost completely resolved X",
                "X, likely due to Y",
            ],
        );
    }

    #[test]
    fn doubted() {
        all(
            Status::Uncertain,
            &[
                "possible X",
                "This may represent X",
                "opacities which could be due to Y or X",
                "X cannot be excluded",
                "Cannot exclude X",
                "Cannot rule out small X",
                "X is not excluded",
                "findings concerning for X",
                "X is suspected",
                "X versus Y",
                "Y vs. X",
                "X or Y at the base",
                "Y and/or X",
                "suggestion of X",
                "Correlate clinically for X",
                "X is in the differential",
            ],
        );
    }

    #[test]
    fn doubt_about_the_cause_is_not_doubt_about_the_finding() {
        assert_eq!(of_x("X is likely Y"), Status::Positive);
        assert_eq!(of_x("Possible Y; X"), Status::Positive);
    }
}
