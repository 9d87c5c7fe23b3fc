//! Reports from CSV or JSON in any of the common layouts.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::error::EvaluationError;
use super::formats::{self, Content, Format, KNOWN, Layout, Section};
use super::table::{cell, column, csv_rows};

/// A row of a file of reports.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Record {
    /// Row of a CSV file or place in a JSON list, from 1.
    pub row: usize,
    pub id: Option<String>,
    pub prediction: Option<String>,
    pub references: Vec<String>,
    /// The text of a file that holds one kind of report without naming it.
    pub text: Option<String>,
    /// Split of an `annotation.json`.
    pub split: Option<String>,
}

/// A file of reports, never empty.
#[derive(Debug, Clone)]
pub(super) struct Records {
    pub path: PathBuf,
    pub layout: Layout,
    pub rows: Vec<Record>,
}

pub(super) const ID: &[&str] = &["id", "study_id", "uid", "image_id"];
pub(super) const PREDICTION: &[&str] = &[
    "prediction",
    "predictions",
    "pred",
    "hypothesis",
    "hyp",
    "generated",
    "res",
];
pub(super) const REFERENCE: &[&str] = &[
    "reference",
    "references",
    "ref",
    "ground_truth",
    "gt",
    "gts",
    "target",
];
pub(super) const TEXT: &[&str] = &["report", "text", "caption", "0"];

impl Records {
    /// Reads a file of any known form; of files with sections, one or both.
    pub fn read(path: &Path, section: Section) -> Result<Self, EvaluationError> {
        let text = read_text(path)?;
        let plain = |format| Layout {
            format,
            may_have_empty_last: false,
        };
        let (rows, layout) = match formats::read(path, &text, section)? {
            Content::Rows(rows, layout) => (rows, layout),
            Content::Json(value) => (from_json(path, value)?, plain(Format::Json)),
            Content::Csv => (from_csv(path, &text)?, plain(Format::Csv)),
        };
        if rows.is_empty() {
            return Err(EvaluationError::Empty {
                path: path.to_owned(),
            });
        }
        Ok(Self {
            path: path.to_owned(),
            layout,
            rows,
        })
    }

    /// Whether rows have ids; either all have or none has.
    pub fn has_ids(&self) -> bool {
        self.rows[0].id.is_some()
    }
}

/// Whether a text is JSON: it begins with `[` or `{`, and the file is not called `.csv`.
pub(super) fn is_json(path: &Path, text: &str) -> bool {
    let is_csv = path
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
    text.trim_start().starts_with(['[', '{']) && !is_csv
}

/// The text of a file, without a byte order mark.
pub(crate) fn read_text(path: &Path) -> Result<String, EvaluationError> {
    let bytes = fs::read(path).map_err(|source| EvaluationError::Io {
        path: path.to_owned(),
        source,
    })?;
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let valid = error.utf8_error().valid_up_to();
            let row = 1 + error.as_bytes()[..valid]
                .iter()
                .filter(|&&byte| byte == b'\n')
                .count();
            return Err(EvaluationError::Row {
                path: path.to_owned(),
                row,
                reason: format!("not UTF-8 at byte {valid}: convert the file first"),
            });
        }
    };
    Ok(match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    })
}

fn from_csv(path: &Path, text: &str) -> Result<Vec<Record>, EvaluationError> {
    let rows = csv_rows(path, text)?;
    let Some((_, header)) = rows.first() else {
        return Ok(Vec::new());
    };
    let columns = [ID, PREDICTION, REFERENCE, TEXT].map(|names| column(header, names));
    let [id, prediction, reference, report] = columns;
    if columns.iter().all(Option::is_none) {
        return match header.len() {
            1 => Ok(rows
                .into_iter()
                .map(|(row, mut fields)| Record {
                    row,
                    text: fields.pop().map(|text| cell(&text).to_owned()),
                    ..Record::default()
                })
                .collect()),
            _ => Err(unnamed(path, header)),
        };
    }
    if prediction.is_none() && reference.is_none() && report.is_none() {
        return Err(unnamed(path, header));
    }
    let records = rows.iter().skip(1).map(|(row, fields)| {
        let field = |column: Option<usize>| column.map(|column| cell(&fields[column]).to_owned());
        Record {
            row: *row,
            id: field(id),
            prediction: field(prediction),
            references: field(reference).into_iter().collect(),
            text: field(report),
            split: None,
        }
    });
    Ok(records.collect())
}

