//! Sizes that a generator cannot have, found before anything is built.

use ithn_decoder::TransformerConfig;
use ithn_generator::config::{check_count, check_dropout};

use super::{ConfigError, GeneratorConfig, ModelConfig};

/// Most images of a study.
const MOST_VIEWS: usize = 64;

impl ModelConfig {
    /// Checks the number of views, 1 to 64, and the generator's sizes.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming the key below `model`, such as `generator.transformer.heads`.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check_count("views", self.views, MOST_VIEWS)?;
        let generator = self.generator.validate();
        generator.map_err(|error| error.within("generator"))
    }
}

impl GeneratorConfig {
    fn validate(&self) -> Result<(), ConfigError> {
        if let Some(backbone) = self.backbone() {
            within("backbone", backbone.validate())?;
        }
        match self {
            GeneratorConfig::R2GenCmn {
                memory,
                transformer,
                visual_dropout,
                ..
            } => {
                within("memory", memory.validate())?;
                one_width(transformer, memory.d_model)?;
                check_dropout("visual_dropout", *visual_dropout)
            }
            GeneratorConfig::R2Gen {
                memory,
                transformer,
                visual_dropout,
                ..
            } => {
                within("memory", memory.validate())?;
                one_width(transformer, memory.d_model)?;
                check_dropout("visual_dropout", *visual_dropout)
            }
            GeneratorConfig::CnnLstm { lstm, .. } => within("lstm", lstm.validate()),
            GeneratorConfig::Custom { .. } => Ok(()),
        }
    }
}

fn within(parent: &str, checked: Result<(), ConfigError>) -> Result<(), ConfigError> {
    checked.map_err(|error| error.within(parent))
}

/// Checks a Transformer beside a memory of that width.
fn one_width(transformer: &TransformerConfig, memory: usize) -> Result<(), ConfigError> {
    within("transformer", transformer.validate())?;
    if memory == transformer.d_model {
        return Ok(());
    }
    Err(ConfigError::new(
        "memory.d_model",
        format!(
            "must be the Transformer's width, {} (transformer.d_model), got {memory}",
            transformer.d_model
        ),
    ))
}
