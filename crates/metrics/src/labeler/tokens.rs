//! Text into sentences of words, with where each word stands in the report.

use std::ops::Range;

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
}

impl Token<'_> {
    pub fn is_word(&self) -> bool {
        self.kind == Kind::Word
    }
}

/// Abbreviations whose full stop does not end a sentence.
const ABBREVIATIONS: [&str; 4] = ["vs", "dr", "mr", "approx"];

/// Cuts a report that is already in ASCII lower case into sentences; empty ones are left out.
///
/// Sentences end at `.`, `!`, `?` and blank lines, but not at the full stop of `2.5` or `vs.`; words are runs of letters,
/// digits and apostrophes, so hyphens and slashes separate them ("air-space" is "air space").
pub(super) fn sentences(text: &str) -> Vec<Vec<Token<'_>>> {
    let mut sentences = Vec::new();
    let mut sentence: Vec<Token> = Vec::new();
    let mut rest = text.char_indices().peekable();
    while let Some((start, c)) = rest.next() {
        let mut token = |kind, end: usize| {
            sentence.push(Token {
                text: &text[start..end],
                span: start..end,
                kind,
            });
        };
        if is_word_char(c) {
            let mut end = start + c.len_utf8();
            while let Some((at, c)) = rest.next_if(|&(_, c)| is_word_char(c)) {
                end = at + c.len_utf8();
            }
            token(Kind::Word, end);
        } else if matches!(c, ',' | '(' | ')' | '[' | ']') {
            token(Kind::Comma, start + 1);
        } else if matches!(c, ';' | ':') {
            token(Kind::Break, start + 1);
        } else if ends_sentence(text, start, c, sentence.last()) && !sentence.is_empty() {
            sentences.push(std::mem::take(&mut sentence));
        }
    }
    if !sentence.is_empty() {
        sentences.push(sentence);
    }
    sentences
}

fn is_word_char(c: char) -> bool {
    c.is_alphanumeric() || c == '\''
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

    fn cut(text: &str) -> Vec<Vec<&str>> {
        let words = |tokens: Vec<Token<'static>>| tokens.iter().map(|t| t.text).collect();
        let text: &'static str = Box::leak(text.to_owned().into_boxed_str());
        sentences(text).into_iter().map(words).collect()
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
    fn spans_point_into_the_text() {
        let text = "café, no œdema";
        let tokens = &sentences(text)[0];
        assert_eq!(&text[tokens[3].span.clone()], "œdema");
        assert_eq!(tokens[1].kind, Kind::Comma);
    }
}
