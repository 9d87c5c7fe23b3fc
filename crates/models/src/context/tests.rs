//! Laws of what is read beside a study's films.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use ithn_backbone::{ImageEncoder, ResNetConfig};
use ithn_decoder::TransformerConfig;
use ithn_generator::laws::{Laws, check};
use ithn_generator::seeded::values;
use ithn_generator::{ContextBatch, PriorFilms, PriorStudy, Projection, StudyBatch};
use ithn_memory::CrossModalMemoryConfig;
use serde_json::json;

use super::ContextConfig;
use crate::config::{GeneratorConfig, GeneratorTask, ModelConfig};
use crate::tests::{VOCABULARY, close, reports, running_statistics, seeded_generator, stem};
use crate::{AttentiveLstmConfig, CnnLstmConfig, ImageFeature, LibraryGenerator, R2GenCmnConfig};

/// Small generators without dropout that read context or do not.
fn models(views: usize, context: Option<ContextConfig>) -> Vec<ModelConfig> {
    let backbone = || ResNetConfig::narrow(4, vec![1, 1]);
    let r2gen_cmn = |feature| {
        let transformer = TransformerConfig::new(8, 12, 2, 2)
            .with_dropout(0.0)
            .with_attention_dropout(0.0);
        let memory = CrossModalMemoryConfig::new(12, 8, 2, 3).with_dropout(0.0);
        let mut config = R2GenCmnConfig::new(backbone(), memory, transformer)
            .with_visual_dropout(0.0)
            .with_image_feature(feature);
        config.context = context;
        GeneratorConfig::from(config)
    };
    let lstm = AttentiveLstmConfig::new(8, 10, 6).with_dropout(0.0);
    let mut cnn_lstm = CnnLstmConfig::new(backbone(), lstm);
    cnn_lstm.context = context;
    let generators = [
        r2gen_cmn(ImageFeature::Backbone),
        r2gen_cmn(ImageFeature::Encoder),
        cnn_lstm.into(),
    ];
    let model = |generator| ModelConfig { views, generator };
    generators.map(model).into()
}

fn reading(views: usize) -> Vec<ModelConfig> {
    models(views, Some(ContextConfig::new(2, 8, 8)))
}

fn run_all<T: GeneratorTask + Clone>(
    models: &[ModelConfig],
    device: &Device,
    task: &T,
) -> Vec<T::Output> {
    let build = |model: &ModelConfig| model.build(VOCABULARY, device, task.clone());
    let built = models.iter().map(build);
    built
        .map(|output| output.expect("in the library"))
        .collect()
}

/// What `encode` and teacher forcing give of some studies: pooled features, hidden states, the penalty.
#[derive(Clone)]
struct Outputs(StudyBatch);

impl GeneratorTask for Outputs {
    type Output = Vec<TensorData>;

    fn run<G: LibraryGenerator>(self, generator: G) -> Self::Output {
        let generator = seeded_generator(&generator);
        let reports = reports(&self.0.images.device());
        let encoded = generator.encode(self.0);
        let forced = generator.force(&encoded.context, &reports);
        let penalty = forced.penalty.map(Tensor::into_data);
        [encoded.pooled.into_data(), forced.hidden.into_data()]
            .into_iter()
            .chain(penalty)
            .collect()
    }
}

fn studies(views: usize, device: &Device) -> StudyBatch {
    StudyBatch::new(values([3, views, 3, 32, 32], 2, device))
}

/// The first of three studies has everything.
fn context(device: &Device) -> ContextBatch {
    let mut context = ContextBatch::empty(3);
    context.projections[0] = vec![Some(Projection::PosteroAnterior), Some(Projection::Lateral)];
    context.indications[0] = vec![3, 5];
    context.priors[0] = Some(PriorStudy {
        films: 0..1,
        projections: vec![Some(Projection::Frontal)],
        report: vec![2, 7, 4],
        interval_days: 5,
    });
    context.prior_films = Some(PriorFilms::Images(values([1, 3, 32, 32], 9, device)));
    context
}

#[derive(Clone)]
struct KeepsTheLaws(Laws);

impl GeneratorTask for KeepsTheLaws {
    type Output = ();

    fn run<G: LibraryGenerator>(self, generator: G) {
        if let Err(broken) = check(&seeded_generator(&generator), &self.0) {
            panic!("{broken}");
        }
    }
}

