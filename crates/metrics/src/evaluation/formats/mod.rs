//! The forms in which reports are exchanged, recognised by their content.

mod export;
mod json;
mod lines;
mod tables;

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use export::{Export, UnknownExport, export};
pub use json::{read_json, rexrank_reference};
pub use lines::read_label_lines;

pub(crate) use super::records::read_text;
pub(crate) use super::table::{column, csv_rows};

use super::error::EvaluationError;
use super::records::{Record, Records};

/// Formats that [`read_studies`](super::read_studies) recognises.
pub(crate) const KNOWN: &str = "CSV with named columns or a single one, a JSON list or object of reports, R2Gen's \
     annotation.json, ReXrank's prediction.json, RadEval's JSON, JSON lines, one report per line, ViLMedic's pairs, \
     CSV of CXR-Report-Metric, CXRMate-2 or MLRG";

/// The form of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Format {
    /// CSV with named columns, or with a single one.
    #[default]
    Csv,
    /// A JSON list or object of reports, or R2Gen's `annotation.json`.
    Json,
    /// ReXrank's `prediction.json` or its input, which lacks predictions.
    RexRank,
    /// An object of two lists, `references` and `hypotheses`.
    RadEval,
    /// An object on every line: RadEval's, Libra's and others'.
    JsonLines,
    /// A report on every line, ViLMedic's among them.
    Lines,
    /// Columns `study_id` and `report`: only studies that both files have are scored.
    CxrReportMetric,
    /// Columns `findings`, `impression`, `study_id`.
    CxrMate2,
    /// Columns `dicom_id`, `labels` (the reference) and `report` (the prediction).
    Mlrg,
}

/// The part of reports that is compared, in files that hold parts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Section {
    /// Findings.
    Findings,
    /// Impression.
    Impression,
    /// Findings followed by impression; of ReXrank's references, the string that its script makes.
    #[default]
    Both,
}

/// What reading found in addition to studies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ReadNotes {
    /// Form of the predictions.
    pub predictions: Format,
    /// Form of the references, if given apart.
    pub references: Option<Format>,
    /// Predictions left out since the other file lacks the study (CXR-Report-Metric's files alone).
    pub predictions_left_out: usize,
    /// References left out for the same reason.
    pub references_left_out: usize,
    /// Studies left out since their reference lacks the section.
    pub without_section: usize,
}

/// Properties of a file other than its rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Layout {
    pub format: Format,
    /// Whether a report per line could be followed by an empty one: the file ends with a line feed.
    pub may_have_empty_last: bool,
}

/// Content of a file after format detection.
pub(super) enum Content {
    /// Its reports.
    Rows(Vec<Record>, Layout),
    /// JSON of the plain forms.
    Json(Value),
    /// CSV with the plain column names.
    Csv,
}

/// Recognises a file.
pub(super) fn read(path: &Path, text: &str, section: Section) -> Result<Content, EvaluationError> {
    let is_table = path.extension().is_some_and(|extension| {
        extension.eq_ignore_ascii_case("csv") || extension.eq_ignore_ascii_case("tsv")
    });
    if !is_table && text.trim_start().starts_with(['[', '{']) {
        return json::read(path, text, section);
    }
    match tables::read(path, text, section)? {
        Some((rows, format)) => Ok(rows_of(rows, format)),
        None if is_table || tables::has_known_column(text) => Ok(Content::Csv),
        None => lines::read(path, text),
    }
}

fn rows_of(rows: Vec<Record>, format: Format) -> Content {
    let layout = Layout {
        format,
        may_have_empty_last: false,
    };
    Content::Rows(rows, layout)
}

pub(super) fn unknown(path: &Path, what: &str) -> EvaluationError {
    EvaluationError::Layout {
        path: path.to_owned(),
        reason: format!("{what}; the known forms are: {KNOWN}"),
    }
}

/// Pairs predictions with references for formats that have their own pairing rule.
pub(super) fn settle(
    predictions: &mut Records,
    references: &mut Records,
) -> Result<ReadNotes, EvaluationError> {
    let mut notes = ReadNotes {
        predictions: predictions.layout.format,
        references: Some(references.layout.format),
        ..ReadNotes::default()
    };
    let both = [&*predictions, &*references].map(|records| records.layout.format);
    if both == [Format::CxrReportMetric; 2] {
        [notes.predictions_left_out, notes.references_left_out] =
            tables::keep_common(&mut predictions.rows, &mut references.rows);
        if predictions.rows.is_empty() {
            return Err(EvaluationError::Layout {
                path: predictions.path.clone(),
                reason: format!("no study is also in {}", references.path.display()),
            });
        }
    }
    lines::settle_last(predictions, references);
    Ok(notes)
}

/// Findings and impression as one text, or one of them; empty if it is not there.
fn section_text(findings: Option<&str>, impression: Option<&str>, section: Section) -> String {
    let [findings, impression] = [findings, impression].map(|text| text.unwrap_or("").trim());
    match section {
        Section::Findings => findings.to_owned(),
        Section::Impression => impression.to_owned(),
        Section::Both => {
            let blank = if findings.is_empty() || impression.is_empty() {
                ""
            } else {
                " "
            };
            [findings, impression].join(blank)
        }
    }
}
