use burn::tensor::Device;
use ithn_backbone::BackboneConfig;
use ithn_decoder::TransformerConfig;

use super::ConfigError;
use crate::{ContextConfig, FindingPromptsConfig, LibraryGenerator, R2GenCmnConfig};

/// Configuration of a generator of this library: all that the library asks of it, vocabulary and
/// views aside, which the data decides.
pub trait LibraryConfig: Sized {
    /// What it configures.
    type Generator: LibraryGenerator;

    /// The image backbone.
    fn backbone(&self) -> &BackboneConfig;

    /// The image backbone, to be changed.
    fn backbone_mut(&mut self) -> &mut BackboneConfig;

    /// The findings that the decoder is told, if it is told any.
    fn finding_prompts(&self) -> Option<&FindingPromptsConfig> {
        None
    }

    /// This generator with the backbone, widths, layers and dropout of an R2GenCMN. A generator that reads no context keeps
    /// that section all the same, for [`validate`](Self::validate) to refuse it by name.
    fn sized_like(model: &R2GenCmnConfig) -> Self;

    /// What the generator reads beside a study's films; `None` unless overridden.
    fn context(&self) -> Option<ContextConfig> {
        None
    }

    /// Checks all sizes and rates.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming the key, such as `transformer.heads`.
    fn validate(&self) -> Result<(), ConfigError>;

    /// Creates the generator for a vocabulary of that many logits (the words and token 0) and studies
    /// of that many images.
    ///
    /// # Panics
    ///
    /// If the configuration is not [valid](Self::validate).
    fn init(&self, vocabulary: usize, views: usize, device: &Device) -> Self::Generator;
}

/// Prefixes the key of an error with `parent`.
pub(crate) fn within(parent: &str, checked: Result<(), ConfigError>) -> Result<(), ConfigError> {
    checked.map_err(|error| error.within(parent))
}

/// Refuses the section of a generator, `kind`, that reads nothing beside a study's films.
///
/// # Errors
///
/// [`ConfigError`] naming the key if the section is there.
pub(crate) fn refuse_context(
    kind: &str,
    context: Option<ContextConfig>,
) -> Result<(), ConfigError> {
    match context {
        None => Ok(()),
        Some(_) => Err(ConfigError::new(
            "context",
            format!(
                "the generator '{kind}' reads nothing beside a study's films: set this section to null, or use r2gen_cmn or \
                 cnn_lstm, which read it"
            ),
        )),
    }
}

/// Checks a Transformer that is used with a memory of width `memory`.
pub(crate) fn check_one_width(
    transformer: &TransformerConfig,
    memory: usize,
) -> Result<(), ConfigError> {
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
