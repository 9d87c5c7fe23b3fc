//! A generator of the library in one file, and the line of the list that names it.

use burn::config::Config;
use burn::module::Module;
use burn::nn::{Embedding, EmbeddingConfig, Linear, LinearConfig};
use burn::tensor::Tensor;
use burn::tensor::activation::log_softmax;
use ithn_backbone::{Backbone, BlockKind, ResNetConfig};
use ithn_decoder::TransformerConfig;
use ithn_generator::config::check_count;
use ithn_generator::laws::{Laws, check};
use ithn_generator::{
    EncodedStudies, ReportGenerator, StepDecoder, StudyBatch, TokenBatch, row_indices, token_column,
};
use ithn_memory::CrossModalMemoryConfig;

use super::super::{from_json, refuse_context};
use super::*;
use crate::LibraryGenerator;
use crate::views::join_views;

generators! {
    /// R2GenCMN.
    "r2gen_cmn" => R2GenCmn(R2GenCmnConfig),
    /// The generator of this file.
    "bigram" => Bigram(BigramConfig),
}

/// Configuration of a [`Bigram`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BigramConfig {
    /// Image backbone.
    pub backbone: BackboneConfig,
    /// Width of the hidden states.
    pub width: usize,
    /// Refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<ContextConfig>,
}

impl Config for BigramConfig {}

/// The next word depends on the last one and the image.
#[derive(Module, Debug)]
pub struct Bigram {
    backbone: Backbone,
    image: Linear,
    words: Embedding,
    logits: Linear,
    views: usize,
}

impl LibraryConfig for BigramConfig {
    type Generator = Bigram;

    fn backbone(&self) -> &BackboneConfig {
        &self.backbone
    }

    fn backbone_mut(&mut self) -> &mut BackboneConfig {
        &mut self.backbone
    }

    fn sized_like(model: &R2GenCmnConfig) -> Self {
        BigramConfig {
            backbone: model.backbone.clone(),
            width: model.transformer.d_model,
            context: model.context,
        }
    }

    fn validate(&self) -> Result<(), ConfigError> {
        refuse_context("bigram", self.context)?;
        let backbone = self.backbone.validate();
        backbone.map_err(|error| error.within("backbone"))?;
        check_count("width", self.width, 64)
    }

    fn init(&self, vocabulary: usize, views: usize, device: &Device) -> Bigram {
        Bigram {
            backbone: self.backbone.init(device),
            image: LinearConfig::new(views * self.backbone.channels(), self.width).init(device),
            words: EmbeddingConfig::new(vocabulary, self.width).init(device),
            logits: LinearConfig::new(self.width, vocabulary).init(device),
            views,
        }
    }
}

impl LibraryGenerator for Bigram {
    fn backbone(&self) -> &Backbone {
        &self.backbone
    }

    fn backbone_mut(&mut self) -> &mut Backbone {
        &mut self.backbone
    }
}

impl ReportGenerator for Bigram {
    /// Image feature, `[batch, width]`.
    type Context = Tensor<2>;

    fn encode(&self, studies: StudyBatch) -> EncodedStudies<Tensor<2>> {
        let [features] = join_views(&self.backbone, [studies], self.views);
        EncodedStudies {
            context: self.image.forward(features.pooled.clone()),
            pooled: features.pooled,
        }
    }

    fn imageless_context(&self, batch: usize) -> Tensor<2> {
        Tensor::zeros([batch, self.hidden_width()], &self.logits.weight.device())
    }

    fn hidden_states(&self, image: &Tensor<2>, reports: &TokenBatch) -> Tensor<3> {
        let words = self.words.forward(reports.inputs().clone());
        (words + image.clone().unsqueeze_dim(1)).tanh()
    }

    fn log_probs(&self, hidden: Tensor<3>) -> Tensor<3> {
        log_softmax(self.logits.forward(hidden), 2)
    }

    fn pooled_width(&self) -> usize {
        self.image.weight.dims()[0]
    }

    fn hidden_width(&self) -> usize {
        self.logits.weight.dims()[0]
    }
}

impl StepDecoder for Bigram {
    type State = Tensor<2>;

    fn start(&self, studies: StudyBatch) -> Tensor<2> {
        self.encode(studies).context
    }