/// Among them: a part that a study lacks changes nothing, also if others of its batch have it, and cached decoding
/// equals teacher forcing.
#[test]
fn generators_that_read_context_keep_the_laws() {
    let device = Device::default();
    for views in [1, 2, 3] {
        let laws = Laws::new(VOCABULARY, &device).with_views(views);
        run_all(&reading(views), &device, &KeepsTheLaws(laws.with_context()));
    }
}

/// A generator that reads context computes of one film alone what one without computes, bit for bit; and one without
/// ignores what it cannot read.
#[test]
fn without_context_nothing_changes() {
    let device = Device::default();
    let alone = Outputs(studies(1, &device));
    let expected = run_all(&models(1, None), &device, &alone);
    let found = run_all(&reading(1), &device, &alone);
    let mut context = context(&device);
    context.projections[0].truncate(1);
    let ignoring = Outputs(alone.0.clone().with_context(context));
    let ignored = run_all(&models(1, None), &device, &ignoring);
    for (expected, (found, ignored)) in expected.iter().zip(found.iter().zip(&ignored)) {
        for (expected, (found, ignored)) in expected.iter().zip(found.iter().zip(ignored)) {
            found.assert_eq(expected, true);
            ignored.assert_eq(expected, true);
        }
    }
}

#[test]
fn every_part_has_an_effect_on_its_study_alone() {
    let device = Device::default();
    let whole = context(&device);
    let base = run_all(
        &reading(2),
        &device,
        &Outputs(studies(2, &device).with_context(whole.clone())),
    );
    type Alter = fn(&mut ContextBatch);
    let alterations: [(&str, Alter); 7] = [
        ("projection", |it| {
            it.projections[0][0] = Some(Projection::AnteroPosterior)
        }),
        ("indication", |it| it.indications[0][0] = 6),
        ("prior report", |it| {
            it.priors[0].as_mut().expect("one").report[1] = 1
        }),
        ("interval", |it| {
            it.priors[0].as_mut().expect("one").interval_days = 500
        }),
        ("prior projection", |it| {
            it.priors[0].as_mut().expect("one").projections.clear()
        }),
        ("prior film", |it| {
            let Some(PriorFilms::Images(films)) = &mut it.prior_films else {
                panic!("they are images");
            };
            *films = films.clone() * -1.0;
        }),
        ("prior", |it| it.priors[0] = None),
    ];
    for (name, alter) in alterations {
        let mut altered = whole.clone();
        alter(&mut altered);
        let altered = Outputs(studies(2, &device).with_context(altered));
        for (found, expected) in run_all(&reading(2), &device, &altered).iter().zip(&base) {
            let rows = |data: &TensorData, row: usize| -> Vec<f32> {
                let all: Vec<f32> = data.iter().collect();
                let width = all.len() / 3;
                all[row * width..(row + 1) * width].to_vec()
            };
            let differs = |row: usize| {
                let [found, expected] = [&found[1], &expected[1]].map(|data| rows(data, row));
                found
                    .iter()
                    .zip(&expected)
                    .any(|(a, b)| (a - b).abs() > 1e-5)
            };
            assert!(differs(0), "{name} has no effect");
            assert!(
                !differs(1) && !differs(2),
                "{name} has an effect on another study"
            );
        }
    }
}

/// Views move with their projections. The pooled features of a backbone are joined view by view, those of an encoder are
/// not.
#[test]
fn the_order_of_views_has_no_effect_beyond_their_embeddings() {
    let device = Device::default();
    let films = studies(2, &device).images;
    let turned = films.clone().flip([1]);
    let mut context = context(&device);
    let straight = Outputs(StudyBatch::new(films).with_context(context.clone()));
    context.projections[0].reverse();
    let turned = Outputs(StudyBatch::new(turned).with_context(context));
    let expected = run_all(&reading(2), &device, &straight);
    for (index, (found, expected)) in run_all(&reading(2), &device, &turned)
        .into_iter()
        .zip(&expected)
        .enumerate()
    {
        close(found[1].clone(), &expected[1]);
        if index == 1 {
            close(found[0].clone(), &expected[0]);
        }
    }
}

/// Gradient of the stem, running statistics and hidden states.
#[derive(Clone)]
struct Trains {
    device: Device,
    as_features: bool,
}

impl GeneratorTask for Trains {
    type Output = Vec<TensorData>;

