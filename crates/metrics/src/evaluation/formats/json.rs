//! JSON forms. Python writes bare `NaN` for a missing section, which JSON does not have; here it is
//! `null`.

use std::borrow::Cow;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{Content, Format, Layout, Section, rows_of, section_text, unknown};
use crate::evaluation::error::EvaluationError;
use crate::evaluation::records::{ID, PREDICTION, REFERENCE, Record, TEXT, read_text, record};

/// Keys of a study in ReXrank's files.
const MODEL_PREDICTION: &str = "model_prediction";
const FINDINGS: &str = "section_findings";
const IMPRESSION: &str = "section_impression";
const REXRANK: &[&str] = &[MODEL_PREDICTION, FINDINGS, IMPRESSION, "key_image_path"];

/// Names that other tools have for the plain keys of a JSON line.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("question_id", "id"),
    ("dicom_id", "id"),
    (MODEL_PREDICTION, "prediction"),
];

/// Parses JSON with Python's `NaN`, `Infinity` and `-Infinity`, which become `null`.
fn parse_json(path: &Path, text: &str) -> Result<Value, EvaluationError> {
    parse(text).map_err(|error| EvaluationError::Row {
        path: path.to_owned(),
        row: error.line(),
        reason: not_json(&error),
    })
}

/// Why a text is not JSON.
fn not_json(error: &serde_json::Error) -> String {
    match error.is_eof() {
        true => format!("not JSON: {error}: the file may be cut short"),
        false => format!("not JSON: {error}"),
    }
}

/// Reads a JSON file into a type; Python's bare `NaN`, `Infinity` and `-Infinity` are read as `null`.
///
/// # Errors
///
/// [`EvaluationError`] naming the file, and the line where it is no JSON.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, EvaluationError> {
    let value = parse_json(path, &read_text(path)?)?;
    serde_json::from_value(value).map_err(|error| EvaluationError::Layout {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}

fn parse(text: &str) -> serde_json::Result<Value> {
    serde_json::from_str(text).or_else(|error| match without_nan(text) {
        Cow::Owned(text) => serde_json::from_str(&text),
        Cow::Borrowed(_) => Err(error),
    })
}

/// The text with `null` for every bare `NaN`, `Infinity` and `-Infinity`.
fn without_nan(text: &str) -> Cow<'_, str> {
    let mut replaced = String::new();
    let mut copied = 0;
    let mut is_in_string = false;
    let mut bytes = text.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' if is_in_string => {
                bytes.next();
            }
            b'"' => is_in_string = !is_in_string,
            b'N' | b'I' | b'-' if !is_in_string && at >= copied => {
                let rest = &text[at..];
                let words = ["NaN", "Infinity", "-Infinity"];
                if let Some(word) = words.into_iter().find(|word| rest.starts_with(word)) {
                    replaced.push_str(&text[copied..at]);
                    replaced.push_str("null");
                    copied = at + word.len();
                }
            }
            _ => {}
        }
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    replaced.push_str(&text[copied..]);
    Cow::Owned(replaced)
}

pub(super) fn read(path: &Path, text: &str, section: Section) -> Result<Content, EvaluationError> {
    let value = match parse(text) {
        Ok(value) => value,
        Err(error) => {
            return match json_lines(path, text, section)? {
                Some(rows) => Ok(rows_of(rows, Format::JsonLines)),
                None => Err(EvaluationError::Row {
                    path: path.to_owned(),
                    row: error.line(),
                    reason: not_json(&error),
                }),
            };
        }
    };
    let Value::Object(map) = &value else {
        return Ok(Content::Json(value));
    };
    if let (Some(Value::Array(references)), Some(Value::Array(hypotheses))) =
        (map.get("references"), map.get("hypotheses"))
    {
        let rows = radeval(path, references, hypotheses)?;
        return Ok(rows_of(rows, Format::RadEval));
    }
    let has_key = |value: &Value| REXRANK.iter().any(|key| value.get(key).is_some());
    if !map.is_empty() && map.values().all(has_key) {
        let rows = rexrank(path, map, section)?;
        return Ok(rows_of(rows, Format::RexRank));
    }
    if is_line(map) {
        let line = line(map.clone(), section).and_then(record);
        let mut row = line.map_err(|reason| row_error(path, 1, reason))?;
        row.row = 1;
        let layout = Layout {
            format: Format::JsonLines,
            may_have_empty_last: false,
        };
        return Ok(Content::Rows(vec![row], layout));
    }
    let is_report =
        |value: &Value| !matches!(value, Value::Null | Value::Bool(_) | Value::Number(_));
    if !map.values().all(is_report) {
        return Err(unknown(path, "a JSON object whose values are no reports"));
    }
    Ok(Content::Json(value))
}

fn row_error(path: &Path, row: usize, reason: String) -> EvaluationError {
    EvaluationError::Row {
        path: path.to_owned(),
        row,
        reason,
    }
}

/// A text, or nothing for `null`.
fn optional<'a>(map: &'a Value, key: &str) -> Result<Option<&'a str>, String> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("'{key}' is no text")),
    }
}

