use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{ConfigError, GeneratorConfig};
use crate::{AttentiveLstmConfig, RelationalMemoryConfig};

/// A generator of this library, by name alone: its sizes follow from a preset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GeneratorKind {
    /// R2GenCMN (Chen et al., ACL-IJCNLP 2021).
    #[serde(rename = "r2gen_cmn")]
    R2GenCmn,
    /// R2Gen (Chen et al., EMNLP 2020).
    #[serde(rename = "r2gen")]
    R2Gen,
    /// CNN–LSTM with visual attention (Xu et al., ICML 2015).
    CnnLstm,
}

impl GeneratorKind {
    /// All generators, in the order in which they were published.
    pub const ALL: [GeneratorKind; 3] = [
        GeneratorKind::CnnLstm,
        GeneratorKind::R2Gen,
        GeneratorKind::R2GenCmn,
    ];

    /// The name that configurations use.
    pub fn name(self) -> &'static str {
        match self {
            GeneratorKind::R2GenCmn => "r2gen_cmn",
            GeneratorKind::R2Gen => "r2gen",
            GeneratorKind::CnnLstm => "cnn_lstm",
        }
    }
}

impl GeneratorKind {
    /// This generator with the backbone, widths, layers and dropout of an R2GenCMN; another
    /// generator is returned as it is.
    pub fn sized_like(self, model: GeneratorConfig) -> GeneratorConfig {
        let GeneratorConfig::R2GenCmn {
            backbone,
            transformer,
            visual_dropout,
            ..
        } = &model
        else {
            return model;
        };
        let width = transformer.d_model;
        match self {
            GeneratorKind::R2GenCmn => model,
            GeneratorKind::R2Gen => GeneratorConfig::R2Gen {
                backbone: backbone.clone(),
                memory: RelationalMemoryConfig::new(width, transformer.heads)
                    .with_dropout(transformer.attention_dropout),
                transformer: transformer.clone(),
                visual_dropout: *visual_dropout,
            },
            GeneratorKind::CnnLstm => GeneratorConfig::CnnLstm {
                backbone: backbone.clone(),
                lstm: AttentiveLstmConfig::new(width, width, width).with_dropout(*visual_dropout),
            },
        }
    }
}

impl fmt::Display for GeneratorKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for GeneratorKind {
    type Err = ConfigError;

    fn from_str(name: &str) -> Result<Self, ConfigError> {
        let wanted = name.replace('-', "_");
        GeneratorKind::ALL
            .into_iter()
            .find(|kind| kind.name() == wanted)
            .ok_or_else(|| {
                let names = GeneratorKind::ALL.map(GeneratorKind::name).join(", ");
                ConfigError::new(
                    "model.generator.kind",
                    format!("unknown generator '{name}': use one of {names}"),
                )
            })
    }
}
