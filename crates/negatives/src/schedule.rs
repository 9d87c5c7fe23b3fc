use serde::{Deserialize, Serialize};

/// A moment of training, as schedules see it.
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
    /// Share of training that is done, in `[0, 1]`.
    pub fn progress(&self) -> f64 {
        (self.step as f64 / self.total_steps.max(1) as f64).min(1.0)
    }
}

/// How the hardness `1 − λ` grows over training.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum HardnessSchedule {
    /// `λ = exp(−α · epoch)`, epochs counted from 1: the release, with α = 0.01. It needs 25 epochs
    /// to reach a hardness of 0.22.
    PerEpoch {
        /// Decay per epoch.
        alpha: f64,
    },
    /// Hardness grows linearly from 0 to `hardness` between the fractions `from` and `to` of
    /// training, and stays: a short training, too, meets hard negatives.
    FractionOfTraining {
        /// Fraction at which hardness begins to grow, in `[0, 1]`.
        from: f64,
        /// Fraction at which it is reached, in `(from, 1]`.
        to: f64,
        /// Final hardness `1 − λ`, in `[0, 1]`.
        hardness: f64,
    },
    /// The same throughout; 0 keeps the first negatives as they are.
    Constant {
        /// Hardness `1 − λ`, in `[0, 1]`.
        hardness: f64,
    },
}

impl HardnessSchedule {
    /// λ at a point of training, in `[0, 1]`; 1 leaves the negatives as they are.
    pub fn lambda(&self, point: TrainingPoint) -> f64 {
        match *self {
            HardnessSchedule::PerEpoch { alpha } => (-alpha * point.epoch as f64).exp(),
            HardnessSchedule::Constant { hardness } => 1.0 - hardness,
            HardnessSchedule::FractionOfTraining { from, to, hardness } => {
                let along = (point.progress() - from) / (to - from).max(f64::EPSILON);
                1.0 - hardness * along.clamp(0.0, 1.0)
            }
        }
    }

    /// Says which number is out of range, if one is.
    pub fn validate(&self) -> Result<(), String> {
        let unit = |name: &str, value: f64| {
            if (0.0..=1.0).contains(&value) {
                Ok(())
            } else {
                Err(format!("{name} must lie in [0, 1], got {value}"))
            }
        };
        match *self {
            HardnessSchedule::PerEpoch { alpha } if alpha.is_finite() && alpha >= 0.0 => Ok(()),
            HardnessSchedule::PerEpoch { alpha } => {
                Err(format!("alpha must be 0 or more, got {alpha}"))
            }
            HardnessSchedule::Constant { hardness } => unit("hardness", hardness),
            HardnessSchedule::FractionOfTraining { from, to, hardness } => {
                unit("from", from)?;
                unit("to", to)?;
                unit("hardness", hardness)?;
                if from < to {
                    Ok(())
                } else {
                    Err(format!("from ({from}) must lie before to ({to})"))
                }
            }
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

    #[test]
    fn the_released_schedule_is_slow() {
        let schedule = HardnessSchedule::PerEpoch { alpha: 0.01 };
        for (epoch, hardness) in [(1, 0.00995), (10, 0.0952), (25, 0.2212)] {
            assert!((1.0 - schedule.lambda(at(epoch, 0)) - hardness).abs() < 1e-4);
        }
    }

    #[test]
    fn a_ramp_starts_at_zero_and_reaches_its_hardness() {
        let schedule = HardnessSchedule::FractionOfTraining {
            from: 0.2,
            to: 0.6,
            hardness: 0.8,
        };
        let hardness = |step| 1.0 - schedule.lambda(at(1, step));
        assert_eq!(hardness(10), 0.0);
        assert!((hardness(40) - 0.4).abs() < 1e-12);
        assert!((hardness(99) - 0.8).abs() < 1e-12);
    }

    #[test]
    fn impossible_numbers_are_named() {
        let schedule = HardnessSchedule::FractionOfTraining {
            from: 0.5,
            to: 0.2,
            hardness: 0.5,
        };
        assert_eq!(
            schedule.validate(),
            Err("from (0.5) must lie before to (0.2)".to_owned())
        );
    }
}
