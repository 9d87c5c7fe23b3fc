//! `resnet101.safetensors` and `.json`: the backbone with weights made by a formula.

mod layout;
mod parameters;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::module::{Module, ParamGroup};
use burn::tensor::{Device, Tensor, TensorData};
use ithn::import::{NamedTensors, load_torchvision};
use ithn_backbone::{ImageEncoder, ImageFeatures, ResNet, ResNetConfig};

use super::check::{Check, Tolerance};
use super::fixture::{Fixture, FixtureError, read_json};
use super::formula::{filled, image, uniform};
use super::named::{collect_gradients, collect_values};
use super::precision::{ACCIDENT, Precision, settled};
use layout::{Json, SmallRun, Statistics};
use parameters::{Parameter, config_of, official_name, torchvision_names};

const FAMILY: &str = "resnet101";
const FULL: Tolerance = Tolerance::Absolute(1e-4);
const SMALL: Tolerance = Tolerance::Absolute(2e-5);
/// Of numbers read from decimal text.
const LAST_DIGIT: Tolerance = Tolerance::Absolute(1e-15);
const NORMS: Tolerance = Tolerance::Relative(1e-4);

pub fn run(dir: &Path) -> Result<Vec<Check>, FixtureError> {
    let golden = Golden {
        fixture: Fixture::read(dir, "resnet101.safetensors")?,
        json: read_json(dir, "resnet101.json")?,
        path: dir.join("resnet101.json"),
    };
    let mut checks = golden.formula()?;
    checks.push(golden.json.config.norm.check(FAMILY));
    checks.extend(golden.full_size()?);
    for mode in [Mode::Eval, Mode::Train] {
        checks.extend(settled(ACCIDENT, |precision| {
            golden.small(mode, precision)
        })?);
    }
    Ok(checks)
}

/// How batch norm behaves.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Eval,
    Train,
}

impl Mode {
    fn prefix(self) -> &'static str {
        match self {
            Mode::Eval => "small_eval",
            Mode::Train => "small_train",
        }
    }
}

struct Golden {
    fixture: Fixture,
    json: Json,
    path: PathBuf,
}

impl Golden {
    fn tensor<const D: usize>(
        &self,
        name: &str,
        actual: Tensor<D>,
        tolerance: Tolerance,
    ) -> Result<Check, FixtureError> {
        let golden = self.fixture.data(name)?;
        Ok(Check::tensor(FAMILY, name, actual, golden, tolerance))
    }

    fn sample(
        &self,
        name: &str,
        values: &[f64],
        stride: usize,
        tolerance: Tolerance,
    ) -> Result<Check, FixtureError> {
        let sampled: Vec<f64> = values.iter().copied().step_by(stride).collect();
        let golden = self.fixture.values(name)?;
        Ok(Check::numbers(FAMILY, name, &sampled, &golden, tolerance))
    }

    /// The formula itself: wrong numbers here would make every later line meaningless.
    fn formula(&self) -> Result<Vec<Check>, FixtureError> {
        let mut actual = Vec::new();
        let mut golden = Vec::new();
        for (&k, values) in &self.json.first_values {
            actual.extend((0..values.len()).map(|index| uniform(k, index)));
            golden.extend_from_slice(values);
        }
        let options = &self.json.config.image224;
        let pixels: Vec<f64> = image(options.k, options.shape)
            .into_iter()
            .map(f64::from)
            .collect();
        Ok(vec![
            Check::numbers(FAMILY, "first_values", &actual, &golden, LAST_DIGIT),
            self.sample(
                "image224.sample",
                &pixels,
                options.sample_stride,
                Tolerance::Exact,
            )?,
        ])
    }

    /// ResNet-101 at inference.
    fn full_size(&self) -> Result<Vec<Check>, FixtureError> {
        let device = Device::default();
        let full = &self.json.resnet101;
        let options = &self.json.config.image224;
        let resnet = self.load(&full.params, &config_of(&full.params), &device)?;
        let images = images(options.k, options.shape, &device);

        let first = resnet.stem.conv.weight.val().into_data();
        let first: Vec<f64> = first.iter::<f64>().collect();
        let golden = self.fixture.values("resnet101.first_conv_weight8")?;
        let mut checks = vec![Check::numbers(
            FAMILY,
            "resnet101.first_conv_weight8",
            &first[..golden.len()],
            &golden,
            Tolerance::Exact,
        )];

        let mut map = resnet.stem_map(images.clone());
        checks.extend(self.map("after_maxpool", &map)?);
        for (stage, blocks) in resnet.stages.iter().enumerate() {
            map = blocks.iter().fold(map, |map, block| block.forward(map));
            checks.extend(self.map(&format!("layer{}", stage + 1), &map)?);
        }
        checks.push(Check::number(
            FAMILY,
            "maps inside the network",
            (resnet.stages.len() + 1) as f64,
            full.inter.len() as f64,
            Tolerance::Exact,
        ));

        let features = resnet.forward(images);
        let pooled_as = self.json.config.avg_pool_kernel;
        checks.push(self.pooled("resnet101.avg", &features, pooled_as, FULL)?);
        let patches = values(&features.patches);
        checks.push(self.sample(
            "resnet101.patch_sample",
            &patches,
            self.json.config.patch_sample_stride,
            FULL,
        )?);
        checks.extend(full.patch.check("resnet101.patch", &patches));
        if pools_whole_map(&features, pooled_as) {
            checks.extend(full.avg.check("resnet101.avg", &values(&features.pooled)));
        }
        Ok(checks)
    }

