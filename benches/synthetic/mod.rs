//! Full-size modules with random weights on random inputs, as all benchmarks run them.
#![allow(dead_code)] // every benchmark takes its part

pub mod reports;

use burn::module::{Module, Param};
use burn::optim::{GradientsAccumulator, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Distribution, Int, Tensor};
use ithn::config::OptimizerConfig;
use ithn::generator::{StudyBatch, TokenBatch};
use ithn::models::{ContextConfig, ImageFeature, R2GenCmn, R2GenCmnConfig};
use ithn::negatives::TrainingPoint;
use ithn::plugin::{Ithn, IthnConfig, LossTerms, NegativeBatch, TrainingBatch};
use ithn::train::{init_optimizer, learning_rate_policy};
use ithn_backbone::{ImageEncoder, RecordedChains, ResNet, ResNetConfig, record_chains};
use ithn_decoder::TransformerConfig;
use ithn_generator::StepDecoder;
use ithn_kernels::on_worker;
use ithn_memory::{CrossModalMemory, CrossModalMemoryConfig};
use ithn_search::{SearchConfig, search};

/// Words of IU X-Ray at the published threshold, and token 0.
pub const VOCABULARY: usize = 761;

pub fn normal<const D: usize>(dims: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::random(dims, Distribution::Normal(0.0, 1.0), device)
}

/// Reports of `length` tokens, the zeros at both ends included.
fn reports(batch: usize, length: usize, device: &Device) -> TokenBatch {
    let words = Distribution::Uniform(1.0, VOCABULARY as f64 - 1.0);
    let words = Tensor::<2>::random([batch, length - 2], words, device).int();
    let ends = Tensor::<2, Int>::zeros([batch, 1], device);
    let tokens = Tensor::cat(vec![ends.clone(), words, ends], 1);
    TokenBatch::new(tokens, Tensor::ones([batch, length], device))
}

fn published_config() -> R2GenCmnConfig {
    R2GenCmnConfig::new(
        ResNetConfig::resnet101(),
        CrossModalMemoryConfig::new(2048, 512, 8, 32),
        TransformerConfig::new(512, 512, 8, 3),
    )
    .with_image_feature(ImageFeature::Backbone)
}

/// The generator of the published size.
pub fn published_generator(device: &Device) -> R2GenCmn {
    published_config().init(VOCABULARY, 1, device)
}

/// The same, for `views` films, that reads one previous film and so many words of the previous report and of the indication.
pub fn reading_generator(
    views: usize,
    report: usize,
    indication: usize,
    device: &Device,
) -> R2GenCmn {
    published_config()
        .with_context(ContextConfig::new(1, report, indication))
        .init(VOCABULARY, views, device)
}

/// The memory module in training.
pub struct MemoryRun {
    memory: CrossModalMemory,
    queries: Tensor<3>,
}

impl MemoryRun {
    /// As published: 2048 rows of 512, 8 heads, 32 rows kept.
    pub fn published(batch: usize, length: usize, device: &Device) -> Self {
        Self::new(2048, batch, length, device)
    }

    /// The same with another number of rows.
    pub fn new(rows: usize, batch: usize, length: usize, device: &Device) -> Self {
        let device = device.clone().autodiff();
        MemoryRun {
            memory: CrossModalMemoryConfig::new(rows, 512, 8, 32).init(&device),
            queries: normal([batch, length, 512], &device).require_grad(),
        }
    }

    /// Keys, values and response, then all gradients.
    pub fn forward_backward(&self) {
        let response = self
            .memory
            .respond(self.queries.clone(), &self.memory.key_values());
        let gradients = response.square().mean().backward();
        std::hint::black_box(GradientsParams::from_grads(gradients, &self.memory));
    }
}

/// ResNet-101.
pub struct BackboneRun {
    backbone: ResNet,
    training: ResNet,
    images: Tensor<4>,
}

impl BackboneRun {
    /// Without its head, on square images.
    pub fn published(batch: usize, side: usize, device: &Device) -> Self {
        let training = ResNetConfig::resnet101().init(&device.clone().autodiff());
        BackboneRun {
            backbone: training.valid(),
            training,
            images: normal([batch, 3, side, side], device),
        }
    }

    /// By running statistics.
    pub fn forward(&self) {
        let features = self.backbone.forward(self.images.clone());
        std::hint::black_box(features.patches.into_data());
    }

