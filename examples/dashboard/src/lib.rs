//! A training run on a full terminal screen: progress and time left, losses, similarity of images to
//! reports and to their negatives, hardness, validation scores, warnings.
//!
//! [`Dashboard`] is an [`Observer`], to be given to
//! [`run_experiment`](ithn::train::run_experiment) in place of a [`Console`]; it is a crate of its own,
//! so that nobody builds a terminal library who does not want one.
//!
//! ```no_run
//! use ithn::config::Preset;
//! use ithn::device::DeviceName;
//! use ithn::train::{DataSource, ExperimentOptions, Interrupt, Verbosity, run_experiment};
//! use ithn_dashboard::Dashboard;
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

use ithn::train::{
    Console, EpochPlan, EpochRecord, Interrupt, Observer, Prediction, SplitScores, StepRecord,
    Verbosity,
};
use thiserror::Error;

use progress::{Activity, Progress};
use terminal::{Terminal, lock};

/// Shows a run on the whole terminal.
///
/// The screen is given back when training is over, when the dashboard is dropped, or on a panic; what
/// was said meanwhile is then printed as [`Console`] prints it, so that it stays in the terminal. Key
/// `q` (or Ctrl-C, which is no signal while the screen is taken) raises the [`Interrupt`]; a second
/// one ends the process at once with [`INTERRUPTED_STATUS`](ithn::train::INTERRUPTED_STATUS), and
/// what was saved before then is whole.
#[derive(Debug)]
pub struct Dashboard {
    progress: Arc<Mutex<Progress>>,
    terminal: Terminal,
    console: Console,
    /// What the console has still to print.
    unsaid: Vec<Unsaid>,
}

/// Something for the console.
#[derive(Debug)]
enum Unsaid {
    Note(String),
    Warning(String),
    Epoch(Box<EpochRecord>),
}

/// Why there is no dashboard.
#[derive(Debug, Error)]
pub enum DashboardError {
    /// Standard output goes elsewhere.
    #[error("the dashboard needs a terminal, and standard output is none: run without it")]
    NotATerminal,
    /// A terminal that cannot be drawn on.
    #[error("the terminal cannot be taken: {0}; run without the dashboard")]
    Terminal(io::Error),
}

impl Dashboard {
    /// Takes the screen, under a title. `interrupt` is what the keys raise; `verbosity` is for what is
    /// printed once the screen is given back.
    ///
    /// # Errors
    ///
    /// If standard output is no terminal, or the system does not let it be taken.
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

    /// Keeps it for the console, which waits for the screen.
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

    /// Gives the screen back and prints what was said.
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
