//! Short lists of words.

/// A list of words, written as one string with single spaces.
pub(super) struct Words(&'static str);

impl Words {
    /// A list from its words with single spaces between them.
    pub const fn new(words: &'static str) -> Self {
        Self(words)
    }

    /// Whether a word is in the list.
    pub fn has(&self, word: &str) -> bool {
        self.0.split(' ').any(|listed| listed == word)
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
    }
}
