use std::error::Error;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ithn_metrics::evaluation::{RankedStudy, ranked_table};
use serde::Serialize;

use crate::error::TrainError;
use crate::evaluation::Prediction;
use ithn_checkpoint::CheckpointHeader;
use ithn_data::write_atomically;

/// The folder of a run.
///
/// | file | content |
/// |---|---|
/// | `config.json` | the configuration, saved before anything else |
/// | `run.json` | where the studies come from and how they are read |
/// | `epochs.jsonl` | one line of losses, hardness and validation scores per epoch |
/// | `steps.jsonl` | one line of losses and gradient norm per so many steps |
/// | `last.ithn`, `best.ithn`, `epoch-….ithn` | checkpoints: newest, best, of the last epochs |
/// | `negatives.json` | first negatives of the current epoch, if they are mined again |
/// | `non-finite.json` | studies and losses of the last batch whose loss or gradient was not finite |
/// | `metrics.json` | validation and test scores, baselines |
/// | `predictions.csv` | id, reference, prediction and scores of every test study |
/// | `retrieval.csv` | the scores that each test image gives its own report, random ones and its near-twin |
/// | `similarities.json` | similarities of training studies under the best weights |
/// | `report.html` | the run page, which shows all of it |
/// | `features-….bin` | features of a frozen backbone, if the run has no cache |
/// | `run.lock` | locked by the process that trains |
#[derive(Debug, Clone)]
pub struct RunFolder {
    root: PathBuf,
    /// Held for its lock, which goes with the last clone, however the process ends.
    _lock: Option<Arc<File>>,
}

impl RunFolder {
    /// Creates the folder for a new run and saves its configuration.
    ///
    /// # Errors
    ///
    /// [`TrainError::OutputInUse`] if a run is there already; I/O errors name the file.
    pub fn create(root: &Path, config: &impl Serialize) -> Result<Self, TrainError> {
        fs::create_dir_all(root).map_err(output_error(root))?;
        RunFolder::check_free(root)?;
        let mut folder = RunFolder::view(root);
        folder._lock = lock(root)?;
        folder.write_json("config.json", config)?;
        Ok(folder)
    }

    /// Checks that a new run can be written to a folder, there or not, and creates nothing.
    ///
    /// # Errors
    ///
    /// [`TrainError::OutputInUse`] if a run is there already, [`TrainError::Unwritable`] if a file is in the way
    /// or the folder is read-only.
    pub fn check_free(root: &Path) -> Result<(), TrainError> {
        let folder = RunFolder::view(root);
        let holds_a_run = [
            folder.config(),
            folder.last_checkpoint(),
            folder.best_checkpoint(),
            root.join("epochs.jsonl"),
        ]
        .iter()
        .any(|path| path.exists());
        if holds_a_run {
            return Err(TrainError::OutputInUse(root.to_owned()));
        }
        let there = root.ancestors().find(|path| path.exists());
        let Some(there) = there.filter(|path| *path != Path::new("")) else {
            return Ok(());
        };
        let refused = |reason| {
            Err(TrainError::Unwritable {
                path: there.to_owned(),
                reason,
            })
        };
        match fs::metadata(there) {
            Ok(found) if !found.is_dir() => refused("it is a file"),
            Ok(found) if found.permissions().readonly() => refused("it is read-only"),
            Ok(_) => Ok(()),
            Err(source) => Err(output_error(there)(source)),
        }
    }

    /// Opens the folder of an earlier run to continue it.
    ///
    /// # Errors
    ///
    /// [`TrainError::NothingToResume`] if it has no configuration or no checkpoint,
    /// [`TrainError::OutputBusy`] if another process is training in it.
    pub fn open(root: &Path) -> Result<Self, TrainError> {
        RunFolder::open_holding(root, &["config.json", "last.ithn"])
    }

