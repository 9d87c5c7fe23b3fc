//! `small_ckpt/`: a checkpoint as the released trainer saves it.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::{Device, Tensor};
use ithn::generators::R2GenCmn;
use ithn::import::{NamedTensors, UntraceableSizes, infer_released, load_released};
use ithn::plugin::{Ithn, IthnConfig};
use ithn_decoder::search::{Hypothesis, search};
use ithn_generator::ReportGenerator;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::check::{Check, Tolerance};
use super::decoding::{released_options, released_rows, search_for_all};
use super::fixture::{Fixture, FixtureError, read_json};
use super::formula::byte_normalisation;
use super::model::{BackboneOptions, ModelOptions};

const FAMILY: &str = "small_ckpt";
const VALUES: Tolerance = Tolerance::Absolute(1e-4);

pub fn run(dir: &Path) -> Result<Vec<Check>, FixtureError> {
    let folder = dir.join("small_ckpt");
    let golden = Golden {
        fixture: Fixture::read(&folder, "expected.safetensors")?,
        json: read_json(&folder, "expected.json")?,
        pool: Fixture::read(dir, "train_curve.safetensors")?,
        device: Device::default(),
    };
    let weights = NamedTensors::read(&folder.join("ithn_small.pth"))?;
    let (sizes, ithn) = golden.import(&weights)?;
    let images = golden.images()?;
    let mut checks = vec![sizes];
    checks.extend(golden.teacher_forcing(&ithn, images.clone())?);
    checks.extend(golden.generation(&ithn.generator, images)?);
    Ok(checks)
}

#[derive(Deserialize)]
struct Json {
    config: Map<String, Value>,
    resnet: BackboneOptions,
    image_norm: String,
    max_seq_length: usize,
    generation: BTreeMap<String, Map<String, Value>>,
}

struct Golden {
    fixture: Fixture,
    json: Json,
    /// The training curve's images, which the checkpoint learnt from.
    pool: Fixture,
    device: Device,
}

impl Golden {
    /// The model, its sizes read off the tensors.
    fn import(&self, weights: &NamedTensors) -> Result<(Check, Ithn<R2GenCmn>), FixtureError> {
        let options: ModelOptions = serde_json::from_value(Value::Object(self.json.config.clone()))
            .map_err(|error| self.fixture.layout(error.to_string()))?;
        let untraceable = UntraceableSizes {
            heads: options.num_heads,
            top_k: options.topk,
        };
        let sizes = infer_released(weights, untraceable)?;
        let golden = options.generator(self.json.resnet.config(), sizes.generator.vocabulary);
        let inferred = options.generator(sizes.generator.backbone.clone(), golden.vocabulary);
        let same = inferred == golden
            && sizes.generator.memory.rows == options.cmm_size
            && sizes.generator.transformer.d_ff == options.d_ff
            && sizes.generator.transformer.layers == options.num_layers;
        let check = Check::equal(FAMILY, "sizes inferred from the tensors", &[same], &[true]);
        let config = IthnConfig {
            projection_width: sizes.projection_width,
            ..IthnConfig::released()
        };
        let generator = sizes.generator.init(&self.device);
        let ithn = load_released(config.init(generator, &self.device), weights)?;
        Ok((check, ithn))
    }

    /// The first images of the pool, `[batch, 1, 3, height, width]`.
    fn images(&self) -> Result<Tensor<5>, FixtureError> {
        let (offset, divisor) = byte_normalisation(&self.json.image_norm)
            .map_err(|reason| self.fixture.layout(reason))?;
        let [studies, _, _] = self.fixture.dims("patch_feats")?;
        let pool = self.pool.tensor::<4>("pool_u8", &self.device)?;
        let images = (pool.narrow(0, 0, studies) - offset) / divisor;
        Ok(images.unsqueeze_dim(1))
    }

    fn compare<const D: usize>(
        &self,
        name: &str,
        actual: Tensor<D>,
    ) -> Result<Check, FixtureError> {
        let golden = self.fixture.data(name)?;
        Ok(Check::tensor(FAMILY, name, actual, golden, VALUES))
    }

    fn teacher_forcing(
        &self,
        ithn: &Ithn<R2GenCmn>,
        images: Tensor<5>,
    ) -> Result<Vec<Check>, FixtureError> {
        let generator = &ithn.generator;
        let features = generator.look(images);
        let tokens = self.fixture.integers::<2>("ids", &self.device)?;
        let [_, length] = tokens.dims();
        let encoded = generator.encode_patches(features.patches.clone());
        let hidden = generator.hidden_states(&encoded, tokens.narrow(1, 0, length - 1));
        Ok(vec![
            self.compare("patch_feats", features.patches)?,
            self.compare("avg_feats", features.pooled)?,
            self.compare("out", hidden.clone())?,
            self.compare("log_probs", generator.log_probs(hidden))?,
        ])
    }

    fn generation(
        &self,
        generator: &R2GenCmn,
        images: Tensor<5>,
    ) -> Result<Vec<Check>, FixtureError> {
        let layout = |reason: String| self.fixture.layout(reason);
        let length = self.json.max_seq_length;
        let mut checks = Vec::new();
        for (name, case) in &self.json.generation {
            let options = released_options(case, &self.json.config).map_err(layout)?;
            let config = search_for_all(&options, length).map_err(layout)?;
            let found = search(generator, images.clone(), &config)
                .map_err(|error| layout(error.to_string()))?;
            let ids: Vec<u32> = released_rows(&found, &options, length).concat();
            let name = format!("gen.{name}");
            let golden: Vec<u32> = self.fixture.data(&name)?.iter().collect();
            checks.push(Check::equal(FAMILY, &name, &ids, &golden));

            let log_probs = log_probs_of_tokens(&found, length);
            let name = format!("{name}_logprobs_of_tokens");
            let golden = self.fixture.values(&name)?;
            checks.push(Check::numbers(FAMILY, name, &log_probs, &golden, VALUES));
        }
        Ok(checks)
    }
}

/// Log-probabilities of each study's best report, padded with 0.
fn log_probs_of_tokens(found: &[Vec<Hypothesis>], length: usize) -> Vec<f64> {
    found
        .iter()
        .filter_map(|hypotheses| hypotheses.first())
        .flat_map(|best| {
            let written = best.log_probs.iter().copied().map(f64::from);
            written.chain(std::iter::repeat(0.0)).take(length)
        })
        .collect()
}
