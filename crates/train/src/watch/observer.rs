use crate::evaluation::{Prediction, SplitScores};
use crate::records::{EpochRecord, StepRecord};
use ithn_checkpoint::config::MonitoredMetric;

/// Callbacks for the events of a run; worker threads may make those of [`working`](Self::working).
pub trait Observer: Send {
    /// An interrupted run resumes; `history` holds the epochs completed before.
    fn resumes(&mut self, _history: &[EpochRecord]) {}
    /// Training begins; `metric` of the validation split picks the best epoch.
    fn monitors(&mut self, _metric: MonitoredMetric) {}
    /// An epoch begins, or continues after an interruption.
    fn epoch_begins(&mut self, plan: &EpochPlan);
    /// A step is done.
    fn step_ends(&mut self, step: &StepRecord);
    /// Reports of a split are being written: `done` of `total`.
    fn writing(&mut self, split: &str, done: usize, total: usize);
    /// Work before or after training, such as `reading studies`: `done` of `total`.
    fn working(&mut self, _work: &str, _done: usize, _total: usize) {}
    /// An epoch is over.
    fn epoch_ends(&mut self, record: &EpochRecord);
    /// A message for the user.
    fn note(&mut self, text: &str);
    /// A warning about a possible problem.
    fn warning(&mut self, text: &str) {
        self.note(&format!("warning: {text}"));
    }
    /// Training is over: named rows of the final table.
    fn results(&mut self, rows: &[(&str, &SplitScores)]);
    /// Some example predictions.
    fn examples(&mut self, predictions: &[Prediction]);
}

/// Tells nobody: the observer of every rank but the first.
#[derive(Debug)]
pub(crate) struct Silent;

impl Observer for Silent {
    fn epoch_begins(&mut self, _plan: &EpochPlan) {}
    fn step_ends(&mut self, _step: &StepRecord) {}
    fn writing(&mut self, _split: &str, _done: usize, _total: usize) {}
    fn epoch_ends(&mut self, _record: &EpochRecord) {}
    fn note(&mut self, _text: &str) {}
    fn results(&mut self, _rows: &[(&str, &SplitScores)]) {}
    fn examples(&mut self, _predictions: &[Prediction]) {}
}

/// Plan of an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochPlan {
    /// Epoch, counted from 1.
    pub epoch: usize,
    /// Epochs at most.
    pub epochs: usize,
    /// Batches of the epoch.
    pub batches: usize,
    /// Batches that were learnt from before the run was interrupted.
    pub done: usize,
    /// Studies per batch.
    pub batch_size: usize,
}
