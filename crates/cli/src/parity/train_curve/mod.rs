//! `train_curve.safetensors` and `.json`: the whole model trained for a few epochs.

mod layout;

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Int, Tensor, TensorData};
use ithn::import::{collect_official_state, load_official_state, official_name};
use ithn::models::R2GenCmn;
use ithn::plugin::{Ithn, IthnConfig, LossTerms, LossWeights, NegativeBatch, TrainingBatch};
use ithn_generator::config::NonNegative;
use ithn_generator::{ReportGenerator, StudyBatch, TokenBatch};
use ithn_negatives::{HardnessSchedule, TrainingPoint};

use super::check::{Check, Tolerance};
use super::fixture::{Fixture, FixtureError, read_json};
use super::formula::{byte_normalisation, loss_weight};
use super::gradients::{GradientChecks, is_zero_gradient};
use super::named::collect_gradients;
use super::precision::{ACCIDENT, Precision, settled};
use layout::{Json, Step};

const FAMILY: &str = "train_curve";
const VALUES: Tolerance = Tolerance::Absolute(2e-5);
/// Of losses while rounding stays small.
const EARLY_LOSSES: Tolerance = Tolerance::Absolute(1e-4);
/// Steps that this holds for, provided that the reference's own runs in single and in double
/// precision agree to [`SMALL_ROUNDING`] so far.
const EARLY_STEPS: usize = 6;
const SMALL_ROUNDING: f64 = 1e-5;
/// Of losses once Adam and changes of the kept rows have amplified rounding.
const LATE_LOSSES: f64 = 1e-2;
const GRADIENTS: Tolerance = Tolerance::Relative(1e-4);
const NORMS_AFTER_ONE_STEP: f64 = 1e-5;
/// Of those that were zero before, as a share of the step: Adam divides a gradient by its own size.
const SHARE_OF_STEP: f64 = 1e-3;
const FINAL_MATRICES: f64 = 1e-3;
const FINAL_VECTORS: f64 = 5e-2;
/// Narrower than for other vectors, so that a biased running variance cannot hide.
const FINAL_BUFFERS: Tolerance = Tolerance::Relative(1e-2);
/// A third implementation may lie as far from the reference in single precision as that from
/// itself in double precision, a few times over.
const ROUNDING_MARGIN: f64 = 3.0;
const RATES: Tolerance = Tolerance::Absolute(1e-12);
/// Of losses when both sides compute in double precision. Nothing is amplified but the last digits
/// of the positions, which both compute in single precision.
const DOUBLE_LOSSES: Tolerance = Tolerance::Absolute(1e-5);

/// Of the total loss where products round their factors to bfloat16.
const MIXED_LOSSES: Tolerance = Tolerance::Relative(2e-2);

pub fn run(dir: &Path) -> Result<Vec<Check>, FixtureError> {
    let mut checks = settled(ACCIDENT, |precision| {
        let curve = Curve::read(dir, precision)?;
        let mut checks = vec![curve.first_log_probs()?];
        checks.extend(curve.train()?);
        Ok(checks)
    })?;
    let curve = Curve::read(dir, Precision::Double)?;
    checks.push(curve.json.training.norm.check(FAMILY));
    checks.extend(curve.double_losses()?);
    checks.extend(Curve::read(dir, Precision::Mixed)?.mixed_losses()?);
    Ok(checks)
}

struct Curve {
    fixture: Fixture,
    json: Json,
    device: Device,
    precision: Precision,
}

impl Curve {
    fn read(dir: &Path, precision: Precision) -> Result<Self, FixtureError> {
        Ok(Curve {
            fixture: Fixture::read(dir, "train_curve.safetensors")?,
            json: read_json(dir, "train_curve.json")?,
            device: Device::default().autodiff(),
            precision,
        })
    }

