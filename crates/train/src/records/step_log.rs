use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::PathBuf;

use serde::Deserialize;

use super::folder::{RunFolder, output_error};
use super::step::StepRecord;
use crate::error::TrainError;
use ithn_data::write_atomically;

/// `steps.jsonl`: a line per so many optimiser steps.
///
/// Lines are on disk before the checkpoint that comes after them, so that a resumed run, which drops
/// those after its checkpoint, leaves the file that an uninterrupted one would.
#[derive(Debug)]
pub(crate) struct StepLog {
    path: PathBuf,
    every: usize,
    file: Option<BufWriter<File>>,
}

#[derive(Deserialize)]
struct StepNumber {
    step: usize,
}

impl StepLog {
    /// Opens the log of a run that has taken `steps` steps; one that logs nothing if `every` is 0.
    pub(crate) fn open(folder: &RunFolder, every: usize, steps: usize) -> Result<Self, TrainError> {
        let path = folder.root().join("steps.jsonl");
        let mut log = StepLog {
            file: None,
            every,
            path,
        };
        if every > 0 {
            let file = log.keep_until(steps).map_err(output_error(&log.path))?;
            log.file = Some(BufWriter::new(file));
        }
        Ok(log)
    }

    /// Drops lines of steps that will be taken again, and a last line that was cut.
    fn keep_until(&self, steps: usize) -> io::Result<File> {
        if self.path.exists() {
            let mut kept = Vec::new();
            let mut dropped = false;
            for line in BufReader::new(File::open(&self.path)?).split(b'\n') {
                let line = line?;
                match serde_json::from_slice::<StepNumber>(&line) {
                    Ok(number) if number.step <= steps => {
                        kept.extend_from_slice(&line);
                        kept.push(b'\n');
                    }
                    _ => dropped = true,
                }
            }
            if dropped {
                write_atomically(&self.path, &kept)?;
            }
        }
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path)
    }

    pub(crate) fn record(&mut self, record: &StepRecord) -> Result<(), TrainError> {
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        if !record.step.is_multiple_of(self.every) {
            return Ok(());
        }
        serde_json::to_writer(&mut *file, record)
            .map_err(io::Error::other)
            .and_then(|()| file.write_all(b"\n"))
            .map_err(output_error(&self.path))
    }

    /// Flushes all lines to disk.
    pub(crate) fn sync(&mut self) -> Result<(), TrainError> {
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        file.flush()
            .and_then(|()| file.get_ref().sync_data())
            .map_err(output_error(&self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ithn_checkpoint::config::Preset;
    use std::fs;

    fn take(log: &mut StepLog, steps: std::ops::RangeInclusive<usize>) {
        for step in steps {
            let record = StepRecord {
                step,
                ..StepRecord::default()
            };
            log.record(&record).expect("writable");
        }
        log.sync().expect("writable");
    }

    #[test]
    fn a_resumed_log_is_that_of_an_uninterrupted_run() {
        let texts = ["whole", "resumed"].map(|name| {
            let folder = tempfile::tempdir().expect("a folder");
            let run = RunFolder::create(folder.path(), &Preset::Phantom.config()).expect("empty");
            let path = folder.path().join("steps.jsonl");
            if name == "whole" {
                take(&mut StepLog::open(&run, 2, 0).expect("writable"), 1..=9);
            } else {
                take(&mut StepLog::open(&run, 2, 0).expect("writable"), 1..=7);
                let mut file = OpenOptions::new().append(true).open(&path).expect("there");
                file.write_all(b"{\"step\": 8, \"los").expect("writable");
                take(&mut StepLog::open(&run, 2, 5).expect("writable"), 6..=9);
            }
            fs::read_to_string(path).expect("written")
        });
        assert_eq!(texts[0].lines().count(), 4);
        assert_eq!(texts[0], texts[1]);
    }
}