    /// By the batch's statistics, with the gradients of all weights.
    pub fn forward_backward(&self) {
        let features = self.training.forward(self.images.clone().autodiff());
        let gradients = features.patches.square().mean().backward();
        std::hint::black_box(GradientsParams::from_grads(gradients, &self.training));
    }
}

/// The whole generator, writing.
pub struct GenerationRun {
    generator: R2GenCmn,
    studies: StudyBatch,
}

impl GenerationRun {
    /// Images of `side` pixels (224 as published). Reports never end, so that every step is taken.
    pub fn published(batch: usize, side: usize, device: &Device) -> Self {
        let mut generator = published_generator(device);
        let boundary = Tensor::<1>::from_floats([-1e9], device);
        let words = Tensor::<1>::zeros([VOCABULARY - 1], device);
        generator.logits.bias = Some(Param::from_tensor(Tensor::cat(vec![boundary, words], 0)));
        GenerationRun {
            generator,
            studies: StudyBatch::new(normal([batch, 1, 3, side, side], device)),
        }
    }

    /// From images to words by beams of `width`, or greedily if that is 1.
    pub fn write(&self, width: usize, tokens: usize) {
        let config = match width {
            1 => SearchConfig::greedy(tokens),
            _ => SearchConfig::beam(tokens, width),
        };
        let studies: Vec<String> = (0..self.studies.len()).map(|i| i.to_string()).collect();
        let reports = on_worker(|| {
            let state = self.generator.start(self.studies.clone());
            search(&self.generator, state, &studies, &config)
        });
        std::hint::black_box(reports.expect("a valid search"));
    }
}

/// ITHN around the whole generator, in training.
pub struct TrainingRun {
    /// There between steps, so that a step changes its weights in place, as in training.
    model: Option<Ithn<R2GenCmn>>,
    optimizer: ModuleOptimizer,
    config: OptimizerConfig,
    batch: TrainingBatch,
    recomputes: bool,
}

impl TrainingRun {
    /// As published but for the side of the images (224 as published), with negatives; every report has
    /// `length` tokens.
    pub fn published(batch: usize, length: usize, side: usize, device: &Device) -> Self {
        let device = device.clone().autodiff();
        let studies = || StudyBatch::new(normal([batch, 1, 3, side, side], &device));
        let both = [studies(), studies()];
        TrainingRun::of(published_generator(&device), both, length, &device)
    }

    /// Around a generator on an autodiff device, on studies and their negatives; every report has `length` tokens.
    pub fn of(
        generator: R2GenCmn,
        [studies, negatives]: [StudyBatch; 2],
        length: usize,
        device: &Device,
    ) -> Self {
        let config = OptimizerConfig::default();
        let batch = studies.len();
        TrainingRun {
            model: Some(IthnConfig::official().init(generator, device)),
            optimizer: init_optimizer(&config),
            config,
            batch: TrainingBatch {
                studies,
                reports: reports(batch, length, device),
                negatives: Some(NegativeBatch::new(
                    negatives,
                    reports(batch, length, device),
                )),
            },
            recomputes: false,
        }
    }

    /// Whether activations of the backbone are computed again in the backward pass.
    pub fn with_recomputation(mut self, recomputes: bool) -> Self {
        self.recomputes = recomputes;
        self
    }

    /// Losses, gradients and one step of the optimiser.
    pub fn step(&mut self) {
        let model = self.model.take().expect("a step puts the model back");
        let forward = || model.losses(self.batch.clone(), 0.99);
        let (terms, chains) = match self.recomputes {
            true => record_chains(forward),
            false => (forward(), RecordedChains::default()),
        };
        let LossTerms {
            total, language, ..
        } = terms;
        let language = language.detach();
        let gradients = total.backward();
        let mut sum = GradientsAccumulator::new();
        let mut add = |gradients| {
            sum.accumulate(&model, GradientsParams::from_grads(gradients, &model));
        };
        chains.backward(&gradients, &mut add);
        add(gradients);
        let gradients = sum.grads();
        let policy = learning_rate_policy(
            &self.config,
            TrainingPoint {
                epoch: 1,
                step: 0,
                total_steps: 1,
            },
        );
        self.model = Some(self.optimizer.step(policy, model, gradients));
        std::hint::black_box(language.into_data());
    }
}
