//! CSV forms whose columns mean something of their own.

use std::collections::HashSet;
use std::path::Path;

use super::{Format, Section, section_text};
use crate::evaluation::error::EvaluationError;
use crate::evaluation::records::{ID, PREDICTION, REFERENCE, Record, TEXT};
use crate::evaluation::table::{cell, column, csv_rows};

/// Column of MLRG's image ids, of its references and of its predictions.
const MLRG: [&str; 3] = ["dicom_id", "labels", "report"];

/// The rows of a table of a form of its own; `None` if it is of the plain one, or no table.
pub(super) fn read(
    path: &Path,
    text: &str,
    section: Section,
) -> Result<Option<(Vec<Record>, Format)>, EvaluationError> {
    let Some(header) = header(text) else {
        return Ok(None);
    };
    let at = |name: &str| column(&header, &[name]);
    let has_any = |names: &[&str]| column(&header, names).is_some();
    if let [Some(id), Some(reference), Some(prediction)] = MLRG.map(at) {
        let record = |row, fields: &[String]| Record {
            row,
            id: Some(cell(&fields[id]).to_owned()),
            prediction: Some(cell(&fields[prediction]).to_owned()),
            references: vec![cell(&fields[reference]).to_owned()],
            ..Record::default()
        };
        return Ok(Some((records(path, text, record)?, Format::Mlrg)));
    }
    if let (2, Some(id), Some(report)) = (header.len(), at("study_id"), at("report")) {
        let record = |row, fields: &[String]| Record {
            row,
            id: Some(cell(&fields[id]).to_owned()),
            text: Some(cell(&fields[report]).to_owned()),
            ..Record::default()
        };
        return Ok(Some((
            records(path, text, record)?,
            Format::CxrReportMetric,
        )));
    }
    let (findings, impression) = (at("findings"), at("impression"));
    let is_plain = has_any(PREDICTION) || has_any(REFERENCE) || has_any(TEXT);
    if (findings.is_some() || impression.is_some()) && !is_plain {
        let id = column(&header, ID);
        let record = |row, fields: &[String]| {
            let field = |at: Option<usize>| at.map(|at| cell(&fields[at]));
            Record {
                row,
                id: field(id).map(str::to_owned),
                text: Some(section_text(field(findings), field(impression), section)),
                ..Record::default()
            }
        };
        return Ok(Some((records(path, text, record)?, Format::CxrMate2)));
    }
    Ok(None)
}

/// Whether the first line names a column of the plain form, whatever separates it from others.
pub(super) fn has_known_column(text: &str) -> bool {
    let Some(first) = text.lines().next() else {
        return false;
    };
    if first.starts_with("sep=") {
        return true;
    }
    let names: Vec<String> = first
        .split([',', ';', '\t', '|'])
        .map(|name| name.trim_matches(['"', ' ']).to_owned())
        .collect();
    [ID, PREDICTION, REFERENCE, TEXT]
        .into_iter()
        .any(|known| column(&names, known).is_some())
}

/// The first record of a CSV text.
fn header(text: &str) -> Option<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_bytes());
    let record = reader.records().next()?.ok()?;
    Some(record.iter().map(str::to_owned).collect())
}

fn records(
    path: &Path,
    text: &str,
    record: impl Fn(usize, &[String]) -> Record,
) -> Result<Vec<Record>, EvaluationError> {
    let rows = csv_rows(path, text)?;
    let rows = rows.iter().skip(1);
    Ok(rows.map(|(row, fields)| record(*row, fields)).collect())
}

/// Keeps the rows whose id both sides have, in the order of the ids (numbers by value), and returns
/// how many were left out on each side.
pub(super) fn keep_common(left: &mut Vec<Record>, right: &mut Vec<Record>) -> [usize; 2] {
    let ids = |rows: &[Record]| -> HashSet<String> {
        rows.iter().filter_map(|row| row.id.clone()).collect()
    };
    let common: HashSet<String> = ids(left).intersection(&ids(right)).cloned().collect();
    [left, right].map(|rows| {
        let before = rows.len();
        rows.retain(|row| row.id.as_ref().is_some_and(|id| common.contains(id)));
        rows.sort_by_cached_key(|row| {
            let id = row.id.clone().unwrap_or_default();
            (id.parse::<u64>().unwrap_or(u64::MAX), id)
        });
        before - rows.len()
    })
}
