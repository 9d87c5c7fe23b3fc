use std::path::Path;

use unicode_normalization::UnicodeNormalization;

use crate::error::CheXbertError;
use crate::unicode::{
    is_bert_space, is_deleted, is_ideograph, is_nonspacing_mark, is_punctuation, is_python_space,
};
use crate::vocabulary::Vocabulary;

/// Characters of the longest word that is split into pieces; a longer one is `[UNK]`.
const LONGEST_WORD: usize = 100;

/// BERT's uncased WordPiece tokenizer (Devlin et al., 2019), with the ids of Hugging Face's
/// `BertTokenizer`.
///
/// NUL, U+FFFD, control and format characters are deleted; letters are lower-cased one by one and
/// lose their accents; ideographs and punctuation are words of their own; every word is split into
/// the longest tokens of the vocabulary. A special token that stands literally in a report, such as
/// `[SEP]`, becomes its id.
///
/// Character classes are those of the Unicode version of this build. Characters that the version of
/// a Python installation does not know yet are deleted there and may be `[UNK]` here.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    vocabulary: Vocabulary,
}

impl Tokenizer {
    /// Reads BERT's `vocab.txt`: one token per line, ids from 0.
    ///
    /// # Errors
    ///
    /// [`CheXbertError::Io`], or [`CheXbertError::Vocabulary`] if the file is not UTF-8 or lacks
    /// `[UNK]`, `[CLS]` or `[SEP]`.
    pub fn read(path: &Path) -> Result<Self, CheXbertError> {
        Ok(Self {
            vocabulary: Vocabulary::read(path)?,
        })
    }

    /// Number of ids.
    pub fn vocabulary(&self) -> usize {
        self.vocabulary.len()
    }

    /// Token ids of a text, without `[CLS]` and `[SEP]`.
    pub fn word_pieces(&self, text: &str) -> Vec<u32> {
        let mut ids = Vec::new();
        let mut rest = text;
        while let Some((start, end, id)) = self.vocabulary.first_literal(rest) {
            self.append_words(&rest[..start], &mut ids);
            ids.push(id);
            rest = &rest[end..];
        }
        self.append_words(rest, &mut ids);
        ids
    }

    /// `[CLS]`, token ids, `[SEP]`; of more than `longest` ids the first, and `[SEP]` last.
    ///
    /// # Panics
    ///
    /// If `longest` is below 2.
    pub fn encode(&self, text: &str, longest: usize) -> Vec<u32> {
        assert!(longest >= 2, "[CLS] and [SEP] need two places");
        let special = self.vocabulary.special();
        let mut ids = vec![special.cls];
        ids.append(&mut self.word_pieces(text));
        ids.truncate(longest - 1);
        ids.push(special.sep);
        ids
    }

    /// Appends the pieces of a text without special tokens.
    fn append_words(&self, text: &str, ids: &mut Vec<u32>) {
        let mut word = String::new();
        for c in text.chars().filter(|&c| !is_deleted(c)) {
            if is_bert_space(c) || is_python_space(c) {
                self.append_word(&mut word, ids);
            } else if is_ideograph(c) {
                self.append_word(&mut word, ids);
                word.push(c);
                self.append_word(&mut word, ids);
            } else {
                word.extend(c.to_lowercase());
            }
        }
        self.append_word(&mut word, ids);
    }

    /// Appends the pieces of a lower-cased word between blanks, and clears it.
    fn append_word(&self, word: &mut String, ids: &mut Vec<u32>) {
        let mut part = String::new();
        for c in word.nfd().filter(|&c| !is_nonspacing_mark(c)) {
            if is_punctuation(c) {
                self.append_part(&mut part, ids);
                part.push(c);
                self.append_part(&mut part, ids);
            } else {
                part.push(c);
            }
        }
        self.append_part(&mut part, ids);
        word.clear();
    }

    /// Appends the pieces of a word without punctuation, or of a punctuation mark, and clears it.
    fn append_part(&self, part: &mut String, ids: &mut Vec<u32>) {
        if part.chars().count() > LONGEST_WORD {
            ids.push(self.vocabulary.special().unknown);
        } else {
            self.vocabulary.append_pieces(part, ids);
        }
        part.clear();
    }
}
