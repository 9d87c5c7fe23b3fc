use std::time::{Duration, Instant};

use super::observer::EpochPlan;
use crate::records::StepRecord;

/// Training speed of this process, for an [`Observer`](crate::Observer) that shows the remaining
/// time.
#[derive(Debug, Clone)]
pub struct Pace {
    plan: EpochPlan,
    epoch_began: Instant,
    last_step: Instant,
    /// Batches of the present epoch that this process has learnt from.
    batches: usize,
    /// Time of the last validation, none before there was one.
    validation: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        let now = Instant::now();
        Pace {
            plan: EpochPlan {
                epoch: 1,
                epochs: 1,
                batches: 0,
                done: 0,
                batch_size: 1,
            },
            epoch_began: now,
            last_step: now,
            batches: 0,
            validation: Duration::ZERO,
        }
    }
}

impl Pace {
    /// An epoch begins or continues.
    pub fn epoch_begins(&mut self, plan: &EpochPlan) {
        self.plan = *plan;
        self.epoch_began = Instant::now();
        self.last_step = self.epoch_began;
        self.batches = 0;
    }

    /// A step is done.
    pub fn step_ends(&mut self, step: &StepRecord) {
        self.batches += step.batches;
        self.last_step = Instant::now();
    }

    /// The epoch is over, its validation included.
    pub fn epoch_ends(&mut self) {
        self.validation = self.last_step.elapsed();
    }

    /// Plan of the current epoch.
    pub fn plan(&self) -> &EpochPlan {
        &self.plan
    }

    /// Batches of the present epoch that were learnt from, also before an interruption.
    pub fn batches_done(&self) -> usize {
        self.plan.done + self.batches
    }

    /// Studies learnt from per second in the present epoch, 0 before its first step.
    pub fn studies_per_second(&self) -> f64 {
        if self.batches == 0 {
            return 0.0;
        }
        self.plan.batch_size as f64 / self.seconds_per_batch().max(1e-9)
    }

    /// Time to the end of training if every epoch is run, validation included; none before the
    /// epoch's first step.
    pub fn time_left(&self) -> Option<Duration> {
        if self.batches == 0 {
            return None;
        }
        let in_epoch = self.plan.batches.saturating_sub(self.batches_done());
        let later = self.plan.epochs.saturating_sub(self.plan.epoch);
        let batches = (in_epoch + later * self.plan.batches) as f64;
        let seconds =
            self.seconds_per_batch() * batches + self.validation.as_secs_f64() * (later + 1) as f64;
        Some(Duration::from_secs_f64(seconds.min(1e9)))
    }

    fn seconds_per_batch(&self) -> f64 {
        let learning = self.last_step.duration_since(self.epoch_began);
        learning.as_secs_f64() / self.batches.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_left_counts_later_epochs_and_what_was_done_before() {
        let mut pace = Pace::default();
        pace.epoch_begins(&EpochPlan {
            epoch: 2,
            epochs: 3,
            batches: 10,
            done: 4,
            batch_size: 8,
        });
        assert_eq!((pace.batches_done(), pace.time_left()), (4, None));
        pace.batches = 2;
        pace.last_step = pace.epoch_began + Duration::from_secs(6);
        pace.validation = Duration::from_secs(5);
        assert_eq!(pace.batches_done(), 6);
        // 4 batches here and 10 later at 3 s, two validations.
        assert_eq!(pace.time_left(), Some(Duration::from_secs(14 * 3 + 10)));
        assert!((pace.studies_per_second() - 8.0 / 3.0).abs() < 1e-9);
    }
}
