//! Questions: which findings they ask about, and what answers them.

use super::super::{
    class::Status,
    tokens::{Kind, Sentence},
};
use super::text::Text;

/// First words of a sentence that asks as a whole.
const OPENINGS: [&str; 16] = [
    "is", "are", "was", "were", "does", "do", "did", "has", "have", "can", "could", "any", "what",
    "how", "should", "might",
];

/// First word of a sentence's question: everything after it is asked. The length of the sentence if nothing is.
///
/// "Left lower lobe opacity, pneumonia?" asks about the pneumonia; "Edema, effusion or pneumonia?" about all three.
pub(super) fn asked_from(text: &Text, asked: bool) -> usize {
    if !asked {
        return text.len();
    }
    if OPENINGS.contains(&text.word(0)) {
        return 0;
    }
    let mut from = text.len();
    let mut has_finding = false;
    while from > 0 {
        let at = from - 1;
        let joins_list = matches!(text.word(from), "or" | "and" | "vs" | "versus");
        let ends = text.is(at, Kind::Comma) && !joins_list || text.breaks(at);
        if ends && has_finding {
            return if is_list(text, from) { 0 } else { from };
        }
        has_finding |= text.is_finding(at);
        from = at;
    }
    0
}

/// Whether the words from here to the end finish a list: "…, or pneumonia".
fn is_list(text: &Text, from: usize) -> bool {
    (from..text.len())
        .any(|at| text.is(at, Kind::Comma) && matches!(text.word(at + 1), "or" | "and"))
}

/// The answer that a short sentence without a finding gives to the question before it: "No.", "None seen.", "Yes."
pub(in crate::labeler) fn answer(sentence: &Sentence) -> Option<Status> {
    let words: Vec<&str> = sentence.tokens.iter().map(|token| token.text).collect();
    if sentence.asked || words.len() > 8 {
        return None;
    }
    // "There is none."
    let words = match words.as_slice() {
        ["there" | "it", "is" | "are" | "was" | "were", rest @ ..] => rest,
        words => words,
    };
    match *words.first()? {
        "no" | "none" | "not" | "negative" | "absent" | "nil" | "never" => Some(Status::Negative),
        "yes" | "present" | "positive" | "confirmed" => Some(Status::Positive),
        "possible" | "possibly" | "maybe" | "perhaps" | "unlikely" | "probably" | "likely"
        | "cannot" => Some(Status::Uncertain),
        _ => None,
    }
}