    /// [`open`](Self::open) for a folder that must hold these files.
    pub(crate) fn open_holding(root: &Path, names: &[&'static str]) -> Result<Self, TrainError> {
        let mut folder = RunFolder::view(root);
        for name in names {
            if !root.join(name).is_file() {
                return Err(TrainError::NothingToResume(root.to_owned(), name));
            }
        }
        folder._lock = lock(root)?;
        folder.remove_partial_files()?;
        Ok(folder)
    }

    /// A folder for reading, or for writing single files. It takes no lock and needs no run.
    pub fn view(root: &Path) -> Self {
        RunFolder {
            root: root.to_owned(),
            _lock: None,
        }
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

    /// The newest checkpoint.
    pub fn last_checkpoint(&self) -> PathBuf {
        self.root.join("last.ithn")
    }

    /// The checkpoint of the best validation score.
    pub fn best_checkpoint(&self) -> PathBuf {
        self.root.join("best.ithn")
    }

    /// The checkpoint of the end of an epoch.
    pub fn epoch_checkpoint(&self, epoch: usize) -> PathBuf {
        self.root.join(format!("epoch-{epoch:05}.ithn"))
    }

    /// Removes checkpoints of epochs before the last `kept` that ended.
    ///
    /// # Errors
    ///
    /// [`TrainError::Output`] naming the file.
    pub fn remove_old_epochs(&self, epoch: usize, kept: usize) -> Result<(), TrainError> {
        let old = |name: &str| -> Option<usize> {
            let number = name.strip_prefix("epoch-")?.strip_suffix(".ithn")?;
            number.parse().ok().filter(|number| number + kept <= epoch)
        };
        let folder = fs::read_dir(&self.root).map_err(output_error(&self.root))?;
        for entry in folder {
            let path = entry.map_err(output_error(&self.root))?.path();
            let name = path.file_name().and_then(OsStr::to_str);
            if name.and_then(old).is_some() {
                fs::remove_file(&path).map_err(output_error(&path))?;
            }
        }
        Ok(())
    }

    /// Removes partial files of a killed process.
    fn remove_partial_files(&self) -> Result<(), TrainError> {
        let folder = fs::read_dir(&self.root).map_err(output_error(&self.root))?;
        for entry in folder {
            let path = entry.map_err(output_error(&self.root))?.path();
            if path.extension() == Some(OsStr::new("partial")) {
                fs::remove_file(&path).map_err(output_error(&path))?;
            }
        }
        Ok(())
    }

    /// Removes a run that ended before its first saved step, so that it can be begun again under the
    /// same name once its data is mended. A run with a saved step, and files of others, stay.
    ///
    /// # Errors
    ///
    /// [`TrainError::Checkpoint`] if the newest checkpoint cannot be read, [`TrainError::Output`] if
    /// a file cannot be removed.
    pub(crate) fn discard_untrained(&self) -> Result<(), TrainError> {
        let last = self.last_checkpoint();
        if last.is_file() && CheckpointHeader::load(&last)?.progress.step > 0 {
            return Ok(());
        }
        let of_the_run = [
            "config.json",
            "run.json",
            "steps.jsonl",
            "epochs.jsonl",
            "run.lock",
        ];
        let files = of_the_run.iter().map(|name| self.root.join(name));
        for path in files.chain([last]) {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(output_error(&path)(error));
                }
                _ => {}
            }
        }
        match fs::remove_dir(&self.root) {
            Err(error) if error.kind() != io::ErrorKind::DirectoryNotEmpty => {
                Err(output_error(&self.root)(error))
            }
            _ => Ok(()),
        }
    }

    /// Writes a JSON file, whole or not at all.
    ///
    /// # Errors
    ///
    /// [`TrainError::Output`] naming the file.
    pub fn write_json(&self, name: &str, value: &impl Serialize) -> Result<(), TrainError> {
        RunFolder::write_report(&self.root.join(name), value)
    }

    /// Writes `epochs.jsonl`, whole or not at all.
    ///
    /// # Errors
    ///
    /// [`TrainError::Output`] naming the file.
    pub fn write_epochs(&self, lines: &[String]) -> Result<(), TrainError> {
        let path = self.root.join("epochs.jsonl");
        let text: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
        write_atomically(&path, text.as_bytes()).map_err(output_error(&path))
    }

