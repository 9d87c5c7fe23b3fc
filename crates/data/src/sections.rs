use std::fmt;
use std::str::FromStr;

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

impl ReportSection {
    const NAMES: [(&'static str, ReportSection); 4] = [
        ("findings", ReportSection::Findings),
        ("impression", ReportSection::Impression),
        (
            "findings-and-impression",
            ReportSection::FindingsAndImpression,
        ),
        ("whole", ReportSection::Whole),
    ];

    /// Its text in a report whose sections are headed by lines such as `FINDINGS:`; of repeated
    /// sections the last counts. `None` if it is absent or empty.
    pub fn extract(self, report: &str) -> Option<String> {
        match self {
            ReportSection::Whole => {
                let text = joined(report.lines());
                (!text.is_empty()).then_some(text)
            }
            part => part.choose(&ReportSections::of(report)),
        }
    }

    /// Its text among sections already told apart; the whole text is all of them, in the order in
    /// which they are listed by [`ReportSections`].
    pub fn choose(self, sections: &ReportSections) -> Option<String> {
        let parts: &[&str] = match self {
            ReportSection::Findings => &[&sections.findings],
            ReportSection::Impression => &[&sections.impression],
            ReportSection::FindingsAndImpression => &[&sections.findings, &sections.impression],
            ReportSection::Whole => &[
                &sections.indication,
                &sections.technique,
                &sections.comparison,
                &sections.findings,
                &sections.impression,
            ],
        };
        let parts: Vec<&str> = parts
            .iter()
            .copied()
            .filter(|part| !part.is_empty())
            .collect();
        (!parts.is_empty()).then(|| parts.join(" "))
    }
}

impl FromStr for ReportSection {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        ReportSection::NAMES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, section)| *section)
            .ok_or_else(|| {
                let names = ReportSection::NAMES.map(|(name, _)| name).join(", ");
                format!("unknown section '{name}': use one of {names}")
            })
    }
}

impl fmt::Display for ReportSection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = ReportSection::NAMES
            .iter()
            .find(|(_, section)| section == self)
            .map_or("", |(name, _)| name);
        formatter.write_str(name)
    }
}

/// A report's sections, each on one line; what is absent is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportSections {
    /// Why the film was taken.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub indication: String,
    /// How.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub technique: String,
    /// What it was compared with.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub comparison: String,
    /// What is seen.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub findings: String,
    /// What it means.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub impression: String,
}

