//! `train_curve.safetensors` and `.json`: the whole model trained for a few epochs.

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Int, Tensor, TensorData};
use ithn::generators::R2GenCmn;
use ithn::import::{collect_released, load_released, released_name};
use ithn::plugin::{Ithn, IthnConfig, LossTerms, LossWeights, NegativeBatch, TrainingBatch};
use ithn::train::{LearningRateSchedule, OptimizerConfig};
use ithn_generator::ReportGenerator;
use ithn_negatives::{HardnessSchedule, TrainingPoint};
use serde::Deserialize;

use super::check::{Check, Tolerance};
use super::fixture::{Fixture, FixtureError, read_json};
use super::formula::{byte_normalisation, loss_weight};
use super::gradients::GradientChecks;
use super::model::{BackboneOptions, ModelOptions};
use super::named::collect_gradients;

const FAMILY: &str = "train_curve";
const VALUES: Tolerance = Tolerance::Absolute(2e-5);
/// Of the first steps, before rounding is amplified by Adam and by changes of the kept rows.
const EARLY_LOSSES: Tolerance = Tolerance::Absolute(1e-4);
const EARLY_STEPS: usize = 6;
const LATE_LOSSES: Tolerance = Tolerance::Absolute(1e-2);
const GRADIENTS: Tolerance = Tolerance::Relative(1e-4);
const NORMS_AFTER_ONE_STEP: Tolerance = Tolerance::Relative(1e-5);
const FINAL_MATRICES: Tolerance = Tolerance::Relative(1e-3);
const FINAL_VECTORS: Tolerance = Tolerance::Relative(5e-2);
/// Narrower than for other vectors, so that a biased running variance cannot hide.
const FINAL_BUFFERS: Tolerance = Tolerance::Relative(1e-2);
const RATES: Tolerance = Tolerance::Absolute(1e-12);

pub fn run(dir: &Path) -> Result<Vec<Check>, FixtureError> {
    let curve = Curve {
        fixture: Fixture::read(dir, "train_curve.safetensors")?,
        json: read_json(dir, "train_curve.json")?,
        device: Device::default().autodiff(),
    };
    let mut checks = vec![curve.first_log_probs()?];
    checks.extend(curve.train()?);
    Ok(checks)
}

#[derive(Deserialize)]
struct Json {
    config: Options,
    alpha: f64,
    resnet: BackboneOptions,
    logits: usize,
    proj_dim: usize,
    training: Training,
    steps: Vec<Step>,
    pool_ids: Vec<Vec<i64>>,
    param_norms_after_step1: BTreeMap<String, f64>,
    final_norms: BTreeMap<String, f64>,
    final_bn_buffers: BTreeMap<String, f64>,
}

#[derive(Deserialize)]
struct Options {
    #[serde(flatten)]
    model: ModelOptions,
    lr_ve: f64,
    lr_ed: f64,
    weight_decay: f64,
    adam_betas: [f64; 2],
    adam_eps: f64,
    amsgrad: bool,
    step_size: usize,
    gamma: f64,
}

#[derive(Deserialize)]
struct Training {
    image_norm: String,
    loss: String,
}

#[derive(Deserialize)]
struct Step {
    step: usize,
    epoch: usize,
    lambda_: f64,
    lr_ve: f64,
    lr_ed: f64,
    loss: f64,
    lm: f64,
    l_cp: f64,
    l_cs: f64,
    indices: Vec<usize>,
    neg_indices: Vec<usize>,
}

struct Curve {
    fixture: Fixture,
    json: Json,
    device: Device,
}

impl Curve {
    /// The model at its start.
    fn model(&self) -> Result<Ithn<R2GenCmn>, FixtureError> {
        let generator = self
            .json
            .config
            .model
            .generator(self.json.resnet.config(), self.json.logits);
        let weight = |term| {
            loss_weight(&self.json.training.loss, term)
                .map_err(|reason| self.fixture.layout(reason))
        };
        let config = IthnConfig {
            projection_width: self.json.proj_dim,
            weights: LossWeights {
                language: weight("lm")?,
                contrastive: weight("l_cp")?,
                separation: weight("l_cs")?,
            },
            ..IthnConfig::released()
        };
        let ithn = config.init(generator.init(&self.device), &self.device);
        Ok(load_released(ithn, &self.fixture.weights("init.", ""))?)
    }

