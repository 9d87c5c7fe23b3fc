//! The two word lists of METEOR 1.5 for English: function words and abbreviations.

/// Words more frequent than one in a thousand; they weigh 1 − δ instead of δ.
const FUNCTION_WORDS: [&str; 93] = [
    "the", ",", ".", "to", "of", "and", "a", "in", "that", "for", "\"", "is", "on", "'s", "it",
    "with", "was", "as", "said", "at", "he", "by", "be", "from", "have", "has", "are", "his",
    "but", "an", "this", "not", "i", "will", "’", "they", ")", "-rrb-", "(", "-lrb-", "who",
    "their", "had", "we", "which", "were", "been", "more", "or", "s", "its", "would", "about",
    "new", "one", "after", "you", ":", "also", "up", "when", "there", "than", "$", "all", "out",
    "her", "people", "she", "year", "two", "-", "can", "if", "last", "first", "“", "over", "other",
    "”", "into", "some", "what", "so", "--", "no", "time", "years", "could", "?", "'t", "—", "'",
];

/// Abbreviations whose full stop never ends a sentence, besides single capital letters.
const ALWAYS: [&str; 64] = [
    "Adj", "Adm", "Adv", "Asst", "Bart", "Bldg", "Brig", "Bros", "Capt", "Cmdr", "Col", "Comdr",
    "Con", "Corp", "Cpl", "DR", "Dr", "Drs", "Ens", "Gen", "Gov", "Hon", "Hr", "Hosp", "Insp",
    "Lt", "MM", "MR", "MRS", "MS", "Maj", "Messrs", "Mlle", "Mme", "Mr", "Mrs", "Ms", "Msgr", "Op",
    "Ord", "Pfc", "Ph", "Prof", "Pvt", "Rep", "Reps", "Res", "Rev", "Rt", "Sen", "Sens", "Sfc",
    "Sgt", "Sr", "St", "Supt", "Surg", "v", "vs", "i.e", "rev", "e.g", "Nos", "Nr",
];

/// Abbreviations only before a number.
const BEFORE_NUMBER: [&str; 3] = ["No", "Art", "pp"];

/// When the full stop of an abbreviation belongs to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Prefix {
    Always,
    BeforeNumber,
}

/// Whether a lower-case word is a function word.
pub(super) fn is_function_word(word: &str) -> bool {
    FUNCTION_WORDS.contains(&word)
}

/// Kind of a word without its full stop, in its original case.
pub(super) fn nonbreaking_prefix(word: &str) -> Option<Prefix> {
    let capital = matches!(word.as_bytes(), [letter] if letter.is_ascii_uppercase());
    if capital || ALWAYS.contains(&word) {
        Some(Prefix::Always)
    } else if BEFORE_NUMBER.contains(&word) {
        Some(Prefix::BeforeNumber)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_hold_each_word_once() {
        for list in [FUNCTION_WORDS.as_slice(), &ALWAYS, &BEFORE_NUMBER] {
            let mut sorted = list.to_vec();
            sorted.sort_unstable();
            sorted.dedup();
            assert_eq!(sorted.len(), list.len());
        }
    }

    #[test]
    fn case_matters_to_abbreviations() {
        assert_eq!(nonbreaking_prefix("Q"), Some(Prefix::Always));
        assert_eq!(nonbreaking_prefix("q"), None);
        assert_eq!(nonbreaking_prefix("No"), Some(Prefix::BeforeNumber));
    }
}
