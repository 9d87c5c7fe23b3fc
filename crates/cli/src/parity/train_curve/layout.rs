//! What `train_curve.json` holds.

use std::collections::BTreeMap;

use ithn::config::{LearningRateSchedule, OptimizerConfig};
use ithn_generator::config::{NonNegative, Positive, Probability};
use serde::Deserialize;

use super::super::model::{BackboneOptions, ModelOptions, NormOptions};

#[derive(Deserialize)]
pub struct Json {
    pub config: Options,
    pub alpha: NonNegative,
    pub resnet: BackboneOptions,
    pub logits: usize,
    pub proj_dim: usize,
    pub training: Training,
    pub steps: Vec<Step>,
    #[serde(default)]
    pub steps_float64: Vec<DoubleStep>,
    pub pool_ids: Vec<Vec<i64>>,
    pub param_norms_after_step1: BTreeMap<String, f64>,
    pub final_norms: BTreeMap<String, f64>,
    #[serde(default)]
    pub final_norms_float64: BTreeMap<String, f64>,
    #[serde(default)]
    pub abs_loss_diff_f32_vs_f64_per_step: Vec<f64>,
    pub final_bn_buffers: BTreeMap<String, f64>,
}

#[derive(Deserialize)]
pub struct Options {
    #[serde(flatten)]
    pub model: ModelOptions,
    pub lr_ve: f64,
    pub lr_ed: f64,
    pub weight_decay: f64,
    pub adam_betas: [f64; 2],
    pub adam_eps: f64,
    pub amsgrad: bool,
    pub step_size: usize,
    pub gamma: f64,
}

#[derive(Deserialize)]
pub struct Training {
    pub image_norm: String,
    pub loss: String,
    #[serde(flatten)]
    pub norm: NormOptions,
}

#[derive(Deserialize)]
pub struct Step {
    pub step: usize,
    pub epoch: usize,
    pub lambda_: f64,
    pub lr_ve: f64,
    pub lr_ed: f64,
    pub loss: f64,
    pub lm: f64,
    pub l_cp: f64,
    pub l_cs: f64,
    pub indices: Vec<usize>,
    pub neg_indices: Vec<usize>,
}

/// The losses of a step in the reference's run in double precision.
#[derive(Deserialize)]
pub struct DoubleStep {
    pub loss: f64,
    pub lm: f64,
    pub l_cp: f64,
    pub l_cs: f64,
}

impl Options {
    /// The same options of this library's optimiser.
    pub fn optimizer(&self) -> OptimizerConfig {
        let mut optimizer = OptimizerConfig::default();
        optimizer.backbone_learning_rate = NonNegative::literal(self.lr_ve);
        optimizer.learning_rate = NonNegative::literal(self.lr_ed);
        optimizer.weight_decay = NonNegative::literal(self.weight_decay);
        optimizer.betas = self.adam_betas.map(Probability::literal);
        optimizer.epsilon = Positive::literal(self.adam_eps);
        optimizer.amsgrad = self.amsgrad;
        optimizer.schedule = LearningRateSchedule::Step {
            every_epochs: self.step_size,
            factor: Positive::literal(self.gamma),
        };
        optimizer.warmup_steps = 0;
        optimizer
    }
}
