use ithn_generator::config::{ConfigError, Fraction, Positive, check_count, no_options};
use ithn_negatives::TrainingPoint;
use serde::{Deserialize, Serialize};

use super::MOST_EPOCHS;

/// How learning rates change over training, as a factor of where they began.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum LearningRateSchedule {
    /// Always 1.
    #[serde(deserialize_with = "no_options")]
    Constant,
    /// `factor^⌊(epoch − 1) / every_epochs⌋`: the official StepLR, which steps per epoch.
    Step {
        /// Epochs between two drops, at least 1.
        every_epochs: usize,
        /// Factor of a drop.
        factor: Positive,
    },
    /// From 1 down to `floor` along half a cosine, from the end of warm-up to the last step
    /// (Loshchilov & Hutter, 2017, without restarts).
    Cosine {
        /// Factor at the end.
        floor: Fraction,
    },
    /// From `start` up to 1 along half a cosine during the share `rise` of all steps, then down to
    /// `end` along another (Smith & Topin, 2018; the rates of PyTorch's `OneCycleLR`, whose moments
    /// change as well, with `start` 0.04 and `end` 4e-6 by default).
    OneCycle {
        /// Share of the steps spent rising.
        rise: Fraction,
        /// Factor at the first step.
        start: Fraction,
        /// Factor at the last step.
        end: Fraction,
    },
}

/// From `from` at 0 to `to` at 1 along half a cosine.
fn half_cosine(from: f64, to: f64, share: f64) -> f64 {
    to + (from - to) * (1.0 + (std::f64::consts::PI * share.clamp(0.0, 1.0)).cos()) / 2.0
}

impl LearningRateSchedule {
    /// The factor at a point of training, `warmup_steps` of which are warm-up: there it rises
    /// linearly, `(step + 1) / warmup_steps` times the schedule's own factor.
    pub fn factor(self, point: TrainingPoint, warmup_steps: usize) -> f64 {
        let rise = if point.step < warmup_steps {
            (point.step + 1) as f64 / warmup_steps as f64
        } else {
            1.0
        };
        let factor = match self {
            LearningRateSchedule::Constant => 1.0,
            LearningRateSchedule::Step {
                every_epochs,
                factor,
            } => {
                let drops = point.epoch.saturating_sub(1) / every_epochs.max(1);
                factor.get().powi(i32::try_from(drops).unwrap_or(i32::MAX))
            }
            LearningRateSchedule::Cosine { floor } => {
                let span = point.total_steps.saturating_sub(warmup_steps).max(1) as f64;
                let done = point.step.saturating_sub(warmup_steps) as f64 / span;
                half_cosine(1.0, floor.get(), done)
            }
            LearningRateSchedule::OneCycle { rise, start, end } => {
                let last = point.total_steps.saturating_sub(1).max(1) as f64;
                let peak = rise.get() * (last + 1.0) - 1.0;
                let step = point.step as f64;
                if step <= peak {
                    half_cosine(start.get(), 1.0, step / peak.max(1.0))
                } else {
                    let peak = peak.max(0.0);
                    half_cosine(1.0, end.get(), (step - peak) / (last - peak).max(1.0))
                }
            }
        };
        rise * factor
    }

    /// Checks the number of epochs. The number types check the other ranges.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] at `every_epochs`.
    pub fn validate(self) -> Result<(), ConfigError> {
        match self {
            LearningRateSchedule::Step { every_epochs, .. } => {
                check_count("every_epochs", every_epochs, MOST_EPOCHS)
            }
            LearningRateSchedule::Constant
            | LearningRateSchedule::Cosine { .. }
            | LearningRateSchedule::OneCycle { .. } => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(epoch: usize, step: usize) -> TrainingPoint {
        TrainingPoint {
            epoch,
            step,
            total_steps: 100,
        }
    }

    fn cosine(floor: f64) -> LearningRateSchedule {
        LearningRateSchedule::Cosine {
            floor: Fraction::literal(floor),
        }
    }

    #[test]
    fn steps_drop_once_per_period() {
        let schedule = LearningRateSchedule::Step {
            every_epochs: 3,
            factor: Positive::literal(0.5),
        };
        let factors: Vec<f64> = (1..=7)
            .map(|epoch| schedule.factor(at(epoch, 10 * epoch), 0))
            .collect();
        assert_eq!(factors, [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25]);
    }

    #[test]
    fn warm_up_rises_to_one_and_the_cosine_falls_to_its_floor() {
        let schedule = cosine(0.1);
        let factors: Vec<f64> = (0..=100)
            .map(|step| schedule.factor(at(1, step), 20))
            .collect();
        assert!(factors[..20].is_sorted());
        assert_eq!(factors[0], 1.0 / 20.0);
        assert_eq!(factors[20], 1.0);
        assert!(factors[20..].is_sorted_by(|a, b| a >= b));
        assert!((factors[60] - 0.55).abs() < 1e-12, "{}", factors[60]);
        assert!((factors[100] - 0.1).abs() < 1e-12);
    }

    /// PyTorch 2: `OneCycleLR(max_lr=1, total_steps=100)`, steps 0, 10, 29, 50 and 99.
    #[test]
    fn one_cycle_has_pytorchs_rates() {
        let schedule = LearningRateSchedule::OneCycle {
            rise: Fraction::literal(0.3),
            start: Fraction::literal(0.04),
            end: Fraction::literal(4e-6),
        };
        for (step, expected) in [
            (0, 0.04),
            (10, 0.295_163_9),
            (29, 1.0),
            (50, 0.793_893_5),
            (99, 4e-6),
        ] {
            let found = schedule.factor(at(1, step), 0);
            assert!((found - expected).abs() < 1e-6, "{step}: {found}");
        }
    }

    #[test]
    fn schedules_are_tagged_and_refuse_unknown_fields() {
        let json = r#"{"kind":"cosine","floor":0.05}"#;
        let schedule: LearningRateSchedule = serde_json::from_str(json).expect("readable");
        assert_eq!(schedule, cosine(0.05));
        assert_eq!(serde_json::to_string(&schedule).expect("writable"), json);
        for wrong in [
            r#"{"kind":"cosine","flor":0.05}"#,
            r#"{"kind":"cosine","floor":1.5}"#,
            r#"{"kind":"step","every_epochs":1,"factor":0}"#,
        ] {
            assert!(serde_json::from_str::<LearningRateSchedule>(wrong).is_err());
        }
    }
}
