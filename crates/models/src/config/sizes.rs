//! Sizes that a generator cannot have, found before anything is built.

use ithn_decoder::TransformerConfig;

use super::{ConfigError, GeneratorConfig, ModelConfig};

impl ModelConfig {
    /// Refuses sizes that no generator can have.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming the number and what it must be.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let failed = |reason: String| {
            Err(ConfigError(format!(
                "generator {}: {reason}",
                self.generator.name()
            )))
        };
        if self.views == 0 {
            return Err(ConfigError("views must be at least 1".to_owned()));
        }
        if let Some(backbone) = self.generator.backbone()
            && (backbone.depths.is_empty() || backbone.depths.contains(&0))
        {
            return failed(format!(
                "every stage of the backbone needs a block, got {:?}",
                backbone.depths
            ));
        }
        let heads_divide = |heads: usize, width: usize, what: &str| {
            if heads == 0 || !width.is_multiple_of(heads) {
                failed(format!(
                    "{what}: {heads} heads do not divide a width of {width}"
                ))
            } else {
                Ok(())
            }
        };
        let transformer = |config: &TransformerConfig, memory: usize| {
            heads_divide(config.heads, config.d_model, "transformer")?;
            if !config.d_model.is_multiple_of(2) {
                return failed(format!("d_model must be even, got {}", config.d_model));
            }
            if memory != config.d_model {
                return failed(format!(
                    "the memory's width ({memory}) must be the Transformer's ({})",
                    config.d_model
                ));
            }
            Ok(())
        };
        match &self.generator {
            GeneratorConfig::R2GenCmn {
                memory,
                transformer: sizes,
                ..
            } => {
                transformer(sizes, memory.d_model)?;
                heads_divide(memory.heads, memory.d_model, "memory")?;
                if memory.top_k == 0 || memory.top_k > memory.rows {
                    return failed(format!(
                        "top_k must lie in 1..={}, got {}",
                        memory.rows, memory.top_k
                    ));
                }
                Ok(())
            }
            GeneratorConfig::R2Gen {
                memory,
                transformer: sizes,
                ..
            } => {
                transformer(sizes, memory.d_model)?;
                heads_divide(memory.heads, memory.d_model, "memory")?;
                if memory.slots == 0 {
                    return failed("the memory needs at least one slot".to_owned());
                }
                Ok(())
            }
            GeneratorConfig::CnnLstm { lstm, .. } => {
                let widths = [
                    lstm.embedding_width,
                    lstm.hidden_width,
                    lstm.attention_width,
                ];
                if widths.contains(&0) {
                    return failed("the widths of the LSTM must be at least 1".to_owned());
                }
                Ok(())
            }
            GeneratorConfig::Custom { .. } => Ok(()),
        }
    }
}
