use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;

use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::output::{OutputFile, cannot_write};

/// What has been written so far: a line of JSON that says by what, and one for each study.
pub(super) struct Progress {
    /// Reports by study.
    pub(super) reports: Map<String, Value>,
    /// The file, unless the submission goes to standard output.
    file: Option<(File, PathBuf)>,
}

impl Progress {
    /// Reads what an earlier run left, and goes on from there.
    pub(super) fn open(out: &OutputFile, header: Value) -> Result<Self, Failure> {
        if out.is_standard_output() {
            return Ok(Progress {
                reports: Map::new(),
                file: None,
            });
        }
        let path = PathBuf::from(format!("{out}.progress"));
        let header_line = header.to_string();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(Failure::Said(format!("{}: {error}", path.display()))),
        };
        // An interruption may have cut the last line.
        let lines = text
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'));
        let mut lines = lines.map(str::trim_end);
        let mut reports = Map::new();
        if let Some(first) = lines.next() {
            let foreign = |what: &str| {
                Failure::Said(format!(
                    "{} {what}: delete it to write all reports again",
                    path.display()
                ))
            };
            if first != header_line {
                return Err(foreign(
                    "was written by another checkpoint or other options",
                ));
            }
            for line in lines {
                match serde_json::from_str::<(String, String)>(line) {
                    Ok((id, text)) => {
                        reports.insert(id, text.into());
                    }
                    Err(_) => return Err(foreign("holds something else than reports")),
                }
            }
        }
        let failed = |error: io::Error| cannot_write(&path, &error);
        let mut whole = vec![header];
        whole.extend(reports.iter().map(|(id, text)| json!([id, text])));
        let whole: String = whole.iter().map(|line| format!("{line}\n")).collect();
        ithn::data::write_atomically(&path, whole.as_bytes()).map_err(failed)?;
        let file = OpenOptions::new()
            .append(true)
            .open(&path)
            .map_err(failed)?;
        Ok(Progress {
            reports,
            file: Some((file, path)),
        })
    }

    pub(super) fn add(&mut self, id: &str, text: Value) -> Result<(), Failure> {
        if let Some((file, path)) = &mut self.file {
            let line = format!("{}\n", json!([id, &text]));
            let written = file.write_all(line.as_bytes());
            written.map_err(|error| cannot_write(path, &error))?;
        }
        self.reports.insert(id.to_owned(), text);
        Ok(())
    }

    pub(super) fn remove(self) -> Result<(), Failure> {
        match self.file {
            Some((file, path)) => {
                drop(file);
                fs::remove_file(&path).map_err(|error| cannot_write(&path, &error))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_line_is_written_again_and_another_checkpoint_refused() {
        let folder = tempfile::tempdir().unwrap();
        let out: OutputFile = folder
            .path()
            .join("out.json")
            .to_str()
            .unwrap()
            .parse()
            .unwrap();
        let header = json!({"checkpoint": 1});
        let mut progress = Progress::open(&out, header.clone()).unwrap();
        progress.add("a", Value::from("clear\n")).unwrap();
        drop(progress);
        let path = folder.path().join("out.json.progress");
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"[\"b\",\"cu").unwrap();
        let again = Progress::open(&out, header).unwrap();
        assert_eq!(
            Value::Object(again.reports.clone()),
            json!({"a": "clear\n"})
        );
        let Err(error) = Progress::open(&out, json!({"checkpoint": 2})) else {
            panic!("another checkpoint");
        };
        assert!(error.to_string().contains("another checkpoint"));
        again.remove().unwrap();
        assert!(!path.exists());
    }
}
