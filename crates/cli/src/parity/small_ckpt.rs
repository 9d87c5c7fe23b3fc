//! `small_ckpt/`: a checkpoint as the official trainer saves it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use burn::tensor::{Device, Int, Tensor};
use ithn::import::{NamedTensors, UntraceableSizes, infer_official, load_official_state};
use ithn::models::{R2GenCmn, R2GenCmnContext};
use ithn::plugin::{Ithn, IthnConfig};
use ithn_generator::{ReportGenerator, StudyBatch, TokenBatch};
use ithn_search::search;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::check::{Check, Tolerance};
use super::decoding::{official_options, official_rows, search_for_all, token_log_probs};
use super::fixture::{Fixture, FixtureError, read_json};
use super::formula::byte_normalisation;
use super::model::{BackboneOptions, ModelOptions};
use super::precision::{ANOTHER_WORD, Precision, settled};

const FAMILY: &str = "small_ckpt";
/// The training curve's file, whose images the checkpoint learnt from.
const IMAGES: &str = "train_curve.safetensors";
const POOL: &str = "pool_u8";
const VALUES: Tolerance = Tolerance::Absolute(1e-4);

pub fn run(dir: &Path) -> Result<Vec<Check>, FixtureError> {
    let folder = dir.join("small_ckpt");
    let golden = Golden {
        fixture: Fixture::read(&folder, "expected.safetensors")?,
        json: read_json(&folder, "expected.json")?,
        device: Device::default(),
    };
    let weights = NamedTensors::read(&folder.join("ithn_small.pth"))?;
    settled(ANOTHER_WORD, |precision| {
        let (sizes, ithn) = golden.import(&weights)?;
        let generator = precision.module(ithn.generator);
        let mut checks = vec![sizes];
        let (features, patches) = golden.look(dir, &generator, precision)?;
        checks.extend(features);
        let encoded = generator.encode_patches(patches);
        checks.extend(golden.teacher_forcing(&generator, &encoded)?);
        checks.extend(golden.generation(&generator, &encoded)?);
        Ok(checks)
    })
}

#[derive(Deserialize)]
struct Json {
    config: Map<String, Value>,
    resnet: BackboneOptions,
    images: String,
    image_norm: String,
    max_seq_length: usize,
    generation: BTreeMap<String, Map<String, Value>>,
}

struct Golden {
    fixture: Fixture,
    json: Json,
    device: Device,
}

impl Golden {
    /// The model, its sizes read off the tensors.
    fn import(&self, weights: &NamedTensors) -> Result<(Check, Ithn<R2GenCmn>), FixtureError> {
        let options: ModelOptions = serde_json::from_value(Value::Object(self.json.config.clone()))
            .map_err(|error| self.fixture.layout(error.to_string()))?;
        let untraceable = UntraceableSizes::new(options.num_heads, options.topk);
        let sizes = infer_official(weights, untraceable)?;
        let golden = options.generator(self.json.resnet.config());
        let inferred = options.generator(sizes.generator.backbone.clone());
        let same = inferred == golden
            && sizes.generator.memory.rows == options.cmm_size
            && sizes.generator.transformer.d_ff == options.d_ff
            && sizes.generator.transformer.layers == options.num_layers;
        let check = Check::equal(FAMILY, "sizes inferred from the tensors", &[same], &[true]);
        let config = IthnConfig::official().with_projection_width(sizes.projection_width);
        let generator = sizes
            .generator
            .init(sizes.vocabulary, sizes.views, &self.device);
        let ithn = load_official_state(config.init(generator, &self.device), weights)?;
        Ok((check, ithn))
    }

    /// The images that the file names, `[batch, 1, 3, height, width]`.
    fn images(&self, pool: &Fixture) -> Result<Tensor<5>, FixtureError> {
        let layout = |reason: String| self.fixture.layout(reason);
        let (offset, divisor) = byte_normalisation(&self.json.image_norm).map_err(layout)?;
        let range = pool_range(&self.json.images).map_err(layout)?;
        let pool = pool.tensor::<4>(POOL, &self.device)?;
        let images = (pool.narrow(0, range.start, range.len()) - offset) / divisor;
        Ok(images.unsqueeze_dim(1))
    }

