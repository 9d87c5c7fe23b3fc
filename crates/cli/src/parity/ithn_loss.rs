//! `ithn_loss.safetensors`: hardening and alignment losses, both projections, with gradients through
//! the hardened negative and without.

use std::collections::BTreeSet;
use std::path::Path;

use burn::module::Param;
use burn::nn::Linear;
use burn::tensor::{Device, Gradients, Tensor};
use ithn_alignment::{
    Alignment, AlignmentConfig, Embeddings, HardNegativePlacement, Pooling, TemperatureConfig,
    image_separation_loss,
};
use ithn_negatives::{ClosedForm, GradientFlow, Hardening, Projection};

use super::check::{Check, Tolerance};
use super::fixture::{Fixture, FixtureError};
use super::formula::loss_weight;

const FAMILY: &str = "ithn_loss";
const VALUES: Tolerance = Tolerance::Absolute(2e-5);
const GRADIENTS: Tolerance = Tolerance::Absolute(1e-6);

pub fn run(dir: &Path) -> Result<Vec<Check>, FixtureError> {
    let fixture = Fixture::read(dir, "ithn_loss.safetensors")?;
    let mut checks = common(&fixture)?;
    let variants = variants(&fixture);
    checks.push(every_lambda(&fixture, &variants)?);
    for variant in variants {
        let hardening = hardening(&fixture, &variant)?;
        let (values, gradients) = case(&fixture, &variant, &hardening)?;
        if !values.is_empty() {
            checks.extend(Check::summary(FAMILY, &format!("{variant}.*"), values));
        }
        checks.extend(Check::summary(
            FAMILY,
            &format!("{variant}.grad.*"),
            gradients,
        ));
    }
    Ok(checks)
}

/// Every `<variant>.lambda_<λ>` that the file has numbers for.
fn variants(fixture: &Fixture) -> BTreeSet<String> {
    fixture
        .names()
        .filter_map(|name| name.strip_suffix(".grad.temp_1"))
        .map(str::to_owned)
        .collect()
}

/// Every λ that the metadata lists must have numbers, under both projections.
fn every_lambda(fixture: &Fixture, variants: &BTreeSet<String>) -> Result<Check, FixtureError> {
    let listed: Vec<f64> = fixture.metadata("lambdas")?;
    let mut found = Vec::new();
    for projection in ["official", "per_sample"] {
        let mut lambdas = Vec::new();
        for variant in variants {
            if variant.split_once('.').map(|(name, _)| name) == Some(projection) {
                lambdas.push(lambda(fixture, variant)?);
            }
        }
        found.push(listed.iter().all(|lambda| lambdas.contains(lambda)));
    }
    let quantity = format!("projections that have every lambda of {listed:?}");
    Ok(Check::equal(FAMILY, quantity, &found, &[true, true]))
}

fn hardening(fixture: &Fixture, variant: &str) -> Result<ClosedForm, FixtureError> {
    let (projection, gradient) = match variant.split_once(".lambda_").map(|(name, _)| name) {
        Some("official") => (Projection::BatchMixed, GradientFlow::Through),
        Some("official_detached") => (Projection::BatchMixed, GradientFlow::Detached),
        Some("per_sample") => (Projection::PerSample, GradientFlow::Through),
        Some("per_sample_detached") => (Projection::PerSample, GradientFlow::Detached),
        _ => return Err(fixture.layout(format!("'{variant}' is no known variant"))),
    };
    Ok(ClosedForm::official()
        .with_projection(projection)
        .with_gradient(gradient))
}

fn lambda(fixture: &Fixture, variant: &str) -> Result<f64, FixtureError> {
    variant
        .split_once(".lambda_")
        .and_then(|(_, lambda)| lambda.parse().ok())
        .ok_or_else(|| fixture.layout(format!("'{variant}' names no lambda")))
}

/// Everything that the loss is computed from.
struct Inputs {
    alignment: Alignment,
    fc_pos: Tensor<2>,
    fc_neg: Tensor<2>,
    rep_out_pos: Tensor<3>,
    rep_out_neg: Tensor<3>,
}

