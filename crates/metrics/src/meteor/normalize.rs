//! Text into words as METEOR 1.5 does with `-l en -norm`: its variant of the Moses tokenizer.
//!
//! Every rewriting step of the original that looks at a character and its two neighbours is one call of
//! [`around`]; the order of the steps matters and is the original's.

use super::words::{Prefix, nonbreaking_prefix};

/// Placeholder for the dots of an ellipsis until the words are split; in Unicode's private use area.
const ELLIPSIS_DOT: char = '\u{E000}';

/// Splits a report into METEOR's lower-case words; punctuation marks are words.
pub(super) fn words(text: &str) -> Vec<String> {
    let text = isolate_marks(text);
    let text = separate_commas(text);
    let text = unify_quotes_and_dashes(text);
    let text = split_contractions(text);
    let text: String = text.into_iter().collect();
    let words: Vec<&str> = text.split([' ', '\t', '\n', '\r', '\u{c}']).collect();
    let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
    let mut cut = Vec::with_capacity(words.len());
    for (at, word) in words.iter().enumerate() {
        cut.extend(split_full_stop(word, words.get(at + 1).copied()));
    }
    cut.retain(|word| !word.chars().all(is_unicode_space));
    cut
}

/// Puts spaces around everything but letters, digits and `.'`,-`, and around runs of dots.
fn isolate_marks(text: &str) -> Vec<char> {
    let mut isolated = vec![' '];
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if c == '.' && rest.peek() == Some(&'.') {
            isolated.extend([' ', ELLIPSIS_DOT]);
            while rest.next_if_eq(&'.').is_some() {
                isolated.push(ELLIPSIS_DOT);
            }
            isolated.push(' ');
        } else if is_alphanumeric(c) || is_space(c) || ".'`,-‘’".contains(c) {
            isolated.push(c);
        } else {
            isolated.extend([' ', c, ' ']);
        }
    }
    isolated.push(' ');
    isolated
}

/// A comma stays where it is only between digits.
fn separate_commas(text: Vec<char>) -> Vec<char> {
    let digit = |c: char| c.is_ascii_digit();
    let other = |c: char| !c.is_ascii_digit();
    let text = around(text, other, ',', other, " , ");
    let text = around(text, digit, ',', other, " , ");
    around(text, other, ',', digit, " , ")
}

fn unify_quotes_and_dashes(text: Vec<char>) -> Vec<char> {
    let straight = text.into_iter().map(|c| match c {
        '`' | '‘' | '’' => '\'',
        '–' => '-',
        c => c,
    });
    let mut unified = Vec::new();
    let mut rest = straight.peekable();
    while let Some(c) = rest.next() {
        match c {
            '“' | '”' => unified.extend([' ', '"', ' ']),
            '\'' if rest.next_if_eq(&'\'').is_some() => unified.extend([' ', '"', ' ']),
            '-' => {
                rest.next_if_eq(&'-');
                unified.push('-');
            }
            c => unified.push(c),
        }
    }
    let before = |c| is_alphanumeric(c) || c == '.';
    around(unified, before, '-', is_alphanumeric, " ")
}

/// "isn't" becomes "isn 't"; an apostrophe that is no contraction becomes a word.
fn split_contractions(text: Vec<char>) -> Vec<char> {
    let other = |c| !is_alphabetic(c);
    let neither = |c: char| !is_alphabetic(c) && !c.is_ascii_digit();
    let text = around(text, other, '\'', other, " ' ");
    let text = around(text, neither, '\'', is_alphabetic, " ' ");
    let text = around(text, is_alphabetic, '\'', other, " ' ");
    let text = around(text, is_alphabetic, '\'', is_alphabetic, " '");
    around(text, |c| c.is_ascii_digit(), '\'', |c| c == 's', " '")
}

/// A full stop at the end of a word becomes a word, unless it marks an abbreviation.
fn split_full_stop(word: &str, next: Option<&str>) -> Vec<String> {
    let next = next.and_then(|next| next.chars().next());
    let cut = match word.strip_suffix('.') {
        None | Some("") => vec![word],
        Some(stem) if stem.contains('.') && stem.contains(is_alphabetic) => {
            return vec![word.replace('.', "").to_lowercase()];
        }
        Some(stem) => {
            let abbreviation = match nonbreaking_prefix(stem) {
                Some(Prefix::Always) => true,
                Some(Prefix::BeforeNumber) => next.is_some_and(|c| c.is_ascii_digit()),
                None => false,
            };
            if abbreviation || next.is_some_and(|c| c.is_ascii_lowercase()) {
                vec![word]
            } else {
                vec![stem, "."]
            }
        }
    };
    cut.into_iter()
        .map(|word| word.replace(ELLIPSIS_DOT, ".").to_lowercase())
        .collect()
}

/// Replaces a mark by `with` wherever its neighbours qualify.
///
/// Goes from left to right without overlaps, as a regular expression over three characters does: the right
/// neighbour of one replacement cannot be the left neighbour of the next.
fn around(
    text: Vec<char>,
    before: impl Fn(char) -> bool,
    mark: char,
    after: impl Fn(char) -> bool,
    with: &str,
) -> Vec<char> {
    let mut replaced = Vec::with_capacity(text.len() + 8);
    let mut rest = text.as_slice();
    while let [first, tail @ ..] = rest {
        replaced.push(*first);
        rest = tail;
        if let [second, third, tail @ ..] = tail
            && *second == mark
            && before(*first)
            && after(*third)
        {
            replaced.extend(with.chars());
            replaced.push(*third);
            rest = tail;
        }
    }
    replaced
}

/// The letters METEOR knows: western European and Cyrillic.
fn is_alphabetic(c: char) -> bool {
    matches!(c,
        'A'..='Z' | 'a'..='z' | 'Š' | 'Ž' | 'š' | 'ž' | 'Ÿ' | 'À'..='Ö' | 'Ø'..='ö' | 'ø'..='ž'
        | '\u{400}'..='\u{4ff}' | '\u{500}'..='\u{527}' | '\u{a640}'..='\u{a66e}'
        | '\u{a67e}'..='\u{a697}' | '\u{1d00}'..='\u{1d7f}')
}

fn is_alphanumeric(c: char) -> bool {
    c.is_ascii_digit() || is_alphabetic(c)
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\u{b}' | '\u{c}' | '\r')
}

fn is_unicode_space(c: char) -> bool {
    matches!(
        c,
        ' ' | '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cleaned_reports_stay_as_they_are() {
        let report = "the heart is normal . no effusion .";
        assert_eq!(words(report).join(" "), report);
    }

    #[test]
    fn words_as_the_original_cuts_them() {
        let cases = [
            ("The HEART is normal.", "the heart is normal ."),
            ("clear. no effusion.", "clear. no effusion ."),
            ("clear.  No effusion", "clear . no effusion"),
            ("T8-T9 air-space", "t8 t9 air space"),
            ("a-b-c", "a b-c"),
            ("2,5 mm,and 1,a", "2,5 mm , and 1 , a"),
            ("the U.S. of A. B", "the us of a. b"),
            ("Dr. X, No. 5, No. Five", "dr. x , no. 5 , no . five"),
            ("it's the patient’s ''x''", "it 's the patient 's \" x \""),
            ("1990's 'quoted' text", "1990 's ' quoted ' text"),
            ("wait...what..", "wait ... what .."),
            ("<unk> (50%) a/b", "< unk > ( 50 % ) a / b"),
            ("caf\u{e9}\u{a0}noir", "café noir"),
            ("3.5 cm. --then", "3.5 cm . -then"),
            ("", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(words(text).join(" "), expected, "{text}");
        }
    }
}
