//! Laws that every generator keeps, and what a missing view leaves behind in training.

use burn::module::Param;
use burn::tensor::{Device, Tensor, TensorData, Tolerance};
use ithn_backbone::{
    Backbone, BackboneConfig, BatchNorm, DenseNetConfig, ImageEncoder, PixelScale, ResNetConfig,
};
use ithn_decoder::TransformerConfig;
use ithn_generator::laws::{Laws, check};
use ithn_generator::{StudyBatch, TokenBatch, ViewMask};
use ithn_memory::CrossModalMemoryConfig;

use crate::config::{GeneratorConfig, GeneratorTask, ModelConfig};
use crate::{
    AttentiveLstmConfig, CnnLstmConfig, FindingPromptsConfig, ImageFeature, LibraryGenerator,
    R2GenCmnConfig, R2GenConfig, RelationalMemoryConfig,
};
use ithn_generator::seeded::{seeded, values};

pub(crate) const VOCABULARY: usize = 9;

/// A small configuration of every generator, without dropout.
fn models(views: usize) -> Vec<ModelConfig> {
    let backbones: [BackboneConfig; 2] = [
        ResNetConfig::narrow(4, vec![1, 1]).into(),
        DenseNetConfig::narrow(4, vec![1, 1])
            .with_pixels(PixelScale::ImageNet)
            .into(),
    ];
    let models = backbones.iter().map(|backbone| models_on(backbone, views));
    models.flatten().collect()
}

/// The same on one backbone.
fn models_on(backbone: &BackboneConfig, views: usize) -> Vec<ModelConfig> {
    let backbone = || backbone.clone();
    let transformer = || {
        TransformerConfig::new(8, 12, 2, 2)
            .with_dropout(0.0)
            .with_attention_dropout(0.0)
    };
    let r2gen_cmn = |image_feature| -> GeneratorConfig {
        let memory = CrossModalMemoryConfig::new(12, 8, 2, 3).with_dropout(0.0);
        R2GenCmnConfig::new(backbone(), memory, transformer())
            .with_visual_dropout(0.0)
            .with_image_feature(image_feature)
            .into()
    };
    let mut told_findings = r2gen_cmn(ImageFeature::Encoder);
    if let GeneratorConfig::R2GenCmn(sizes) = &mut told_findings {
        sizes.finding_prompts = Some(FindingPromptsConfig::new([
            "Edema",
            "Pneumonia",
            "Fracture",
        ]));
    }
    let generators = [
        r2gen_cmn(ImageFeature::Backbone),
        r2gen_cmn(ImageFeature::Encoder),
        told_findings,
        R2GenConfig::new(
            backbone(),
            RelationalMemoryConfig::new(8, 2).with_dropout(0.0),
            transformer(),
        )
        .with_visual_dropout(0.0)
        .into(),
        CnnLstmConfig::new(
            backbone(),
            AttentiveLstmConfig::new(8, 10, 6).with_dropout(0.0),
        )
        .into(),
    ];
    generators
        .map(|generator| ModelConfig { views, generator })
        .into()
}

/// Runs a test on every generator of `views` views, on `device`.
fn for_every<T: GeneratorTask<Output = ()> + Clone>(views: usize, device: &Device, test: &T) {
    for model in models(views) {
        println!("{}", model.generator.name());
        model
            .build(VOCABULARY, device, test.clone())
            .expect("a generator of this library");
    }
}

/// The generator with seeded weights and fresh running statistics.
pub(crate) fn seeded_generator<G: LibraryGenerator>(generator: &G) -> G {
    let mut generator = seeded(generator.clone(), 1);
    reset_statistics(generator.backbone_mut());
    generator
}

/// Every batch norm, the stem's first and the one nearest to the features last.
fn norms(backbone: &Backbone) -> Vec<&BatchNorm> {
    match backbone {
        Backbone::ResNet(network) => {
            let blocks = network.stages.iter().flatten();
            let convolutions =
                blocks.flat_map(|block| block.downsample.iter().chain(&block.convolutions));
            let all = std::iter::once(&network.stem).chain(convolutions);
            all.map(|convolution| &convolution.norm).collect()
        }
        Backbone::DenseNet(network) => {
            let layers = network.blocks.iter().flatten();
            let layers = layers.flat_map(|layer| [&layer.first, &layer.second]);
            let inner = layers.chain(&network.transitions).map(|part| &part.norm);
            std::iter::once(&network.stem_norm)
                .chain(inner)
                .chain([&network.norm])
                .collect()
        }
    }
}

/// Filters of the stem.
pub(crate) fn stem(backbone: &Backbone) -> &Param<Tensor<4>> {
    match backbone {
        Backbone::ResNet(network) => &network.stem.conv.weight,
        Backbone::DenseNet(network) => &network.stem.weight,
    }
}

