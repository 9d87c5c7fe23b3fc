use ithn_negatives::TrainingPoint;
use serde::{Deserialize, Serialize};

use super::LearningRateSchedule;

/// Adam with AMSGrad over two parameter groups, and how their learning rates change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OptimizerConfig {
    /// Learning rate of the backbone before the schedule.
    pub backbone_learning_rate: f64,
    /// Learning rate of everything else before the schedule.
    pub learning_rate: f64,
    /// L2 penalty, added to the gradient.
    pub weight_decay: f64,
    /// Decay of the first and the second moment.
    pub betas: [f64; 2],
    /// Added to the denominator.
    pub epsilon: f64,
    /// Whether the second moment never shrinks (AMSGrad).
    pub amsgrad: bool,
    /// How the learning rates change over training.
    pub schedule: LearningRateSchedule,
    /// Optimiser steps over which the learning rates rise linearly; 0 for none.
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
    /// Learning rates at a point of training: backbone, and the rest.
    pub fn learning_rates(&self, point: TrainingPoint) -> [f64; 2] {
        let factor = self.schedule.factor(point, self.warmup_steps);
        [
            self.backbone_learning_rate * factor,
            self.learning_rate * factor,
        ]
    }
}
