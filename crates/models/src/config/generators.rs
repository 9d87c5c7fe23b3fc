//! The list of generators, and what follows from it.

use burn::tensor::Device;
use ithn_backbone::BackboneConfig;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::json::{from_value, part};
use super::{ConfigError, GeneratorTask, LibraryConfig};
use crate::{CnnLstmConfig, ContextConfig, FindingPromptsConfig, R2GenCmnConfig, R2GenConfig};

macro_rules! generators {
    ($($(#[$doc:meta])* $name:literal => $variant:ident($config:ty),)+) => {
        /// A generator of this library, by name alone: its sizes follow from a preset.
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
        )]
        #[non_exhaustive]
        pub enum GeneratorKind {
            $(
                $(#[$doc])*
                #[serde(rename = $name)]
                $variant,
            )+
        }

        impl GeneratorKind {
            /// All generators, in the order in which they were published.
            pub const ALL: [GeneratorKind; [$($name),+].len()] = [$(GeneratorKind::$variant),+];

            /// The name that configurations use.
            pub fn name(self) -> &'static str {
                match self {
                    $(GeneratorKind::$variant => $name,)+
                }
            }

            /// This generator with the backbone, widths, layers and dropout of an R2GenCMN; another
            /// generator is returned as it is.
            pub fn sized_like(self, model: GeneratorConfig) -> GeneratorConfig {
                let GeneratorConfig::R2GenCmn(sizes) = &model else {
                    return model;
                };
                match self {
                    $(GeneratorKind::$variant => <$config>::sized_like(sizes).into(),)+
                }
            }
        }

        /// A generator and its sizes, its vocabulary aside, which the data decides.
        ///
        /// In JSON an object of the configuration's keys and `kind`, the generator's name.
        #[derive(Debug, Clone, PartialEq, Serialize)]
        #[serde(tag = "kind")]
        #[non_exhaustive]
        pub enum GeneratorConfig {
            $(
                $(#[$doc])*
                #[serde(rename = $name)]
                $variant($config),
            )+
            /// A generator from outside this library, which its author builds.
            #[serde(rename = "custom")]
            Custom {
                /// Its name, for messages.
                name: String,
                /// Whatever its author wants saved with a run.
                sizes: Value,
            },
        }

        $(
            impl From<$config> for GeneratorConfig {
                fn from(config: $config) -> Self {
                    GeneratorConfig::$variant(config)
                }
            }
        )+

        impl GeneratorConfig {
            /// Its name in configurations.
            pub fn name(&self) -> &str {
                match self {
                    $(GeneratorConfig::$variant(_) => $name,)+
                    GeneratorConfig::Custom { name, .. } => name,
                }
            }

            /// Its backbone, unless it is a custom one.
            pub fn backbone(&self) -> Option<&BackboneConfig> {
                match self {
                    $(GeneratorConfig::$variant(config) => Some(config.backbone()),)+
                    GeneratorConfig::Custom { .. } => None,
                }
            }

            /// Its backbone, to be changed, unless it is a custom one.
            pub fn backbone_mut(&mut self) -> Option<&mut BackboneConfig> {
                match self {
                    $(GeneratorConfig::$variant(config) => Some(config.backbone_mut()),)+
                    GeneratorConfig::Custom { .. } => None,
                }
            }

            /// The findings that its decoder is told, if it is told any.
            pub fn finding_prompts(&self) -> Option<&FindingPromptsConfig> {
                match self {
                    $(GeneratorConfig::$variant(config) => config.finding_prompts(),)+
                    GeneratorConfig::Custom { .. } => None,
                }
            }

            /// What it reads beside a study's films. A custom generator that reads something says so by an object
            /// `context` in its sizes, with the keys of a [`ContextConfig`].
            pub fn context(&self) -> Option<ContextConfig> {
                match self {
                    $(GeneratorConfig::$variant(config) => config.context(),)+
                    GeneratorConfig::Custom { sizes, .. } => custom_context(sizes).ok().flatten(),
                }
            }

            /// Checks all sizes and rates.
            ///
            /// # Errors
            ///
            /// [`ConfigError`] naming the key below `generator`, such as `transformer.heads`.
            pub fn validate(&self) -> Result<(), ConfigError> {
                match self {
                    $(GeneratorConfig::$variant(config) => config.validate(),)+
                    GeneratorConfig::Custom { sizes, .. } => {
                        let context = custom_context(sizes)?;
                        let checked = context.map_or(Ok(()), |context| context.validate());
                        checked.map_err(|error| error.within("sizes.context"))
                    }
                }
            }

            /// Creates the generator and passes it to `task`.
            pub(super) fn build<T: GeneratorTask>(
                &self,
                vocabulary: usize,
                views: usize,
                device: &Device,
                task: T,
            ) -> Result<T::Output, ConfigError> {
                match self {
                    $(
                        GeneratorConfig::$variant(config) => {
                            Ok(task.run(config.init(vocabulary, views, device)))
                        }
                    )+
                    GeneratorConfig::Custom { name, .. } => Err(ConfigError::new(
                        "model.generator.kind",
                        format!(
                            "the generator '{name}' is not part of this library: build it \
                             yourself, and give it to run_experiment_with or \
                             ReportWriter::from_checkpoint_with"
                        ),
                    )),
                }
            }
        }

        impl<'de> Deserialize<'de> for GeneratorConfig {
            /// As serde would, but that errors name the key within the generator.
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let mut fields = Map::deserialize(deserializer)?;
                let kind = fields.remove("kind");
                let sizes = Value::Object(fields);
                match kind.as_ref().and_then(Value::as_str) {
                    $(Some($name) => part(sizes).map(GeneratorConfig::$variant),)+
                    Some("custom") => {
                        let CustomFile { name, sizes } = part(sizes)?;
                        Ok(GeneratorConfig::Custom { name, sizes })
                    }
                    _ => Err(serde::de::Error::custom(format!(
                        "`kind` must be one of {}, custom",
                        [$($name),+].join(", ")
                    ))),
                }
            }
        }
    };
}

/// What a custom generator reads beside a study's films.
fn custom_context(sizes: &Value) -> Result<Option<ContextConfig>, ConfigError> {
    match sizes.get("context") {
        None | Some(Value::Null) => Ok(None),
        Some(context) => from_value(context.clone())
            .map(Some)
            .map_err(|error| error.within("sizes.context")),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CustomFile {
    name: String,
    #[serde(default)]
    sizes: Value,
}

generators! {
    /// CNN–LSTM with visual attention (Xu et al., ICML 2015).
    "cnn_lstm" => CnnLstm(CnnLstmConfig),
    /// R2Gen (Chen et al., EMNLP 2020).
    "r2gen" => R2Gen(R2GenConfig),
    /// R2GenCMN (Chen et al., ACL-IJCNLP 2021).
    "r2gen_cmn" => R2GenCmn(R2GenCmnConfig),
}

#[cfg(test)]
mod tests;