    fn step(&self, tokens: &[u32], image: &mut Tensor<2>) -> Tensor<2> {
        let words = self.words.forward(token_column(tokens, &image.device()));
        let hidden = (words + image.clone().unsqueeze_dim(1)).tanh();
        self.log_probs(hidden).squeeze_dim(1)
    }

    fn reorder(&self, image: Tensor<2>, rows: &[usize]) -> Tensor<2> {
        let rows = row_indices(rows, &image.device());
        image.select(0, rows)
    }
}

/// A configuration as large as a small R2GenCMN.
fn bigram() -> GeneratorConfig {
    let model = R2GenCmnConfig::new(
        ResNetConfig::narrow(4, vec![1, 1]),
        CrossModalMemoryConfig::new(12, 8, 2, 3),
        TransformerConfig::new(8, 12, 2, 1),
    );
    GeneratorKind::Bigram.sized_like(model.into())
}

struct KeepsTheLaws(Laws);

impl GeneratorTask for KeepsTheLaws {
    type Output = ();

    fn run<G: LibraryGenerator>(self, mut generator: G) {
        let Backbone::ResNet(network) = generator.backbone_mut() else {
            panic!("the configuration has a resnet");
        };
        assert_eq!(network.stages.len(), 2);
        check(&generator, &self.0).unwrap_or_else(|broken| panic!("{broken}"));
    }
}

#[test]
fn a_line_of_the_list_gives_a_kind_sizes_and_a_model_that_keeps_the_laws() {
    assert_eq!(
        GeneratorKind::ALL.map(GeneratorKind::name),
        ["r2gen_cmn", "bigram"]
    );
    let mut config = bigram();
    assert_eq!(config.name(), "bigram");
    let expected = ResNetConfig::narrow(4, vec![1, 1]).into();
    assert_eq!(config.backbone(), Some(&expected));
    config.validate().expect("valid");
    assert_eq!(config.context(), None);
    assert_eq!(config.finding_prompts(), None);

    let device = Device::default();
    for views in [1, 2] {
        let laws = KeepsTheLaws(Laws::new(9, &device).with_views(views));
        config.build(9, views, &device, laws).expect("built");
    }

    *config.backbone_mut().expect("it has one") = ResNetConfig::narrow(4, vec![0]).into();
    let error = config.validate().expect_err("no block");
    assert!(error.key().starts_with("backbone.depths"), "{error}");
}

#[test]
fn a_section_that_a_generator_does_not_read_is_refused_by_name() {
    let model = R2GenCmnConfig::new(
        ResNetConfig::narrow(4, vec![1, 1]),
        CrossModalMemoryConfig::new(12, 8, 2, 3),
        TransformerConfig::new(8, 12, 2, 1),
    )
    .with_context(ContextConfig::new(1, 9, 0));
    let bigram = GeneratorKind::Bigram.sized_like(model.clone().into());
    let r2gen: super::super::GeneratorConfig = R2GenConfig::sized_like(&model).into();
    for error in [bigram.validate(), r2gen.validate()] {
        let error = error.expect_err("it reads no context");
        assert_eq!(error.key(), "context");
        assert!(error.reason().contains("r2gen_cmn"), "{error}");
    }
}

#[test]
fn a_line_of_the_list_gives_a_name_in_files_and_errors_by_key() {
    let config = bigram();
    let json = serde_json::to_string(&config).expect("serialisable");
    assert!(json.starts_with(r#"{"kind":"bigram""#), "{json}");
    assert_eq!(from_json::<GeneratorConfig>(&json), Ok(config));

    let wrong = json.replace(r#""width":8"#, r#""width":"wide""#);
    let error = from_json::<GeneratorConfig>(&wrong).expect_err("a word for a number");
    assert_eq!(error.key(), "width", "{error}");
    let unknown = json.replace(r#""kind":"bigram""#, r#""kind":"trigram""#);
    let error = from_json::<GeneratorConfig>(&unknown).expect_err("no such generator");
    assert!(error.reason().contains("r2gen_cmn, bigram"), "{error}");
    assert_eq!(
        serde_json::to_string(&GeneratorKind::Bigram).expect("a name"),
        r#""bigram""#
    );
    let block = serde_json::to_string(&BlockKind::Basic).expect("a name");
    assert!(json.contains(&block), "{json}");
}
