//! Which generator a model is, and its sizes.

mod json;
mod kind;
mod sizes;

use burn::tensor::Device;
use ithn_backbone::ResNetConfig;
use ithn_decoder::TransformerConfig;
use ithn_memory::CrossModalMemoryConfig;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use ithn_generator::config::ConfigError;
pub use json::{from_json, from_value};
pub use kind::GeneratorKind;

use crate::{
    AttentiveLstmConfig, CnnLstmConfig, ImageFeature, LibraryGenerator, R2GenCmnConfig,
    R2GenConfig, RelationalMemoryConfig,
};

/// Which generator, how large, and what it is shown.
///
/// Earlier configurations knew R2GenCMN alone and gave its sizes here, without a `generator`; they
/// are still read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "ModelFile")]
pub struct ModelConfig {
    /// Images per study.
    pub views: usize,
    /// The generator and its sizes.
    pub generator: GeneratorConfig,
}

/// A generator and its sizes, its vocabulary aside, which the data decides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum GeneratorConfig {
    /// [`R2GenCmn`](crate::R2GenCmn).
    #[serde(rename = "r2gen_cmn")]
    R2GenCmn {
        /// Image backbone.
        backbone: ResNetConfig,
        /// Cross-modal memory.
        memory: CrossModalMemoryConfig,
        /// Encoder and decoder.
        transformer: TransformerConfig,
        /// Dropout after the visual embedding.
        visual_dropout: f64,
        /// Features that studies are embedded by.
        #[serde(default)]
        image_feature: ImageFeature,
    },
    /// [`R2Gen`](crate::R2Gen).
    #[serde(rename = "r2gen")]
    R2Gen {
        /// Image backbone.
        backbone: ResNetConfig,
        /// Relational memory.
        memory: RelationalMemoryConfig,
        /// Encoder and decoder.
        transformer: TransformerConfig,
        /// Dropout after the visual embedding.
        visual_dropout: f64,
    },
    /// [`CnnLstm`](crate::CnnLstm).
    CnnLstm {
        /// Image backbone.
        backbone: ResNetConfig,
        /// Word embedding, attention and LSTM.
        lstm: AttentiveLstmConfig,
    },
    /// A generator from outside this library, which its author builds.
    Custom {
        /// Its name, for messages.
        name: String,
        /// Whatever its author wants saved with a run.
        #[serde(default)]
        sizes: Value,
    },
}

/// What is done with a generator once its type is known.
pub trait GeneratorTask {
    /// What comes of it.
    type Output;

    /// Does it.
    fn run<G: LibraryGenerator>(self, generator: G) -> Self::Output;
}

impl GeneratorConfig {
    /// Its name, as configurations have it.
    pub fn name(&self) -> &str {
        match self {
            GeneratorConfig::R2GenCmn { .. } => GeneratorKind::R2GenCmn.name(),
            GeneratorConfig::R2Gen { .. } => GeneratorKind::R2Gen.name(),
            GeneratorConfig::CnnLstm { .. } => GeneratorKind::CnnLstm.name(),
            GeneratorConfig::Custom { name, .. } => name,
        }
    }

    /// Its backbone, unless it is a custom one.
    pub fn backbone(&self) -> Option<&ResNetConfig> {
        match self {
            GeneratorConfig::R2GenCmn { backbone, .. }
            | GeneratorConfig::R2Gen { backbone, .. }
            | GeneratorConfig::CnnLstm { backbone, .. } => Some(backbone),
            GeneratorConfig::Custom { .. } => None,
        }
    }

    /// Its backbone, to be changed, unless it is a custom one.
    pub fn backbone_mut(&mut self) -> Option<&mut ResNetConfig> {
        match self {
            GeneratorConfig::R2GenCmn { backbone, .. }
            | GeneratorConfig::R2Gen { backbone, .. }
            | GeneratorConfig::CnnLstm { backbone, .. } => Some(backbone),
            GeneratorConfig::Custom { .. } => None,
        }
    }
}

impl ModelConfig {
    /// A generator from outside this library, which its author builds.
    pub fn custom(name: &str, views: usize) -> Self {
        ModelConfig {
            views,
            generator: GeneratorConfig::Custom {
                name: name.to_owned(),
                sizes: Value::Null,
            },
        }
    }

    /// The R2GenCMN of this configuration, for a vocabulary of that many logits.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if it is another generator.
    pub fn r2gen_cmn(&self, vocabulary: usize) -> Result<R2GenCmnConfig, ConfigError> {
        let GeneratorConfig::R2GenCmn {
            backbone,
            memory,
            transformer,
            visual_dropout,
            image_feature,
        } = &self.generator
        else {
            return Err(ConfigError::new(
                "model.generator.kind",
                format!(
                    "is {}, but official weights are those of an r2gen_cmn",
                    self.generator.name()
                ),
            ));
        };
        let (backbone, transformer) = (backbone.clone(), transformer.clone());
        Ok(
            R2GenCmnConfig::new(backbone, memory.clone(), transformer, vocabulary)
                .with_views(self.views)
                .with_visual_dropout(*visual_dropout)
                .with_image_feature(*image_feature),
        )
    }

    /// Creates the generator for a vocabulary of that many logits and hands it to `task`.
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
        match &self.generator {
            GeneratorConfig::R2GenCmn { .. } => {
                Ok(task.run(self.r2gen_cmn(vocabulary)?.init(device)))
            }
            GeneratorConfig::R2Gen {
                backbone,
                memory,
                transformer,
                visual_dropout,
            } => {
                let (backbone, transformer) = (backbone.clone(), transformer.clone());
                let config = R2GenConfig::new(backbone, memory.clone(), transformer, vocabulary)
                    .with_views(self.views)
                    .with_visual_dropout(*visual_dropout);
                Ok(task.run(config.init(device)))
            }
            GeneratorConfig::CnnLstm { backbone, lstm } => {
                let config = CnnLstmConfig::new(backbone.clone(), lstm.clone(), vocabulary)
                    .with_views(self.views);
                Ok(task.run(config.init(device)))
            }
            GeneratorConfig::Custom { name, .. } => Err(ConfigError::new(
                "model.generator.kind",
                format!(
                    "the generator '{name}' is not part of this library: build it yourself, and \
                     give it to run_experiment_with or ReportWriter::from_checkpoint_with"
                ),
            )),
        }
    }
}

/// A model as files have it, in the present form or the earlier.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelFile {
    views: usize,
    generator: Option<GeneratorConfig>,
    backbone: Option<ResNetConfig>,
    memory: Option<CrossModalMemoryConfig>,
    transformer: Option<TransformerConfig>,
    visual_dropout: Option<f64>,
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
                GeneratorConfig::R2GenCmn {
                    backbone,
                    memory,
                    transformer,
                    visual_dropout,
                    image_feature: ImageFeature::Backbone,
                }
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
}
