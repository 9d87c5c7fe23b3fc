use ithn_generator::config::{ConfigError, check_count};
use serde::{Deserialize, Serialize};

use super::MOST_EPOCHS;

/// Most minutes between two checkpoints: two years.
const MOST_MINUTES: f64 = 1e6;

/// Checkpoints and logs that a run writes during training.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Records {
    /// Minutes between two checkpoints within an epoch, at most 1e6; 0 saves after every step, none
    /// at the end of epochs only.
    pub save_every_minutes: Option<f64>,
    /// Latest epochs whose checkpoints are kept, in addition to the best and the last checkpoint;
    /// at least 1.
    pub keep_epochs: usize,
    /// Optimiser steps between two lines of `steps.jsonl`; 0 for no such file.
    pub log_every_steps: usize,
}

impl Default for Records {
    /// Saves every 10 minutes, keeps the checkpoints of the last 2 epochs, logs every 10 steps.
    fn default() -> Self {
        Records {
            save_every_minutes: Some(10.0),
            keep_epochs: 2,
            log_every_steps: 10,
        }
    }
}

impl Records {
    /// Checks the clock and the number of kept epochs.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming the key and what its value must be.
    pub fn validate(self) -> Result<(), ConfigError> {
        check_count("keep_epochs", self.keep_epochs, MOST_EPOCHS)?;
        match self.save_every_minutes {
            Some(minutes) if !(0.0..=MOST_MINUTES).contains(&minutes) => Err(ConfigError::new(
                "save_every_minutes",
                format!("must lie in [0, {MOST_MINUTES}], got {minutes}"),
            )),
            _ => Ok(()),
        }
    }
}
