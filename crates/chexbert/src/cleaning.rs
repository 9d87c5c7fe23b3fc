use std::borrow::Cow;

use crate::unicode::is_python_space;

/// What is done to a report before it is split into tokens; published tools differ.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Cleaning {
    /// As CheXbert's label script does, and with it CXR-Report-Metric, the package f1chexbert and
    /// MLRG: white space of any kind becomes one blank, none at the ends.
    #[default]
    LabelScript,
    /// As CheXbert's `label_report_list` does: every digit before a full stop is deleted together with the full stop, so
    /// "2.5 cm" becomes "5 cm". White space is then cleaned as by [`LabelScript`](Self::LabelScript).
    ReportList,
    /// Nothing, as RadEval does.
    Raw,
    /// As CXRMate-2 does: a literal backslash followed by `n` becomes a blank. Its pattern is a
    /// plain string, not a regular expression, so line breaks stay.
    CxrMate2,
}

impl Cleaning {
    /// The report as the tokenizer gets it.
    pub fn apply(self, report: &str) -> Cow<'_, str> {
        match self {
            Self::LabelScript => collapse_spaces(report).into(),
            Self::ReportList => collapse_spaces(&without_numbering(report)).into(),
            Self::Raw => report.into(),
            Self::CxrMate2 => report.replace(r"\n", " ").into(),
        }
    }
}

/// Words joined by single blanks.
fn collapse_spaces(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len());
    for word in text.split(is_python_space).filter(|word| !word.is_empty()) {
        if !cleaned.is_empty() {
            cleaned.push(' ');
        }
        cleaned.push_str(word);
    }
    cleaned
}

/// Without every ASCII digit that a full stop follows, and that full stop.
fn without_numbering(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if c.is_ascii_digit() && rest.next_if_eq(&'.').is_some() {
            continue;
        }
        kept.push(c);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_clean_differently() {
        let report = " 1. Nodule\u{b}2.5 cm\\n\n";
        assert_eq!(Cleaning::LabelScript.apply(report), "1. Nodule 2.5 cm\\n");
        assert_eq!(Cleaning::ReportList.apply(report), "Nodule 5 cm\\n");
        assert_eq!(Cleaning::Raw.apply(report), report);
        assert_eq!(Cleaning::CxrMate2.apply(report), " 1. Nodule\u{b}2.5 cm \n");
    }

    #[test]
    fn a_number_loses_its_last_digit_only() {
        assert_eq!(Cleaning::ReportList.apply("12.34. x 3 ."), "13 x 3 .");
    }
}