/// Running statistics as at the start: clones of a module share them, and seeding makes variances
/// negative.
fn reset_statistics(backbone: &Backbone) {
    for norm in norms(backbone) {
        let [channels] = norm.gamma.dims();
        let device = norm.gamma.device();
        norm.running_mean.update(Tensor::zeros([channels], &device));
        norm.running_var.update(Tensor::ones([channels], &device));
        // Inference reads what was synchronised last.
        for state in [&norm.running_mean, &norm.running_var] {
            state.value_sync();
        }
    }
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

#[test]
fn every_generator_keeps_the_laws() {
    let device = Device::default();
    for views in [1, 2, 3] {
        let laws = Laws::new(VOCABULARY, &device).with_views(views);
        for_every(views, &device, &KeepsTheLaws(laws));
    }
}

/// Explanations, which a generator need not have, are there.
#[derive(Clone)]
struct ExplainsEveryWord(Device);

impl GeneratorTask for ExplainsEveryWord {
    type Output = ();

    fn run<G: LibraryGenerator>(self, generator: G) {
        let studies = StudyBatch::new(values([1, 2, 3, 32, 32], 1, &self.0));
        let reports = TokenBatch::from_ids(&[vec![0, 3, 2, 5, 0]], &self.0);
        let evidence = generator.explain(studies, &reports);
        for layer in evidence.expect("it attends to patches").attention {
            let [_, _, length, patches] = layer.dims();
            assert_eq!((length, patches), (4, 2 * 16));
        }
    }
}

#[test]
fn every_generator_explains_its_words() {
    let device = Device::default();
    for_every(2, &device, &ExplainsEveryWord(device.clone()));
}

/// Three studies of two views, of which the second lacks the second and the third the first; the
/// pixels of missing views are `missing` if given.
fn incomplete_studies(missing: Option<f32>, device: &Device) -> StudyBatch {
    let mut images = values([3, 2, 3, 32, 32], 2, device);
    if let Some(missing) = missing {
        images = images
            .slice_fill([1..2, 1..2], missing)
            .slice_fill([2..3, 0..1], missing);
    }
    let mask = [vec![true, true], vec![true, false], vec![false, true]];
    StudyBatch::new(images).with_views(ViewMask::new(&mask))
}

pub(crate) fn reports(device: &Device) -> TokenBatch {
    let reports = [vec![0, 3, 2, 0], vec![0, 1, 5, 4, 0], vec![0, 7, 0]];
    TokenBatch::from_ids(&reports, device)
}

/// Running statistics of the stem and of the last norm.
pub(crate) fn running_statistics(backbone: &Backbone) -> Vec<TensorData> {
    let norms = norms(backbone);
    let ends = [norms.first(), norms.last()].into_iter().flatten();
    ends.flat_map(|norm| [&norm.running_mean, &norm.running_var])
        .map(|state| state.value_sync().into_data())
        .collect()
}

pub(crate) fn close(found: TensorData, expected: &TensorData) {
    assert!(expected.iter::<f32>().all(f32::is_finite), "{expected}");
    found.assert_approx_eq::<f32>(expected, Tolerance::absolute(1e-5).set_relative(1e-4));
}

#[derive(Clone)]
struct MissingViewsDoNotTrain(Device);

impl GeneratorTask for MissingViewsDoNotTrain {
    type Output = ();

    /// Pooled features, the loss, gradients and running statistics are the same for any pixels of
    /// missing views, and finite.
    fn run<G: LibraryGenerator>(self, generator: G) {
        let device = self.0;
        let results = |missing| {
            let mut generator = seeded_generator(&generator);
            let encoded = generator.encode(incomplete_studies(missing, &device));
            let forced = generator.force(&encoded.context, &reports(&device));
            let mut loss =
                generator.log_probs(forced.hidden).mean() + encoded.pooled.clone().square().mean();
            if let Some(penalty) = forced.penalty {
                loss = loss + penalty;
            }
            let gradients = loss.backward();
            let stem = stem(generator.backbone_mut()).grad(&gradients);
            let mut results = running_statistics(generator.backbone_mut());
            results.push(loss.to_data());
            results.push(encoded.pooled.into_data());
            results.push(stem.expect("the stem is trained").into_data());
            results
        };
        let noise = results(None);
        for (found, expected) in results(Some(f32::NAN)).into_iter().zip(&noise) {
            close(found, expected);
        }
    }
}

#[test]
fn missing_views_change_no_gradient_and_no_running_statistics() {
    let device = Device::default().autodiff();
    for_every(2, &device, &MissingViewsDoNotTrain(device.clone()));
}

/// The running statistics are those of the present views alone, view by view.
#[test]
fn only_present_views_enter_the_running_statistics() {
    let device = Device::default().autodiff();
    let backbone = || {
        let config = BackboneConfig::from(ResNetConfig::narrow(4, vec![1, 1]));
        let backbone = seeded(config.init(&device), 1);
        reset_statistics(&backbone);
        backbone
    };
    let (joined, expected) = (backbone(), backbone());
    let studies = incomplete_studies(Some(f32::NAN), &device);
    let image = |study, view| {
        let image = studies
            .images
            .clone()
            .slice([study..study + 1, view..view + 1]);
        image.squeeze_dim::<4>(1)
    };
    let first = Tensor::cat(vec![image(0, 0), image(1, 0)], 0);
    let second = Tensor::cat(vec![image(0, 1), image(2, 1)], 0);
    let [features] = crate::views::join_views(&joined, [studies], 2);
    let views = [expected.forward(first), expected.forward(second)];
    for (found, expected) in running_statistics(&joined)
        .into_iter()
        .zip(running_statistics(&expected))
    {
        close(found, &expected);
    }
    let channels = 8;
    let part = |study, view| {
        let pooled = features.pooled.clone();
        pooled.slice([study..study + 1, view * channels..(view + 1) * channels])
    };
    for (found, expected) in [
        (part(0, 0), views[0].pooled.clone().narrow(0, 0, 1)),
        (part(1, 0), views[0].pooled.clone().narrow(0, 1, 1)),
        (part(2, 1), views[1].pooled.clone().narrow(0, 1, 1)),
        (part(1, 1), Tensor::zeros([1, channels], &device)),
        (part(2, 0), Tensor::zeros([1, channels], &device)),
    ] {
        close(found.into_data(), &expected.into_data());
    }
}

/// Hidden states, pooled features and penalty of studies that have only the first of `views` views.
#[derive(Clone)]
struct FirstViewOnly {
    views: usize,
    device: Device,
}

impl GeneratorTask for FirstViewOnly {
    type Output = (TensorData, TensorData, Option<TensorData>);

    fn run<G: LibraryGenerator>(self, generator: G) -> Self::Output {
        let generator = seeded_generator(&generator);
        let FirstViewOnly { views, device } = self;
        let first = values([3, 1, 3, 32, 32], 2, &device);
        let rest = Tensor::full([3, views - 1, 3, 32, 32], f32::NAN, &device);
        let mut row = vec![false; views];
        row[0] = true;
        let studies = match views {
            1 => StudyBatch::new(first),
            _ => StudyBatch::new(Tensor::cat(vec![first, rest], 1))
                .with_views(ViewMask::new(&vec![row; 3])),
        };
        let encoded = generator.encode(studies);
        let forced = generator.force(&encoded.context, &reports(&device));
        let penalty = forced.penalty.map(Tensor::into_data);
        (
            forced.hidden.into_data(),
            encoded.pooled.into_data(),
            penalty,
        )
    }
}

/// No weight but the plug-in's projection depends on the number of views.
#[test]
fn a_study_of_one_view_is_encoded_as_by_a_generator_of_one_view() {
    let device = Device::default();
    let run = |views| {
        let device = device.clone();
        let task = FirstViewOnly { views, device };
        let build = |model: ModelConfig| model.build(VOCABULARY, &task.device, task.clone());
        models(views).into_iter().map(build).collect::<Vec<_>>()
    };
    for (one, two) in run(1).into_iter().zip(run(2)) {
        let (one, two) = (one.expect("in the library"), two.expect("in the library"));
        close(two.0, &one.0);
        let (pooled, expected): (Vec<f32>, Vec<f32>) =
            (two.1.iter().collect(), one.1.iter().collect());
        let (width, expected_width) = (pooled.len() / 3, expected.len() / 3);
        for (found, expected) in pooled.chunks(width).zip(expected.chunks(expected_width)) {
            let (first, second) = found.split_at(expected_width);
            close(first.into(), &expected.into());
            assert!(second.iter().all(|&value| value == 0.0), "{second:?}");
        }
        assert_eq!(two.2.is_some(), one.2.is_some());
        if let (Some(found), Some(expected)) = (two.2, one.2) {
            close(found, &expected);
        }
    }
}

#[derive(Clone)]
struct TakesFeatures(Device);

impl GeneratorTask for TakesFeatures {
    type Output = ();

    /// Features of the images stand for the images, missing views included.
    fn run<G: LibraryGenerator>(self, generator: G) {
        let device = self.0;
        let generator = seeded_generator(&generator);
        let films = incomplete_studies(Some(0.0), &device);
        let mask = films.present.clone().expect("a view is missing");
        let views = films.images.clone().split(1, 1).into_iter().enumerate();
        let patches = views.map(|(view, images)| {
            let patches = generator.backbone().forward(images.squeeze_dim(1)).patches;
            let there: Vec<f32> = (0..mask.batch())
                .map(|study| f32::from(mask.has(study, view)))
                .collect();
            let there = Tensor::from_data(TensorData::new(there, [mask.batch(), 1, 1]), &device);
            patches * there
        });
        let known = StudyBatch::of_features(Tensor::stack(patches.collect(), 1)).with_views(mask);
        let states = |studies: StudyBatch| {
            let encoded = generator.encode(studies);
            let hidden = generator.hidden_states(&encoded.context, &reports(&device));
            [encoded.pooled.into_data(), hidden.into_data()]
        };
        for (found, expected) in states(known).into_iter().zip(states(films)) {
            close(found, &expected);
        }
    }
}

#[test]
fn features_stand_for_images_in_every_generator() {
    let device = Device::default();
    for_every(2, &device, &TakesFeatures(device.clone()));
}
