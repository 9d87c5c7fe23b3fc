//! Short lists of words.

/// A list of words, written as one string with single spaces.
pub(super) struct Words {
    words: &'static str,
    /// First letters of the words and their lengths, a bit each: most words are not in a list, and few lists
    /// have a word that begins alike and is as long.
    initials: u32,
    lengths: u32,
}

impl Words {
    /// A list from its words with single spaces between them.
    pub const fn new(words: &'static str) -> Self {
        let bytes = words.as_bytes();
        let (mut initials, mut lengths) = (0, 0);
        let (mut first, mut at) = (0, 0);
        while at <= bytes.len() {
            if at == bytes.len() || bytes[at] == b' ' {
                initials |= Self::initial(bytes[first]);
                lengths |= Self::length(at - first);
                first = at + 1;
            }
            at += 1;
        }
        Self {
            words,
            initials,
            lengths,
        }
    }

    const fn initial(byte: u8) -> u32 {
        1 << (byte & 31)
    }

    const fn length(bytes: usize) -> u32 {
        1 << (bytes & 31)
    }

    /// Whether a word is in the list.
    pub fn has(&self, word: &str) -> bool {
        let Some(&first) = word.as_bytes().first() else {
            return false;
        };
        self.initials & Self::initial(first) != 0
            && self.lengths & Self::length(word.len()) != 0
            && self.words.split(' ').any(|listed| listed == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_words_are_listed() {
        let words = Words::new("seen identified noted");
        assert!(words.has("seen") && words.has("noted"));
        assert!(!words.has("see") && !words.has("") && !words.has("seen identified"));
        // Alike in initial and length.
        assert!(!words.has("noise") && !words.has("sees") && words.has("identified"));
    }
}
