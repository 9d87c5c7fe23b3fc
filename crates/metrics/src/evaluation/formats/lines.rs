//! Files with one report per line.

use std::path::Path;

use super::{Content, Format, Layout, unknown};
use crate::evaluation::error::EvaluationError;
use crate::evaluation::records::{Record, Records, read_text};

/// Reads a report per line; blank lines are empty reports, white space at the ends of lines does not
/// count.
pub(super) fn read(path: &Path, text: &str) -> Result<Content, EvaluationError> {
    if let Some(what) = other_than_reports(text) {
        return Err(unknown(path, what));
    }
    let mut lines: Vec<&str> = text.split('\n').map(str::trim).collect();
    let may_have_empty_last = lines.pop_if(|last| last.is_empty()).is_some();
    if lines.iter().all(|line| line.is_empty()) {
        return Err(EvaluationError::Empty {
            path: path.to_owned(),
        });
    }
    let rows = lines.into_iter().enumerate();
    let rows = rows.map(|(at, line)| Record {
        row: at + 1,
        text: Some(line.to_owned()),
        ..Record::default()
    });
    let layout = Layout {
        format: Format::Lines,
        may_have_empty_last,
    };
    Ok(Content::Rows(rows.collect(), layout))
}

/// Names the format of a text that is clearly not one report per line.
fn other_than_reports(text: &str) -> Option<&'static str> {
    let start = text.trim_start();
    if start.starts_with('<') {
        return Some("HTML or XML");
    }
    if text.contains('\0') {
        return Some("a binary file");
    }
    // A header is single words; a sentence is not.
    let is_header = |line: &str, separator| {
        let mut names = line.split(separator);
        names.clone().count() > 1 && names.all(|name| !name.trim().contains(' '))
    };
    let mut lines = start.lines();
    let first = lines.next()?;
    let second = lines.next()?;
    let is_table = [',', ';', '\t'].into_iter().any(|separator| {
        let fields = |line: &str| line.split(separator).count();
        is_header(first, separator) && fields(first) == fields(second)
    });
    is_table.then_some("a table without a column of reports")
}

/// ViLMedic writes no final line feed, so that a last empty report leaves one; others end every line.
/// Where the other file has one report more, the former is meant.
pub(super) fn settle_last(left: &mut Records, right: &mut Records) {
    if left.has_ids() && right.has_ids() {
        return;
    }
    let (shorter, longer) = if left.rows.len() < right.rows.len() {
        (left, right)
    } else {
        (right, left)
    };
    if shorter.layout.may_have_empty_last && shorter.rows.len() + 1 == longer.rows.len() {
        shorter.rows.push(Record {
            row: shorter.rows.len() + 1,
            text: Some(String::new()),
            ..Record::default()
        });
    }
}

/// Reads ViLMedic's `….chexbert.txt`: a JSON list of 14 zeros and ones on every line, in CheXbert's
/// order.
///
/// # Errors
///
/// [`EvaluationError`] naming the file and line.
pub fn read_label_lines(path: &Path) -> Result<Vec<[bool; 14]>, EvaluationError> {
    let text = read_text(path)?;
    let lines = text.lines().enumerate();
    let labels = lines.map(|(at, line)| {
        let failed = |reason: String| EvaluationError::Row {
            path: path.to_owned(),
            row: at + 1,
            reason: format!("expected a list of 14 zeros and ones: {reason}"),
        };
        let numbers: [u8; 14] =
            serde_json::from_str(line).map_err(|error| failed(error.to_string()))?;
        match numbers.into_iter().find(|number| *number > 1) {
            Some(number) => Err(failed(format!("found {number}"))),
            None => Ok(numbers.map(|number| number == 1)),
        }
    });
    labels.collect()
}
