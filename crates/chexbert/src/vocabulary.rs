use std::collections::HashMap;
use std::fs;
use std::path::Path;

use crate::error::CheXbertError;

/// What marks a token that continues a word.
const CONTINUED: &str = "##";

/// Token ids that the tokenizer needs by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Special {
    pub(crate) unknown: u32,
    pub(crate) cls: u32,
    pub(crate) sep: u32,
}

/// BERT's vocabulary: tokens in the order of their ids.
#[derive(Debug, Clone)]
pub(crate) struct Vocabulary {
    /// Tokens that begin a word.
    whole: HashMap<String, u32>,
    /// Tokens that continue a word, without their mark.
    continued: HashMap<String, u32>,
    /// Special tokens that a report may hold literally, with their ids.
    literal: Vec<(String, u32)>,
    special: Special,
    longest: usize,
    tokens: usize,
}

impl Vocabulary {
    pub(crate) fn read(path: &Path) -> Result<Self, CheXbertError> {
        let bytes = fs::read(path).map_err(CheXbertError::io(path))?;
        let text = String::from_utf8(bytes).map_err(|error| CheXbertError::Vocabulary {
            path: path.to_owned(),
            reason: format!("not UTF-8 at byte {}", error.utf8_error().valid_up_to()),
        })?;
        Self::parse(text.strip_prefix('\u{feff}').unwrap_or(&text)).map_err(|reason| {
            CheXbertError::Vocabulary {
                path: path.to_owned(),
                reason,
            }
        })
    }

    /// One token per line; where a token stands twice, the last line counts, as in `transformers`.
    fn parse(text: &str) -> Result<Self, String> {
        let mut whole = HashMap::new();
        let mut tokens = 0;
        for (id, token) in text.lines().enumerate() {
            let id = u32::try_from(id).map_err(|_| "more than 2³² lines".to_owned())?;
            whole.insert(token.to_owned(), id);
            tokens += 1;
        }
        let find = |token: &str| {
            whole
                .get(token)
                .copied()
                .ok_or_else(|| format!("no token {token} among {tokens} lines"))
        };
        let special = Special {
            unknown: find("[UNK]")?,
            cls: find("[CLS]")?,
            sep: find("[SEP]")?,
        };
        let literal = ["[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"]
            .into_iter()
            .filter_map(|token| Some((token.to_owned(), *whole.get(token)?)))
            .collect();
        let continued: HashMap<String, u32> = whole
            .iter()
            .filter_map(|(token, &id)| Some((token.strip_prefix(CONTINUED)?.to_owned(), id)))
            .collect();
        let longest = whole.keys().map(String::len).max().unwrap_or(0);
        Ok(Self {
            whole,
            continued,
            literal,
            special,
            longest,
            tokens,
        })
    }

    /// Number of ids.
    pub(crate) fn len(&self) -> usize {
        self.tokens
    }

    pub(crate) fn special(&self) -> Special {
        self.special
    }

    /// The first special token that stands literally in a text: where it begins and ends, and its id.
    pub(crate) fn first_literal(&self, text: &str) -> Option<(usize, usize, u32)> {
        let found = self.literal.iter().filter_map(|(token, id)| {
            let start = text.find(token.as_str())?;
            Some((start, start + token.len(), *id))
        });
        found.min()
    }

    /// Appends the pieces of a word, each the longest token that the rest begins with; `[UNK]` alone
    /// if a part is in no token.
    pub(crate) fn append_pieces(&self, word: &str, ids: &mut Vec<u32>) {
        let before = ids.len();
        let mut start = 0;
        while start < word.len() {
            let Some((end, id)) = self.longest_piece(word, start) else {
                ids.truncate(before);
                ids.push(self.special.unknown);
                return;
            };
            ids.push(id);
            start = end;
        }
    }

    /// The longest token at a place of a word: where it ends, and its id.
    fn longest_piece(&self, word: &str, start: usize) -> Option<(usize, u32)> {
        let tokens = if start == 0 {
            &self.whole
        } else {
            &self.continued
        };
        let most = word.len().min(start + self.longest);
        (start + 1..=most)
            .rev()
            .filter(|&end| word.is_char_boundary(end))
            .find_map(|end| Some((end, *tokens.get(&word[start..end])?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vocabulary() -> Vocabulary {
        Vocabulary::parse("[PAD]\n[UNK]\n[CLS]\r\n[SEP]\nun\n##able\n##a\nable\n##ble\n").unwrap()
    }

    #[test]
    fn the_longest_piece_wins_and_a_missing_one_makes_the_word_unknown() {
        let pieces = |word: &str| {
            let mut ids = vec![9];
            vocabulary().append_pieces(word, &mut ids);
            ids.split_off(1)
        };
        assert_eq!(pieces("unable"), [4, 5]);
        assert_eq!(pieces("unaable"), [4, 6, 5]);
        assert_eq!(pieces("ablé"), [1]);
        assert_eq!(pieces("able"), [7]);
    }

    #[test]
    fn what_is_no_vocabulary_is_named() {
        let error = Vocabulary::parse("the\nheart\n").unwrap_err();
        assert_eq!(error, "no token [UNK] among 2 lines");
        assert_eq!(vocabulary().len(), 9);
    }
}