fn rexrank(
    path: &Path,
    map: &Map<String, Value>,
    section: Section,
) -> Result<Vec<Record>, EvaluationError> {
    let study = |(at, (id, study)): (usize, (&String, &Value))| {
        let texts = || -> Result<Record, String> {
            let (findings, impression) = (optional(study, FINDINGS)?, optional(study, IMPRESSION)?);
            let reference = match section {
                Section::Both => rexrank_reference(findings, impression),
                section => section_text(findings, impression, section),
            };
            Ok(Record {
                row: at + 1,
                id: Some(id.clone()),
                prediction: optional(study, MODEL_PREDICTION)?.map(str::to_owned),
                references: vec![reference],
                ..Record::default()
            })
        };
        texts().map_err(|reason| row_error(path, at + 1, format!("study '{id}': {reason}")))
    };
    map.iter().enumerate().map(study).collect()
}

/// The reference that ReXrank's script makes of two sections: a missing one is the word `None`.
pub fn rexrank_reference(findings: Option<&str>, impression: Option<&str>) -> String {
    let [findings, impression] = [findings, impression].map(|text| text.unwrap_or("None"));
    format!("Findings: {findings} Impression: {impression}")
}

fn radeval(
    path: &Path,
    references: &[Value],
    hypotheses: &[Value],
) -> Result<Vec<Record>, EvaluationError> {
    if references.len() != hypotheses.len() {
        return Err(EvaluationError::Layout {
            path: path.to_owned(),
            reason: format!(
                "{} references, but {} hypotheses",
                references.len(),
                hypotheses.len()
            ),
        });
    }
    let pairs = references.iter().zip(hypotheses).enumerate();
    pairs
        .map(|(at, pair)| match pair {
            (Value::String(reference), Value::String(hypothesis)) => Ok(Record {
                row: at + 1,
                prediction: Some(hypothesis.clone()),
                references: vec![reference.clone()],
                ..Record::default()
            }),
            _ => Err(row_error(path, at + 1, "expected two texts".to_owned())),
        })
        .collect()
}

/// Rows of a file with a JSON value on every line; `None` if already the first line is none.
fn json_lines(
    path: &Path,
    text: &str,
    section: Section,
) -> Result<Option<Vec<Record>>, EvaluationError> {
    let mut rows = Vec::new();
    let lines = text.lines().enumerate();
    for (at, text) in lines.filter(|(_, text)| !text.trim().is_empty()) {
        let value = match parse(text) {
            Ok(value) => value,
            Err(_) if rows.is_empty() => return Ok(None),
            Err(error) => return Err(row_error(path, at + 1, not_json(&error))),
        };
        let record = match value {
            Value::Object(map) => line(map, section).and_then(record),
            Value::Array(labels) if labels.iter().all(Value::is_number) => {
                return Err(unknown(path, "labels on every line, no reports"));
            }
            other => record(other),
        };
        let record = record.map_err(|reason| row_error(path, at + 1, reason))?;
        rows.push(Record {
            row: at + 1,
            ..record
        });
    }
    let with_id = rows.iter().filter(|row| row.id.is_some()).count();
    match rows.iter().find(|row| row.id.is_none() && with_id > 0) {
        Some(without) => {
            let reason = "no id, though other lines have one".to_owned();
            Err(row_error(path, without.row, reason))
        }
        None => Ok(Some(rows)),
    }
}

/// Whether an object is one study rather than studies by id: a file of a single JSON line.
fn is_line(map: &Map<String, Value>) -> bool {
    let has = |names: &[&str]| {
        let mut named = names.iter().filter_map(|name| map.get(*name));
        named.any(|value| value.is_string() || value.is_number())
    };
    let others: Vec<&str> = OTHER_NAMES.iter().map(|(name, _)| *name).collect();
    let kinds = [
        has(ID) || has(&others[..2]),
        has(PREDICTION) || has(&others[2..]),
        has(REFERENCE),
        has(TEXT) || has(&["findings", "impression"]),
    ];
    kinds.into_iter().filter(|has| *has).count() >= 2
}

/// A JSON line with the plain keys; findings and impression become the text.
fn line(mut map: Map<String, Value>, section: Section) -> Result<Value, String> {
    for (name, plain) in OTHER_NAMES {
        if let Some(value) = map.remove(*name) {
            map.entry(*plain).or_insert(value);
        }
    }
    let has_text = |names: &[&str]| names.iter().any(|name| map.contains_key(*name));
    let has_sections = has_text(&["findings", "impression"]);
    if has_sections && !has_text(PREDICTION) && !has_text(REFERENCE) {
        let value = Value::Object(std::mem::take(&mut map));
        let (findings, impression) = (
            optional(&value, "findings")?,
            optional(&value, "impression")?,
        );
        let text = section_text(findings, impression, section);
        let Value::Object(mut rest) = value else {
            return Err("expected an object".to_owned());
        };
        rest.retain(|key, _| ID.contains(&key.as_str()));
        rest.insert("text".to_owned(), Value::String(text));
        return Ok(Value::Object(rest));
    }
    Ok(Value::Object(map))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_nan_is_null_and_quoted_nan_is_text() {
        let value = parse(r#"{"a": NaN, "b": "NaN \" NaN", "c": [-Infinity, -1]}"#).unwrap();
        assert_eq!(
            value.to_string(),
            r#"{"a":null,"b":"NaN \" NaN","c":[null,-1]}"#
        );
        assert!(parse("{\"a\": nan}").is_err());
    }

    #[test]
    fn a_missing_section_is_the_word_none() {
        assert_eq!(
            rexrank_reference(None, Some("clear")),
            "Findings: None Impression: clear"
        );
    }
}
