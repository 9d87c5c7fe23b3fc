//! Scores that other tools gave to studies, with intervals and tests: whatever a CSV file holds in
//! columns of numbers keyed by study.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::MetricsError;
use crate::evaluation::EvaluationError;
use crate::evaluation::formats::{column, csv_rows, read_text};
use crate::significance::{Comparison, Interval, bootstrap_interval, compare_studies};

/// Names that the column of studies may have.
const ID: &[&str] = &[
    "id",
    "study_id",
    "uid",
    "image_id",
    "dicom_id",
    "question_id",
];

/// Cells that hold no score.
const MISSING: &[&str] = &["", "nan", "na", "null", "none"];

/// Columns of scores by study.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreTable {
    path: PathBuf,
    ids: Vec<String>,
    columns: Vec<ScoreColumn>,
    /// Columns that hold texts.
    pub left_out: Vec<String>,
}

/// A column of scores.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreColumn {
    /// Its header.
    pub name: String,
    /// A score for every study of the table, `None` where the cell is empty or NaN.
    pub scores: Vec<Option<f64>>,
}

/// Mean of a column, and how sure it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScoreSummary {
    /// The column.
    pub score: String,
    /// Studies with a score.
    pub studies: usize,
    /// Studies without one, which the mean leaves out.
    pub missing: usize,
    /// Mean over the former.
    pub mean: f64,
    /// 95 % bootstrap interval of the mean.
    pub interval: Interval,
}

/// Two systems compared on a column.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScoreComparison {
    /// The column.
    pub score: String,
    /// The system subtracted.
    pub other: String,
    /// The system it is subtracted from.
    pub this: String,
    /// Studies for which both have a score.
    pub studies: usize,
    /// Mean of the other system over these.
    pub other_mean: f64,
    /// Mean of this system over these.
    pub this_mean: f64,
    /// This minus other, p-value of paired randomisation and 95 % bootstrap interval.
    #[serde(flatten)]
    pub comparison: Comparison,
    /// The p-value after Holm's correction over all pairs of systems on this column.
    pub holm_p_value: f64,
}

impl ScoreTable {
    /// A table of scores from elsewhere; `name` stands for the file in messages.
    ///
    /// # Panics
    ///
    /// If a column has not as many scores as there are ids.
    pub fn new(name: impl Into<PathBuf>, ids: Vec<String>, columns: Vec<ScoreColumn>) -> Self {
        for column in &columns {
            assert_eq!(column.scores.len(), ids.len(), "{}", column.name);
        }
        Self {
            path: name.into(),
            ids,
            columns,
            left_out: Vec::new(),
        }
    }

    /// Reads a CSV file with a column of study ids and any others; those whose first cell is a number
    /// are scores.
    ///
    /// # Errors
    ///
    /// [`EvaluationError`] if there is no column of ids or of numbers, an id is empty or
    /// duplicated, or a column of numbers holds something else.
    pub fn read(path: &Path) -> Result<Self, EvaluationError> {
        let rows = csv_rows(path, &read_text(path)?)?;
        let [(_, header), body @ ..] = rows.as_slice() else {
            return Err(empty(path));
        };
        if body.is_empty() {
            return Err(empty(path));
        }
        let missing_column = |what: &'static str, expected: String| EvaluationError::Column {
            path: path.to_owned(),
            what,
            expected,
            found: header.join(", ").chars().take(200).collect(),
        };
        let key = column(header, ID).ok_or_else(|| missing_column("study ids", ID.join(", ")))?;
        let mut table = Self {
            path: path.to_owned(),
            ids: ids(path, key, body)?,
            columns: Vec::new(),
            left_out: Vec::new(),
        };
        for (at, name) in header.iter().enumerate().filter(|(at, _)| *at != key) {
            let name = name.trim().to_owned();
            if is_numeric(body.iter().map(|(_, fields)| fields[at].as_str())) {
                let scores = scores(path, &name, at, body)?;
                table.columns.push(ScoreColumn { name, scores });
            } else {
                table.left_out.push(name);
            }
        }
        if table.columns.is_empty() {
            return Err(missing_column(
                "scores",
                "any name, with numbers below it".to_owned(),
            ));
        }
        Ok(table)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Studies, in the order of the file.
    pub fn ids(&self) -> &[String] {
        &self.ids
    }

