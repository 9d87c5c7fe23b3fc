//! Splits a text into sentences of words, each with its position in the report.

use std::ops::Range;

use super::words::Words;

/// A word or a mark that bounds scopes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token<'a> {
    /// The word in lower case, or the mark.
    pub text: &'a str,
    /// Bytes of the report.
    pub span: Range<usize>,
    pub kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Word,
    /// A comma or bracket: lists run across it.
    Comma,
    /// A colon or semicolon: nothing runs across it.
    Break,
    /// A question mark that makes the words next to it uncertain, as in "? pneumonia".
    Query,
}

impl Token<'_> {
    pub fn is_word(&self) -> bool {
        self.kind == Kind::Word
    }

    /// Whether no scope runs across it.
    pub fn breaks(&self) -> bool {
        self.kind == Kind::Break || BREAKERS.has(self.text)
    }
}

/// Words that end every scope.
const BREAKERS: Words =
    Words::new("but however although though except nevertheless yet whereas while");

/// The words and marks between two ends of sentences.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sentence<'a> {
    pub tokens: Vec<Token<'a>>,
    /// Whether it ends with a question mark.
    pub asked: bool,
}

/// What a question mark is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum QuestionMarks {
    /// The end of a sentence like any other.
    Stop,
    /// The end of a question, or uncertainty of the words next to it.
    Doubt,
}

/// Abbreviations whose full stop does not end a sentence.
const ABBREVIATIONS: [&str; 4] = ["vs", "dr", "mr", "approx"];

/// Words that answer the question before them, so that its mark stands at its end.
const ANSWERS: [&str; 6] = ["no", "none", "not", "yes", "there", "the"];

/// Cuts a report that is already in ASCII lower case into sentences; empty ones are left out.
///
/// Sentences end at `.`, `!`, `?` and blank lines, but not at the full stop of `2.5` or `vs.`. Words are runs of
/// letters, digits and apostrophes, so hyphens and slashes separate them ("air-space" is "air space").
pub(super) fn sentences(text: &str, marks: QuestionMarks) -> Vec<Sentence<'_>> {
    let mut sentences = Vec::new();
    let mut sentence = Sentence::default();
    let mut rest = text.char_indices().peekable();
    while let Some((start, c)) = rest.next() {
        let mut end = start + c.len_utf8();
        let kind = if is_word_char(c) {
            while let Some((at, c)) = rest.next_if(|&(_, c)| is_word_char(c)) {
                end = at + c.len_utf8();
            }
            Some(Kind::Word)
        } else if matches!(c, ',' | '(' | ')' | '[' | ']') {
            Some(Kind::Comma)
        } else if matches!(c, ';' | ':') {
            Some(Kind::Break)
        } else if marks == QuestionMarks::Doubt && is_query(text, start, c) {
            Some(Kind::Query)
        } else {
            None
        };
        if let Some(kind) = kind {
            sentence.tokens.push(Token {
                text: &text[start..end],
                span: start..end,
                kind,
            });
        } else if ends_sentence(text, start, c, sentence.tokens.last())
            && !sentence.tokens.is_empty()
        {
            sentence.asked = marks == QuestionMarks::Doubt && c == '?';
            sentences.push(std::mem::take(&mut sentence));
        }
    }
    if !sentence.tokens.is_empty() {
        sentences.push(sentence);
    }
    sentences
}

fn is_word_char(c: char) -> bool {
    c.is_alphanumeric() || c == '\''
}

/// Whether a mark makes the words next to it uncertain: "?pneumonia", "opacity ? pneumonia", "edema
/// (?)", "+/- effusion".
///
/// A question mark right behind a word, or behind the last word of a line, ends a question instead.
fn is_query(text: &str, at: usize, mark: char) -> bool {
    let (before, after) = (&text[..at], &text[at + mark.len_utf8()..]);
    match mark {
        '±' => true,
        '+' => after.starts_with("/-"),
        '?' => {
            let is_first = !before.ends_with('?');
            let behind_word = before.ends_with(is_word_char);
            let rest = after.trim_start_matches(['?', ' ', '\t']);
            let bracketed = rest.starts_with([')', ']']);
            let has_words = rest.starts_with(is_word_char);
            let next = rest.split(|c| !is_word_char(c)).next().unwrap_or_default();
            let touches_next = after.starts_with(is_word_char);
            let answered = ANSWERS.contains(&next);
            is_first && (bracketed || (has_words && !answered && (touches_next || !behind_word)))
        }
        _ => false,
    }
}