    /// The whole curve again, beside the reference's in the same double precision.
    fn double_losses(&self) -> Result<Vec<Check>, FixtureError> {
        if self.json.steps_float64.is_empty() {
            let what = "losses of all steps in double precision: no steps_float64";
            return Ok(vec![Check::absent(FAMILY, what)]);
        }
        if !self.precision.is_available() {
            let what = "losses of all steps in double precision: the device has none";
            return Ok(vec![Check::absent(FAMILY, what)]);
        }
        let mut steps = self.json.steps_float64.iter();
        let mut members = Vec::new();
        self.descend(|step, terms, _, _| {
            let golden = steps.next().map(|s| [s.loss, s.lm, s.l_cp, s.l_cs]);
            let quantity = format!("losses of step {} in double precision", step.step);
            let golden = golden.unwrap_or([f64::NAN; 4]);
            members.push(Check::numbers(
                FAMILY,
                quantity,
                &values(terms),
                &golden,
                DOUBLE_LOSSES,
            ));
            Ok(())
        })?;
        let what = "loss, lm, l_cp, l_cs of all steps, both in double precision";
        Ok(Check::summary(FAMILY, what, members))
    }

    /// The whole curve again with factors of bfloat16, beside the reference's single precision.
    fn mixed_losses(&self) -> Result<Vec<Check>, FixtureError> {
        if !self.precision.is_available() {
            let what = "loss of all steps, factors of bfloat16: the device has none";
            return Ok(vec![Check::absent(FAMILY, what)]);
        }
        let mut members = Vec::new();
        self.descend(|step, terms, _, _| {
            let quantity = format!("loss of step {} with factors of bfloat16", step.step);
            let loss = values(terms)[0];
            members.push(Check::number(
                FAMILY,
                quantity,
                loss,
                step.loss,
                MIXED_LOSSES,
            ));
            Ok(())
        })?;
        let what = "loss of all steps, factors of bfloat16";
        Ok(Check::summary(FAMILY, what, members))
    }

    /// The model at its start.
    fn model(&self) -> Result<Ithn<R2GenCmn>, FixtureError> {
        let generator = self.json.config.model.generator(self.json.resnet.config());
        let weight = |term| {
            let number = loss_weight(&self.json.training.loss, term)
                .map_err(|reason| self.fixture.layout(reason))?;
            NonNegative::new(number).map_err(|error| self.fixture.layout(error.to_string()))
        };
        let weights = LossWeights::new(weight("lm")?, weight("l_cp")?, weight("l_cs")?);
        let config = IthnConfig::official()
            .with_projection_width(self.json.proj_dim)
            .with_weights(weights);
        let ithn = config.init(
            generator.init(self.json.logits, 1, &self.device),
            &self.device,
        );
        let ithn = load_official_state(ithn, &self.fixture.weights("init.", ""))?;
        Ok(self.precision.module(ithn))
    }

    /// Images of the pool as a batch of one view each.
    fn studies(&self, indices: &[usize]) -> Result<StudyBatch, FixtureError> {
        let (offset, divisor) = byte_normalisation(&self.json.training.image_norm)
            .map_err(|reason| self.fixture.layout(reason))?;
        let pool = self.fixture.tensor::<4>("pool_u8", &self.device)?;
        let rows: Vec<i64> = indices.iter().map(|&index| index as i64).collect();
        let rows = Tensor::<1, Int>::from_data(rows.as_slice(), &self.device);
        let images = (pool.select(0, rows) - offset) / divisor;
        let images = self.precision.tensor(images.unsqueeze_dim(1));
        Ok(StudyBatch::new(images))
    }

    fn reports(&self, indices: &[usize]) -> TokenBatch {
        let reports: Vec<&[i64]> = indices
            .iter()
            .map(|&index| self.json.pool_ids[index].as_slice())
            .collect();
        let longest = reports.iter().map(|report| report.len()).max().unwrap_or(0);
        let mut tokens = Vec::new();
        let mut mask = Vec::new();
        for report in &reports {
            let padding = longest - report.len();
            tokens.extend_from_slice(report);
            tokens.extend(std::iter::repeat_n(0, padding));
            mask.extend(std::iter::repeat_n(1.0f32, report.len()));
            mask.extend(std::iter::repeat_n(0.0f32, padding));
        }
        let shape = [reports.len(), longest];
        let mask = Tensor::from_data(TensorData::new(mask, shape), &self.device);
        TokenBatch::new(
            Tensor::from_data(TensorData::new(tokens, shape), &self.device),
            self.precision.tensor(mask),
        )
    }

    fn batch(&self, step: &Step) -> Result<TrainingBatch, FixtureError> {
        Ok(TrainingBatch {
            studies: self.studies(&step.indices)?,
            reports: self.reports(&step.indices),
            negatives: Some(NegativeBatch::new(
                self.studies(&step.neg_indices)?,
                self.reports(&step.neg_indices),
            )),
        })
    }