    /// Pooled features. The release averages squares of a fixed size, which is the whole map at the
    /// image size it was written for; at others its batch falls apart, and there is nothing to
    /// compare.
    fn pooled(
        &self,
        name: &str,
        features: &ImageFeatures,
        kernel: usize,
        tolerance: Tolerance,
    ) -> Result<Check, FixtureError> {
        if pools_whole_map(features, kernel) {
            return self.tensor(name, features.pooled.clone(), tolerance);
        }
        let what = format!("{name}: pooled over {kernel}×{kernel}, which is not the whole map");
        Ok(Check::absent(FAMILY, what))
    }

    /// A map inside the network: the sample and the statistics of all of it.
    fn map(&self, name: &str, map: &Tensor<4>) -> Result<Vec<Check>, FixtureError> {
        let full = format!("resnet101.inter.{name}");
        let Some(statistics) = self.json.resnet101.inter.get(name) else {
            return Err(self.layout(format!("it says nothing of '{name}'")));
        };
        let values = values(map);
        let stride = statistics.sample_stride.unwrap_or(1);
        let mut checks = vec![self.sample(&full, &values, stride, FULL)?];
        checks.extend(statistics.check(&full, &values));
        Ok(checks)
    }

    /// One bottleneck per stage: features, gradients, and in training the running statistics.
    fn small(&self, mode: Mode, precision: Precision) -> Result<Vec<Check>, FixtureError> {
        let prefix = mode.prefix();
        let device = Device::default().autodiff();
        let options = &self.json.config.small;
        let config = options.backbone.config();
        let resnet = self.load(&self.json.small_params, &config, &device)?;
        let resnet = precision.module(resnet);
        let resnet = match mode {
            Mode::Train => resnet,
            // Batch norm's training flags go off; every weight keeps its gradient.
            Mode::Eval => resnet.freeze_group(ParamGroup::from_predicate("norm.training")),
        };
        let run = match mode {
            Mode::Train => &self.json.small_train,
            Mode::Eval => &self.json.small_eval,
        };

        let images = images(options.image_k, options.input, &device);
        let features = resnet.forward(precision.tensor(images));
        let dims = features.patches.dims();
        let weights = filled(options.r_k, dims.iter().product(), |s| s);
        let weights = Tensor::<3>::from_data(TensorData::new(weights, dims), &device);
        let weights = precision.tensor(weights);
        let loss = (features.patches.clone() * weights).mean();
        let gradients = loss.backward();

        let loss: f64 = loss.into_scalar();
        let mut checks = vec![
            self.pooled(
                &format!("{prefix}.avg"),
                &features,
                options.avg_pool_kernel,
                SMALL,
            )?,
            self.tensor(&format!("{prefix}.patch"), features.patches, SMALL)?,
            Check::number(FAMILY, format!("{prefix}.loss"), loss, run.loss, SMALL),
        ];
        let actual = collect_gradients(&resnet, &gradients, official_name);
        checks.extend(self.small_gradients(prefix, run, &actual)?);
        if mode == Mode::Train {
            checks.extend(self.running_statistics(&resnet, run)?);
        }
        Ok(checks)
    }

