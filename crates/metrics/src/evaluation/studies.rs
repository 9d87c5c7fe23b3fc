//! Predictions paired with their references.

use std::collections::HashMap;
use std::path::Path;

use super::error::EvaluationError;
use super::formats::{self, ReadNotes, Section};
use super::records::{Record, Records};

/// A generated report with its references.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScoredStudy {
    /// Identifier; the row number where the files have none.
    pub id: String,
    /// The generated report.
    pub prediction: String,
    /// Its references, at least one.
    pub references: Vec<String>,
    /// The untouched reference, if given separately.
    pub full_reference: Option<String>,
}

impl ScoredStudy {
    /// The text whose findings are the truth: the untouched reference if given, else the first reference.
    pub(crate) fn truth(&self) -> &str {
        let first = self.references.first().map_or("", String::as_str);
        self.full_reference.as_deref().unwrap_or(first)
    }
}

/// Files of an evaluation's reports.
#[derive(Debug, Clone, Copy)]
pub struct ReportFiles<'a> {
    /// Predictions, with their references unless those are given apart.
    pub predictions: &'a Path,
    /// References, matched by id if both files have ids, else by row.
    pub references: Option<&'a Path>,
    /// Untouched references, matched likewise; may have more studies.
    pub full_references: Option<&'a Path>,
}

/// Reads predictions and references. The content of a file decides which format it has.
///
/// CSV: a header names the columns (`id`, `prediction`, `reference`, or `report` in a file of one kind; some synonyms are
/// understood), or there is one column and no header, as in R2Gen's `res.csv` and `gts.csv`. JSON: a list of texts or of
/// objects with those names, an object from id to either, or R2Gen's `annotation.json`, whose `test` split gives references.
/// Formats of other tools: see [`Format`](super::formats::Format).
///
/// # Errors
/// [`EvaluationError`] naming the file and row.
pub fn read_studies(files: ReportFiles<'_>) -> Result<Vec<ScoredStudy>, EvaluationError> {
    Ok(read(files, None, Section::Both)?.0)
}

/// Reads predictions and untouched references, those of [`ReportFiles::full_references`] if given, and makes the
/// references that predictions are compared with by `derive`: R2Gen's from raw reports, for one.
///
/// # Errors
/// As [`read_studies`].
pub fn read_untouched_studies(
    files: ReportFiles<'_>,
    derive: &dyn Fn(&str) -> String,
) -> Result<Vec<ScoredStudy>, EvaluationError> {
    Ok(read(files, Some(derive), Section::Both)?.0)
}

/// Reads one section of reports, and returns what was left out.
///
/// Of a single section, studies whose reference lacks it are left out and counted. Files that hold no
/// sections are read whole.
///
/// # Errors
/// As [`read_studies`], and [`EvaluationError::Empty`] if no reference has the section.
pub fn read_section_studies(
    files: ReportFiles<'_>,
    section: Section,
) -> Result<(Vec<ScoredStudy>, ReadNotes), EvaluationError> {
    let (mut studies, mut notes) = read(files, None, section)?;
    if section != Section::Both {
        let before = studies.len();
        let is_empty = |reference: &String| reference.trim().is_empty();
        studies.retain(|study| !study.references.iter().all(is_empty));
        notes.without_section = before - studies.len();
    }
    if studies.is_empty() {
        return Err(EvaluationError::Empty {
            path: files.references.unwrap_or(files.predictions).to_owned(),
        });
    }
    Ok((studies, notes))
}