impl Inputs {
    fn read(
        fixture: &Fixture,
        hardening: ClosedForm,
        placement: HardNegativePlacement,
        device: &Device,
    ) -> Result<Self, FixtureError> {
        let [projection_width, image_width] = fixture.dims("input.W_img")?;
        let [_, report_width] = fixture.dims("input.W_txt")?;
        let config = AlignmentConfig {
            projection_width,
            pooling: Pooling::AllPositions,
            hardening: Hardening::ClosedForm(hardening),
            placement,
            temperatures: TemperatureConfig::new(
                fixture.scalar("input.temp_1")?,
                fixture.scalar("input.temp_3")?,
            ),
        };
        let mut alignment = config.init(image_width, report_width, device);
        let linear = |name: &str| -> Result<Linear, FixtureError> {
            let weight = fixture.tensor::<2>(name, device)?.swap_dims(0, 1);
            Ok(Linear {
                weight: Param::from_tensor(weight),
                bias: None,
            })
        };
        alignment.heads.image = linear("input.W_img")?;
        alignment.heads.report = linear("input.W_txt")?;
        Ok(Inputs {
            alignment,
            fc_pos: tracked(fixture.tensor("input.fc_pos", device)?),
            fc_neg: tracked(fixture.tensor("input.fc_neg", device)?),
            rep_out_pos: tracked(fixture.tensor("input.rep_out_pos", device)?),
            rep_out_neg: tracked(fixture.tensor("input.rep_out_neg", device)?),
        })
    }

    fn negative_images(&self) -> Tensor<2> {
        self.alignment.embed_images(self.fc_neg.clone())
    }

    fn embed(&self) -> Embeddings {
        let reports = |hidden: &Tensor<3>| {
            let [batch, length, _] = hidden.dims();
            let mask = Tensor::ones([batch, length], &hidden.device());
            self.alignment.embed_reports(hidden.clone(), &mask)
        };
        Embeddings {
            images: self.alignment.embed_images(self.fc_pos.clone()),
            reports: reports(&self.rep_out_pos),
            negative_images: Some(self.negative_images()),
            negative_reports: reports(&self.rep_out_neg),
            more_negative_reports: Vec::new(),
        }
    }

    /// The gradient of every input, by its name in the file.
    fn gradients(&self, gradients: &Gradients) -> Vec<(&'static str, Option<Tensor<1>>)> {
        fn flat<const D: usize>(tensor: Tensor<D>) -> Tensor<1> {
            let elements: usize = tensor.dims().iter().product();
            tensor.reshape([elements])
        }
        let weight = |linear: &Linear| {
            let gradient = linear.weight.grad(gradients)?;
            Some(flat(gradient.swap_dims(0, 1)))
        };
        let (heads, temperatures) = (&self.alignment.heads, &self.alignment.temperatures);
        vec![
            ("fc_pos", self.fc_pos.grad(gradients).map(flat)),
            ("fc_neg", self.fc_neg.grad(gradients).map(flat)),
            ("rep_out_pos", self.rep_out_pos.grad(gradients).map(flat)),
            ("rep_out_neg", self.rep_out_neg.grad(gradients).map(flat)),
            ("W_img", weight(&heads.image)),
            ("W_txt", weight(&heads.report)),
            ("temp_1", temperatures.pairs.grad(gradients)),
            ("temp_3", temperatures.hardened.grad(gradients)),
        ]
    }
}

fn tracked<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    if tensor.device().is_autodiff() {
        tensor.require_grad()
    } else {
        tensor
    }
}

