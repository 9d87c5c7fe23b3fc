use ithn_generator::config::{ConfigError, NonNegative, Positive, Probability};
use ithn_negatives::TrainingPoint;
use serde::{Deserialize, Serialize};

use super::LearningRateSchedule;

/// Most optimiser steps of a warm-up.
const MOST_STEPS: usize = 1_000_000_000;

/// Adam with AMSGrad over two parameter groups, and how their learning rates change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptimizerConfig {
    /// Learning rate of the backbone before the schedule, finite and at least 0.
    pub backbone_learning_rate: f64,
    /// Learning rate of all other parameters before the schedule, finite and at least 0.
    pub learning_rate: f64,
    /// L2 penalty, added to the gradient; finite and at least 0.
    pub weight_decay: f64,
    /// Decay of the first and the second moment, each in [0, 1).
    pub betas: [f64; 2],
    /// Added to the denominator; finite and above 0.
    pub epsilon: f64,
    /// Whether the second moment never shrinks (AMSGrad).
    pub amsgrad: bool,
    /// How the learning rates change over training.
    pub schedule: LearningRateSchedule,
    /// Optimiser steps over which the learning rates rise linearly, at most 1e9; 0 for none.
    #[serde(default)]
    pub warmup_steps: usize,
}

impl Default for OptimizerConfig {
    /// As published for IU X-Ray.
    fn default() -> Self {
        OptimizerConfig {
            backbone_learning_rate: 1e-4,
            learning_rate: 5e-4,
            weight_decay: 5e-5,
            betas: [0.9, 0.98],
            epsilon: 1e-9,
            amsgrad: true,
            schedule: LearningRateSchedule::Step {
                every_epochs: 10,
                factor: 0.8,
            },
            warmup_steps: 0,
        }
    }
}

impl OptimizerConfig {
    /// Checks all numbers.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming the key, such as `betas`.
    pub fn validate(&self) -> Result<(), ConfigError> {
        for (key, number) in [
            ("backbone_learning_rate", self.backbone_learning_rate),
            ("learning_rate", self.learning_rate),
            ("weight_decay", self.weight_decay),
        ] {
            NonNegative::new(number).map_err(ConfigError::at(key))?;
        }
        for beta in self.betas {
            Probability::new(beta).map_err(ConfigError::at("betas"))?;
        }
        Positive::new(self.epsilon).map_err(ConfigError::at("epsilon"))?;
        if self.warmup_steps > MOST_STEPS {
            return Err(ConfigError::new(
                "warmup_steps",
                format!("must be at most {MOST_STEPS}, got {}", self.warmup_steps),
            ));
        }
        let schedule = self.schedule.validate();
        schedule.map_err(|error| error.within("schedule"))
    }

    /// Learning rates at a point of training: `[backbone, all other parameters]`.
    pub fn learning_rates(&self, point: TrainingPoint) -> [f64; 2] {
        let factor = self.schedule.factor(point, self.warmup_steps);
        [
            self.backbone_learning_rate * factor,
            self.learning_rate * factor,
        ]
    }
}
