//! From a configuration to an optimiser: Adam or AdamW over two parameter groups, clipping.

mod amsgrad;
mod guards;
mod read_on_cpu;

use burn::module::ParamGroup;
use burn::optim::decay::WeightDecayConfig;
use burn::optim::lr_scheduler::module_lr_scheduler::{ModuleLearningRate, ModuleLrScheduler};
use burn::optim::{AdamConfig, AdamWConfig, ModuleOptimizer};
use ithn_checkpoint::config::OptimizerConfig;
use ithn_generator::config::Probability;
use ithn_negatives::TrainingPoint;

use amsgrad::AmsGrad;
pub use guards::{clip_gradients, gradient_norm};
use read_on_cpu::ReadOnCpu;

/// The optimiser of a configuration, without state.
pub fn init_optimizer(config: &OptimizerConfig) -> ModuleOptimizer {
    if config.decoupled_weight_decay {
        let adam_w = AdamWConfig::new()
            .with_beta_1(config.betas[0].get() as f32)
            .with_beta_2(config.betas[1].get() as f32)
            .with_epsilon(config.epsilon.get() as f32)
            .with_weight_decay(config.weight_decay.get() as f32)
            .with_amsgrad(config.amsgrad);
        return ModuleOptimizer::from(ReadOnCpu(adam_w.build()));
    }
    if config.amsgrad {
        return ModuleOptimizer::from(AmsGrad {
            betas: config.betas.map(Probability::get),
            epsilon: config.epsilon.get(),
            weight_decay: config.weight_decay.get(),
        });
    }
    let adam = AdamConfig::new()
        .with_beta_1(config.betas[0].get() as f32)
        .with_beta_2(config.betas[1].get() as f32)
        .with_epsilon(config.epsilon.get() as f32)
        .with_weight_decay(Some(WeightDecayConfig::new(
            config.weight_decay.get() as f32
        )));
    ModuleOptimizer::from(ReadOnCpu(adam.build()))
}

/// Learning rates at a point of training by parameter path, for an
/// [`Ithn`](ithn_plugin::Ithn): parameters below the generator's field `backbone` get the
/// backbone's rate, all others the other one.
pub fn learning_rate_policy(config: &OptimizerConfig, point: TrainingPoint) -> ModuleLearningRate {
    two_rates(config, point, "generator.backbone.")
}

/// The backbone's rate for parameters whose path has `backbone`, the other one for the rest.
pub(crate) fn two_rates(
    config: &OptimizerConfig,
    point: TrainingPoint,
    backbone: &str,
) -> ModuleLearningRate {
    let [of_backbone, rest] = config.learning_rates(point);
    ModuleLrScheduler::new(rest)
        .with_group(ParamGroup::from_predicate(backbone), of_backbone)
        .step()
}
