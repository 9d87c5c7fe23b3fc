//! Short lists of words.

/// A list of words, written as one string with single spaces.
pub(super) struct Words {
    words: &'static str,
    /// A bit for each shape of word in the list. Most words are not in a list, and few lists have a word of their shape.
    shapes: [u64; 4],
}

impl Words {
    /// A list from its words with single spaces between them.
    pub const fn new(words: &'static str) -> Self {
        let bytes = words.as_bytes();
        let mut shapes = [0; 4];
        let (mut first, mut at) = (0, 0);
        while at <= bytes.len() {
            if at == bytes.len() || bytes[at] == b' ' {
                let shape = Self::shape(bytes[first], bytes[at - 1], at - first);
                shapes[shape / 64] |= 1 << (shape % 64);
                first = at + 1;
            }
            at += 1;
        }
        Self { words, shapes }
    }

    /// First and last letter and length of a word, in one number below 256.
    const fn shape(first: u8, last: u8, length: usize) -> usize {
        (first as usize + 37 * last as usize + 101 * length) % 256
    }

    /// Whether a word is in the list.
    pub fn has(&self, word: &str) -> bool {
        let (Some(&first), Some(&last)) = (word.as_bytes().first(), word.as_bytes().last()) else {
            return false;
        };
        let shape = Self::shape(first, last, word.len());
        self.shapes[shape / 64] >> (shape % 64) & 1 == 1
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
        // Of the same shape.
        assert!(!words.has("sewn") && !words.has("nosed") && words.has("identified"));
    }
}