    /// Log-probabilities of the first batch, with batch statistics; on a model of its own, since
    /// the pass moves the running ones.
    fn first_log_probs(&self) -> Result<Check, FixtureError> {
        let generator = self.model()?.generator;
        let batch = self.batch(&self.json.steps[0])?;
        let encoded = generator.encode(batch.studies);
        let hidden = generator.hidden_states(&encoded.context, &batch.reports);
        let log_probs = generator.log_probs(hidden);
        let golden = self.fixture.data("log_probs_step1")?;
        Ok(Check::tensor(
            FAMILY,
            "log_probs_step1",
            log_probs,
            golden,
            VALUES,
        ))
    }

    /// Trains through all steps and returns the model. Each step is shown with its losses, its
    /// gradients by name (of the first step alone) and the model after it.
    fn descend(
        &self,
        mut show: impl FnMut(
            &Step,
            LossTerms,
            Option<BTreeMap<String, TensorData>>,
            &Ithn<R2GenCmn>,
        ) -> Result<(), FixtureError>,
    ) -> Result<Ithn<R2GenCmn>, FixtureError> {
        let config = self.json.config.optimizer();
        let mut optimizer = ithn::train::init_optimizer(&config);
        let mut model = self.model()?;
        for step in &self.json.steps {
            let (batch, lambda) = (self.batch(step)?, self.lambda(step));
            let terms = self.precision.forward(|| model.losses(batch, lambda));
            let gradients = terms.total.backward();
            let named =
                (step.step == 1).then(|| collect_gradients(&model, &gradients, official_name));
            let gradients = GradientsParams::from_grads(gradients, &model);
            model = optimizer.step(
                ithn::train::learning_rate_policy(&config, self.point(step)),
                model,
                gradients,
            );
            show(step, terms, named, &model)?;
        }
        Ok(model)
    }

    fn lambda(&self, step: &Step) -> f64 {
        let schedule = HardnessSchedule::PerEpoch {
            alpha: self.json.alpha,
        };
        schedule.lambda(self.point(step))
    }

    fn point(&self, step: &Step) -> TrainingPoint {
        TrainingPoint {
            epoch: step.epoch,
            step: step.step - 1,
            total_steps: self.json.steps.len(),
        }
    }

    fn train(&self) -> Result<Vec<Check>, FixtureError> {
        let mut early = Vec::new();
        let mut late = Vec::new();
        let mut checks = Vec::new();
        let model = self.descend(|step, terms, gradients, model| {
            match self.rounding_until(step.step) {
                None => early.push(step.check_losses(terms, EARLY_LOSSES)),
                Some(late_losses) => late.push(step.check_losses(terms, late_losses)),
            }
            if let Some(gradients) = gradients {
                checks.extend(self.first_gradients(&gradients)?);
                checks.extend(self.norms_after_one_step(model));
            }
            Ok(())
        })?;
        let config = self.json.config.optimizer();
        let rates = self.json.steps.iter();
        let rates = rates.map(|step| {
            step.check_rates(self.lambda(step), config.learning_rates(self.point(step)))
        });
        for (what, members) in [
            ("lambda, learning rates of each step", rates.collect()),
            ("loss, lm, l_cp, l_cs of the first steps", early),
            ("loss, lm, l_cp, l_cs of the later steps", late),
        ] {
            checks.extend(Check::summary(FAMILY, what, members));
        }
        checks.extend(self.final_norms(&model));
        Ok(checks)
    }

    /// The tolerance of a step that rounding has reached; `None` for an early one.
    fn rounding_until(&self, step: usize) -> Option<Tolerance> {
        let differences = &self.json.abs_loss_diff_f32_vs_f64_per_step;
        let largest = differences.iter().take(step).copied().fold(0.0, f64::max);
        let early = step <= EARLY_STEPS && largest <= SMALL_ROUNDING;
        (!early).then(|| {
            let all = differences.iter().copied().fold(0.0, f64::max);
            Tolerance::Absolute(LATE_LOSSES.max(ROUNDING_MARGIN * all))
        })
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
        let state = collect_official_state(&model.valid());
        let golden = self.json.param_norms_after_step1.clone();
        let (drifting, golden) = golden
            .into_iter()
            .partition(|(name, _)| is_zero_gradient(name));
        let what = "param_norms_after_step1";
        let tolerance = Tolerance::Either {
            relative: NORMS_AFTER_ONE_STEP,
            absolute: SHARE_OF_STEP * self.json.config.lr_ve.min(self.json.config.lr_ed),
        };
        let mut checks = norms(what, &state, &golden, tolerance);
        checks.extend(self.drifting_norms(what, &state, &drifting, 1));
        checks
    }

