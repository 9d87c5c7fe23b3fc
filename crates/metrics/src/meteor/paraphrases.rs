//! METEOR 1.5's paraphrase table.

use std::collections::HashMap;

use super::data::{DataFile, MeteorDataError};

/// Id of a word that the table does not have.
const UNKNOWN: u32 = u32::MAX;

/// Phrases and their paraphrases; about 250 MB for the English table.
#[derive(Debug)]
pub(super) struct Paraphrases {
    vocabulary: HashMap<String, u32>,
    /// Phrases to the numbers of their paraphrases, in the order of the file.
    by_phrase: HashMap<Box<[u32]>, Vec<u32>>,
    /// Words of all paraphrases, and where each paraphrase ends.
    words: Vec<u32>,
    ends: Vec<u32>,
    longest: usize,
}

impl Paraphrases {
    /// Reads `paraphrase-en`: a probability (which METEOR does not use), a phrase and its paraphrase, line by line.
    pub fn read(table: DataFile) -> Result<Self, MeteorDataError> {
        let mut read = Self {
            vocabulary: HashMap::new(),
            by_phrase: HashMap::new(),
            words: Vec::new(),
            ends: Vec::new(),
            longest: 0,
        };
        // The table is grouped by phrase, so most records repeat the one before.
        let (mut text, mut phrase) = (String::new(), Vec::new());
        table.each_record(|[_, words, paraphrase]| {
            if words != text {
                text.clear();
                text.push_str(words);
                phrase.clear();
                phrase.extend(words.split_ascii_whitespace().map(|word| read.id(word)));
            }
            for word in paraphrase.split_ascii_whitespace() {
                let id = read.id(word);
                read.words.push(id);
            }
            let too_large = |_| "the table is too large".to_owned();
            let number = u32::try_from(read.ends.len()).map_err(too_large)?;
            read.ends
                .push(u32::try_from(read.words.len()).map_err(too_large)?);
            match read.by_phrase.get_mut(phrase.as_slice()) {
                Some(numbers) => numbers.push(number),
                None => {
                    read.longest = read.longest.max(phrase.len());
                    read.by_phrase
                        .insert(phrase.as_slice().into(), vec![number]);
                }
            }
            Ok(())
        })?;
        Ok(read)
    }

    fn id(&mut self, word: &str) -> u32 {
        match self.vocabulary.get(word) {
            Some(&id) => id,
            None => {
                let id = self.vocabulary.len() as u32;
                self.vocabulary.insert(word.to_owned(), id);
                id
            }
        }
    }

    /// Words as numbers of this table.
    pub fn ids(&self, words: &[String]) -> Vec<u32> {
        let id = |word| self.vocabulary.get(word).copied().unwrap_or(UNKNOWN);
        words.iter().map(id).collect()
    }

    /// Calls `each` with the length and a paraphrase of every phrase that begins at a word, shortest phrase first.
    pub fn of(&self, words: &[u32], at: usize, each: &mut dyn FnMut(usize, &[u32])) {
        for length in 1..=self.longest.min(words.len() - at) {
            let phrase = &words[at..at + length];
            if phrase[length - 1] == UNKNOWN {
                return;
            }
            for &number in self.by_phrase.get(phrase).map_or(&[][..], Vec::as_slice) {
                each(length, self.paraphrase(number as usize));
            }
        }
    }

    fn paraphrase(&self, number: usize) -> &[u32] {
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.words[start as usize..self.ends[number] as usize]
    }
}
