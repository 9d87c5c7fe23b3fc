//! Classes of characters as Python and BERT define them, which differ from Rust's.

use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

/// White space of Python's `str.isspace` and of `\s` in its regular expressions: Unicode's, and the
/// four separators U+001C to U+001F.
pub(crate) fn is_python_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// What BERT's tokenizer replaces by a blank: tab, line feed, carriage return and space separators.
pub(crate) fn is_bert_space(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' ') || c.general_category() == GeneralCategory::SpaceSeparator
}

/// What BERT's tokenizer deletes: NUL, U+FFFD and every character of Unicode's group "other"
/// (control, format, private, unassigned) but tab, line feed and carriage return.
pub(crate) fn is_deleted(c: char) -> bool {
    match c {
        '\t' | '\n' | '\r' => false,
        '\0' | '\u{fffd}' => true,
        _ => c.general_category_group() == GeneralCategoryGroup::Other,
    }
}

/// What BERT's tokenizer makes a token of its own: the visible ASCII characters that are neither
/// letters nor digits, and Unicode's punctuation.
pub(crate) fn is_punctuation(c: char) -> bool {
    c.is_ascii_punctuation() || c.general_category_group() == GeneralCategoryGroup::Punctuation
}

/// A non-spacing mark, such as an accent after decomposition.
pub(crate) fn is_nonspacing_mark(c: char) -> bool {
    c.general_category() == GeneralCategory::NonspacingMark
}

/// The ideographs that BERT's tokenizer splits one by one.
pub(crate) fn is_ideograph(c: char) -> bool {
    matches!(
        u32::from(c),
        0x4E00..=0x9FFF
            | 0x3400..=0x4DBF
            | 0x20000..=0x2A6DF
            | 0x2A700..=0x2B73F
            | 0x2B740..=0x2B81F
            | 0x2B820..=0x2CEAF
            | 0xF900..=0xFAFF
            | 0x2F800..=0x2FA1F
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_differ_where_python_and_bert_do() {
        // Vertical tab: white space for Python, deleted by BERT.
        assert!(is_python_space('\u{b}') && is_deleted('\u{b}') && !is_bert_space('\u{b}'));
        assert!(is_python_space('\u{1f}') && !'\u{1f}'.is_whitespace());
        // Line separator: white space for Python, neither deleted nor a blank for BERT.
        assert!(
            is_python_space('\u{2028}') && !is_deleted('\u{2028}') && !is_bert_space('\u{2028}')
        );
        assert!(is_bert_space('\u{a0}') && is_bert_space('\u{3000}'));
        assert!(is_deleted('\u{ad}') && is_deleted('\u{feff}') && !is_deleted('\n'));
        assert!(is_punctuation('$') && is_punctuation('…') && !is_punctuation('≥'));
    }
}