    fn final_norms(&self, model: &Ithn<R2GenCmn>) -> Vec<Check> {
        let state = collect_official_state(&model.valid());
        let is_matrix = |name: &str| {
            let rank = state.get(name).map_or(0, |data| data.shape().num_dims());
            rank >= 2
        };
        let golden = self.json.final_norms.clone();
        let (drifting, golden): (Norms, Norms) = golden
            .into_iter()
            .partition(|(name, _)| is_zero_gradient(name));
        let (matrices, vectors): (Norms, Norms) =
            golden.into_iter().partition(|(name, _)| is_matrix(name));
        let of_matrices = self.final_tolerance(&matrices, FINAL_MATRICES);
        let of_vectors = self.final_tolerance(&vectors, FINAL_VECTORS);
        let buffers = &self.json.final_bn_buffers;
        let steps = self.json.steps.len();
        let mut checks = norms("final_norms, matrices", &state, &matrices, of_matrices);
        checks.extend(norms("final_norms, vectors", &state, &vectors, of_vectors));
        checks.extend(self.drifting_norms("final_norms", &state, &drifting, steps));
        checks.extend(norms("final_bn_buffers", &state, buffers, FINAL_BUFFERS));
        checks
    }

    /// Norms of weights whose gradient is rounding alone. Adam makes steps of the learning rate out
    /// of it, in either direction, so they are known to twice the way that they can have gone.
    fn drifting_norms(
        &self,
        what: &str,
        state: &BTreeMap<String, TensorData>,
        golden: &Norms,
        steps: usize,
    ) -> Vec<Check> {
        let way: f64 = self
            .json
            .steps
            .iter()
            .take(steps)
            .map(|step| step.lr_ed)
            .sum();
        let longest = golden
            .keys()
            .filter_map(|name| state.get(name))
            .map(|data| data.shape().num_elements())
            .max()
            .unwrap_or(0);
        let tolerance = Tolerance::Absolute(2.0 * way * (longest as f64).sqrt());
        let what = format!("{what}, no gradient but rounding");
        norms(&what, state, golden, tolerance)
    }
}

impl Curve {
    /// `usual`, or more where the reference itself moves by more in double precision.
    fn final_tolerance(&self, golden: &BTreeMap<String, f64>, usual: f64) -> Tolerance {
        let rounding = golden.iter().filter_map(|(name, &single)| {
            let double = self.json.final_norms_float64.get(name)?;
            (single != 0.0).then(|| ((single - double) / single).abs())
        });
        let largest = rounding.fold(0.0, f64::max);
        Tolerance::Relative(usual.max(ROUNDING_MARGIN * largest))
    }
}

impl Step {
    fn check_rates(&self, lambda: f64, [backbone, rest]: [f64; 2]) -> Check {
        let golden = [self.lambda_, self.lr_ve, self.lr_ed];
        let quantity = format!("lambda, learning rates of step {}", self.step);
        Check::numbers(FAMILY, quantity, &[lambda, backbone, rest], &golden, RATES)
    }

    fn check_losses(&self, terms: LossTerms, tolerance: Tolerance) -> Check {
        let golden = [self.loss, self.lm, self.l_cp, self.l_cs];
        let quantity = format!("losses of step {}", self.step);
        Check::numbers(FAMILY, quantity, &values(terms), &golden, tolerance)
    }
}

/// Loss, lm, l_cp and l_cs.
fn values(terms: LossTerms) -> Vec<f64> {
    let mut values = vec![terms.total.into_scalar(), terms.language.into_scalar()];
    if let Some(alignment) = terms.alignment {
        values.push(alignment.contrastive.into_scalar());
        values.push(alignment.separation.into_scalar());
    }
    values
}

type Norms = BTreeMap<String, f64>;

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