/// Headings, by the section that they open: the spellings that MIMIC-CXR's radiologists use, typing
/// errors included.
const HEADINGS: [(Heading, &[&str]); 5] = [
    (
        Heading::Indication,
        &[
            "CLINICAL HISTORY",
            "CLINICAL INDICATION",
            "CLINICAL INFORMATION",
            "HISTORY",
            "HISTORY AND INDICATION",
            "INDICATION",
            "INDICATION FOR STUDY",
            "INDICATIONS",
            "REASON FOR EXAM",
            "REASON FOR EXAMINATION",
            "REASON FOR STUDY",
            "REASON FOR THE EXAM",
        ],
    ),
    (
        Heading::Technique,
        &["PROCEDURE", "TECHINQUE", "TECHNIQUE", "TECHNQUE", "VIEWS"],
    ),
    (
        Heading::Comparison,
        &[
            "COMPARISION",
            "COMPARISON",
            "COMPARISON FILM",
            "COMPARISON FILMS",
            "COMPARISON STUDY",
            "COMPARISONS",
            "COMPARSION",
            "PRIOR STUDIES",
            "PRIOR STUDY",
        ],
    ),
    (
        Heading::Findings,
        &[
            "CHEST FINDINGS",
            "FIDINGS",
            "FINDDINGS",
            "FINDIGNS",
            "FINDIGS",
            "FINDING",
            "FINDING AND IMPRESSION",
            "FINDINGS",
            "FINDINGS AND IMPRESSION",
            "FINDINGS AND IMPRESSIONS",
            "FINDINGS/IMPRESSION",
            "FINDINGS/IMPRESSIONS",
            "FINDINS",
            "FINDNGS",
            "FINIDINGS",
            "IMPRESSION AND FINDINGS",
            "IMPRESSION/FINDINGS",
            "RADIOGRAPHIC FINDINGS",
            "REPORT",
        ],
    ),
    (
        Heading::Impression,
        &[
            "CONCLUSION",
            "CONCLUSIONS",
            "IMP",
            "IMPESSION",
            "IMPRESION",
            "IMPRESSION",
            "IMPRESSION AND RECOMMENDATION",
            "IMPRESSION AND RECOMMENDATIONS",
            "IMPRESSION/RECOMMENDATION",
            "IMPRESSION/RECOMMENDATIONS",
            "IMPRESSIONS",
            "IMPRESSON",
            "IMPRSSION",
            "OPINION",
            "SUMMARY",
        ],
    ),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heading {
    Indication,
    Technique,
    Comparison,
    Findings,
    Impression,
    /// Any other: its text belongs to none of the five.
    Other,
}

impl Heading {
    /// The section that a heading in capitals opens; blanks may be doubled, and stand around `/`.
    fn named(name: &str) -> Self {
        let words: Vec<&str> = name.split_whitespace().collect();
        let name = words.join(" ").replace(" / ", "/").replace(" & ", " AND ");
        HEADINGS
            .iter()
            .find(|(_, spellings)| spellings.contains(&name.as_str()))
            .map_or(Heading::Other, |(heading, _)| *heading)
    }
}

impl ReportSections {
    /// Tells the sections of a report apart; of repeated ones the last counts.
    pub fn of(report: &str) -> Self {
        let mut sections = ReportSections::default();
        for (heading, text) in split_sections(report) {
            let place = match heading {
                Heading::Indication => &mut sections.indication,
                Heading::Technique => &mut sections.technique,
                Heading::Comparison => &mut sections.comparison,
                Heading::Findings => &mut sections.findings,
                Heading::Impression => &mut sections.impression,
                Heading::Other => continue,
            };
            *place = text;
        }
        sections
    }
}

/// Sections in order; what stands before the first heading belongs to none.
fn split_sections(report: &str) -> Vec<(Heading, String)> {
    let mut sections: Vec<(Heading, Vec<&str>)> = Vec::new();
    for line in report.lines() {
        match (heading(line), sections.last_mut()) {
            (Some((name, rest)), _) => sections.push((Heading::named(name), vec![rest])),
            (None, Some((_, lines))) => lines.push(line),
            (None, None) => {}
        }
    }
    sections
        .into_iter()
        .map(|(heading, lines)| (heading, joined(lines)))
        .collect()
}

/// `FINDINGS: text` as (`FINDINGS`, `text`): capitals, blanks and `()/,&-`, then a colon.
fn heading(line: &str) -> Option<(&str, &str)> {
    let (name, rest) = line.split_once(':')?;
    let name = name.trim();
    let fits = name.chars().all(|character| {
        character.is_ascii_uppercase()
            || matches!(character, ' ' | '(' | ')' | '/' | ',' | '&' | '-')
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

    #[test]
    fn spellings_and_line_endings_do_not_matter() {
        for heading in [
            "FINDINGS",
            "FINDING",
            "FINDNGS",
            "FINDINGS / IMPRESSION",
            "FINDINGS  AND IMPRESSION",
            "FINDINGS & IMPRESSION",
        ] {
            let report =
                format!("HISTORY: Cough.\r\n\r\n {heading}:  Clear.\r\n WET READ: none\r\n");
            assert_eq!(
                ReportSection::Findings.extract(&report).as_deref(),
                Some("Clear."),
                "{heading}"
            );
        }
    }

    #[test]
    fn all_sections_are_told_apart() {
        let report = "preamble\nREASON FOR EXAM: Cough.\nTECHNIQUE: PA.\nCOMPARISONS: None.\n\
            FINDINGS: Clear.\nCONCLUSION: Normal.\nNOTIFICATION: none";
        let sections = ReportSections::of(report);
        let texts = [
            sections.indication.as_str(),
            &sections.technique,
            &sections.comparison,
            &sections.findings,
            &sections.impression,
        ];
        assert_eq!(texts, ["Cough.", "PA.", "None.", "Clear.", "Normal."]);
        assert!(
            ReportSection::Whole
                .extract(report)
                .expect("it has text")
                .starts_with("preamble REASON FOR EXAM: Cough.")
        );
    }

    #[test]
    fn names_of_sections_are_read_and_printed() {
        for (name, section) in ReportSection::NAMES {
            assert_eq!(name.parse(), Ok(section));
            assert_eq!(section.to_string(), name);
        }
        assert!("results".parse::<ReportSection>().is_err());
    }
}
