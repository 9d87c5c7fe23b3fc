//! CSV text as rows, whichever of the common separators it has.

use std::path::Path;

use super::error::EvaluationError;
use super::records::{ID, PREDICTION, REFERENCE, TEXT};
use crate::labeler::FindingClass;

/// Separators that are detected from a header, and their names.
const SEPARATORS: [(u8, &str); 4] = [
    (b',', "commas"),
    (b';', "semicolons"),
    (b'\t', "tabs"),
    (b'|', "bars"),
];

/// Columns that other files than those of reports have.
const OTHER_COLUMNS: [&str; 6] = [
    "findings",
    "impression",
    "mesh",
    "problems",
    "task",
    "candidate",
];

/// How pandas and spreadsheets write an empty cell.
const MISSING: [&str; 15] = [
    "nan", "NaN", "NAN", "-nan", "-NaN", "NaT", "<NA>", "NA", "N/A", "n/a", "#N/A", "#NA", "NULL",
    "null", "Null",
];

/// The text of a cell, blank for a missing-value marker.
pub(super) fn cell(text: &str) -> &str {
    if MISSING.contains(&text.trim()) {
        ""
    } else {
        text
    }
}

/// Rows of a CSV text, each with its number; all have as many fields as the first. Fields are separated by
/// commas, unless the first row has known column names only with semicolons, tabs or bars between them, or the
/// file is called `.tsv`.
pub(crate) fn csv_rows(
    path: &Path,
    text: &str,
) -> Result<Vec<(usize, Vec<String>)>, EvaluationError> {
    let (separator, name, text, skipped) = separated(path, text);
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(separator)
        .from_reader(text.as_bytes());
    let mut rows: Vec<(usize, Vec<String>)> = Vec::new();
    for (at, record) in reader.records().enumerate() {
        let row = at + 1 + skipped;
        let failed = |reason| EvaluationError::Row {
            path: path.to_owned(),
            row,
            reason,
        };
        let record = record.map_err(|error| failed(error.to_string()))?;
        let fields: Vec<String> = record.iter().map(str::to_owned).collect();
        if let Some((_, first)) = rows.first()
            && first.len() != fields.len()
        {
            let (got, expected) = (fields.len(), first.len());
            return Err(failed(format!(
                "{got} fields where the first row has {expected}: quote reports that hold {name} or line breaks"
            )));
        }
        rows.push((row, fields));
    }
    Ok(rows)
}

/// Where a column of one of these names is; names are compared without case and blanks around them.
pub(crate) fn column(header: &[String], names: &[&str]) -> Option<usize> {
    let named = |cell: &String| {
        names
            .iter()
            .any(|name| cell.trim().eq_ignore_ascii_case(name))
    };
    header.iter().position(named)
}

/// The separator of a text and its name, the text itself, and how many rows it had before: spreadsheets
/// may begin a table with `sep=;`.
fn separated<'a>(path: &Path, text: &'a str) -> (u8, &'static str, &'a str, usize) {
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    if let Some((separator, name)) =
        first
            .trim_end_matches('\r')
            .strip_prefix("sep=")
            .and_then(|declared| {
                let is_declared = |known: &&(u8, _)| declared.as_bytes() == [known.0];
                SEPARATORS.iter().find(is_declared)
            })
    {
        return (*separator, name, rest, 1);
    }
    let known = SEPARATORS.iter().find(|(separator, _)| {
        let names = first.split(char::from(*separator)).map(bare);
        names.filter(|name| is_column(name)).count() > 0
    });
    let by_ending = match path.extension().and_then(|ending| ending.to_str()) {
        Some("tsv" | "tab" | "TSV" | "TAB") => &SEPARATORS[2],
        _ => &SEPARATORS[0],
    };
    let (separator, name) = known.unwrap_or(by_ending);
    (*separator, name, text, 0)
}

/// A name without blanks and quotes around it.
fn bare(name: &str) -> &str {
    name.trim().trim_matches('"').trim()
}

fn is_column(name: &str) -> bool {
    let classes = FindingClass::all().map(FindingClass::name);
    let known = [ID, PREDICTION, REFERENCE, TEXT, &OTHER_COLUMNS, &classes].concat();
    known.iter().any(|known| known.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_tells_the_separator() {
        for (header, expected) in [
            ("id,reference,prediction", b','),
            ("id;reference;prediction", b';'),
            ("\"ID\"\t\"Reference\"\t\"Prediction\"", b'\t'),
            ("uid | findings | impression", b'|'),
            ("no edema; no effusion; clear .", b','),
            ("id,the report; as it is,gt", b','),
        ] {
            assert_eq!(
                separated(Path::new("x.csv"), header).0,
                expected,
                "{header}"
            );
        }
        let rows = csv_rows(Path::new("x.csv"), "sep=;\r\nid;gt\r\n1;a, b\r\n").expect("sound");
        assert_eq!(rows[1], (3, vec!["1".to_owned(), "a, b".to_owned()]));
        let error = csv_rows(Path::new("x.csv"), "id;gt\n1;a;b\n").unwrap_err();
        assert!(
            error
                .to_string()
                .contains("quote reports that hold semicolons"),
            "{error}"
        );
    }

    #[test]
    fn an_empty_cell_of_pandas_is_blank() {
        for (text, expected) in [
            ("nan", ""),
            (" NaN ", ""),
            ("<NA>", ""),
            ("no nan .", "no nan ."),
            ("None.", "None."),
        ] {
            assert_eq!(cell(text), expected, "{text}");
        }
    }
}
