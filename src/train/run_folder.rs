use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::error::TrainError;
use super::evaluation::Prediction;
use crate::checkpoint::write_atomically;
use crate::config::ExperimentConfig;

/// What a run leaves behind.
///
/// | file | content |
/// |---|---|
/// | `config.json` | the configuration, saved before anything else |
/// | `epochs.jsonl` | one line of losses, hardness and validation scores per epoch |
/// | `last.ithn`, `best.ithn` | checkpoints |
/// | `metrics.json` | validation and test scores, floors |
/// | `predictions.csv` | id, reference, prediction and scores of every test study |
#[derive(Debug, Clone)]
pub struct RunFolder {
    root: PathBuf,
}

impl RunFolder {
    /// Creates the folder for a new run and saves its configuration.
    ///
    /// # Errors
    ///
    /// [`TrainError::OutputInUse`] if a run is there already; I/O errors name the file.
    pub fn create(root: &Path, config: &ExperimentConfig) -> Result<Self, TrainError> {
        let folder = RunFolder {
            root: root.to_owned(),
        };
        if folder.config().exists() {
            return Err(TrainError::OutputInUse(root.to_owned()));
        }
        fs::create_dir_all(root).map_err(output_error(root))?;
        folder.write_json("config.json", config)?;
        Ok(folder)
    }

    /// Opens the folder of an earlier run.
    ///
    /// # Errors
    ///
    /// [`TrainError::NothingToResume`] if it has no configuration or no checkpoint.
    pub fn open(root: &Path) -> Result<Self, TrainError> {
        let folder = RunFolder {
            root: root.to_owned(),
        };
        for (path, name) in [
            (folder.config(), "config.json"),
            (folder.last_checkpoint(), "last.ithn"),
        ] {
            if !path.is_file() {
                return Err(TrainError::NothingToResume(root.to_owned(), name));
            }
        }
        Ok(folder)
    }

    /// The first of `<parent>/<name>-1`, `<name>-2`, … that does not exist.
    pub fn first_free(parent: &Path, name: &str) -> PathBuf {
        let mut number = 1usize;
        loop {
            let path = parent.join(format!("{name}-{number}"));
            if !path.exists() {
                return path;
            }
            number += 1;
        }
    }

    /// Writes a JSON file anywhere, whole or not at all.
    ///
    /// # Errors
    ///
    /// [`TrainError::Output`] naming the file.
    pub fn write_report(path: &Path, value: &impl Serialize) -> Result<(), TrainError> {
        let mut text = serde_json::to_vec_pretty(value)
            .map_err(|error| output_error(path)(io::Error::other(error)))?;
        text.push(b'\n');
        write_atomically(path, &text).map_err(output_error(path))
    }

    /// A folder that need hold no run, to write single files to.
    pub(crate) fn at(root: &Path) -> Self {
        RunFolder {
            root: root.to_owned(),
        }
    }

    /// Creates the folder and those above it.
    ///
    /// # Errors
    ///
    /// [`TrainError::Output`] naming it.
    pub(crate) fn make(&self) -> Result<(), TrainError> {
        fs::create_dir_all(&self.root).map_err(output_error(&self.root))
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The saved configuration.
    pub fn config(&self) -> PathBuf {
        self.root.join("config.json")
    }

    /// The checkpoint of the newest epoch.
    pub fn last_checkpoint(&self) -> PathBuf {
        self.root.join("last.ithn")
    }

    /// The checkpoint of the best validation score.
    pub fn best_checkpoint(&self) -> PathBuf {
        self.root.join("best.ithn")
    }

    /// Writes a JSON file, whole or not at all.
    ///
    /// # Errors
    ///
    /// [`TrainError::Output`] naming the file.
    pub fn write_json(&self, name: &str, value: &impl Serialize) -> Result<(), TrainError> {
        RunFolder::write_report(&self.root.join(name), value)
    }

    /// Adds a line to `epochs.jsonl`, after dropping lines of epochs that are run again.
    ///
    /// # Errors
    ///
    /// [`TrainError::Output`] naming the file.
    pub fn append_epoch(&self, epoch: usize, record: &impl Serialize) -> Result<(), TrainError> {
        let path = self.root.join("epochs.jsonl");
        let io_error = output_error(&path);
        let append = || -> io::Result<()> {
            if let Ok(earlier) = fs::read_to_string(&path) {
                let kept: Vec<&str> = earlier.lines().take(epoch - 1).collect();
                if kept.len() < earlier.lines().count() {
                    write_atomically(&path, (kept.join("\n") + "\n").as_bytes())?;
                }
            }
            let line = serde_json::to_string(record)?;
            let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
            writeln!(file, "{line}")
        };
        append().map_err(io_error)
    }

    /// Writes predictions beside references, scores of each study included.
    ///
    /// # Errors
    ///
    /// [`TrainError::Output`] naming the file.
    pub fn write_predictions(&self, name: &str, rows: &[Prediction]) -> Result<(), TrainError> {
        let path = self.root.join(name);
        let write = || -> Result<(), csv::Error> {
            let partial = path.with_extension("csv.partial");
            let mut table = csv::Writer::from_writer(File::create(&partial)?);
            table.write_record([
                "id",
                "reference",
                "prediction",
                "bleu_1",
                "bleu_2",
                "bleu_3",
                "bleu_4",
                "rouge_l",
                "cider",
            ])?;
            for row in rows {
                let mut record = vec![
                    row.id.clone(),
                    row.reference.clone(),
                    row.prediction.clone(),
                ];
                let scores = row.scores;
                let numbers = scores.bleu.iter().chain([&scores.rouge_l, &scores.cider]);
                record.extend(numbers.map(|score| format!("{score:.6}")));
                table.write_record(&record)?;
            }
            table.flush()?;
            fs::rename(&partial, &path)?;
            Ok(())
        };
        write().map_err(|error| output_error(&path)(io::Error::other(error)))
    }
}

/// An error about one file of the run.
pub(super) fn output_error(path: &Path) -> impl Fn(io::Error) -> TrainError + use<> {
    let path = path.to_owned();
    move |source| TrainError::Output {
        path: path.clone(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Preset;

    #[test]
    fn a_run_is_never_overwritten() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = Preset::Phantom.config();
        RunFolder::create(folder.path(), &config).expect("empty");
        let error = RunFolder::create(folder.path(), &config).unwrap_err();
        assert!(error.to_string().contains("--resume"), "{error}");
    }

    #[test]
    fn lines_of_epochs_run_again_are_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let run = RunFolder::create(folder.path(), &Preset::Phantom.config()).expect("empty");
        for epoch in [1, 2, 3, 2] {
            run.append_epoch(epoch, &epoch).expect("writable");
        }
        let text = fs::read_to_string(folder.path().join("epochs.jsonl")).expect("written");
        assert_eq!(text, "1\n2\n");
    }
}
