//! A training run on a full terminal screen: progress and time left, losses, similarity of images to
//! reports and to their negatives, hardness, validation scores, warnings.
//!
//! [`Dashboard`] is an [`Observer`], to pass to [`run_experiment`](ithn::train::run_experiment) in
//! place of a [`Console`].
//!
//! ```no_run
//! use ithn::config::Preset;
//! use ithn::device::DeviceName;
//! use ithn::train::{DataSource, ExperimentOptions, Interrupt, Verbosity, run_experiment};
//! use ithn_cli::dashboard::Dashboard;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let source = DataSource::Phantom("runs/phantom-studies".into());
//! let mut options = ExperimentOptions::new(source, "runs/watched".into(), DeviceName::Cpu.open()?);
//! options.interrupt = Interrupt::on_signals()?;
//! let mut dashboard = Dashboard::open("phantoms", options.interrupt.clone(), Verbosity::Normal)?;
//! run_experiment(&Preset::Phantom.config(), &options, &mut dashboard)?;
//! # Ok(())
//! # }
//! ```

mod progress;
mod screen;
mod series;
mod terminal;

use std::io::{self, IsTerminal};
use std::sync::{Arc, Mutex, MutexGuard};

use ithn::config::MonitoredMetric;
use ithn::train::{
    Console, EpochPlan, EpochRecord, Interrupt, Observer, Prediction, SplitScores, StepRecord,
    Verbosity,
};
use thiserror::Error;

use progress::{Activity, Progress};
use terminal::{Terminal, lock};

/// Shows a run on the whole terminal.
///
/// The terminal is restored when training is over, when the dashboard is dropped, or on a panic.
/// Messages from the meantime are then printed as [`Console`] prints them, so they stay in the
/// terminal. Key `q` (or Ctrl-C, which is no signal in raw mode) raises the [`Interrupt`]; a second
/// one ends the process at once with [`INTERRUPTED_STATUS`](ithn::train::INTERRUPTED_STATUS), and
/// checkpoints saved before then are intact.
#[derive(Debug)]
pub struct Dashboard {
    progress: Arc<Mutex<Progress>>,
    terminal: Terminal,
    console: Console,
    /// Output that the console has not printed yet.
    unsaid: Vec<Unsaid>,
}

/// Output for the console.
#[derive(Debug)]
enum Unsaid {
    Note(String),
    Warning(String),
    Epoch(Box<EpochRecord>),
}

/// Why the dashboard could not be opened.
#[derive(Debug, Error)]
pub enum DashboardError {
    /// Standard output is not a terminal.
    #[error("the dashboard needs a terminal, and standard output is none: run without it")]
    NotATerminal,
    /// The terminal cannot be opened for drawing.
    #[error("the terminal cannot be taken: {0}; run without the dashboard")]
    Terminal(io::Error),
}

impl Dashboard {
    /// Opens the dashboard under a title. The keys raise `interrupt`. `verbosity` applies to the
    /// output printed after the terminal is restored.
    ///
    /// # Errors
    ///
    /// If standard output is no terminal, or the terminal cannot enter raw mode.
    pub fn open(
        title: &str,
        interrupt: Interrupt,
        verbosity: Verbosity,
    ) -> Result<Self, DashboardError> {
        if !io::stdout().is_terminal() {
            return Err(DashboardError::NotATerminal);
        }
        let progress = Arc::new(Mutex::new(Progress::new(title)));
        let terminal =
            Terminal::open(Arc::clone(&progress), interrupt).map_err(DashboardError::Terminal)?;
        Ok(Dashboard {
            progress,
            terminal,
            console: Console::new(verbosity),
            unsaid: Vec::new(),
        })
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        lock(&self.progress)
    }

    /// Queues output until the dashboard has closed; prints it at once if that has happened.
    fn say(&mut self, unsaid: Unsaid) {
        self.unsaid.push(unsaid);
        if !self.terminal.is_open() {
            self.print();
        }
    }

    fn print(&mut self) {
        for unsaid in self.unsaid.drain(..) {
            match unsaid {
                Unsaid::Note(text) => self.console.note(&text),
                Unsaid::Warning(text) => self.console.warning(&text),
                Unsaid::Epoch(record) => self.console.epoch_ends(&record),
            }
        }
    }

    /// Restores the terminal and prints the queued output.
    fn close(&mut self) {
        if let Err(error) = self.terminal.close() {
            let text = format!("the dashboard ended early: {error}");
            self.unsaid.push(Unsaid::Warning(text));
        }
        self.print();
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        self.close();
    }
}

impl Observer for Dashboard {
    fn resumes(&mut self, history: &[EpochRecord]) {
        self.progress().epochs.extend_from_slice(history);
    }

    fn monitors(&mut self, metric: MonitoredMetric) {
        self.console.monitors(metric);
    }

    fn epoch_begins(&mut self, plan: &EpochPlan) {
        self.progress().epoch_begins(plan);
    }

    fn step_ends(&mut self, step: &StepRecord) {
        self.progress().step_ends(step);
    }

    fn writing(&mut self, split: &str, done: usize, total: usize) {
        self.progress().activity = Activity::Writing {
            split: split.to_owned(),
            done,
            total,
        };
    }

    fn working(&mut self, work: &str, done: usize, total: usize) {
        self.progress().activity = match done < total {
            true => Activity::Working {
                work: work.to_owned(),
                done,
                total,
            },
            false => Activity::Preparing,
        };
    }

    fn epoch_ends(&mut self, record: &EpochRecord) {
        self.progress().epoch_ends(record);
        self.say(Unsaid::Epoch(Box::new(record.clone())));
    }

    fn note(&mut self, text: &str) {
        self.progress().say(text, false);
        self.say(Unsaid::Note(text.to_owned()));
    }

    fn warning(&mut self, text: &str) {
        self.progress().say(&format!("warning: {text}"), true);
        self.say(Unsaid::Warning(text.to_owned()));
    }

    fn results(&mut self, rows: &[(&str, &SplitScores)]) {
        self.close();
        self.console.results(rows);
    }

    fn examples(&mut self, predictions: &[Prediction]) {
        self.console.examples(predictions);
    }
}
