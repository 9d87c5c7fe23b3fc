use ithn_generator::config::{ConfigError, NonNegative, Positive, Probability};
use ithn_negatives::TrainingPoint;
use serde::{Deserialize, Serialize};

use super::LearningRateSchedule;

/// Most optimiser steps of a warm-up.
const MOST_STEPS: usize = 1_000_000_000;

/// Adam or AdamW over two parameter groups, and how their learning rates change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct OptimizerConfig {
    /// Learning rate of the backbone before the schedule.
    pub backbone_learning_rate: NonNegative,
    /// Learning rate of all other parameters before the schedule.
    pub learning_rate: NonNegative,
    /// L2 penalty, added to the gradient; with
    /// [`decoupled_weight_decay`](Self::decoupled_weight_decay) the share of each weight that a step
    /// takes off, as a multiple of the learning rate.
    pub weight_decay: NonNegative,
    /// Decay of the first and the second moment.
    pub betas: [Probability; 2],
    /// Added to the denominator.
    pub epsilon: Positive,
    /// Whether the second moment never shrinks (AMSGrad).
    pub amsgrad: bool,
    /// Whether weights decay by themselves instead of through the gradient (AdamW; Loshchilov &
    /// Hutter, 2019).
    #[serde(default)]
    pub decoupled_weight_decay: bool,
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
            backbone_learning_rate: NonNegative::literal(1e-4),
            learning_rate: NonNegative::literal(5e-4),
            weight_decay: NonNegative::literal(5e-5),
            betas: [0.9, 0.98].map(Probability::literal),
            epsilon: Positive::literal(1e-9),
            amsgrad: true,
            decoupled_weight_decay: false,
            schedule: LearningRateSchedule::Step {
                every_epochs: 10,
                factor: Positive::literal(0.8),
            },
            warmup_steps: 0,
        }
    }
}

impl OptimizerConfig {
    /// AdamW with moments 0.9 and 0.999, one rate for all parameters.
    pub fn adamw(
        learning_rate: NonNegative,
        weight_decay: NonNegative,
        schedule: LearningRateSchedule,
    ) -> Self {
        OptimizerConfig {
            backbone_learning_rate: learning_rate,
            learning_rate,
            weight_decay,
            betas: [0.9, 0.999].map(Probability::literal),
            epsilon: Positive::literal(1e-8),
            amsgrad: false,
            decoupled_weight_decay: true,
            schedule,
            warmup_steps: 0,
        }
    }

    /// Checks the numbers of steps and epochs. The number types check the ranges of the others.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming the key, such as `warmup_steps`.
    pub fn validate(&self) -> Result<(), ConfigError> {
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
            self.backbone_learning_rate.get() * factor,
            self.learning_rate.get() * factor,
        ]
    }
}
