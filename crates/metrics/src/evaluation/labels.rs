//! Labels by another labeler: the CSV files that CheXpert and CheXbert write.

use std::collections::HashMap;
use std::path::Path;

use super::error::EvaluationError;
use super::records::read_text;
use super::table::{cell, column, csv_rows};
use crate::labeler::{FindingClass, Status};

/// Statuses of the 14 classes, in the order of [`FindingClass::all`].
pub type Statuses = [Option<Status>; FindingClass::COUNT];

/// A CSV file of labels: 14 columns with CheXpert's names and values 1, 0, -1 or blank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelFile {
    rows: Vec<Statuses>,
    /// Rows by id, if the file has a column of ids.
    by_id: Option<HashMap<String, usize>>,
}

impl LabelFile {
    /// Reads a file of labels; columns other than the 14 and `id` or `study_id` are ignored.
    ///
    /// # Errors
    /// [`EvaluationError`] naming the file and row.
    pub fn read(path: &Path) -> Result<Self, EvaluationError> {
        let rows = csv_rows(path, &read_text(path)?)?;
        let [(_, header), body @ ..] = rows.as_slice() else {
            return Err(EvaluationError::Empty {
                path: path.to_owned(),
            });
        };
        if body.is_empty() {
            return Err(EvaluationError::Empty {
                path: path.to_owned(),
            });
        }
        let mut columns = [0; FindingClass::COUNT];
        for class in FindingClass::all() {
            columns[class.index()] =
                column(header, &[class.name()]).ok_or_else(|| EvaluationError::Column {
                    path: path.to_owned(),
                    what: "a class",
                    expected: class.name().to_owned(),
                    found: header.join(", ").chars().take(200).collect(),
                })?;
        }
        let id = column(header, &["id", "study_id"]);
        let mut labels = Self {
            rows: Vec::new(),
            by_id: id.map(|_| HashMap::new()),
        };
        for (row, fields) in body {
            let mut statuses = [None; FindingClass::COUNT];
            for class in FindingClass::all() {
                statuses[class.index()] =
                    status(&fields[columns[class.index()]]).map_err(|reason| {
                        EvaluationError::Row {
                            path: path.to_owned(),
                            row: *row,
                            reason: format!("{}: {reason}", class.name()),
                        }
                    })?;
            }
            if let (Some(by_id), Some(id)) = (&mut labels.by_id, id)
                && let Some(first) = by_id.insert(fields[id].clone(), labels.rows.len())
            {
                return Err(EvaluationError::DuplicateId {
                    path: path.to_owned(),
                    row: *row,
                    first: body[first].0,
                    id: fields[id].clone(),
                });
            }
            labels.rows.push(statuses);
        }
        Ok(labels)
    }

    /// Labels of studies in order: by id if the file has ids, else row by row.
    ///
    /// # Errors
    /// [`EvaluationError`] if a study has no labels, or the file without ids has more or fewer rows.
    pub fn of<'a>(
        &self,
        path: &Path,
        ids: impl ExactSizeIterator<Item = &'a str>,
    ) -> Result<Vec<Statuses>, EvaluationError> {
        let layout = |reason: String| EvaluationError::Layout {
            path: path.to_owned(),
            reason,
        };
        match &self.by_id {
            None if ids.len() == self.rows.len() => Ok(self.rows.clone()),
            None => Err(layout(format!(
                "{} rows of labels for {} studies, and no column of ids",
                self.rows.len(),
                ids.len()
            ))),
            Some(by_id) => ids
                .map(|id| match by_id.get(id) {
                    Some(&row) => Ok(self.rows[row]),
                    None => Err(layout(format!("no labels for study '{id}'"))),
                })
                .collect(),
        }
    }
}

fn status(value: &str) -> Result<Option<Status>, String> {
    match cell(value).trim() {
        "" | "None" => Ok(None),
        "1" | "1.0" => Ok(Some(Status::Positive)),
        "0" | "0.0" => Ok(Some(Status::Negative)),
        "-1" | "-1.0" => Ok(Some(Status::Uncertain)),
        other => Err(format!("label '{other}': expected 1, 0, -1 or nothing")),
    }
}