fn ends_sentence(text: &str, at: usize, mark: char, last: Option<&Token>) -> bool {
    let (before, after) = (&text[..at], &text[at + mark.len_utf8()..]);
    match mark {
        '.' => {
            let in_number = before.ends_with(|c: char| c.is_ascii_digit())
                && after.starts_with(|c: char| c.is_ascii_digit());
            let abbreviated =
                last.is_some_and(|t| t.span.end == at && ABBREVIATIONS.contains(&t.text));
            !in_number && !abbreviated
        }
        // The rest of "?? edema".
        '?' if before.ends_with('?') && last.is_some_and(|t| t.kind == Kind::Query) => false,
        '!' | '?' => true,
        '\n' => after
            .trim_start_matches([' ', '\t', '\r'])
            .starts_with('\n'),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut_with(text: &str, marks: QuestionMarks) -> Vec<(Vec<&str>, bool)> {
        let words = |sentence: Sentence<'_>| {
            let texts = sentence
                .tokens
                .iter()
                .map(|token| &text[token.span.clone()]);
            (texts.collect(), sentence.asked)
        };
        sentences(text, marks).into_iter().map(words).collect()
    }

    fn cut(text: &str) -> Vec<Vec<&str>> {
        let sentences = cut_with(text, QuestionMarks::Stop);
        sentences.into_iter().map(|(words, _)| words).collect()
    }

    #[test]
    fn raw_and_cleaned_reports_cut_alike() {
        let expected = vec![vec!["heart", "normal"], vec!["no", "x", "xxxx", "change"]];
        assert_eq!(cut("heart normal. no x-xxxx change.."), expected);
        assert_eq!(cut("heart normal . no x-xxxx change . "), expected);
    }

    #[test]
    fn some_full_stops_end_nothing() {
        assert_eq!(
            cut("a 2.5 cm mass vs. nodule"),
            [["a", "2", "5", "cm", "mass", "vs", "nodule"]]
        );
    }

    #[test]
    fn wrapped_lines_belong_together_and_blank_lines_do_not() {
        assert_eq!(
            cut("no pleural\neffusion\n \nstable"),
            [vec!["no", "pleural", "effusion"], vec!["stable"]]
        );
    }

    #[test]
    fn question_marks_end_sentences_or_doubt_words() {
        let asked = |words: &[&'static str]| (words.to_vec(), true);
        let said = |words: &[&'static str]| (words.to_vec(), false);
        let cut = |text: &'static str| cut_with(text, QuestionMarks::Doubt);
        assert_eq!(cut("edema? clear."), [asked(&["edema"]), said(&["clear"])]);
        assert_eq!(
            cut("edema ?\nclear ? "),
            [asked(&["edema"]), asked(&["clear"])]
        );
        assert_eq!(cut("edema ? none"), [asked(&["edema"]), said(&["none"])]);
        assert_eq!(cut("edema??"), [asked(&["edema"])]);
        assert_eq!(
            cut("opacity, ?edema"),
            [said(&["opacity", ",", "?", "edema"])]
        );
        assert_eq!(cut("?? edema."), [said(&["?", "edema"])]);
        assert_eq!(cut("edema (?)."), [said(&["edema", "(", "?", ")"])]);
        assert_eq!(cut("+/- edema"), [said(&["+", "edema"])]);
        let plain = |text| cut_with(text, QuestionMarks::Stop);
        assert_eq!(
            plain("? edema? clear"),
            [said(&["edema"]), said(&["clear"])]
        );
    }

    #[test]
    fn spans_point_into_the_text() {
        let text = "café, no œdema";
        let tokens = &sentences(text, QuestionMarks::Stop)[0].tokens;
        assert_eq!(&text[tokens[3].span.clone()], "œdema");
        assert_eq!(tokens[1].kind, Kind::Comma);
    }
}