    /// Columns of scores, in the order of the file.
    pub fn columns(&self) -> &[ScoreColumn] {
        &self.columns
    }

    /// The scores of the column of this name, upper and lower case alike; NaN for a study without a score. `None` if there
    /// is no such column.
    pub fn column(&self, name: &str) -> Option<Vec<f64>> {
        let column = self.find(name)?;
        let scores = column.scores.iter();
        Some(scores.map(|score| score.unwrap_or(f64::NAN)).collect())
    }

    fn find(&self, name: &str) -> Option<&ScoreColumn> {
        let columns = self.columns.iter();
        let mut named = columns.filter(|column| column.name.eq_ignore_ascii_case(name));
        named.next()
    }

    /// Mean and interval of every column that has a score.
    ///
    /// # Errors
    ///
    /// [`MetricsError::Empty`] if `draws` is 0.
    pub fn summaries(&self, draws: usize, seed: u64) -> Result<Vec<ScoreSummary>, MetricsError> {
        let summary = |column: &ScoreColumn| {
            let scores: Vec<f64> = column.scores.iter().flatten().copied().collect();
            if scores.is_empty() {
                return None;
            }
            let drawn = |positions: &[usize]| {
                positions.iter().map(|&at| scores[at]).sum::<f64>() / positions.len() as f64
            };
            let interval = bootstrap_interval(scores.len(), drawn, draws, seed);
            Some(interval.map(|interval| ScoreSummary {
                score: column.name.clone(),
                studies: scores.len(),
                missing: column.scores.len() - scores.len(),
                mean: scores.iter().sum::<f64>() / scores.len() as f64,
                interval,
            }))
        };
        std::thread::scope(|scope| {
            let running: Vec<_> = self
                .columns
                .iter()
                .map(|column| scope.spawn(move || summary(column)))
                .collect();
            let joined = running.into_iter().filter_map(|thread| {
                let outcome = thread.join();
                outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            });
            joined.collect()
        })
    }
}

fn empty(path: &Path) -> EvaluationError {
    EvaluationError::Empty {
        path: path.to_owned(),
    }
}

type Row = (usize, Vec<String>);

fn ids(path: &Path, key: usize, body: &[Row]) -> Result<Vec<String>, EvaluationError> {
    let mut first: HashMap<&str, usize> = HashMap::new();
    let mut ids = Vec::with_capacity(body.len());
    for (row, fields) in body {
        let id = fields[key].trim();
        if id.is_empty() {
            return Err(EvaluationError::Row {
                path: path.to_owned(),
                row: *row,
                reason: "the id is empty".to_owned(),
            });
        }
        if let Some(first) = first.insert(id, *row) {
            return Err(EvaluationError::DuplicateId {
                path: path.to_owned(),
                row: *row,
                first,
                id: id.to_owned(),
            });
        }
        ids.push(id.to_owned());
    }
    Ok(ids)
}

fn is_missing(cell: &str) -> bool {
    MISSING
        .iter()
        .any(|missing| cell.eq_ignore_ascii_case(missing))
}

/// Whether the first cell that holds something holds a number.
fn is_numeric<'a>(cells: impl Iterator<Item = &'a str>) -> bool {
    let mut filled = cells.map(str::trim).filter(|cell| !is_missing(cell));
    filled
        .next()
        .is_some_and(|cell| cell.parse::<f64>().is_ok())
}

fn scores(
    path: &Path,
    name: &str,
    at: usize,
    body: &[Row],
) -> Result<Vec<Option<f64>>, EvaluationError> {
    body.iter()
        .map(|(row, fields)| match fields[at].trim() {
            cell if is_missing(cell) => Ok(None),
            cell => match cell.parse::<f64>() {
                Ok(score) if score.is_finite() => Ok(Some(score)),
                _ => Err(EvaluationError::Row {
                    path: path.to_owned(),
                    row: *row,
                    reason: format!(
                        "column '{name}' holds '{}', which is no finite number",
                        cell.chars().take(40).collect::<String>()
                    ),
                }),
            },
        })
        .collect()
}