    /// Features of the images, and the patches to go on with: the golden ones where the file with
    /// the images is not there.
    fn look(
        &self,
        dir: &Path,
        generator: &R2GenCmn,
        precision: Precision,
    ) -> Result<(Vec<Check>, Tensor<3>), FixtureError> {
        if !dir.join(IMAGES).is_file() {
            let what = format!("features of the images: no {IMAGES}");
            let patches = self.fixture.tensor("patch_feats", &self.device)?;
            return Ok((vec![Check::absent(FAMILY, what)], precision.tensor(patches)));
        }
        let pool = Fixture::read(dir, IMAGES)?;
        let features =
            generator.backbone_features(StudyBatch::new(precision.tensor(self.images(&pool)?)));
        let checks = vec![
            self.compare("patch_feats", features.patches.values.clone())?,
            self.compare("avg_feats", features.pooled)?,
        ];
        Ok((checks, features.patches.values))
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
        generator: &R2GenCmn,
        encoded: &R2GenCmnContext,
    ) -> Result<[Check; 2], FixtureError> {
        let tokens = self.fixture.integers::<2>("ids", &self.device)?;
        let hidden = generator.hidden_states(encoded, &reports_of(tokens));
        Ok([
            self.compare("out", hidden.clone())?,
            self.compare("log_probs", generator.log_probs(hidden))?,
        ])
    }

    fn generation(
        &self,
        generator: &R2GenCmn,
        encoded: &R2GenCmnContext,
    ) -> Result<Vec<Check>, FixtureError> {
        let layout = |reason: String| self.fixture.layout(reason);
        let length = self.json.max_seq_length;
        let [studies, _, _] = self.fixture.dims("patch_feats")?;
        let studies: Vec<String> = (0..studies).map(|study| study.to_string()).collect();
        let mut checks = Vec::new();
        for (name, case) in &self.json.generation {
            let options = official_options(case, &self.json.config).map_err(layout)?;
            let config = search_for_all(&options, length).map_err(layout)?;
            let state = generator.start_from(encoded.clone());
            let found = search(generator, state, &studies, &config)
                .map_err(|error| layout(error.to_string()))?;
            let ids: Vec<u32> = official_rows(&found, &options, length).concat();
            let name = format!("gen.{name}");
            let golden: Vec<u32> = self.fixture.data(&name)?.iter().collect();
            checks.push(Check::equal(FAMILY, &name, &ids, &golden));

            let name = format!("{name}_logprobs_of_tokens");
            let golden = self.fixture.values(&name)?;
            let golden: Vec<Vec<f64>> = golden.chunks(length).map(<[f64]>::to_vec).collect();
            let [actual, golden] = token_log_probs(&found, &options, &golden);
            checks.push(Check::numbers(FAMILY, name, &actual, &golden, VALUES));
        }
        Ok(checks)
    }
}

/// Reports as the official code masks them: padding is every 0 but the first.
fn reports_of(tokens: Tensor<2, Int>) -> TokenBatch {
    let [batch, length] = tokens.dims();
    let words = tokens
        .clone()
        .narrow(1, 1, length - 2)
        .not_equal_elem(0)
        .float();
    let ends = Tensor::ones([batch, 2], &words.device());
    TokenBatch::new(tokens, Tensor::cat(vec![ends, words], 1))
}

/// The slice in a description such as `pool_u8[0:8] of …`.
fn pool_range(description: &str) -> Result<Range<usize>, String> {
    description
        .strip_prefix(POOL)
        .and_then(|rest| rest.strip_prefix('['))
        .and_then(|rest| rest.split_once(']'))
        .and_then(|(slice, _)| slice.split_once(':'))
        .and_then(|(start, end)| Some(start.parse().ok()?..end.parse().ok()?))
        .ok_or_else(|| format!("the images '{description}' are not {POOL}[A:B]"))
}