    /// Writes predictions, references and the scores of each study.
    ///
    /// # Errors
    ///
    /// [`TrainError::Output`] naming the file.
    pub fn write_predictions(&self, name: &str, rows: &[Prediction]) -> Result<(), TrainError> {
        let path = self.root.join(name);
        let table = prediction_table(rows).map_err(io::Error::other);
        table
            .and_then(|table| write_atomically(&path, &table))
            .map_err(output_error(&path))
    }

    /// Writes `retrieval.csv`: id, task, candidate and score.
    ///
    /// # Errors
    ///
    /// [`TrainError::Output`] naming the file.
    pub fn write_retrieval(&self, studies: &[RankedStudy]) -> Result<(), TrainError> {
        let path = self.root.join("retrieval.csv");
        ranked_table(studies)
            .map_err(io::Error::from)
            .and_then(|table| write_atomically(&path, &table))
            .map_err(output_error(&path))
    }
}

fn prediction_table(rows: &[Prediction]) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
    let mut table = csv::Writer::from_writer(Vec::new());
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
    Ok(table.into_inner()?)
}

/// Locks the folder for this process; none if the file system does not support locks.
fn lock(root: &Path) -> Result<Option<Arc<File>>, TrainError> {
    let path = root.join("run.lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(output_error(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(Arc::new(file))),
        Err(TryLockError::WouldBlock) => Err(TrainError::OutputBusy(root.to_owned())),
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(None),
        Err(TryLockError::Error(error)) => Err(output_error(&path)(error)),
    }
}

/// An error about one file of the run.
pub(crate) fn output_error(path: &Path) -> impl Fn(io::Error) -> TrainError + use<> {
    let path = path.to_owned();
    move |source| TrainError::Output {
        path: path.clone(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ithn_checkpoint::config::Preset;

    #[test]
    fn a_run_is_never_overwritten() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = Preset::Phantom.config();
        RunFolder::create(folder.path(), &config).expect("empty");
        let error = RunFolder::create(folder.path(), &config).unwrap_err();
        assert!(error.to_string().contains("resume it"), "{error}");
    }

    #[test]
    fn what_is_in_the_way_is_said_and_nothing_is_created() {
        let folder = tempfile::tempdir().expect("a folder");
        let free = folder.path().join("a/b");
        RunFolder::check_free(&free).expect("free");
        assert!(!folder.path().join("a").exists());
        fs::write(folder.path().join("a"), "a file").expect("writable");
        let error = RunFolder::check_free(&free).unwrap_err();
        assert!(
            matches!(&error, TrainError::Unwritable { path, .. } if path.ends_with("a")),
            "{error}"
        );
    }

    #[test]
    fn only_one_process_trains_in_a_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let run = RunFolder::create(folder.path(), &Preset::Phantom.config()).expect("empty");
        fs::write(run.last_checkpoint(), "").expect("writable");
        let error = RunFolder::open(folder.path()).unwrap_err();
        assert!(matches!(error, TrainError::OutputBusy(_)), "{error}");
        drop(run);
        assert!(RunFolder::open(folder.path()).is_ok());
    }

    #[test]
    fn checkpoints_alone_make_a_run() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("best.ithn"), "").expect("writable");
        let error = RunFolder::create(folder.path(), &Preset::Phantom.config()).unwrap_err();
        assert!(matches!(error, TrainError::OutputInUse(_)), "{error}");
    }

    #[test]
    fn checkpoints_of_the_last_epochs_stay() {
        let folder = tempfile::tempdir().expect("a folder");
        let run = RunFolder::create(folder.path(), &Preset::Phantom.config()).expect("empty");
        for epoch in 1..=12 {
            fs::write(run.epoch_checkpoint(epoch), "").expect("writable");
        }
        fs::write(folder.path().join("epoch-notes.ithn"), "").expect("writable");
        run.remove_old_epochs(12, 2).expect("removable");
        for epoch in 1..=12 {
            assert_eq!(run.epoch_checkpoint(epoch).exists(), epoch > 10, "{epoch}");
        }
        assert!(folder.path().join("epoch-notes.ithn").exists());
    }
}