fn unnamed(path: &Path, header: &[String]) -> EvaluationError {
    EvaluationError::Column {
        path: path.to_owned(),
        what: "predictions or references",
        expected: format!(
            "{} (known forms: {KNOWN})",
            [PREDICTION, REFERENCE, TEXT].concat().join(", ")
        ),
        found: header
            .iter()
            .take(8)
            .map(|name| name.chars().take(24).collect())
            .collect::<Vec<String>>()
            .join(", "),
    }
}

fn from_json(path: &Path, value: Value) -> Result<Vec<Record>, EvaluationError> {
    let mut records = Vec::new();
    let failed = |row, reason| EvaluationError::Row {
        path: path.to_owned(),
        row,
        reason,
    };
    match value {
        Value::Array(items) => {
            for (at, item) in items.into_iter().enumerate() {
                let record = record(item).map_err(|reason| failed(at + 1, reason))?;
                records.push(Record {
                    row: at + 1,
                    ..record
                });
            }
        }
        Value::Object(map)
            if ["train", "val", "test"]
                .iter()
                .any(|split| map.get(*split).is_some_and(Value::is_array)) =>
        {
            for (split, items) in map {
                let Value::Array(items) = items else { continue };
                for item in items {
                    let row = records.len() + 1;
                    let record =
                        record(item).map_err(|reason| failed(row, format!("{split}: {reason}")))?;
                    records.push(Record {
                        row,
                        split: Some(split.clone()),
                        ..record
                    });
                }
            }
        }
        Value::Object(map) => {
            for (at, (id, item)) in map.into_iter().enumerate() {
                let record = record(item).map_err(|reason| failed(at + 1, reason))?;
                records.push(Record {
                    row: at + 1,
                    id: Some(id),
                    ..record
                });
            }
        }
        _ => {
            return Err(formats::unknown(
                path,
                "neither a JSON list nor an object of reports",
            ));
        }
    }
    let with_id = records.iter().filter(|record| record.id.is_some()).count();
    if let Some(without) = records
        .iter()
        .find(|record| record.id.is_none() && with_id > 0)
    {
        return Err(failed(
            without.row,
            "no id, though other entries have one".to_owned(),
        ));
    }
    Ok(records)
}

/// A report, several references, or an object with named ones.
pub(super) fn record(item: Value) -> Result<Record, String> {
    match item {
        Value::String(text) => Ok(Record {
            text: Some(cell(&text).to_owned()),
            ..Record::default()
        }),
        Value::Array(_) => {
            let references = texts(item)?;
            let text = match references.as_slice() {
                [only] => Some(only.clone()),
                _ => None,
            };
            Ok(Record {
                references,
                text,
                ..Record::default()
            })
        }
        Value::Object(mut map) => {
            let mut take = |names: &[&str]| names.iter().find_map(|name| map.remove(*name));
            let id = match take(ID) {
                None | Some(Value::Null) => None,
                Some(Value::String(id)) => Some(id),
                Some(Value::Number(id)) => Some(id.to_string()),
                Some(_) => return Err("the id is neither text nor a number".to_owned()),
            };
            let text = |value: Option<Value>| value.map(single).transpose();
            let record = Record {
                row: 0,
                id,
                prediction: text(take(PREDICTION))?,
                references: take(REFERENCE).map(texts).transpose()?.unwrap_or_default(),
                text: text(take(TEXT))?,
                split: None,
            };
            if record.prediction.is_none() && record.references.is_empty() && record.text.is_none()
            {
                return Err(format!(
                    "no report: expected one of {} (known forms: {KNOWN})",
                    [PREDICTION, REFERENCE, TEXT].concat().join(", ")
                ));
            }
            Ok(record)
        }
        other => Err(format!("expected a report, found {other}")),
    }
}

fn texts(value: Value) -> Result<Vec<String>, String> {
    match value {
        Value::Array(items) => items.into_iter().map(single).collect(),
        other => Ok(vec![single(other)?]),
    }
}

/// A text, or a list that holds one.
fn single(value: Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(cell(&text).to_owned()),
        Value::Array(items) => match <[Value; 1]>::try_from(items) {
            Ok([Value::String(text)]) => Ok(cell(&text).to_owned()),
            _ => Err("expected one report".to_owned()),
        },
        other => Err(format!("expected a report, found {other}")),
    }
}
