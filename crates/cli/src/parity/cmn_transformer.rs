//! `cmn_transformer.safetensors`: from patch features to log-probabilities and back.

use std::path::Path;

use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use ithn::import::official_name;
use ithn::models::R2GenCmn;
use ithn::plugin::{Ithn, language_loss};
use ithn_decoder::{SinusoidalPosition, teacher_forcing_mask};
use ithn_generator::{ReportGenerator, StepDecoder, TokenBatch};

use super::check::{Check, Tolerance};
use super::fixture::{Fixture, FixtureError};
use super::gradients::GradientChecks;
use super::model::ModelOptions;
use super::named::collect_gradients;
use super::precision::{ACCIDENT, Precision, settled};

const FAMILY: &str = "cmn_transformer";
const VALUES: Tolerance = Tolerance::Absolute(2e-5);
const GRADIENTS: Tolerance = Tolerance::Both {
    absolute: 1e-6,
    relative: 1e-4,
};

pub fn run(dir: &Path) -> Result<Vec<Check>, FixtureError> {
    let fixture = Fixture::read(dir, "cmn_transformer.safetensors")?;
    settled(ACCIDENT, |precision| {
        let plain = Inputs::read(&fixture, &Device::default(), precision)?;
        let mut checks = values(&fixture, &plain)?;
        checks.extend(intermediate(&fixture, &plain)?);
        checks.extend(incremental(&fixture, &plain)?);
        checks.extend(gradients(&fixture, precision)?);
        Ok(checks)
    })
}

/// The model and what it is fed.
struct Inputs {
    ithn: Ithn<R2GenCmn>,
    /// `[batch, patches, channels]`.
    patches: Tensor<3>,
    reports: TokenBatch,
}

impl Inputs {
    fn read(
        fixture: &Fixture,
        device: &Device,
        precision: Precision,
    ) -> Result<Self, FixtureError> {
        let options: ModelOptions = fixture.metadata("config")?;
        let weights = fixture.weights("state.", "encoder_decoder.");
        let tokens = fixture.integers::<2>("seq", device)?;
        let mask = fixture.tensor::<2>("reports_masks", device)?;
        Ok(Inputs {
            ithn: precision.module(options.without_backbone(weights, device)?),
            patches: precision.tensor(fixture.tensor("att_feats", device)?),
            reports: TokenBatch::new(tokens, precision.tensor(mask)),
        })
    }

    /// Hidden states and log-probabilities of the teacher-forced reports.
    fn forward(&self, patches: Tensor<3>) -> (Tensor<3>, Tensor<3>) {
        let generator = &self.ithn.generator;
        let encoded = generator.encode_patches(patches);
        let hidden = generator.hidden_states(&encoded, &self.reports);
        (hidden.clone(), generator.log_probs(hidden))
    }

    fn loss(&self, log_probs: Tensor<3>) -> Tensor<1> {
        language_loss(log_probs, &self.reports)
    }
}

/// A tensor against its golden values.
fn compare<const D: usize>(
    fixture: &Fixture,
    name: &str,
    actual: Tensor<D>,
) -> Result<Check, FixtureError> {
    Ok(Check::tensor(
        FAMILY,
        name,
        actual,
        fixture.data(name)?,
        VALUES,
    ))
}

fn values(fixture: &Fixture, inputs: &Inputs) -> Result<Vec<Check>, FixtureError> {
    let (hidden, log_probs) = inputs.forward(inputs.patches.clone());
    let loss = inputs.loss(log_probs.clone());
    Ok(vec![
        compare(fixture, "out", hidden)?,
        compare(fixture, "log_probs", log_probs)?,
        compare(fixture, "lm_loss", loss)?,
    ])
}

/// Every stage's output, in the order of the figure.
fn intermediate(fixture: &Fixture, inputs: &Inputs) -> Result<Vec<Check>, FixtureError> {
    let generator = &inputs.ithn.generator;
    let device = inputs.patches.device();
    let [_, d_model] = fixture.dims("state.memory_matrix")?;
    let position = SinusoidalPosition::init(d_model, 0.0);
    let [_, positions, _] = fixture.dims("pe_first64")?;
    let table = position.forward(Tensor::zeros([1, positions, d_model], &device), 0);
    let mut checks = vec![compare(fixture, "pe_first64", table)?];

    let key_values = generator.memory.key_values();
    let x = relu(generator.visual_embedding.forward(inputs.patches.clone()));
    checks.push(compare(fixture, "inter.att_embed", x.clone())?);
    let responses = generator.memory.respond(x.clone(), &key_values);
    checks.push(compare(
        fixture,
        "inter.visual_responses",
        responses.clone(),
    )?);
    let mut x = position.forward(x + responses, 0);
    for (index, layer) in generator.encoder.layers.iter().enumerate() {
        x = layer.forward(x, None);
        checks.push(compare(
            fixture,
            &format!("inter.enc_layer{index}"),
            x.clone(),
        )?);
    }
    let encoded = generator.encoder.norm.forward(x);
    checks.push(compare(fixture, "inter.encoder_out", encoded.clone())?);

    let y = position.forward(
        generator
            .token_embedding
            .forward(inputs.reports.inputs().clone()),
        0,
    );
    checks.push(compare(fixture, "inter.tgt_embed", y.clone())?);
    let responses = generator.memory.respond(y.clone(), &key_values);
    checks.push(compare(fixture, "inter.text_responses", responses.clone())?);
    let mut y = y + responses;
    let mask = teacher_forcing_mask(&inputs.reports);
    for (index, layer) in generator.decoder.layers.iter().enumerate() {
        y = layer.forward(y, &mut layer.start(encoded.clone().into()), Some(&mask));
        checks.push(compare(
            fixture,
            &format!("inter.dec_layer{index}"),
            y.clone(),
        )?);
    }
    Ok(checks)
}

/// The same tokens fed one by one through the caches; generation hides no padding.
fn incremental(fixture: &Fixture, inputs: &Inputs) -> Result<Vec<Check>, FixtureError> {
    let generator = &inputs.ithn.generator;
    let [batch, length] = inputs.reports.dims();
    let tokens: Vec<u32> = inputs
        .reports
        .inputs()
        .clone()
        .swap_dims(0, 1)
        .into_data()
        .iter()
        .collect();
    let mut state = generator.start_from(generator.encode_patches(inputs.patches.clone()));
    let steps = (0..length)
        .map(|step| generator.step(&tokens[step * batch..(step + 1) * batch], &mut state))
        .map(|log_probs| log_probs.unsqueeze_dim(1))
        .collect();
    Ok(vec![compare(
        fixture,
        "incremental_log_probs",
        Tensor::<3>::cat(steps, 1),
    )?])
}

fn gradients(fixture: &Fixture, precision: Precision) -> Result<Vec<Check>, FixtureError> {
    let inputs = Inputs::read(fixture, &Device::default().autodiff(), precision)?;
    let patches = inputs.patches.clone().detach().require_grad();
    let (_, log_probs) = inputs.forward(patches.clone());
    let gradients = inputs.loss(log_probs).backward();

    let mut actual = collect_gradients(&inputs.ithn, &gradients, |path| {
        let name = official_name(path)?;
        name.strip_prefix("encoder_decoder.").map(str::to_owned)
    });
    if let Some(gradient) = patches.grad(&gradients) {
        actual.insert("att_feats".to_owned(), gradient.into_data());
    }
    GradientChecks {
        family: FAMILY,
        fixture,
        prefix: "grad.",
        tolerance: GRADIENTS,
        zero_tolerance: 1e-6,
    }
    .run(&actual)
}
