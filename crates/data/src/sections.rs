use serde::{Deserialize, Serialize};

/// Which part of a free-text report is the text to learn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportSection {
    /// The findings.
    #[default]
    Findings,
    /// The impression.
    Impression,
    /// Both, findings first; one of them is enough.
    FindingsAndImpression,
    /// The whole text.
    Whole,
}

/// Headings that open the findings.
const FINDINGS: [&str; 5] = [
    "FINDINGS",
    "FINDING",
    "CHEST FINDINGS",
    "FINDINGS AND IMPRESSION",
    "FINDINGS/IMPRESSION",
];

/// Headings that open the impression.
const IMPRESSION: [&str; 4] = ["IMPRESSION", "IMPRESSIONS", "CONCLUSION", "CONCLUSIONS"];

impl ReportSection {
    /// Its text in a report whose sections are headed by lines such as `FINDINGS:`; of repeated
    /// sections the last counts. `None` if it is absent or empty.
    pub fn extract(self, report: &str) -> Option<String> {
        let sections = split_sections(report);
        let last = |names: &[&str]| {
            sections
                .iter()
                .rev()
                .find(|(heading, _)| names.contains(&heading.as_str()))
                .map(|(_, text)| text.clone())
                .filter(|text| !text.is_empty())
        };
        match self {
            ReportSection::Findings => last(&FINDINGS),
            ReportSection::Impression => last(&IMPRESSION),
            ReportSection::FindingsAndImpression => {
                let parts: Vec<String> = [last(&FINDINGS), last(&IMPRESSION)]
                    .into_iter()
                    .flatten()
                    .collect();
                (!parts.is_empty()).then(|| parts.join(" "))
            }
            ReportSection::Whole => {
                let text = joined(report.lines());
                (!text.is_empty()).then_some(text)
            }
        }
    }
}

/// Sections in order: heading in capitals (empty for what stands before the first) and text.
fn split_sections(report: &str) -> Vec<(String, String)> {
    let mut sections: Vec<(String, Vec<&str>)> = vec![(String::new(), Vec::new())];
    for line in report.lines() {
        match heading(line) {
            Some((name, rest)) => sections.push((name.to_owned(), vec![rest])),
            None => sections
                .last_mut()
                .expect("there is a section before the first heading")
                .1
                .push(line),
        }
    }
    sections
        .into_iter()
        .map(|(name, lines)| (name, joined(lines)))
        .collect()
}

/// `FINDINGS: text` as (`FINDINGS`, `text`): capitals, blanks and `()/,-`, then a colon.
fn heading(line: &str) -> Option<(&str, &str)> {
    let (name, rest) = line.split_once(':')?;
    let name = name.trim();
    let fits = name.chars().all(|character| {
        character.is_ascii_uppercase() || matches!(character, ' ' | '(' | ')' | '/' | ',' | '-')
    });
    (fits && name.chars().any(|character| character.is_ascii_uppercase())).then_some((name, rest))
}

fn joined<'a>(lines: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<&str> = lines.into_iter().flat_map(str::split_whitespace).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "                FINAL REPORT\n EXAMINATION:  CHEST (PA AND LAT)\n\n \
        FINDINGS: \n \n The lungs are clear.\n  Heart: normal.\n\n IMPRESSION: \n No acute process.\n \
        FINDINGS:\n Addendum: unchanged.\n";

    #[test]
    fn the_last_of_repeated_sections_counts() {
        assert_eq!(
            ReportSection::Findings.extract(REPORT).as_deref(),
            Some("Addendum: unchanged.")
        );
    }

    #[test]
    fn a_colon_inside_a_sentence_is_no_heading() {
        let text = "FINDINGS: Heart: normal.";
        assert_eq!(
            ReportSection::Findings.extract(text).as_deref(),
            Some("Heart: normal.")
        );
    }

    #[test]
    fn an_absent_section_is_none() {
        assert_eq!(ReportSection::Impression.extract("FINDINGS: clear."), None);
        assert_eq!(
            ReportSection::Findings.extract("FINDINGS:\n IMPRESSION: x"),
            None
        );
        assert_eq!(
            ReportSection::FindingsAndImpression
                .extract("IMPRESSION: x")
                .as_deref(),
            Some("x")
        );
    }
}