/// Compares every pair of systems on every column that all have, over the studies for which both
/// have a score; p-values corrected by Holm over the pairs of a column.
///
/// `systems` are names and tables; the first of a pair is the one subtracted.
///
/// # Errors
///
/// [`EvaluationError`] if no column is common to all, or a pair shares no study in one.
pub fn compare_scores(
    systems: &[(&str, &ScoreTable)],
    draws: usize,
    seed: u64,
) -> Result<Vec<ScoreComparison>, EvaluationError> {
    let Some(((_, first), others)) = systems.split_first() else {
        return Ok(Vec::new());
    };
    let common: Vec<&str> = first
        .columns
        .iter()
        .map(|column| column.name.as_str())
        .filter(|name| others.iter().all(|(_, table)| table.find(name).is_some()))
        .collect();
    if common.is_empty() {
        return Err(EvaluationError::Layout {
            path: first.path.clone(),
            reason: "no column of scores that the other files have as well".to_owned(),
        });
    }
    let mut all = Vec::new();
    for name in common {
        let mut of_column = Vec::new();
        for (at, other) in systems.iter().enumerate() {
            for this in &systems[at + 1..] {
                of_column.push(compare_pair(name, *other, *this, draws, seed)?);
            }
        }
        let p_values: Vec<f64> = of_column
            .iter()
            .map(|pair: &ScoreComparison| pair.comparison.test.p_value)
            .collect();
        for (pair, corrected) in of_column.iter_mut().zip(holm(&p_values)) {
            pair.holm_p_value = corrected;
        }
        all.append(&mut of_column);
    }
    Ok(all)
}

fn compare_pair(
    name: &str,
    (other_name, other): (&str, &ScoreTable),
    (this_name, this): (&str, &ScoreTable),
    draws: usize,
    seed: u64,
) -> Result<ScoreComparison, EvaluationError> {
    let by_id = |table: &ScoreTable| -> HashMap<String, f64> {
        let scores = table.find(name).map_or(&[][..], |column| &column.scores);
        let scored = table.ids.iter().zip(scores);
        scored
            .filter_map(|(id, score)| Some((id.clone(), (*score)?)))
            .collect()
    };
    let (others, theirs) = (by_id(other), by_id(this));
    let (a, b): (Vec<f64>, Vec<f64>) = other
        .ids
        .iter()
        .filter_map(|id| Some((*others.get(id)?, *theirs.get(id)?)))
        .unzip();
    if a.is_empty() {
        return Err(EvaluationError::Layout {
            path: this.path.clone(),
            reason: format!(
                "no study has a score '{name}' both here and in {}",
                other.path.display()
            ),
        });
    }
    let mean = |scores: &[&f64]| scores.iter().copied().sum::<f64>() / scores.len() as f64;
    let comparison = compare_studies(&a, &b, mean, draws, seed)?;
    let mean_of = |scores: &[f64]| scores.iter().sum::<f64>() / scores.len() as f64;
    Ok(ScoreComparison {
        score: name.to_owned(),
        other: other_name.to_owned(),
        this: this_name.to_owned(),
        studies: a.len(),
        other_mean: mean_of(&a),
        this_mean: mean_of(&b),
        holm_p_value: comparison.test.p_value,
        comparison,
    })
}

/// Holm's step-down correction (1979): p-values, in the order given, that hold the probability of any
/// false rejection to the level they are compared with.
///
/// # Example
/// ```
/// use ithn_metrics::clinical::scores::holm;
///
/// assert_eq!(holm(&[0.01, 0.04, 0.03]), [0.03, 0.06, 0.06]);
/// ```
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut corrected = vec![0.0; p_values.len()];
    let mut highest: f64 = 0.0;
    for (rank, at) in order.into_iter().enumerate() {
        let factor = (p_values.len() - rank) as f64;
        highest = highest.max((factor * p_values[at]).min(1.0));
        corrected[at] = highest;
    }
    corrected
}

#[cfg(test)]
mod tests;