    fn small_gradients(
        &self,
        prefix: &str,
        run: &SmallRun,
        actual: &BTreeMap<String, TensorData>,
    ) -> Result<Vec<Check>, FixtureError> {
        let values = |name: &str| -> Vec<f64> {
            actual
                .get(name)
                .map(|data| data.iter().collect())
                .unwrap_or_default()
        };
        let each = |golden: &BTreeMap<String, f64>, what: &str, of: fn(&[f64]) -> f64| {
            let members = golden.iter().map(|(name, &golden)| {
                let quantity = format!("{prefix}.{what}.{name}");
                Check::number(FAMILY, quantity, of(&values(name)), golden, NORMS)
            });
            Check::summary(FAMILY, &format!("{prefix}.{what}.*"), members.collect())
        };
        let mut checks = each(&run.grad_l2, "grad_l2", norm);
        checks.extend(each(&run.grad_absmax, "grad_absmax", largest));

        let stride = self.json.config.small.conv3_grad_sample_stride;
        let mut members = Vec::new();
        for full in self.fixture.names() {
            let Some(name) = full.strip_prefix(&format!("{prefix}.grad.")) else {
                continue;
            };
            members.push(match name.strip_suffix("_sample") {
                Some(name) => self.sample(full, &values(name), stride, NORMS)?,
                None => Check::numbers(
                    FAMILY,
                    full,
                    &values(name),
                    &self.fixture.values(full)?,
                    NORMS,
                ),
            });
        }
        checks.extend(Check::summary(FAMILY, &format!("{prefix}.grad.*"), members));
        Ok(checks)
    }

    fn running_statistics(
        &self,
        resnet: &ResNet,
        run: &SmallRun,
    ) -> Result<Vec<Check>, FixtureError> {
        let state = collect_values(&resnet.valid(), official_name);
        let values_of = |name: &str| -> Vec<f64> {
            state
                .get(name)
                .map(|data| data.iter().collect())
                .unwrap_or_default()
        };
        let prefix = format!("{}.", Mode::Train.prefix());
        let mut checks = Vec::new();
        for full in self.fixture.names() {
            let whole = full
                .strip_prefix(&prefix)
                .and_then(|name| name.strip_suffix("_after"));
            let Some(name) = whole else { continue };
            // The stem's norm goes by its attribute here, by its place everywhere else.
            let name = match name.strip_prefix("bn1.") {
                Some(statistic) => format!("1.{statistic}"),
                None => name.to_owned(),
            };
            let golden = self.fixture.values(full)?;
            checks.push(Check::numbers(
                FAMILY,
                full,
                &values_of(&name),
                &golden,
                SMALL,
            ));
        }
        let members = run.running_buffers_l2_after.iter().map(|(name, &golden)| {
            let values = values_of(name);
            let quantity = format!("small_train.running_buffers_l2_after.{name}");
            Check::number(FAMILY, quantity, norm(&values), golden, NORMS)
        });
        checks.extend(Check::summary(
            FAMILY,
            "small_train.running_buffers_l2_after.*",
            members.collect(),
        ));
        Ok(checks)
    }

    /// A ResNet whose weights follow the formula, imported as torchvision's are.
    fn load(
        &self,
        parameters: &[Parameter],
        config: &ResNetConfig,
        device: &Device,
    ) -> Result<ResNet, FixtureError> {
        let mut tensors = BTreeMap::new();
        for parameter in parameters {
            let name = torchvision_names(&parameter.name);
            let values = parameter.values().map_err(|reason| self.layout(reason))?;
            tensors.insert(name, values);
        }
        let weights = NamedTensors {
            path: self.path.clone(),
            tensors,
        };
        Ok(load_torchvision(config.init(device), &weights)?)
    }

    fn layout(&self, reason: String) -> FixtureError {
        FixtureError::Layout {
            path: self.path.clone(),
            reason,
        }
    }
}

impl Statistics {
    fn check(&self, what: &str, values: &[f64]) -> Vec<Check> {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let deviations = values.iter().map(|value| (value - mean).powi(2));
        let std = (deviations.sum::<f64>() / (count - 1.0)).sqrt();
        let minimum = values.iter().copied().fold(f64::INFINITY, f64::min);
        let maximum = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        vec![
            Check::numbers(
                FAMILY,
                format!("{what}: mean, std, min, max"),
                &[mean, std, minimum, maximum],
                &[self.mean, self.std, self.min, self.max],
                FULL,
            ),
            Check::number(FAMILY, format!("{what}: l2"), norm(values), self.l2, NORMS),
        ]
    }
}

fn pools_whole_map(features: &ImageFeatures, kernel: usize) -> bool {
    let [_, cells, _] = features.patches.dims();
    cells == kernel * kernel
}

fn images(k: u32, shape: [usize; 4], device: &Device) -> Tensor<4> {
    Tensor::from_data(TensorData::new(image(k, shape), shape), device)
}

fn values<const D: usize>(tensor: &Tensor<D>) -> Vec<f64> {
    tensor.clone().into_data().iter().collect()
}

fn norm(values: &[f64]) -> f64 {
    values.iter().map(|value| value * value).sum::<f64>().sqrt()
}

fn largest(values: &[f64]) -> f64 {
    values
        .iter()
        .fold(0.0, |largest, value| largest.max(value.abs()))
}
