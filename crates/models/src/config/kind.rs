use std::fmt;
use std::str::FromStr;

use super::{ConfigError, GeneratorKind};

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