    fn optimizer(&self) -> OptimizerConfig {
        let options = &self.json.config;
        OptimizerConfig {
            backbone_learning_rate: options.lr_ve,
            learning_rate: options.lr_ed,
            weight_decay: options.weight_decay,
            betas: options.adam_betas,
            epsilon: options.adam_eps,
            amsgrad: options.amsgrad,
            schedule: LearningRateSchedule::Step {
                every_epochs: options.step_size,
                factor: options.gamma,
            },
            warmup_steps: 0,
        }
    }

    /// Images of the pool as a batch of one view each, `[batch, 1, 3, height, width]`.
    fn images(&self, indices: &[usize]) -> Result<Tensor<5>, FixtureError> {
        let (offset, divisor) = byte_normalisation(&self.json.training.image_norm)
            .map_err(|reason| self.fixture.layout(reason))?;
        let pool = self.fixture.tensor::<4>("pool_u8", &self.device)?;
        let rows: Vec<i64> = indices.iter().map(|&index| index as i64).collect();
        let rows = Tensor::<1, Int>::from_data(rows.as_slice(), &self.device);
        let images = (pool.select(0, rows) - offset) / divisor;
        Ok(images.unsqueeze_dim(1))
    }

    /// Reports padded with 0 to the longest among them, and which tokens count.
    fn reports(&self, indices: &[usize]) -> (Tensor<2, Int>, Tensor<2>) {
        let reports: Vec<&[i64]> = indices
            .iter()
            .map(|&index| self.json.pool_ids[index].as_slice())
            .collect();
        let longest = reports.iter().map(|report| report.len()).max().unwrap_or(0);
        let mut tokens = Vec::new();
        let mut mask = Vec::new();
        for report in &reports {
            let padding = longest - report.len();
            tokens.extend(
                report
                    .iter()
                    .copied()
                    .chain(std::iter::repeat_n(0, padding)),
            );
            mask.extend(std::iter::repeat_n(1.0f32, report.len()));
            mask.extend(std::iter::repeat_n(0.0f32, padding));
        }
        let shape = [reports.len(), longest];
        (
            Tensor::from_data(TensorData::new(tokens, shape), &self.device),
            Tensor::from_data(TensorData::new(mask, shape), &self.device),
        )
    }

    fn batch(&self, step: &Step) -> Result<TrainingBatch, FixtureError> {
        let (tokens, token_mask) = self.reports(&step.indices);
        let (negative_tokens, _) = self.reports(&step.neg_indices);
        Ok(TrainingBatch {
            images: self.images(&step.indices)?,
            tokens,
            token_mask,
            negatives: Some(NegativeBatch {
                images: self.images(&step.neg_indices)?,
                tokens: negative_tokens,
            }),
        })
    }

    /// Log-probabilities of the first batch, with batch statistics; on a model of its own, since
    /// the pass moves the running ones.
    fn first_log_probs(&self) -> Result<Check, FixtureError> {
        let generator = self.model()?.generator;
        let batch = self.batch(&self.json.steps[0])?;
        let [_, length] = batch.tokens.dims();
        let encoded = generator.encode(batch.images);
        let inputs = batch.tokens.narrow(1, 0, length - 1);
        let log_probs = generator.log_probs(generator.hidden_states(&encoded.context, inputs));
        let golden = self.fixture.data("log_probs_step1")?;
        Ok(Check::tensor(
            FAMILY,
            "log_probs_step1",
            log_probs,
            golden,
            VALUES,
        ))
    }

