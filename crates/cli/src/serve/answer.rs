//! The JSON of a study's reports.

use ithn::inference::{StudySheet, WrittenReport};
use ithn::metrics::{FindingClass, LABELER, Mention, Status, label};
use serde::Serialize;

/// What every answer and the page say first.
pub(super) const NOTICE: &str = "Research software, not for clinical use.";

/// The answer to `POST /v1/report`.
#[derive(Serialize)]
pub(super) struct Answer<'a> {
    pub(super) id: &'a str,
    pub(super) notice: &'static str,
    /// File name of the checkpoint.
    pub(super) checkpoint: &'a str,
    /// Films that the reports are of.
    pub(super) films: &'a [String],
    /// Films of the previous study that they rest on.
    pub(super) prior_films: &'a [String],
    /// Films beyond the checkpoint's views, of the study and of the previous one.
    pub(super) unused_films: &'a [String],
    /// Best first.
    pub(super) reports: Vec<AnsweredReport>,
    /// Images, words and attention of the best report, if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sheet: Option<StudySheet>,
}

/// A report with its findings.
#[derive(Serialize)]
pub(super) struct AnsweredReport {
    #[serde(flatten)]
    report: WrittenReport,
    findings: Findings,
}

/// What the labeler reads in a report.
#[derive(Serialize)]
struct Findings {
    /// Name and version, such as `rules-14 v2`.
    labeler: &'static str,
    /// Classes that the report speaks of, in CheXpert's order.
    labels: Vec<ClassLabel>,
    mentions: Vec<QuotedMention>,
}

#[derive(Serialize)]
struct ClassLabel {
    class: FindingClass,
    /// As CheXpert's files spell it.
    name: &'static str,
    status: Status,
}

#[derive(Serialize)]
struct QuotedMention {
    #[serde(flatten)]
    mention: Mention,
    words: String,
}

impl From<WrittenReport> for AnsweredReport {
    fn from(report: WrittenReport) -> Self {
        let read = label(&report.text);
        let status = |class: FindingClass| {
            let status = read.status(class)?;
            let name = class.name();
            Some(ClassLabel {
                class,
                name,
                status,
            })
        };
        let labels = FindingClass::all().into_iter().filter_map(status).collect();
        let quoted = |mention: Mention| QuotedMention {
            words: report.text[mention.span.clone()].to_owned(),
            mention,
        };
        let findings = Findings {
            labeler: LABELER,
            labels,
            mentions: read.mentions.into_iter().map(quoted).collect(),
        };
        AnsweredReport { report, findings }
    }
}
