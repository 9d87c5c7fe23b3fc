//! `ithn train --tensorboard`: a run's numbers as TensorBoard's event files, beside its JSON lines.

mod events;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ithn::config::MonitoredMetric;
use ithn::train::{EpochPlan, EpochRecord, Observer, Prediction, SplitScores, StepRecord};
use serde::Serialize;
use serde_json::Value;

use crate::failure::Failure;
use crate::output::cannot_write;
use events::{EventFile, Scalar};

/// Passes everything on to another observer and writes the numbers of steps and epochs to an event file. If the
/// file cannot be written any more, it says so once and training goes on.
pub(crate) struct TensorBoard {
    screen: Box<dyn Observer>,
    folder: PathBuf,
    file: Option<EventFile>,
    failed: bool,
}

impl TensorBoard {
    /// Files go to `folder`, made when the first numbers come: a run refuses a folder that is in use.
    pub(crate) fn new(screen: Box<dyn Observer>, folder: PathBuf) -> Self {
        TensorBoard {
            screen,
            folder,
            file: None,
            failed: false,
        }
    }

    fn write(&mut self, group: &str, step: usize, record: &impl Serialize) {
        if self.failed {
            return;
        }
        if let Err(error) = self.try_write(group, step, record) {
            self.failed = true;
            let failure = cannot_write(&self.folder, &error);
            self.screen
                .warning(&format!("{failure}; no more goes to TensorBoard"));
        }
    }

    fn try_write(&mut self, group: &str, step: usize, record: &impl Serialize) -> io::Result<()> {
        let mut scalars = Vec::new();
        collect(group, &serde_json::to_value(record)?, &mut scalars);
        if self.file.is_none() {
            fs::create_dir_all(&self.folder)?;
            self.file = Some(EventFile::create(&self.folder, step)?);
        }
        match &mut self.file {
            Some(file) => file.write(step, scalars),
            None => Ok(()),
        }
    }
}

/// The numbers of a record, named by their way to them: `epoch/losses/total`.
fn collect(name: &str, value: &Value, scalars: &mut Vec<Scalar>) {
    match value {
        Value::Object(fields) => {
            for (field, value) in fields {
                // What TensorBoard has as its own axes.
                if !["epoch", "step"].contains(&field.as_str()) {
                    collect(&format!("{name}/{field}"), value, scalars);
                }
            }
        }
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                collect(&format!("{name}/{index}"), value, scalars);
            }
        }
        Value::Number(number) => scalars.extend(number.as_f64().map(|number| Scalar {
            name: name.to_owned(),
            value: number as f32,
        })),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// Where a run's event files lie.
pub(crate) fn folder_of(run: &Path) -> PathBuf {
    run.join("tensorboard")
}

impl Observer for TensorBoard {
    fn resumes(&mut self, history: &[EpochRecord]) {
        self.screen.resumes(history);
    }

    fn monitors(&mut self, metric: MonitoredMetric) {
        self.screen.monitors(metric);
    }

    fn epoch_begins(&mut self, plan: &EpochPlan) {
        self.screen.epoch_begins(plan);
    }

    fn step_ends(&mut self, step: &StepRecord) {
        self.screen.step_ends(step);
        self.write("step", step.step, step);
    }

    fn writing(&mut self, split: &str, done: usize, total: usize) {
        self.screen.writing(split, done, total);
    }

    fn working(&mut self, work: &str, done: usize, total: usize) {
        self.screen.working(work, done, total);
    }

    fn epoch_ends(&mut self, record: &EpochRecord) {
        self.screen.epoch_ends(record);
        self.write("epoch", record.step, record);
    }

    fn note(&mut self, text: &str) {
        self.screen.note(text);
    }

    fn warning(&mut self, text: &str) {
        self.screen.warning(text);
    }

    fn results(&mut self, rows: &[(&str, &SplitScores)]) {
        self.screen.results(rows);
    }

    fn examples(&mut self, predictions: &[Prediction]) {
        self.screen.examples(predictions);
    }
}

/// Refuses a folder for event files that cannot be one.
pub(crate) fn check(run: &Path) -> Result<(), Failure> {
    let folder = folder_of(run);
    match folder.exists() && !folder.is_dir() {
        true => Err(Failure::Said(format!("{} is no folder", folder.display()))),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use ithn::train::{Console, Verbosity};

    use super::*;

    fn record(step: usize) -> StepRecord {
        StepRecord {
            step,
            total: 1.5 / step as f32,
            learning_rates: [1e-4, 2e-4],
            ..StepRecord::default()
        }
    }

    #[test]
    fn steps_are_read_back_from_the_event_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let screen = Box::new(Console::new(Verbosity::Quiet));
        let mut board = TensorBoard::new(screen, folder_of(folder.path()));
        board.step_ends(&record(1));
        board.step_ends(&record(2));
        let files = fs::read_dir(folder_of(folder.path())).expect("made");
        let files: Vec<PathBuf> = files.map(|file| file.expect("a file").path()).collect();
        assert_eq!(files.len(), 1);
        let events = events::read(&fs::read(&files[0]).expect("readable")).expect("whole");
        let of = |name: &str| -> Vec<(i64, f32)> {
            let named = events.iter().filter(|(_, found, _)| found == name);
            named.map(|(step, _, value)| (*step, *value)).collect()
        };
        assert_eq!(of("step/total"), [(1, 1.5), (2, 0.75)]);
        assert_eq!(of("step/learning_rates/1"), [(1, 2e-4), (2, 2e-4)]);
        assert!(of("step/step").is_empty());
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_said_once() {
        #[derive(Default)]
        struct Heard(std::sync::Arc<std::sync::Mutex<Vec<String>>>);
        impl Observer for Heard {
            fn epoch_begins(&mut self, _: &EpochPlan) {}
            fn step_ends(&mut self, _: &StepRecord) {}
            fn writing(&mut self, _: &str, _: usize, _: usize) {}
            fn epoch_ends(&mut self, _: &EpochRecord) {}
            fn note(&mut self, text: &str) {
                self.0.lock().expect("one thread").push(text.to_owned());
            }
            fn results(&mut self, _: &[(&str, &SplitScores)]) {}
            fn examples(&mut self, _: &[Prediction]) {}
        }
        let file = tempfile::NamedTempFile::new().expect("a file");
        let heard = Heard::default();
        let texts = std::sync::Arc::clone(&heard.0);
        let mut board = TensorBoard::new(Box::new(heard), folder_of(file.path()));
        board.step_ends(&record(1));
        board.step_ends(&record(2));
        let texts = texts.lock().expect("one thread");
        assert_eq!(texts.len(), 1, "{texts:?}");
        assert!(texts[0].contains("no more goes to TensorBoard"));
    }
}