    fn train(&self) -> Result<Vec<Check>, FixtureError> {
        let config = self.optimizer();
        let schedule = HardnessSchedule::PerEpoch {
            alpha: self.json.alpha,
        };
        let mut optimizer = config.init();
        let mut model = self.model()?;
        let mut rates = Vec::new();
        let mut early = Vec::new();
        let mut late = Vec::new();
        let mut after_one_step = Vec::new();
        for step in &self.json.steps {
            let point = TrainingPoint {
                epoch: step.epoch,
                step: step.step - 1,
                total_steps: self.json.steps.len(),
            };
            let lambda = schedule.lambda(point);
            rates.push(step.check_rates(lambda, config.learning_rates(point)));

            let terms = model.losses(self.batch(step)?, lambda);
            let gradients = terms.total.backward();
            let losses = if step.step <= EARLY_STEPS {
                &mut early
            } else {
                &mut late
            };
            losses.push(step.check_losses(terms));
            if step.step == 1 {
                let actual = collect_gradients(&model, &gradients, released_name);
                after_one_step.extend(self.first_gradients(&actual)?);
            }
            let gradients = GradientsParams::from_grads(gradients, &model);
            model = optimizer.step(config.policy(point), model, gradients);
            if step.step == 1 {
                after_one_step.extend(self.norms_after_one_step(&model));
            }
        }
        let mut checks = after_one_step;
        checks.extend(Check::summary(
            FAMILY,
            "lambda, learning rates of each step",
            rates,
        ));
        checks.extend(Check::summary(
            FAMILY,
            "loss, lm, l_cp, l_cs of the first steps",
            early,
        ));
        checks.extend(Check::summary(
            FAMILY,
            "loss, lm, l_cp, l_cs of the later steps",
            late,
        ));
        checks.extend(self.final_norms(&model));
        Ok(checks)
    }

    fn first_gradients(
        &self,
        actual: &BTreeMap<String, TensorData>,
    ) -> Result<Vec<Check>, FixtureError> {
        GradientChecks {
            family: FAMILY,
            fixture: &self.fixture,
            prefix: "grad_step1.",
            tolerance: GRADIENTS,
            zero_tolerance: 1e-6,
        }
        .run(actual)
    }

    fn norms_after_one_step(&self, model: &Ithn<R2GenCmn>) -> Vec<Check> {
        let state = collect_released(&model.valid());
        let golden = &self.json.param_norms_after_step1;
        norms(
            "param_norms_after_step1",
            &state,
            golden,
            NORMS_AFTER_ONE_STEP,
        )
    }

    fn final_norms(&self, model: &Ithn<R2GenCmn>) -> Vec<Check> {
        let state = collect_released(&model.valid());
        let is_matrix = |name: &str| {
            let rank = state.get(name).map_or(0, |data| data.shape().num_dims());
            rank >= 2
        };
        let (matrices, vectors): (BTreeMap<_, _>, BTreeMap<_, _>) = self
            .json
            .final_norms
            .clone()
            .into_iter()
            .partition(|(name, _)| is_matrix(name));
        let mut checks = norms("final_norms, matrices", &state, &matrices, FINAL_MATRICES);
        checks.extend(norms(
            "final_norms, vectors",
            &state,
            &vectors,
            FINAL_VECTORS,
        ));
        let buffers = &self.json.final_bn_buffers;
        checks.extend(norms("final_bn_buffers", &state, buffers, FINAL_BUFFERS));
        checks
    }
}

impl Step {
    fn check_rates(&self, lambda: f64, [backbone, rest]: [f64; 2]) -> Check {
        let golden = [self.lambda_, self.lr_ve, self.lr_ed];
        let quantity = format!("lambda, learning rates of step {}", self.step);
        Check::numbers(FAMILY, quantity, &[lambda, backbone, rest], &golden, RATES)
    }

    fn check_losses(&self, terms: LossTerms) -> Check {
        let mut actual: Vec<f64> = vec![terms.total.into_scalar(), terms.language.into_scalar()];
        if let Some(alignment) = terms.alignment {
            actual.push(alignment.contrastive.into_scalar());
            actual.push(alignment.separation.into_scalar());
        }
        let golden = [self.loss, self.lm, self.l_cp, self.l_cs];
        let tolerance = if self.step <= EARLY_STEPS {
            EARLY_LOSSES
        } else {
            LATE_LOSSES
        };
        let quantity = format!("losses of step {}", self.step);
        Check::numbers(FAMILY, quantity, &actual, &golden, tolerance)
    }
}

/// Norms of weights against golden ones, as one line.
fn norms(
    what: &str,
    state: &BTreeMap<String, TensorData>,
    golden: &BTreeMap<String, f64>,
    tolerance: Tolerance,
) -> Vec<Check> {
    let members = golden.iter().map(|(name, &golden)| {
        let actual = state.get(name).map_or(f64::NAN, |data| {
            data.iter::<f64>()
                .map(|value| value * value)
                .sum::<f64>()
                .sqrt()
        });
        Check::number(FAMILY, format!("{what}.{name}"), actual, golden, tolerance)
    });
    Check::summary(FAMILY, what, members.collect())
}
