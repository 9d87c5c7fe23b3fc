//! Golden numbers of other tools' code against this crate, for any folder of the layout of
//! `tests/fixtures/clinical`: sizes and texts are read from the folder.

mod formats;
mod graphs;
mod policies;
mod texts;

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use crate::evaluation::EvaluationError;
use crate::evaluation::formats::read_json;

/// One quantity, compared over a whole folder.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Check {
    /// What was compared.
    pub name: String,
    /// Largest absolute difference, or the number of entries that differ where they must be equal.
    pub difference: f64,
    /// Largest difference that passes; 0 where entries must be equal.
    pub tolerance: f64,
    /// Whether the difference is a number within the tolerance.
    pub passed: bool,
}

/// The folders that [`parity`] checks, in its order.
pub const FAMILIES: [&str; 5] = ["policies", "radgraph", "radcliq", "temporal", "formats"];

/// Splits a text into word pieces.
pub type WordPieces<'a> = &'a dyn Fn(&str) -> Vec<u32>;

/// Compares one of [`FAMILIES`] in `folder` (which holds the family's own folder).
///
/// `word_pieces` is the tokenizer of the fixtures of CheXbert beside it; without it the trigrams of
/// word pieces are not compared.
///
/// # Errors
///
/// [`EvaluationError`] if a file is missing or malformed, or no family is called so.
pub fn parity(
    folder: &Path,
    family: &str,
    word_pieces: Option<WordPieces<'_>>,
) -> Result<Vec<Check>, EvaluationError> {
    let folder = folder.join(family);
    match family {
        "policies" => policies::run(&folder),
        "radgraph" => graphs::radgraph(&folder),
        "radcliq" => graphs::radcliq(&folder),
        "temporal" => texts::run(&folder, word_pieces),
        "formats" => formats::run(&folder),
        _ => Err(EvaluationError::Layout {
            path: folder,
            reason: format!(
                "no family of fixtures: expected one of {}",
                FAMILIES.join(", ")
            ),
        }),
    }
}

/// A JSON file of golden numbers.
struct Golden {
    path: PathBuf,
    value: Value,
}

/// Numbers that must be there: a missing key in the file is an error, never a pass.
impl Golden {
    fn read(folder: &Path, name: &str) -> Result<Self, EvaluationError> {
        let path = folder.join(name);
        Ok(Self {
            value: read_json(&path)?,
            path,
        })
    }

    fn layout(&self, reason: String) -> EvaluationError {
        EvaluationError::Layout {
            path: self.path.clone(),
            reason,
        }
    }

    /// The value at a JSON pointer.
    fn at(&self, pointer: &str) -> Result<&Value, EvaluationError> {
        let found = self.value.pointer(pointer);
        found.ok_or_else(|| self.layout(format!("nothing at {pointer}")))
    }

    /// The number at a JSON pointer; NaN for `null`.
    fn number(&self, pointer: &str) -> Result<f64, EvaluationError> {
        match self.at(pointer)? {
            Value::Null => Ok(f64::NAN),
            value => value
                .as_f64()
                .ok_or_else(|| self.layout(format!("no number at {pointer}"))),
        }
    }

    fn list(&self, pointer: &str) -> Result<&Vec<Value>, EvaluationError> {
        let list = self.at(pointer)?.as_array();
        list.ok_or_else(|| self.layout(format!("no list at {pointer}")))
    }

    fn text(&self, pointer: &str) -> Result<&str, EvaluationError> {
        let text = self.at(pointer)?.as_str();
        text.ok_or_else(|| self.layout(format!("no text at {pointer}")))
    }
}

/// Gathers the largest difference of a check.
struct Largest {
    name: String,
    difference: f64,
    compared: usize,
}

impl Largest {
    fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            difference: 0.0,
            compared: 0,
        }
    }

    /// Compares numbers; NaN equals NaN alone.
    fn number(&mut self, expected: f64, found: f64) {
        self.compared += 1;
        let difference = match (expected.is_nan(), found.is_nan()) {
            (true, true) => 0.0,
            (false, false) => (expected - found).abs(),
            _ => f64::INFINITY,
        };
        self.difference = self.difference.max(difference);
    }

    /// Compares what must be equal.
    fn equal<A: PartialEq<B>, B>(&mut self, expected: A, found: B) {
        self.compared += 1;
        self.difference += f64::from(u8::from(expected != found));
    }

    /// The check, which fails if nothing was compared.
    fn within(self, tolerance: f64) -> Check {
        let difference = if self.compared == 0 {
            f64::INFINITY
        } else {
            self.difference
        };
        Check {
            name: self.name,
            difference,
            tolerance,
            passed: difference <= tolerance,
        }
    }
}
