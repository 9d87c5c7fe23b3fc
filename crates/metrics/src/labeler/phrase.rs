//! The small pattern language in which the lexicon is written.

use super::tokens::{Kind, Token};

/// A sequence of words, written as one string.
///
/// - `a|b` is either word, `opaci*` any word that begins so;
/// - `~` is up to five words without a comma between them, `~~` up to ten with commas.
#[derive(Debug, Clone)]
pub(super) struct Phrase {
    elements: Vec<Element>,
}

#[derive(Debug, Clone)]
enum Element {
    Word(Vec<Alternative>),
    Gap { longest: usize, commas: bool },
}

#[derive(Debug, Clone, Copy)]
struct Alternative {
    text: &'static str,
    prefix: bool,
}

impl Phrase {
    /// Reads a pattern; every pattern begins and ends with a word.
    pub fn new(pattern: &'static str) -> Self {
        let element = |part: &'static str| match part {
            "~" => Element::Gap {
                longest: 5,
                commas: false,
            },
            "~~" => Element::Gap {
                longest: 10,
                commas: true,
            },
            words => Element::Word(words.split('|').map(Alternative::new).collect()),
        };
        Self {
            elements: pattern.split(' ').map(element).collect(),
        }
    }

    /// First bytes of the words this phrase can begin with.
    pub fn first_bytes(&self) -> impl Iterator<Item = u8> {
        let first = match self.elements.first() {
            Some(Element::Word(words)) => words.as_slice(),
            _ => &[],
        };
        first.iter().filter_map(|word| word.text.bytes().next())
    }

    /// Where the shortest match that begins at `start` ends.
    pub fn match_at(&self, tokens: &[Token], start: usize) -> Option<usize> {
        match_elements(&self.elements, tokens, start)
    }
}

impl Alternative {
    fn new(word: &'static str) -> Self {
        match word.strip_suffix('*') {
            Some(text) => Self { text, prefix: true },
            None => Self {
                text: word,
                prefix: false,
            },
        }
    }

    fn matches(&self, word: &str) -> bool {
        if self.prefix {
            word.starts_with(self.text)
        } else {
            word == self.text
        }
    }
}

fn match_elements(elements: &[Element], tokens: &[Token], at: usize) -> Option<usize> {
    match elements {
        [] => Some(at),
        [Element::Word(words), rest @ ..] => {
            let token = tokens.get(at).filter(|token| token.is_word())?;
            let found = words.iter().any(|word| word.matches(token.text));
            if found {
                match_elements(rest, tokens, at + 1)
            } else {
                None
            }
        }
        [Element::Gap { longest, commas }, rest @ ..] => {
            let mut words = 0;
            for next in at..tokens.len() {
                if let Some(end) = match_elements(rest, tokens, next) {
                    return Some(end);
                }
                match tokens[next].kind {
                    Kind::Word => words += 1,
                    Kind::Comma if *commas => {}
                    Kind::Comma | Kind::Break | Kind::Query => return None,
                }
                if words > *longest {
                    return None;
                }
            }
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::tokens::{QuestionMarks, sentences},
        *,
    };

    fn end(pattern: &'static str, text: &str) -> Option<usize> {
        Phrase::new(pattern).match_at(&sentences(text, QuestionMarks::Stop)[0].tokens, 0)
    }

    #[test]
    fn words_alternatives_and_prefixes() {
        assert_eq!(
            end("air space disease|opaci*", "air-space opacities"),
            Some(3)
        );
        assert_eq!(end("air space disease|opaci*", "air disease"), None);
        assert_eq!(end("opaci*", "an opacity"), None);
    }

    #[test]
    fn gaps_are_short_and_take_the_nearest_end() {
        assert_eq!(end("heart ~ enlarged", "heart enlarged"), Some(2));
        assert_eq!(
            end("heart ~ enlarged", "heart is enlarged enlarged"),
            Some(3)
        );
        assert_eq!(end("heart ~ enlarged", "heart a b c d e f enlarged"), None);
    }

    #[test]
    fn only_wide_gaps_cross_commas() {
        assert_eq!(end("heart ~ normal", "heart, lungs normal"), None);
        assert_eq!(end("heart ~~ normal", "heart, lungs normal"), Some(4));
        assert_eq!(end("heart ~~ normal", "heart: lungs normal"), None);
    }
}
