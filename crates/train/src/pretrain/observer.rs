use serde::{Deserialize, Serialize};

use crate::watch::print;

/// A line of `epochs.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PretrainEpoch {
    /// Epoch, counted from 1.
    pub epoch: usize,
    /// Mean classification loss of the training batches.
    pub training_loss: f64,
    /// Mean AUROC on the validation split of the classes that have enough positives.
    pub validation_auroc: f64,
    /// Rate of all but the backbone at the last step.
    pub learning_rate: f64,
    /// Whether it is the best so far.
    pub is_best: bool,
    /// Training speed, in studies per second.
    pub studies_per_second: f64,
    /// Time of the epoch, validation included, in seconds.
    pub seconds: f64,
}

/// Callbacks for the events of pretraining; worker threads may make those of
/// [`working`](Self::working).
pub trait PretrainObserver: Send {
    /// A message for the user.
    fn note(&mut self, text: &str);
    /// Work before training, such as `decoding images`: `done` of `total`.
    fn working(&mut self, _work: &str, _done: usize, _total: usize) {}
    /// An epoch is over.
    fn epoch_ends(&mut self, epoch: &PretrainEpoch);
}

/// Prints notes and epochs, a line each, to standard output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PretrainConsole {
    quiet: bool,
}

impl PretrainConsole {
    /// A console; a quiet one prints nothing.
    pub fn new(quiet: bool) -> Self {
        PretrainConsole { quiet }
    }
}

impl PretrainObserver for PretrainConsole {
    fn note(&mut self, text: &str) {
        if !self.quiet {
            print(text);
        }
    }

    fn epoch_ends(&mut self, epoch: &PretrainEpoch) {
        if !self.quiet {
            print(format_args!(
                "epoch {:>3}  loss {:.4}  validation AUROC {:.4}{}  {:.0} studies/s, {:.1} s",
                epoch.epoch,
                epoch.training_loss,
                epoch.validation_auroc,
                if epoch.is_best { " *" } else { "  " },
                epoch.studies_per_second,
                epoch.seconds
            ));
        }
    }
}
