use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

mod headings;
mod layout;

use headings::{Certainty, Heading, HeadingLine};
use layout::{final_lines, joined, says_something};

/// Which part of a free-text report is the text to learn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ReportSection {
    /// The findings.
    #[default]
    Findings,
    /// The impression.
    Impression,
    /// Both, findings first; one of them is enough.
    FindingsAndImpression,
    /// The whole final report.
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
    /// sections the last one with text counts. The whole text comes without the line `FINAL REPORT`,
    /// wet reads and rows of underscores. `None` if the section is absent or empty.
    pub fn extract(self, report: &str) -> Option<String> {
        match self {
            ReportSection::Whole => {
                let text = joined(final_lines(report));
                says_something(&text).then_some(text)
            }
            part => part.choose(&ReportSections::of(report)),
        }
    }

    /// The text of the sections that this choice names, or `None` if they are empty.
    ///
    /// A whole report joins all sections in the order of [`ReportSections`]. If findings and
    /// impression are the same text, it is taken once.
    pub fn choose(self, sections: &ReportSections) -> Option<String> {
        let impression = match sections.impression == sections.findings {
            true => "",
            false => &sections.impression,
        };
        let parts: &[&str] = match self {
            ReportSection::Findings => &[&sections.findings],
            ReportSection::Impression => &[&sections.impression],
            ReportSection::FindingsAndImpression => &[&sections.findings, impression],
            ReportSection::Whole => &[
                &sections.indication,
                &sections.technique,
                &sections.comparison,
                &sections.findings,
                impression,
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

impl ReportSections {
    /// Separates the sections of a report. Of repeated sections the last one with text counts; a
    /// section headed `FINDINGS AND IMPRESSION` is both.
    pub fn of(report: &str) -> Self {
        let mut sections = ReportSections::default();
        for (heading, lines) in split_sections(report) {
            let text = joined(lines);
            let is_empty = match heading {
                Heading::Findings | Heading::Impression | Heading::Both => !says_something(&text),
                // A comparison may be a removed date, `___`.
                _ => text.is_empty(),
            };
            if is_empty {
                continue;
            }
            match heading {
                Heading::Indication => sections.indication = text,
                Heading::Technique => sections.technique = text,
                Heading::Comparison => sections.comparison = text,
                Heading::Findings => sections.findings = text,
                Heading::Impression => sections.impression = text,
                Heading::Both => {
                    sections.findings.clone_from(&text);
                    sections.impression = text;
                }
                Heading::Other => {}
            }
        }
        sections
    }
}

/// Sections in order; lines before the first heading belong to none.
fn split_sections(report: &str) -> Vec<(Heading, Vec<&str>)> {
    let mut sections: Vec<(Heading, Vec<&str>)> = Vec::new();
    for line in final_lines(report) {
        let found = HeadingLine::of(line);
        let Some((open, lines)) = sections.last_mut() else {
            sections.extend(found.map(|it| (it.heading, vec![it.text])));
            continue;
        };
        match found.map(|found| (found, role(&found, *open, lines))) {
            Some((found, Role::Opens)) => sections.push((found.heading, vec![found.text])),
            Some((found, Role::Repeats)) => lines.push(found.text),
            Some((_, Role::Text)) | None => lines.push(line),
        }
    }
    sections
}

/// What a heading line does inside an open section.
enum Role {
    /// It opens another section.
    Opens,
    /// It repeats the name of the open section.
    Repeats,
    /// It is a sub-heading or the rest of a sentence.
    Text,
}

fn role(found: &HeadingLine, open: Heading, lines: &[&str]) -> Role {
    let is_empty = || !lines.iter().any(|line| says_something(line));
    match (found.certainty, open) {
        (Certainty::Sure, _) => Role::Opens,
        (Certainty::BodyPart, Heading::Findings | Heading::Both) => Role::Text,
        (_, Heading::Findings | Heading::Both) if !is_empty() => Role::Text,
        (_, Heading::Findings | Heading::Both) if found.heading == Heading::Findings => {
            Role::Repeats
        }
        (_, Heading::Impression) if !is_empty() && !ends_a_paragraph(lines) => Role::Text,
        _ => Role::Opens,
    }
}

/// Whether what follows begins a sentence: after a blank line, or after a full stop.
fn ends_a_paragraph(lines: &[&str]) -> bool {
    let last = lines.last().map_or("", |line| line.trim_end());
    last.is_empty() || last.ends_with(['.', '!', '?', ':', ';'])
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

    fn findings(report: &str) -> Option<String> {
        ReportSection::Findings.extract(report)
    }

    #[test]
    fn an_empty_repeat_erases_nothing() {
        let report = " FINDINGS:  Left effusion.\n\n CT FINDINGS ARE REPORTED APART.\n\n FINDINGS:\n ___\n\n \
            IMPRESSION:  Effusion.\n ADDENDUM:  Called.\n IMPRESSION:\n";
        let sections = ReportSections::of(report);
        assert_eq!(
            (sections.findings.as_str(), sections.impression.as_str()),
            (
                "Left effusion. CT FINDINGS ARE REPORTED APART.",
                "Effusion."
            )
        );
    }

    #[test]
    fn the_title_of_a_film_heads_findings() {
        for (report, expected) in [
            (
                "HISTORY: Cough.\n\n CHEST, TWO VIEWS:  Clear\n lungs.\n\n IMPRESSION: x",
                "Clear lungs.",
            ),
            (
                "PA AND LATERAL VIEWS OF THE CHEST:\n\n REASON FOR EXAM: x\n\n FINDINGS: Clear.",
                "Clear.",
            ),
            (
                "FINDINGS:\n\n PORTABLE AP CHEST: Tube.\n Clear.\n",
                "Tube. Clear.",
            ),
            (
                "PORTABLE CHEST, 5:30 A.M.: High.\n IMPRESSION: x.\n PORTABLE CHEST, 7:15 A.M.: Low.",
                "Low.",
            ),
        ] {
            assert_eq!(findings(report).as_deref(), Some(expected), "{report}");
        }
    }

    #[test]
    fn sub_headings_belong_to_the_findings() {
        for text in [
            "LINES AND TUBES: PICC.\n LUNGS: Clear.\n HEART: Normal.",
            "Compared with the film of\n CT: there is less air.",
            "Clear.\n LATERAL VIEW: Small effusion.\n OTHER FINDINGS: None.",
            "CHEST: Clear.\n CHEST TUBE: Gone.\n RIBS: Whole.",
        ] {
            let report = format!(" FINAL REPORT\n FINDINGS:\n\n {text}\n\n IMPRESSION: x");
            assert_eq!(findings(&report), Some(text.replace("\n", "")), "{text}");
        }
    }

    #[test]
    fn a_sentence_of_the_impression_is_not_cut() {
        let report = "IMPRESSION: Changed since the\n CHEST RADIOGRAPH: more air.\n\n CHEST, TWO VIEWS: Clear.";
        let sections = ReportSections::of(report);
        assert_eq!(
            sections.impression,
            "Changed since the CHEST RADIOGRAPH: more air."
        );
        assert_eq!(sections.findings, "Clear.");
    }

    #[test]
    fn findings_and_impression_in_one_are_both() {
        let report = "FINDINGS AND IMPRESSION:\n 1. Collapse.";
        for section in [
            ReportSection::Findings,
            ReportSection::Impression,
            ReportSection::FindingsAndImpression,
        ] {
            assert_eq!(section.extract(report).as_deref(), Some("1. Collapse."));
        }
    }

    #[test]
    fn the_whole_is_the_final_report() {
        let report = " WET READ: ___ 8:51 AM\n  No acute process.\n ________\n  FINAL REPORT\n \
            COMPARISON: ___.\n Clear.\n";
        let whole = ReportSection::Whole.extract(report);
        assert_eq!(whole.as_deref(), Some("COMPARISON: ___. Clear."));
        assert_eq!(findings(report), None);
        assert_eq!(ReportSection::Whole.extract("WET READ: x"), None);
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
        let report = "preamble\nREASON FOR EXAM: Cough.\nTECHNIQUE: PA.\nCOMPARISONS: ___.\n\
            FINDINGS: Clear.\nCONCLUSION: Normal.\nNOTIFICATION: none";
        let sections = ReportSections::of(report);
        let texts = [
            sections.indication.as_str(),
            &sections.technique,
            &sections.comparison,
            &sections.findings,
            &sections.impression,
        ];
        assert_eq!(texts, ["Cough.", "PA.", "___.", "Clear.", "Normal."]);
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
