use std::fmt;
use std::str::FromStr;

use ithn_generator::config::NonNegative;
use ithn_negatives::{Ascent, Hardening, HardnessSchedule};
use serde::{Deserialize, Serialize};

use ithn_alignment::HardNegativePlacement;
use ithn_checkpoint::config::{ConfigError, ExperimentConfig, GeneratorConfig, Negatives};
use ithn_models::ImageFeature;
use ithn_plugin::IthnConfig;

/// A way to train.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Arm {
    /// The language loss alone.
    None,
    /// Contrast of the studies of a batch alone, without mined negatives: the control for what those add. Its other
    /// losses and options are those of [`Ours`](Arm::Ours).
    InBatch,
    /// First negatives as they are, with the losses and options of [`Ours`](Arm::Ours).
    Fixed,
    /// The official code's computation, its slow schedule included. Earlier files call it
    /// `released`.
    #[serde(alias = "released")]
    Official,
    /// The base configuration: negatives hardened in closed form.
    Ours,
    /// The same, hardened by gradient ascent on the contrastive loss in a ball.
    Ascent,
}

impl Arm {
    /// All arms, the one that others are compared with first.
    pub const ALL: [Arm; 6] = [
        Arm::None,
        Arm::InBatch,
        Arm::Fixed,
        Arm::Official,
        Arm::Ours,
        Arm::Ascent,
    ];

    /// The name that tables and `--arms` use.
    pub fn name(self) -> &'static str {
        match self {
            Arm::None => "none",
            Arm::InBatch => "in-batch",
            Arm::Fixed => "fixed",
            Arm::Official => "official",
            Arm::Ours => "ours",
            Arm::Ascent => "ascent",
        }
    }

    /// The base configuration, trained this way.
    pub fn apply(self, base: &ExperimentConfig) -> ExperimentConfig {
        let mut config = base.clone();
        match self {
            Arm::None => config.negatives = Negatives::Off,
            Arm::InBatch => {
                config.negatives = Negatives::Fixed;
                config.ithn.placement = HardNegativePlacement::InBatch;
                config.ithn.weights.separation = NonNegative::literal(0.0);
            }
            Arm::Fixed => config.negatives = Negatives::Fixed,
            Arm::Ours => config.negatives = Negatives::Ithn,
            Arm::Official => {
                config.negatives = Negatives::Ithn;
                config.hardness = HardnessSchedule::PerEpoch {
                    alpha: NonNegative::literal(0.01),
                };
                if let GeneratorConfig::R2GenCmn(sizes) = &mut config.model.generator {
                    sizes.image_feature = ImageFeature::Backbone;
                }
                config.ithn =
                    IthnConfig::official().with_projection_width(base.ithn.projection_width);
            }
            Arm::Ascent => {
                config.negatives = Negatives::Ithn;
                config.ithn.hardening = Hardening::Ascent(Ascent::default());
            }
        }
        config
    }
}

impl fmt::Display for Arm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

impl FromStr for Arm {
    type Err = ConfigError;

    fn from_str(name: &str) -> Result<Self, ConfigError> {
        Arm::ALL
            .into_iter()
            .find(|arm| arm.name() == name)
            .ok_or_else(|| {
                let names = Arm::ALL.map(Arm::name).join(", ");
                ConfigError::new("arms", format!("unknown arm '{name}': use one of {names}"))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ithn_checkpoint::config::Preset;

    #[test]
    fn arms_differ_and_ours_is_the_base() {
        let base = Preset::Phantom.config();
        let configs = Arm::ALL.map(|arm| arm.apply(&base));
        for (index, config) in configs.iter().enumerate() {
            config.validate().expect("valid");
            assert!(!configs[..index].contains(config), "{}", Arm::ALL[index]);
        }
        assert_eq!(Arm::Ours.apply(&base), base);
        for arm in Arm::ALL {
            assert_eq!(arm.name().parse(), Ok(arm));
        }
    }

    #[test]
    fn the_earlier_name_of_the_official_arm_is_read() {
        let read: Arm = serde_json::from_str("\"released\"").expect("an earlier name");
        assert_eq!(read, Arm::Official);
        let name = serde_json::to_string(&read).expect("a name");
        assert_eq!(name, "\"official\"");
    }
}