    fn run<G: LibraryGenerator>(self, generator: G) -> Self::Output {
        let device = &self.device;
        let mut generator = seeded_generator(&generator);
        let mut context = context(device);
        if let (true, Some(PriorFilms::Images(films))) = (self.as_features, &context.prior_films) {
            let features = generator.backbone().valid().forward(films.clone().inner());
            let features = Tensor::from_inner(features.patches);
            context.prior_films = Some(PriorFilms::Features(features));
        }
        let encoded = generator.encode(studies(2, device).with_context(context));
        let hidden = generator.force(&encoded.context, &reports(device)).hidden;
        let gradients =
            (hidden.clone().square().mean() + encoded.pooled.square().mean()).backward();
        let stem = stem(generator.backbone_mut()).grad(&gradients);
        let mut results = running_statistics(generator.backbone_mut());
        results.push(hidden.into_data());
        results.push(stem.expect("the stem is trained").into_data());
        results
    }
}

#[test]
fn previous_films_train_no_backbone_and_no_statistics() {
    let device = Device::default().autodiff();
    let train = |as_features| {
        let device = device.clone();
        run_all(
            &reading(2),
            &device,
            &Trains {
                device: device.clone(),
                as_features,
            },
        )
    };
    for (found, expected) in train(false).into_iter().zip(&train(true)) {
        for (found, expected) in found.into_iter().zip(expected) {
            close(found, expected);
        }
    }
}

#[test]
fn configurations_round_trip_and_are_checked() {
    for model in reading(2) {
        let json = serde_json::to_value(&model).expect("serialisable");
        assert_eq!(json["generator"]["context"]["prior_report_words"], 8);
        let read: ModelConfig = serde_json::from_value(json).expect("readable");
        assert_eq!(read, model);
        read.validate().expect("valid");
        assert_eq!(read.generator.context(), Some(ContextConfig::new(2, 8, 8)));
    }
    for model in models(2, Some(ContextConfig::new(65, 0, 0))) {
        let error = model.validate().expect_err("65 films");
        assert_eq!(error.key(), "generator.context.prior_views");
    }
    let custom = |context| GeneratorConfig::Custom {
        name: "own".to_owned(),
        sizes: json!({ "context": context }),
    };
    let reads = custom(json!({"prior_views": 1, "prior_report_words": 0, "indication_words": 4}));
    assert_eq!(reads.context(), Some(ContextConfig::new(1, 0, 4)));
    reads.validate().expect("valid");
    let error = custom(json!({"prior_views": 1}))
        .validate()
        .expect_err("keys are missing");
    assert!(error.key().starts_with("sizes.context"), "{error}");
}

/// Sums over the patches of own and previous films, `[3, heads, length]` of the first layer in that order.
#[derive(Clone)]
struct Attended(StudyBatch);

impl GeneratorTask for Attended {
    type Output = Option<[Vec<f32>; 2]>;

    fn run<G: LibraryGenerator>(self, generator: G) -> Self::Output {
        let reports = reports(&self.0.images.device());
        let evidence = seeded_generator(&generator).explain(self.0, &reports)?;
        assert!(evidence.prior.is_empty() || evidence.prior.len() == evidence.attention.len());
        let sums = |layers: &[Tensor<4>]| -> Vec<f32> {
            let first = layers.first().cloned();
            first.map_or(Vec::new(), |layer| {
                layer.sum_dim(3).into_data().iter::<f32>().collect()
            })
        };
        Some([sums(&evidence.attention), sums(&evidence.prior)])
    }
}

#[test]
fn attention_to_previous_films_is_that_of_studies_that_have_one() {
    let device = Device::default();
    for views in [1, 2] {
        let with = Attended(studies(views, &device).with_context(context(&device)));
        for attended in run_all(&reading(views), &device, &with) {
            let [own, prior] = attended.expect("it has attention");
            assert_eq!(own.len(), prior.len());
            let (first, others) = prior.split_at(prior.len() / 3);
            assert!(
                first.iter().all(|sum| (1e-6..1.0).contains(sum)),
                "{first:?}"
            );
            assert!(others.iter().all(|sum| *sum == 0.0), "{others:?}");
            // The rest of the first study's attention is at words.
            let whole = own.iter().zip(&prior).map(|(own, prior)| own + prior);
            assert!(whole.take(first.len()).all(|sum| sum < 1.0 - 1e-6));
            let mut rest = own[first.len()..].iter();
            assert!(rest.all(|sum| (sum - 1.0).abs() < 1e-5), "{own:?}");
        }
        let without = Attended(studies(views, &device));
        for attended in run_all(&reading(views), &device, &without) {
            assert!(attended.expect("it has attention")[1].is_empty());
        }
    }
}