fn read(
    files: ReportFiles<'_>,
    derive: Option<&dyn Fn(&str) -> String>,
    section: Section,
) -> Result<(Vec<ScoredStudy>, ReadNotes), EvaluationError> {
    let mut predictions = Records::read(files.predictions, section)?;
    let mut notes = ReadNotes {
        predictions: predictions.layout.format,
        ..ReadNotes::default()
    };
    unique(&predictions)?;
    let references = match files.references {
        Some(path) => {
            let mut references = Records::read(path, section)?;
            references
                .rows
                .retain(|row| row.split.as_ref().is_none_or(|split| split == "test"));
            if references.rows.is_empty() {
                return Err(EvaluationError::Empty {
                    path: path.to_owned(),
                });
            }
            notes = formats::settle(&mut predictions, &mut references)?;
            Some(matched(&predictions, &references, true)?)
        }
        None => None,
    };
    let full = match files.full_references {
        Some(path) => Some(matched(
            &predictions,
            &Records::read(path, section)?,
            false,
        )?),
        None => None,
    };
    let mut studies = Vec::with_capacity(predictions.rows.len());
    for (at, row) in predictions.rows.iter().enumerate() {
        let missing = |reason: &str| EvaluationError::Row {
            path: predictions.path.clone(),
            row: row.row,
            reason: reason.to_owned(),
        };
        let prediction = row
            .prediction
            .as_ref()
            .or(row.text.as_ref())
            .ok_or_else(|| missing("no prediction"))?;
        let full = full.as_ref().map(|full| &full[at]);
        let given = references.as_ref().map(|references| &references[at]);
        let given = match derive {
            Some(_) => full.or(given),
            None => given,
        };
        let given = given.unwrap_or(&row.references);
        let Some(first) = given.first() else {
            return Err(missing("no reference: give a file of references as well"));
        };
        let (references, full_reference) = match derive {
            Some(derive) => {
                let derived = given.iter().map(|report| derive(report)).collect();
                (derived, Some(first.clone()))
            }
            None => (given.clone(), full.and_then(|full| full.first().cloned())),
        };
        studies.push(ScoredStudy {
            id: row.id.clone().unwrap_or_else(|| row.row.to_string()),
            prediction: prediction.clone(),
            references,
            full_reference,
        });
    }
    Ok((studies, notes))
}

/// References of each row of `predictions`; `all` demands that none is left over.
fn matched(
    predictions: &Records,
    references: &Records,
    all: bool,
) -> Result<Vec<Vec<String>>, EvaluationError> {
    unique(references)?;
    let texts = |row: &Record| -> Result<Vec<String>, EvaluationError> {
        let found = match (&row.references, &row.text) {
            (references, _) if !references.is_empty() => references.clone(),
            (_, Some(text)) => vec![text.clone()],
            _ => Vec::new(),
        };
        if found.is_empty() {
            return Err(EvaluationError::Row {
                path: references.path.clone(),
                row: row.row,
                reason: "no reference".to_owned(),
            });
        }
        Ok(found)
    };
    let order = match_rows(predictions, references, all)?;
    order
        .into_iter()
        .map(|at| texts(&references.rows[at]))
        .collect()
}

fn match_rows(left: &Records, right: &Records, all: bool) -> Result<Vec<usize>, EvaluationError> {
    if !(left.has_ids() && right.has_ids()) {
        let (left_rows, right_rows) = (left.rows.len(), right.rows.len());
        if left_rows != right_rows {
            return Err(EvaluationError::RowCount {
                left: left.path.clone(),
                left_rows,
                right: right.path.clone(),
                right_rows,
            });
        }
        return Ok((0..left_rows).collect());
    }
    let places = by_id(right);
    check_all_in(left, &places, right)?;
    if all {
        check_all_in(right, &by_id(left), left)?;
    }
    Ok(left
        .rows
        .iter()
        .filter_map(|row| places.get(row.id.as_deref()?).copied())
        .collect())
}

fn by_id(records: &Records) -> HashMap<&str, usize> {
    let ids = records.rows.iter().enumerate();
    ids.filter_map(|(at, row)| Some((row.id.as_deref()?, at)))
        .collect()
}

fn check_all_in(
    records: &Records,
    places: &HashMap<&str, usize>,
    other: &Records,
) -> Result<(), EvaluationError> {
    let absent = |row: &&Record| row.id.as_deref().is_some_and(|id| !places.contains_key(id));
    let mut absent = records.rows.iter().filter(absent);
    match absent.next() {
        None => Ok(()),
        Some(row) => Err(EvaluationError::Unmatched {
            path: records.path.clone(),
            row: row.row,
            id: row.id.clone().unwrap_or_default(),
            other: other.path.clone(),
            count: 1 + absent.count(),
        }),
    }
}

fn unique(records: &Records) -> Result<(), EvaluationError> {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for row in &records.rows {
        let Some(id) = row.id.as_deref() else {
            continue;
        };
        let failed = |reason: String| EvaluationError::Row {
            path: records.path.clone(),
            row: row.row,
            reason,
        };
        if id.trim().is_empty() {
            return Err(failed("the id is empty".to_owned()));
        }
        if let Some(&first) = seen.get(id) {
            return Err(EvaluationError::DuplicateId {
                path: records.path.clone(),
                row: row.row,
                first,
                id: id.to_owned(),
            });
        }
        seen.insert(id, row.row);
    }
    Ok(())
}
