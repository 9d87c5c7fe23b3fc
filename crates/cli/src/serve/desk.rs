//! The thread that writes: it takes waiting studies batch by batch, and outlives what goes wrong in one.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use ithn::inference::{FilmStudy, InferenceError, ReportWriter, StudySheet, WrittenReport};
use ithn::models::ContextConfig;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::refusal::Refusal;

/// What writes the reports of a [`Server`](super::Server): a [`ReportWriter`], or in tests another.
pub trait StudyWriter: Send + 'static {
    /// Films of a study that are read.
    fn views(&self) -> usize;

    /// What is read beside them; nothing unless overridden.
    fn reads(&self) -> Option<ContextConfig> {
        None
    }

    /// Reports of several studies in one batch, best first.
    ///
    /// # Errors
    ///
    /// If the reports of any of them cannot be written.
    fn reports(&self, studies: &[FilmStudy]) -> Result<Vec<Vec<WrittenReport>>, InferenceError>;

    /// The best report of a study with the attention of each word.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    fn explain(&self, study: &FilmStudy) -> Result<StudySheet, InferenceError>;
}

impl StudyWriter for ReportWriter {
    fn views(&self) -> usize {
        ReportWriter::views(self)
    }

    fn reads(&self) -> Option<ContextConfig> {
        ReportWriter::reads(self)
    }

    fn reports(&self, studies: &[FilmStudy]) -> Result<Vec<Vec<WrittenReport>>, InferenceError> {
        ReportWriter::reports(self, studies)
    }

    fn explain(&self, study: &FilmStudy) -> Result<StudySheet, InferenceError> {
        ReportWriter::explain(self, study)
    }
}

/// A study that waits for its reports.
pub(super) struct Job {
    pub(super) study: FilmStudy,
    /// Whether its sheet is wanted too.
    pub(super) explain: bool,
    pub(super) reply: oneshot::Sender<Result<Written, Refusal>>,
    /// Its place in the queue, which it keeps until it is done even if its client has gone.
    pub(super) place: OwnedSemaphorePermit,
}

/// The reports of a study, at least one, and its sheet if asked for.
pub(super) struct Written {
    pub(super) reports: Vec<WrittenReport>,
    pub(super) sheet: Option<StudySheet>,
}

/// Where jobs are handed in. The thread ends when every desk is gone and its jobs are done.
#[derive(Clone)]
pub(super) struct Desk {
    jobs: Sender<Job>,
}

impl Desk {
    /// Starts the thread. `log` hears of its failures.
    pub(super) fn open<W: StudyWriter>(
        writer: W,
        batch: usize,
        log: impl Fn(&str) + Send + 'static,
    ) -> io::Result<(Desk, JoinHandle<()>)> {
        // Unbounded, but every job holds one of a bounded number of places.
        let (jobs, waiting) = channel();
        let thread = thread::Builder::new().name("inference".to_owned());
        let thread = thread.spawn(move || work(&writer, &waiting, batch, &log))?;
        Ok((Desk { jobs }, thread))
    }

    /// Hands in a job.
    pub(super) fn hand_in(&self, job: Job) -> Result<(), Refusal> {
        let sent = self.jobs.send(job);
        sent.map_err(|_| Refusal::failed("the thread that writes reports has ended"))
    }
}

fn work(writer: &impl StudyWriter, waiting: &Receiver<Job>, most: usize, log: &impl Fn(&str)) {
    while let Ok(first) = waiting.recv() {
        let further = waiting.try_iter().take(most - 1);
        let mut batch: Vec<Job> = std::iter::once(first).chain(further).collect();
        // Whoever has gone needs no report.
        batch.retain(|job| !job.reply.is_closed());
        write(writer, batch, log);
    }
}

/// Writes a batch. If that fails, each study is written alone, so that it fails alone.
fn write(writer: &impl StudyWriter, batch: Vec<Job>, log: &impl Fn(&str)) {
    let studies: Vec<FilmStudy> = batch.iter().map(|job| job.study.clone()).collect();
    let written = match studies.len() {
        0 => return,
        count => attempt(|| writer.reports(&studies)).and_then(|reports| {
            match reports.len() == count && reports.iter().all(|of_study| !of_study.is_empty()) {
                true => Ok(reports),
                false => Err("the search returned no report".to_owned()),
            }
        }),
    };
    match written {
        Ok(reports) => {
            for (job, reports) in batch.into_iter().zip(reports) {
                let sheet = match job.explain {
                    true => attempt(|| writer.explain(&job.study)).map(Some),
                    false => Ok(None),
                };
                let written = sheet.map(|sheet| Written { reports, sheet });
                answer(job, written, log);
            }
        }
        Err(_) if batch.len() > 1 => {
            for job in batch {
                write(writer, vec![job], log);
            }
        }
        Err(reason) => {
            for job in batch {
                answer(job, Err(reason.clone()), log);
            }
        }
    }
}

fn answer(job: Job, written: Result<Written, String>, log: &impl Fn(&str)) {
    let written = written.map_err(|reason| {
        log(&format!("no report could be written: {reason}"));
        Refusal::failed(format_args!("no report could be written: {reason}"))
    });
    // The place is free before the client hears of it and may send the next.
    drop(job.place);
    // A client that has gone hears nothing.
    let _ = job.reply.send(written);
}

/// The result of `work`, or in words why there is none; a panic is one reason.
fn attempt<T>(work: impl FnOnce() -> Result<T, InferenceError>) -> Result<T, String> {
    // The writer has no state that a panic could leave half changed: it is only read.
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(panic) => Err(format!("inference panicked: {}", message(panic.as_ref()))),
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("it gave no message")
}
