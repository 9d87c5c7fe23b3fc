//! Metrics from the texts alone: F1 of temporal keywords (Libra) and repeated trigrams (CXRMate-2).

use std::collections::{BTreeSet, HashSet};
use std::hash::Hash;

use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

/// Words that compare a study with an earlier one, as Libra lists them.
pub const KEYWORDS: [&str; 44] = [
    "bigger",
    "change",
    "cleared",
    "constant",
    "decrease",
    "decreased",
    "decreasing",
    "elevated",
    "elevation",
    "enlarged",
    "enlargement",
    "enlarging",
    "expanded",
    "greater",
    "growing",
    "improved",
    "improvement",
    "improving",
    "increase",
    "increased",
    "increasing",
    "larger",
    "new",
    "persistence",
    "persistent",
    "persisting",
    "progression",
    "progressive",
    "reduced",
    "removal",
    "resolution",
    "resolved",
    "resolving",
    "smaller",
    "stability",
    "stable",
    "stably",
    "unaltered",
    "unchanged",
    "unfolded",
    "worse",
    "worsen",
    "worsened",
    "worsening",
];

/// What Libra adds to numerators and denominators.
const EPSILON: f64 = 1e-10;

/// F1 of the sets of [`KEYWORDS`] that a prediction and its references use (Zhang et al., 2025).
///
/// Several references count as one text. A full match is 0.99999999995; it is 1 if no side has a
/// keyword, 1e-10 if the references alone have none.
///
/// RadEval adds entities that a neural model finds, so its number can differ.
pub fn temporal_f1<'a>(prediction: &str, references: impl IntoIterator<Item = &'a str>) -> f64 {
    let predicted = keywords(prediction);
    let wanted: BTreeSet<&str> = references.into_iter().flat_map(keywords).collect();
    if wanted.is_empty() {
        return if predicted.is_empty() { 1.0 } else { EPSILON };
    }
    let shared = predicted.intersection(&wanted).count() as f64;
    let precision = (shared + EPSILON) / (predicted.len() as f64 + EPSILON);
    let recall = (shared + EPSILON) / (wanted.len() as f64 + EPSILON);
    2.0 * precision * recall / (precision + recall + EPSILON)
}

/// Words that only a comparison with an earlier study explains: unlike "enlarged" or "elevated", which [`KEYWORDS`] has,
/// they describe no single film.
pub const COMPARING_WORDS: [&str; 28] = [
    "again",
    "bigger",
    "compared",
    "grown",
    "improved",
    "improvement",
    "improving",
    "interval",
    "larger",
    "new",
    "newly",
    "persistent",
    "previous",
    "previously",
    "prior",
    "progressed",
    "progression",
    "removed",
    "resolved",
    "resolving",
    "shrunk",
    "since",
    "smaller",
    "stable",
    "unchanged",
    "worse",
    "worsened",
    "worsening",
];

/// Whether a report compares its study with an earlier one: whether it uses one of the [`COMPARING_WORDS`] as a whole
/// word. Of a study without an earlier one such a comparison is hallucinated. The words alone decide, so that "no prior
/// study is available" counts as well.
pub fn compares(report: &str) -> bool {
    let text = clean(report).to_lowercase();
    text.split(|c| !is_word_character(c))
        .any(|word| COMPARING_WORDS.binary_search(&word).is_ok())
}

/// The keywords that a report uses as whole words, in alphabetical order.
pub fn keywords(report: &str) -> BTreeSet<&'static str> {
    let text = clean(report).to_lowercase();
    text.split(|c| !is_word_character(c))
        .filter_map(|word| KEYWORDS.binary_search(&word).ok())
        .map(|at| KEYWORDS[at])
        .collect()
}

/// A report as Libra cleans it: runs of line feeds, and of underscores and hyphens, become blanks;
/// what is neither a word character, white space nor one of `.,:;()` is deleted, a slash and quotes
/// among it; runs of white space become one blank, none at the ends.
pub fn clean(report: &str) -> String {
    let mut kept = String::with_capacity(report.len());
    let mut last = None;
    for c in report.chars() {
        let class = match c {
            '\n' => Some('\n'),
            '_' | '-' => Some('-'),
            _ => None,
        };
        if class.is_none() && (is_word_character(c) || is_space(c) || ".,:;()".contains(c)) {
            kept.push(c);
        } else if class.is_some() && class != last {
            kept.push(' ');
        }
        last = class;
    }
    let mut cleaned = String::with_capacity(kept.len());
    let mut rest = kept.trim_matches(is_space).chars().peekable();
    while let Some(c) = rest.next() {
        if !is_space(c) {
            cleaned.push(c);
            continue;
        }
        let mut is_run = false;
        while rest.next_if(|&c| is_space(c)).is_some() {
            is_run = true;
        }
        cleaned.push(if is_run { ' ' } else { c });
    }
    cleaned
}

/// `\w` of Python's regular expressions, `_` aside: letters and numbers of any kind, ² and ½ among
/// them, but no combining marks.
fn is_word_character(c: char) -> bool {
    matches!(
        c.general_category_group(),
        GeneralCategoryGroup::Letter | GeneralCategoryGroup::Number
    )
}

/// `\s` of Python's regular expressions: Unicode's white space and the separators U+001C to U+001F.
fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// Share of the trigrams of a prediction that are not repeats, in (0, 1]: CXRMate-2's ARN. 1 with
/// fewer than three tokens.
///
/// CXRMate-2 counts over the word pieces of CXR-BERT and stores single precision; tokens made
/// otherwise give another number.
pub fn trigram_variety<T: Hash + Eq>(tokens: &[T]) -> f64 {
    let trigrams = tokens.windows(3).count();
    if trigrams == 0 {
        return 1.0;
    }
    let distinct = tokens.windows(3).collect::<HashSet<_>>().len();
    1.0 - (trigrams - distinct) as f64 / trigrams as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparisons_are_told_from_descriptions() {
        assert!(COMPARING_WORDS.is_sorted());
        for report in [
            "New left effusion.",
            "Edema is unchanged.",
            "As compared to the prior study",
        ] {
            assert!(compares(report), "{report}");
        }
        for report in [
            "The heart is enlarged.",
            "Elevated left diaphragm, renewed.",
            "",
        ] {
            assert!(!compares(report), "{report}");
        }
    }

    #[test]
    fn keywords_are_found_by_bisection() {
        assert!(KEYWORDS.is_sorted());
    }

    #[test]
    fn words_are_whole_and_python_s() {
        let found = |report| keywords(report).into_iter().collect::<Vec<_>>();
        assert_eq!(found("Unstable, renewed; stable/unchanged"), [""; 0]);
        assert_eq!(
            found("stable-unchanged __NEW__"),
            ["new", "stable", "unchanged"]
        );
        assert_eq!(found("new² worse\u{1f}larger"), ["larger", "worse"]);
    }

    #[test]
    fn repeats_are_counted_in_trigrams() {
        assert_eq!(trigram_variety::<&str>(&[]), 1.0);
        assert_eq!(trigram_variety(&["a"; 6]), 0.25);
        assert_eq!(trigram_variety(&["a", "b", "c", "d"]), 1.0);
    }
}
