//! Cells as lines of numbers, which hold no text of a data set.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::cell::{Cell, CellResult, HardnessRecord};
use crate::error::TrainError;
use crate::records::output_error;
use crate::{RankingScores, SplitScores};

/// A file of one line per cell: read before an ablation, appended to after every cell that it lacks. It can be kept with
/// the code, so that another machine goes on where this one stopped.
#[derive(Debug)]
pub struct CellNumbers {
    path: PathBuf,
    lines: HashMap<String, Line>,
}

/// What is kept of a [`CellResult`]: all but the cell, which the plan knows by its name.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    cell: String,
    scores: SplitScores,
    ranking: RankingScores,
    hardness: Vec<HardnessRecord>,
    seconds: f64,
}

impl CellNumbers {
    /// Reads a file; one that is not there has no lines.
    ///
    /// # Errors
    ///
    /// [`TrainError::Output`] naming the file and the line that is no cell's.
    pub fn open(path: PathBuf) -> Result<Self, TrainError> {
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(output_error(&path)(error)),
        };
        let mut lines = HashMap::new();
        for (index, text) in text.lines().enumerate() {
            let line: Line = serde_json::from_str(text).map_err(|error| {
                let reason = format!(
                    "line {}: {error}; delete it to run its cell again",
                    index + 1
                );
                output_error(&path)(io::Error::other(reason))
            })?;
            lines.insert(line.cell.clone(), line);
        }
        Ok(CellNumbers { path, lines })
    }

    /// The result of a cell, if the file has it.
    pub(super) fn kept(&self, cell: &Cell) -> Option<CellResult> {
        let line = self.lines.get(&name(cell))?.clone();
        Some(CellResult {
            cell: cell.clone(),
            scores: line.scores,
            ranking: line.ranking,
            hardness: line.hardness,
            seconds: line.seconds,
        })
    }

    /// Appends a result, unless the file has it.
    ///
    /// # Errors
    ///
    /// [`TrainError::Output`] naming the file.
    pub(super) fn append(&mut self, result: &CellResult) -> Result<(), TrainError> {
        let cell = name(&result.cell);
        if self.lines.contains_key(&cell) {
            return Ok(());
        }
        let line = Line {
            cell: cell.clone(),
            scores: result.scores.clone(),
            ranking: result.ranking,
            hardness: result.hardness.clone(),
            seconds: result.seconds,
        };
        write_line(&self.path, &line).map_err(output_error(&self.path))?;
        self.lines.insert(cell, line);
        Ok(())
    }
}

/// A cell by its file's name.
fn name(cell: &Cell) -> String {
    let name = cell.file_name();
    name.strip_suffix(".json").unwrap_or(&name).to_owned()
}

fn write_line(path: &Path, line: &Line) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    file.write_all(&text)
}
