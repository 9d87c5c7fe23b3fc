use super::attributes::{Side, Size};
use super::findings::{FindingKind, PhantomFindings};

const INDICATIONS: [&str; 6] = [
    "cough and fever",
    "shortness of breath",
    "chest pain",
    "fall, evaluate for injury",
    "preoperative evaluation",
    "follow-up of prior study",
];

/// Line width of a report.
const COLUMNS: usize = 78;

/// What a report is made of.
pub(super) struct ReportParts<'a> {
    /// Name of the examination.
    pub examination: &'a str,
    /// Why it was taken, half a sentence; the section is left out without it.
    pub indication: Option<&'a str>,
    /// What it was compared with.
    pub comparison: &'a str,
    /// What is there.
    pub findings: &'a PhantomFindings,
    /// The findings section, as one paragraph.
    pub report: &'a str,
}

/// A study's whole report as MIMIC-CXR has it: headed sections, wrapped and indented lines.
pub(super) fn report_text(parts: &ReportParts) -> String {
    let indication = parts
        .indication
        .map(|indication| format!("___ year old patient with {indication}."));
    let sections = [
        ("EXAMINATION", Some(parts.examination.to_owned())),
        ("INDICATION", indication),
        ("COMPARISON", Some(parts.comparison.to_owned())),
        ("FINDINGS", Some(parts.report.to_owned())),
        ("IMPRESSION", Some(impression(parts.findings))),
    ];
    let mut text = format!("{:>44}\n", "FINAL REPORT");
    for (heading, body) in sections {
        if let Some(body) = body {
            text += &format!(" {heading}:\n\n{}\n", wrap(&body));
        }
    }
    text
}

/// The indication of a study without a history, by its subject.
pub(super) fn any_indication(subject: u64) -> &'static str {
    INDICATIONS[(spread(subject) % INDICATIONS.len() as u64) as usize]
}

/// The findings once more in a few words; support devices are left out.
fn impression(findings: &PhantomFindings) -> String {
    let named: Vec<String> = findings
        .iter()
        .filter_map(|finding| {
            let name = impression_name(finding.kind())?;
            let words = [
                finding.size().map(Size::word),
                finding.side().map(Side::word),
                finding.lobe().map(|lobe| lobe.word()),
                finding.lobe().map(|_| "lobe"),
                Some(name),
            ];
            Some(words.into_iter().flatten().collect::<Vec<_>>().join(" "))
        })
        .collect();
    if named.is_empty() {
        return "No acute cardiopulmonary process.".to_owned();
    }
    let text = named.join(", ");
    text[..1].to_uppercase() + &text[1..] + "."
}

fn impression_name(kind: FindingKind) -> Option<&'static str> {
    match kind {
        FindingKind::EndotrachealTube | FindingKind::PiccLine | FindingKind::Pacemaker => None,
        FindingKind::Cardiomegaly => Some("cardiomegaly"),
        FindingKind::Effusion => Some("pleural effusion"),
        FindingKind::Pneumothorax => Some("pneumothorax"),
        FindingKind::Consolidation => Some("consolidation"),
        FindingKind::Nodule => Some("nodule"),
        FindingKind::Atelectasis => Some("basilar atelectasis"),
        FindingKind::Edema => Some("pulmonary edema"),
        FindingKind::RibFracture => Some("rib fracture"),
    }
}

/// Breaks a paragraph into lines of at most [`COLUMNS`] characters, each preceded by one blank.
fn wrap(paragraph: &str) -> String {
    let mut text = String::new();
    let mut column = 0;
    for word in paragraph.split_whitespace() {
        if column > 0 && column + 1 + word.len() > COLUMNS {
            text.push('\n');
            column = 0;
        }
        text.push(' ');
        text.push_str(word);
        column += 1 + word.len();
    }
    text.push('\n');
    text
}

/// SplitMix64's finaliser: a number whose every bit depends on all bits of `value`.
pub(super) fn spread(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phantom::{PhantomConfig, read_findings, sample_cohort};

    #[test]
    fn the_findings_section_holds_the_findings() {
        let config = PhantomConfig {
            train: 0,
            validation: 0,
            test: 60,
            ..Default::default()
        };
        for study in sample_cohort(&config) {
            let text = report_text(&ReportParts {
                examination: "CHEST (PA)",
                indication: Some(any_indication(10_000_032)),
                comparison: "None.",
                findings: &study.findings,
                report: &study.report,
            });
            assert!(text.lines().all(|line| line.len() <= COLUMNS), "{text}");
            let section = text.split("FINDINGS:\n").nth(1).unwrap();
            let section = section.split("IMPRESSION:").next().unwrap();
            let words: Vec<&str> = section.split_whitespace().collect();
            assert_eq!(words.join(" "), study.report);
            assert_eq!(read_findings(section), study.findings);
        }
    }
}
