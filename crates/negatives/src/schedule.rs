use ithn_generator::config::{ConfigError, Fraction, NonNegative};
use serde::{Deserialize, Serialize};

/// How far training is, for schedules.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrainingPoint {
    /// Current epoch, counted from 1.
    pub epoch: usize,
    /// Steps taken since training began.
    pub step: usize,
    /// Steps of the whole training.
    pub total_steps: usize,
}

impl TrainingPoint {
    /// Fraction of training that is done, in `[0, 1]`.
    pub fn progress(&self) -> f64 {
        (self.step as f64 / self.total_steps.max(1) as f64).min(1.0)
    }
}

/// How the hardness `1 − λ` grows during training.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum HardnessSchedule {
    /// `λ = exp(−α · epoch)`, epochs counted from 1: the official code, with α = 0.01. Its hardness
    /// reaches 0.22 at epoch 25.
    PerEpoch {
        /// Decay α of λ per epoch.
        alpha: NonNegative,
    },
    /// Hardness grows linearly from 0 to `hardness` between the fractions `from` and `to` of training
    /// and then stays, so that a short training reaches it as well.
    FractionOfTraining {
        /// Fraction of training at which hardness begins to grow.
        from: Fraction,
        /// Fraction of training at which hardness is reached, after `from`.
        to: Fraction,
        /// Final hardness `1 − λ`.
        hardness: Fraction,
    },
    /// The same hardness throughout; 0 keeps the first negatives.
    Constant {
        /// Hardness `1 − λ`.
        hardness: Fraction,
    },
}

impl HardnessSchedule {
    /// λ at a point of training, in `[0, 1]`; 1 keeps the first negatives.
    pub fn lambda(&self, point: TrainingPoint) -> f64 {
        match *self {
            HardnessSchedule::PerEpoch { alpha } => (-alpha.get() * point.epoch as f64).exp(),
            HardnessSchedule::Constant { hardness } => 1.0 - hardness.get(),
            HardnessSchedule::FractionOfTraining { from, to, hardness } => {
                let length = (to.get() - from.get()).max(f64::EPSILON);
                let along = (point.progress() - from.get()) / length;
                1.0 - hardness.get() * along.clamp(0.0, 1.0)
            }
        }
    }

    /// Checks that the ramp begins before it ends. The number types check the ranges.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] at `to` if the ramp does not end after it begins.
    pub fn validate(&self) -> Result<(), ConfigError> {
        match *self {
            HardnessSchedule::FractionOfTraining { from, to, .. } if from >= to => Err(
                ConfigError::new("to", format!("must be above from ({from}), got {to}")),
            ),
            _ => Ok(()),
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

    fn ramp(from: f64, to: f64, hardness: f64) -> HardnessSchedule {
        HardnessSchedule::FractionOfTraining {
            from: Fraction::literal(from),
            to: Fraction::literal(to),
            hardness: Fraction::literal(hardness),
        }
    }

    #[test]
    fn the_official_schedule_is_an_exponential_of_the_epoch() {
        let schedule = HardnessSchedule::PerEpoch {
            alpha: NonNegative::literal(0.01),
        };
        for (epoch, hardness) in [
            (1, 0.009_950_166_250_831_893),
            (10, 0.095_162_581_964_040_48),
            (25, 0.221_199_216_928_595_13),
        ] {
            assert!((1.0 - schedule.lambda(at(epoch, 0)) - hardness).abs() < 1e-15);
        }
    }

    #[test]
    fn a_ramp_starts_at_zero_and_reaches_its_hardness() {
        let hardness = |step| 1.0 - ramp(0.2, 0.6, 0.8).lambda(at(1, step));
        assert_eq!(hardness(10), 0.0);
        assert!((hardness(40) - 0.4).abs() < 1e-15);
        assert!((hardness(99) - 0.8).abs() < 1e-15);
    }

    #[test]
    fn a_ramp_that_ends_before_it_begins_is_refused_by_key() {
        let error = ramp(0.5, 0.2, 0.5).validate().unwrap_err();
        assert_eq!(
            (error.key(), error.reason()),
            ("to", "must be above from (0.5), got 0.2")
        );
    }

    #[test]
    fn numbers_out_of_range_and_unknown_keys_are_refused_by_name() {
        for (json, part) in [
            (r#"{"kind":"per_epoch","alpha":-0.1}"#, "-0.1"),
            (r#"{"kind":"constant","hardness":1.5}"#, "1.5"),
            (r#"{"kind":"constant","hardnes":0.5}"#, "hardnes"),
            (
                r#"{"kind":"fraction_of_training","from":0.1,"to":0.5,"hardness":0.5,"at":1}"#,
                "at",
            ),
        ] {
            let error = serde_json::from_str::<HardnessSchedule>(json).unwrap_err();
            assert!(error.to_string().contains(part), "{error}");
        }
    }
}
