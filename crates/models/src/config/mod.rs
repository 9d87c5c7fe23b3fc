//! Which generator a model is, and its sizes.

mod generators;
mod json;
mod kind;
mod library;

use burn::tensor::Device;
use ithn_backbone::BackboneConfig;
use ithn_decoder::TransformerConfig;
use ithn_generator::config::{Probability, check_count};
use ithn_memory::CrossModalMemoryConfig;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use generators::{GeneratorConfig, GeneratorKind};
pub use ithn_generator::config::ConfigError;
pub use json::{from_json, from_value};
pub use library::LibraryConfig;
pub(crate) use library::{check_one_width, refuse_context, within};

use crate::{ImageFeature, LibraryGenerator, R2GenCmnConfig};

/// Most images of a study.
const MOST_VIEWS: usize = 64;

/// The generator, its sizes and the views per study.
///
/// Earlier configurations supported R2GenCMN only, with its sizes here instead of in `generator`;
/// they are still read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "ModelFile")]
#[non_exhaustive]
pub struct ModelConfig {
    /// Images per study, 1 to 64.
    pub views: usize,
    /// The generator and its sizes.
    pub generator: GeneratorConfig,
}

/// A function that is generic over the type of the generator.
pub trait GeneratorTask {
    /// Type of the result.
    type Output;

    /// Runs the task on `generator`.
    fn run<G: LibraryGenerator>(self, generator: G) -> Self::Output;
}

impl ModelConfig {
    /// A generator that takes `views` images per study.
    pub fn new(generator: impl Into<GeneratorConfig>, views: usize) -> Self {
        ModelConfig {
            views,
            generator: generator.into(),
        }
    }

    /// The configuration of a generator defined outside this library.
    ///
    /// The caller constructs the generator itself; `name` is recorded in checkpoints.
    pub fn custom(name: &str, views: usize) -> Self {
        ModelConfig {
            views,
            generator: GeneratorConfig::Custom {
                name: name.to_owned(),
                sizes: Value::Null,
            },
        }
    }

    /// The R2GenCMN of this configuration.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if it is another generator.
    pub fn r2gen_cmn(&self) -> Result<&R2GenCmnConfig, ConfigError> {
        match &self.generator {
            GeneratorConfig::R2GenCmn(config) => Ok(config),
            other => Err(ConfigError::new(
                "model.generator.kind",
                format!(
                    "is {}, but official weights are those of an r2gen_cmn",
                    other.name()
                ),
            )),
        }
    }

    /// Checks the number of views and the generator's sizes.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming the key below `model`, such as `generator.transformer.heads`.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check_count("views", self.views, MOST_VIEWS)?;
        within("generator", self.generator.validate())
    }

    /// Creates the generator with `vocabulary` logits and passes it to `task`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for a custom generator, which this library cannot build.
    pub fn build<T: GeneratorTask>(
        &self,
        vocabulary: usize,
        device: &Device,
        task: T,
    ) -> Result<T::Output, ConfigError> {
        self.generator.build(vocabulary, self.views, device, task)
    }
}

/// A model in a file, in the current or the earlier format.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelFile {
    views: usize,
    generator: Option<GeneratorConfig>,
    backbone: Option<BackboneConfig>,
    memory: Option<CrossModalMemoryConfig>,
    transformer: Option<TransformerConfig>,
    visual_dropout: Option<Probability>,
}

impl TryFrom<ModelFile> for ModelConfig {
    type Error = String;

    fn try_from(file: ModelFile) -> Result<Self, String> {
        let earlier = (
            file.backbone,
            file.memory,
            file.transformer,
            file.visual_dropout,
        );
        let generator = match (file.generator, earlier) {
            (Some(generator), (None, None, None, None)) => generator,
            (None, (Some(backbone), Some(memory), Some(transformer), Some(visual_dropout))) => {
                R2GenCmnConfig::new(backbone, memory, transformer)
                    .with_visual_dropout(visual_dropout.get())
                    .with_image_feature(ImageFeature::of_older_files())
                    .into()
            }
            _ => {
                return Err(
                    "give the model a `generator`, such as {\"kind\": \"r2gen_cmn\", …}, with its \
                     sizes inside it"
                        .to_owned(),
                );
            }
        };
        Ok(ModelConfig {
            views: file.views,
            generator,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_without_sizes_says_what_is_missing() {
        let error = serde_json::from_str::<ModelConfig>(r#"{"views": 1}"#).unwrap_err();
        assert!(error.to_string().contains("`generator`"), "{error}");
    }

    #[test]
    fn a_generator_is_its_kind_and_its_own_keys() {
        let config: GeneratorConfig = R2GenCmnConfig::new(
            ithn_backbone::ResNetConfig::resnet18(),
            CrossModalMemoryConfig::new(12, 8, 2, 3),
            TransformerConfig::new(8, 12, 2, 2),
        )
        .into();
        let json = serde_json::to_value(&config).expect("serialisable");
        let keys: Vec<&String> = json.as_object().expect("an object").keys().collect();
        assert_eq!(
            keys,
            [
                "backbone",
                "finding_prompts",
                "image_feature",
                "kind",
                "memory",
                "transformer",
                "visual_dropout"
            ]
        );
        assert_eq!(json["kind"], "r2gen_cmn");
        assert_eq!(from_value::<GeneratorConfig>(json), Ok(config));
    }

    #[test]
    fn a_wrong_key_within_a_generator_is_named() {
        let json = r#"{"views": 1, "generator": {"kind": "cnn_lstm", "backbone":
            {"block": "basic", "depths": [1], "width": "wide"}, "lstm": {}}}"#;
        let error = from_json::<ModelConfig>(json).expect_err("a word for a width");
        assert_eq!(error.key(), "generator.backbone.width", "{error}");
        let json = r#"{"views": 1, "generator": {"kind": "gpt"}}"#;
        let error = from_json::<ModelConfig>(json).expect_err("no such generator");
        assert_eq!(error.key(), "generator");
        assert!(error.reason().contains("r2gen_cmn, custom"), "{error}");
    }
}
