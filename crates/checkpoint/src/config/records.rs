use serde::{Deserialize, Serialize};

/// What a run writes while it trains.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Records {
    /// Minutes between two checkpoints within an epoch; 0 saves after every step, none at the end of
    /// epochs only.
    pub save_every_minutes: Option<f64>,
    /// Epochs whose checkpoints stay beside the best and the last one, at least 1.
    pub keep_epochs: usize,
    /// Optimiser steps between two lines of `steps.jsonl`; 0 for no such file.
    pub log_every_steps: usize,
}

impl Default for Records {
    /// Every 10 minutes, the last 2 epochs, every 10 steps.
    fn default() -> Self {
        Records {
            save_every_minutes: Some(10.0),
            keep_epochs: 2,
            log_every_steps: 10,
        }
    }
}

impl Records {
    /// Refuses what no clock can measure.
    ///
    /// # Errors
    ///
    /// A sentence naming the number and what it must be.
    pub fn validate(self) -> Result<(), String> {
        match self.save_every_minutes {
            Some(minutes) if !(minutes.is_finite() && minutes >= 0.0) => Err(format!(
                "minutes between checkpoints ({minutes}) must be finite and at least 0"
            )),
            _ => Ok(()),
        }
    }
}
