use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::annotation::AnnotationEntry;
use crate::error::{DataError, json_reason};
use crate::exclusion::Exclusion;
use crate::sections::ReportSections;

/// Outcome of one study.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Record {
    /// Part of the annotation.
    Kept {
        entry: Box<AnnotationEntry>,
        sections: ReportSections,
    },
    /// Excluded.
    Excluded(Exclusion),
}

impl Record {
    fn study(&self) -> &str {
        match self {
            Record::Kept { entry, .. } => &entry.id,
            Record::Excluded(exclusion) => &exclusion.study,
        }
    }
}

/// Append-only log from which an interrupted preparation resumes: the fingerprint, then one JSON record
/// per line.
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    done: HashSet<String>,
}

impl Journal {
    /// Opens or creates the journal in `folder`; drops an incomplete last line.
    ///
    /// # Errors
    ///
    /// [`DataError::PreparedOtherwise`] if it belongs to another preparation.
    pub(super) fn open(folder: &Path, fingerprint: &Value) -> Result<Self, DataError> {
        let path = folder.join("preparing.jsonl");
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(&path)
            .map_err(DataError::io("cannot open", &path))?;
        let mut journal = Journal {
            path,
            file,
            done: HashSet::new(),
        };
        if !journal.continues(folder, fingerprint)? {
            journal.append_line(fingerprint)?;
        }
        Ok(journal)
    }

    /// Reads existing records; returns whether the journal has a fingerprint.
    fn continues(&mut self, folder: &Path, fingerprint: &Value) -> Result<bool, DataError> {
        let mut lines = BufReader::new(&self.file);
        let (mut line, mut whole, mut number) = (Vec::new(), 0u64, 0u64);
        loop {
            line.clear();
            let read = lines
                .read_until(b'\n', &mut line)
                .map_err(DataError::io("cannot read", &self.path))?;
            if !line.ends_with(b"\n") {
                break;
            }
            whole += read as u64;
            number += 1;
            if number == 1 {
                let begun: Value = parse(&self.path, &line, number)?;
                if !may_continue(begun, fingerprint) {
                    return Err(DataError::PreparedOtherwise {
                        path: folder.to_owned(),
                    });
                }
            } else {
                let record: Record = parse(&self.path, &line, number)?;
                self.done.insert(record.study().to_owned());
            }
        }
        self.file
            .set_len(whole)
            .map_err(DataError::io("cannot write", &self.path))?;
        Ok(number > 0)
    }

    /// Whether a study has a record.
    pub(super) fn has(&self, study: &str) -> bool {
        self.done.contains(study)
    }

    /// Number of studies with a record.
    pub(super) fn len(&self) -> usize {
        self.done.len()
    }

    /// Appends records in one write.
    pub(super) fn append(&mut self, records: &[Record]) -> Result<(), DataError> {
        let mut lines = Vec::new();
        for record in records {
            serde_json::to_writer(&mut lines, record).map_err(|error| self.json(error))?;
            lines.push(b'\n');
            self.done.insert(record.study().to_owned());
        }
        self.file
            .write_all(&lines)
            .map_err(DataError::io("cannot write", &self.path))
    }

    fn append_line(&mut self, value: &Value) -> Result<(), DataError> {
        writeln!(self.file, "{value}").map_err(DataError::io("cannot write", &self.path))
    }

    /// Streams all records from disk, in order.
    pub(super) fn records(
        &self,
    ) -> Result<impl Iterator<Item = Result<Record, DataError>> + use<>, DataError> {
        let file = File::open(&self.path).map_err(DataError::io("cannot open", &self.path))?;
        let path = self.path.clone();
        let lines = BufReader::new(file).split(b'\n').enumerate().skip(1);
        Ok(lines.map(move |(number, line)| {
            let line = line.map_err(DataError::io("cannot read", &path))?;
            parse(&path, &line, number as u64 + 1)
        }))
    }

    /// Whether any study is kept.
    pub(super) fn keeps_any(&self) -> Result<bool, DataError> {
        for record in self.records()? {
            if matches!(record?, Record::Kept { .. }) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Deletes the journal after the results are written.
    pub(super) fn close(self) -> Result<(), DataError> {
        drop(self.file);
        std::fs::remove_file(&self.path).map_err(DataError::io("cannot remove", &self.path))
    }

    fn json(&self, error: serde_json::Error) -> DataError {
        DataError::Json {
            path: self.path.clone(),
            reason: error.to_string(),
        }
    }
}

/// Whether a journal with the fingerprint `begun` can be resumed. A preparation that stopped at a broken
/// study may be resumed with broken studies skipped.
fn may_continue(mut begun: Value, fingerprint: &Value) -> bool {
    const MODE: &str = "/options/on_bad_study";
    if let (Some(mode), Some(wanted)) = (begun.pointer_mut(MODE), fingerprint.pointer(MODE))
        && *mode == "stop"
    {
        *mode = wanted.clone();
    }
    begun == *fingerprint
}

fn parse<'a, T: Deserialize<'a>>(path: &Path, line: &'a [u8], number: u64) -> Result<T, DataError> {
    serde_json::from_slice(line).map_err(|error| DataError::Json {
        path: path.to_owned(),
        reason: format!("line {number}: {}", json_reason(&error)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exclusion::ExclusionReason;

    fn record(study: &str) -> Record {
        Record::Excluded(Exclusion {
            study: study.to_owned(),
            reason: ExclusionReason::NoSection,
            detail: String::new(),
        })
    }

    #[test]
    fn a_line_cut_short_is_written_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let fingerprint = Value::from("of this test");
        let mut journal = Journal::open(folder.path(), &fingerprint).expect("new");
        journal
            .append(&[record("s1"), record("s2")])
            .expect("writable");
        let path = folder.path().join("preparing.jsonl");
        let whole = std::fs::read(&path).expect("written");
        std::fs::write(&path, &whole[..whole.len() - 5]).expect("written");

        let mut journal = Journal::open(folder.path(), &fingerprint).expect("continued");
        assert!(journal.has("s1") && !journal.has("s2"));
        journal.append(&[record("s2")]).expect("writable");
        assert_eq!(std::fs::read(&path).expect("written"), whole);
        let records: Result<Vec<_>, _> = journal.records().expect("readable").collect();
        assert_eq!(records.expect("readable"), [record("s1"), record("s2")]);
        assert_eq!(journal.len(), 2);
    }

    #[test]
    fn one_that_stopped_at_a_broken_study_may_skip_it_but_not_the_reverse() {
        let fingerprint = |mode: &str| serde_json::json!({"options": {"on_bad_study": mode}});
        for (begun, wanted, continues) in [("stop", "skip", true), ("skip", "stop", false)] {
            let folder = tempfile::tempdir().expect("a folder");
            Journal::open(folder.path(), &fingerprint(begun)).expect("new");
            let again = Journal::open(folder.path(), &fingerprint(wanted));
            assert_eq!(again.is_ok(), continues, "{begun} to {wanted}");
        }
    }

    #[test]
    fn another_preparation_is_not_continued() {
        let folder = tempfile::tempdir().expect("a folder");
        Journal::open(folder.path(), &Value::from("one")).expect("new");
        assert!(matches!(
            Journal::open(folder.path(), &Value::from("two")),
            Err(DataError::PreparedOtherwise { .. })
        ));
    }
}
