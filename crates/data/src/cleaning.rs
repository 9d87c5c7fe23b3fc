use serde::{Deserialize, Serialize};

/// R2Gen's two ways of cleaning a report; both lower-case, drop list numbers and punctuation, and
/// join sentences with ` . `.
///
/// The official character class contains the range `:`–`[` by accident: it drops `: ; < = > ? @ [` and
/// keeps hyphens. Empty sentences are kept, and `1. ` is removed anywhere. Published scores depend on
/// these defects, so they are reproduced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Cleaning {
    /// For Open-i reports.
    IuXray,
    /// For MIMIC-CXR: first collapses line breaks and runs of blanks and underscores.
    MimicCxr,
}

impl Cleaning {
    /// The cleaned report, sentences joined by ` . ` and closed by ` .`.
    pub fn clean(self, report: &str) -> String {
        let folded = match self {
            Cleaning::IuXray => fold(report.to_owned(), "..", ".", 3),
            Cleaning::MimicCxr => {
                let text = fold(report.replace('\n', " "), "__", "_", 7);
                let text = fold(text, "  ", " ", 6);
                fold(text, "..", ".", 8)
            }
        };
        let mut text = folded.replace("1. ", "");
        for number in 2..=5 {
            text = text.replace(&format!(". {number}. "), ". ");
        }
        for number in 2..=5 {
            text = text.replace(&format!(" {number}. "), ". ");
        }
        let lowered = text.trim_matches(is_blank).to_lowercase();
        let sentences: Vec<String> = lowered.split(". ").map(clean_sentence).collect();
        sentences.join(" . ") + " ."
    }
}

/// Replaces `from` by `to`, `times` times over the whole text.
fn fold(text: String, from: &str, to: &str, times: usize) -> String {
    (0..times).fold(text, |text, _| text.replace(from, to))
}

fn clean_sentence(sentence: &str) -> String {
    let unquoted: String = sentence
        .chars()
        .filter(|character| !matches!(character, '"' | '/' | '\\' | '\''))
        .collect();
    unquoted
        .trim_matches(is_blank)
        .to_lowercase()
        .chars()
        .filter(|character| !is_dropped(*character))
        .collect()
}

/// `[.,?;*!%^&_+():-\[\]{}]` as a regular expression reads it.
fn is_dropped(character: char) -> bool {
    matches!(
        character,
        '.' | ',' | '?' | ';' | '*' | '!' | '%' | '^' | '&' | '_' | '+' | '(' | ')' | ':'
            ..='[' | ']' | '{' | '}'
    )
}

/// White space as defined by Python's `str.split` and `str.strip`.
pub(crate) fn is_blank(character: char) -> bool {
    character.is_whitespace() || matches!(character, '\x1c'..='\x1f')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_punctuation_and_case_go_but_hyphens_stay() {
        let raw = "1. The heart is Normal-sized. 2. No effusion, (seen)...";
        for cleaning in [Cleaning::IuXray, Cleaning::MimicCxr] {
            assert_eq!(
                cleaning.clean(raw),
                "the heart is normal-sized . no effusion seen ."
            );
        }
    }

    #[test]
    fn mimic_folds_lines_and_underscores() {
        let raw = "compared to ___,\n  no   change.";
        assert_eq!(Cleaning::MimicCxr.clean(raw), "compared to  no change .");
    }

    #[test]
    fn an_empty_report_is_one_full_stop() {
        assert_eq!(Cleaning::IuXray.clean("  "), " .");
    }
}
