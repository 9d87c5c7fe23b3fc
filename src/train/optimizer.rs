use burn::module::ParamGroup;
use burn::optim::decay::WeightDecayConfig;
use burn::optim::lr_scheduler::module_lr_scheduler::{ModuleLearningRate, ModuleLrScheduler};
use burn::optim::{AdamConfig, ModuleOptimizer};
use serde::{Deserialize, Serialize};

use super::amsgrad::AmsGrad;

/// Adam with AMSGrad over two parameter groups, and a learning rate that drops per epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OptimizerConfig {
    /// Learning rate of the backbone at the first epoch.
    pub backbone_learning_rate: f64,
    /// Learning rate of everything else at the first epoch.
    pub learning_rate: f64,
    /// L2 penalty, added to the gradient.
    pub weight_decay: f64,
    /// Decay of the first and the second moment.
    pub betas: [f64; 2],
    /// Added to the denominator.
    pub epsilon: f64,
    /// Whether the second moment never shrinks (AMSGrad).
    pub amsgrad: bool,
    /// Epochs between two drops of the learning rates.
    pub step_every: usize,
    /// Factor of a drop.
    pub step_factor: f64,
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
            step_every: 10,
            step_factor: 0.8,
        }
    }
}

impl OptimizerConfig {
    /// The optimiser, without state.
    pub fn init(&self) -> ModuleOptimizer {
        if self.amsgrad {
            return ModuleOptimizer::from(AmsGrad {
                betas: self.betas,
                epsilon: self.epsilon,
                weight_decay: self.weight_decay,
            });
        }
        AdamConfig::new()
            .with_beta_1(self.betas[0] as f32)
            .with_beta_2(self.betas[1] as f32)
            .with_epsilon(self.epsilon as f32)
            .with_weight_decay(Some(WeightDecayConfig::new(self.weight_decay as f32)))
            .init()
    }

    /// Learning rates of an epoch, counted from 1: backbone, and the rest.
    pub fn learning_rates(&self, epoch: usize) -> [f64; 2] {
        let drops = (epoch - 1) / self.step_every;
        let factor = self.step_factor.powi(drops as i32);
        [
            self.backbone_learning_rate * factor,
            self.learning_rate * factor,
        ]
    }

    /// The same as a policy by parameter path: whatever lies under a field named `backbone` is the
    /// backbone.
    pub fn policy(&self, epoch: usize) -> ModuleLearningRate {
        let [backbone, rest] = self.learning_rates(epoch);
        ModuleLrScheduler::new(rest)
            .with_group(ParamGroup::from_predicate("backbone."), backbone)
            .step()
    }
}
