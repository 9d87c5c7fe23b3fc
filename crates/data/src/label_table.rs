//! Tables of findings by study, such as MIMIC-CXR-JPG's `mimic-cxr-2.0.0-chexpert.csv`.

use std::collections::HashMap;
use std::path::Path;

use crate::error::DataError;
use crate::labels::{CHEXPERT_LABELS, Label, Labels};
use crate::table::Table;

/// Columns that may name the study; the first one present does.
const ID_COLUMNS: [&str; 3] = ["study_id", "id", "study"];

/// Labels by study.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelTable {
    rows: HashMap<String, Labels>,
    columns: Vec<&'static str>,
}

impl LabelTable {
    /// Labels of a study, by the id as the table has it, or with or without the `s` that MIMIC-CXR's
    /// files put before it.
    pub fn get(&self, study: &str) -> Option<&Labels> {
        let other = match study.strip_prefix('s') {
            Some(number) => number.to_owned(),
            None => format!("s{study}"),
        };
        self.rows.get(study).or_else(|| self.rows.get(&other))
    }

    /// The findings that the table has columns for, in the order of [`CHEXPERT_LABELS`].
    pub fn columns(&self) -> &[&'static str] {
        &self.columns
    }

    /// Studies in the table.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether it has no study.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// Reads a CSV file, gzipped or not: a column `study_id`, `id` or `study`, and one or more of
/// [`CHEXPERT_LABELS`] with 1 (present), 0 (absent), -1 (uncertain) or a blank (not mentioned). Other
/// columns are ignored.
///
/// # Errors
///
/// [`DataError`] naming the file and the row: if it cannot be read, has no column of ids or of
/// findings, a value is none of these, or a study comes twice.
pub fn read_label_table(path: &Path) -> Result<LabelTable, DataError> {
    let table = Table::open(path)?;
    let id = ID_COLUMNS
        .iter()
        .find_map(|name| table.optional_column(name));
    let id = match id {
        Some(id) => id,
        None => table.column(ID_COLUMNS[0])?,
    };
    let findings: Vec<(usize, usize)> = CHEXPERT_LABELS
        .iter()
        .enumerate()
        .filter_map(|(finding, name)| Some((finding, table.optional_column(name)?)))
        .collect();
    if findings.is_empty() {
        // Names a column that it lacks, and those it has.
        table.column(CHEXPERT_LABELS[0])?;
    }
    let mut rows = HashMap::new();
    let visit = |row: &crate::table::Row| {
        let study = row.id(id);
        if study.is_empty() {
            return Err("the row names no study".to_owned());
        }
        let mut labels = Labels::default();
        for &(finding, column) in &findings {
            let label = Label::parse(row.get(column));
            labels.0[finding] =
                label.map_err(|reason| format!("{}: {reason}", CHEXPERT_LABELS[finding]))?;
        }
        match rows.insert(study.to_owned(), labels) {
            None => Ok(()),
            Some(_) => Err(format!("study {study} has a row before")),
        }
    };
    table.for_each_or(visit, |_, error| Err(error))?;
    Ok(LabelTable {
        rows,
        columns: findings
            .iter()
            .map(|&(finding, _)| CHEXPERT_LABELS[finding])
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(contents: &str) -> Result<LabelTable, DataError> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("labels.csv");
        std::fs::write(&path, contents).expect("written");
        read_label_table(&path)
    }

    #[test]
    fn mimics_table_is_read_by_study() {
        let table =
            read("subject_id,study_id,Edema,Pleural Effusion\n10,50,1.0,\n10,51,-1.0,0.0\n")
                .expect("a table");
        assert_eq!((table.len(), table.columns().len()), (2, 2));
        let labels = table.get("s50").expect("a study");
        assert_eq!(labels.get("Edema"), Some(Label::Positive));
        assert_eq!(labels.get("Pleural Effusion"), None);
        let labels = table.get("51").expect("a study");
        assert_eq!(labels.get("Edema"), Some(Label::Uncertain));
        assert_eq!(table.get("52"), None);
    }

    #[test]
    fn what_is_wrong_is_named_by_row_and_column() {
        for (contents, part) in [
            ("study_id,Gout\n1,1\n", "no column 'Atelectasis'"),
            ("Edema\n1\n", "no column 'study_id'"),
            ("id,Edema\n1,2\n", "line 2: Edema: label '2'"),
            ("id,Edema\n1,1\n1,0\n", "line 3: study 1 has a row before"),
            ("id,Edema\n,1\n", "line 2: the row names no study"),
        ] {
            let error = read(contents).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