/// What does not depend on λ.
fn common(fixture: &Fixture) -> Result<Vec<Check>, FixtureError> {
    // Under this placement the score matrix is that of one kind of pair.
    let placement = HardNegativePlacement::Candidate;
    let form = ClosedForm::official();
    let inputs = Inputs::read(fixture, form, placement, &Device::default())?;
    let embeddings = inputs.embed();
    let pairs = |images: &Tensor<2>, reports: &Tensor<2>| {
        let one_kind = Embeddings {
            images: images.clone(),
            reports: reports.clone(),
            ..embeddings.clone()
        };
        inputs.alignment.scores(&one_kind, reports, None)
    };
    let separation = image_separation_loss(embeddings.images.clone(), inputs.negative_images());
    let check = |name: &str, actual: Tensor<2>| {
        let golden = fixture.data(name)?;
        Ok::<_, FixtureError>(Check::tensor(FAMILY, name, actual, golden, VALUES))
    };
    Ok(vec![
        check("common.pos_img_embeds", embeddings.images.clone())?,
        check("common.neg_img_embeds", inputs.negative_images())?,
        check("common.pos_rep_embeds", embeddings.reports.clone())?,
        check("common.neg_rep_embeds", embeddings.negative_reports.clone())?,
        check("common.sim", pairs(&embeddings.images, &embeddings.reports))?,
        check(
            "common.n_sim",
            pairs(&inputs.negative_images(), &embeddings.negative_reports),
        )?,
        Check::tensor(
            FAMILY,
            "common.l_cs",
            separation,
            fixture.data("common.l_cs")?,
            VALUES,
        ),
    ])
}

/// Values (if the file has them) and gradients of one variant at one λ.
fn case(
    fixture: &Fixture,
    variant: &str,
    hardening: &ClosedForm,
) -> Result<(Vec<Check>, Vec<Check>), FixtureError> {
    let lambda = lambda(fixture, variant)?;
    let placement = HardNegativePlacement::DiagonalPenalty;
    let device = Device::default().autodiff();
    let inputs = Inputs::read(fixture, *hardening, placement, &device)?;
    let embeddings = inputs.embed();
    let alignment = &inputs.alignment;
    let projected = alignment.harden(&embeddings, None, 0.0);
    let hardened = alignment.harden(&embeddings, None, lambda);
    let separation = image_separation_loss(embeddings.images.clone(), inputs.negative_images());
    let contrastive = alignment.loss(&embeddings, None, lambda).contrastive;

    let mut values = Vec::new();
    // Detaching changes no value, so files have none for those variants.
    if hardening.gradient == GradientFlow::Through {
        let scores = |embeddings: &Embeddings| alignment.scores(embeddings, &hardened, None);
        let mut value = |name: &str, actual: Tensor<2>| {
            let name = format!("{variant}.{name}");
            let golden = fixture.data(&name)?;
            values.push(Check::tensor(FAMILY, name, actual, golden, VALUES));
            Ok::<_, FixtureError>(())
        };
        value("p", projected)?;
        value("h_neg_embeds", hardened.clone())?;
        value("h_n_sim", scores(&penalty_alone(&embeddings)) * 3.0)?;
        value("fin_sim", scores(&embeddings))?;
        let name = format!("{variant}.l_cp");
        let golden = fixture.data(&name)?;
        values.push(Check::tensor(
            FAMILY,
            name,
            contrastive.clone(),
            golden,
            VALUES,
        ));
    }

    let weights: &str = fixture.metadata_text("loss")?;
    let weight = |term| loss_weight(weights, term).map_err(|reason| fixture.layout(reason));
    let loss = contrastive * weight("l_cp")? + separation * weight("l_cs")?;
    let gradients = loss.backward();
    let mut checks = Vec::new();
    for (input, actual) in inputs.gradients(&gradients) {
        let name = format!("{variant}.grad.{input}");
        let golden = fixture.values(&name)?;
        let actual: Vec<f64> = match actual {
            Some(gradient) => gradient.into_data().iter().collect(),
            None => Vec::new(),
        };
        checks.push(Check::numbers(FAMILY, name, &actual, &golden, GRADIENTS));
    }
    Ok((values, checks))
}

/// Embeddings whose score matrix is a third of the hardened negatives' penalty.
fn penalty_alone(embeddings: &Embeddings) -> Embeddings {
    Embeddings {
        reports: embeddings.reports.zeros_like(),
        negative_reports: embeddings.negative_reports.zeros_like(),
        more_negative_reports: Vec::new(),
        ..embeddings.clone()
    }
}
