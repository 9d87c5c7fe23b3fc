use std::fmt;
use std::str::FromStr;

use ithn_generator::config::{NonNegative, Positive};
use ithn_negatives::{Ascent, ClosedForm, GradientFlow, Hardening, HardnessSchedule, Hull};
use serde::{Deserialize, Serialize};

use ithn_alignment::HardNegativePlacement;
use ithn_checkpoint::config::{
    ConfigError, ExperimentConfig, FirstNegatives, GeneratorConfig, Negatives,
};
use ithn_models::ImageFeature;
use ithn_plugin::{IthnConfig, LikelihoodContrast};

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
    /// The base with gradients through the hard negative and into the report states `u` and `u⁻`.
    Through,
    /// Its control at `λ = 1`: first negatives as they are, with gradients into the report states.
    ThroughFixed,
    /// The base with first negatives that are the own report with one finding changed.
    Edited,
    /// Its control at `λ = 1`.
    EditedFixed,
    /// Contrast of likelihoods in place of that of embeddings; hardness raises its margin.
    Likelihood,
    /// Its control at `λ = 1`, without a margin.
    LikelihoodFixed,
    /// Contrast of likelihoods with first negatives that are the own report with one finding changed.
    EditedLikelihood,
    /// Its control at `λ = 1`.
    EditedLikelihoodFixed,
    /// Negatives hardened within the hull of the four nearest reports that state other findings.
    Hull,
    /// Its control at `λ = 1`: the nearest report that states other findings.
    HullFixed,
    /// Its control with the same four reports: all of them as candidates, as they are.
    HullCandidates,
    /// The base with first negatives that state other findings, mined again in every epoch by the current model.
    Again,
    /// Its control at `λ = 1`.
    AgainFixed,
}

impl Arm {
    /// The main arms, the one that others are compared with first.
    pub const MAIN: [Arm; 6] = [
        Arm::None,
        Arm::InBatch,
        Arm::Fixed,
        Arm::Official,
        Arm::Ours,
        Arm::Ascent,
    ];

    /// All arms: the main ones, then those that give hardness another meaning, each followed by its control.
    pub const ALL: [Arm; 19] = [
        Arm::None,
        Arm::InBatch,
        Arm::Fixed,
        Arm::Official,
        Arm::Ours,
        Arm::Ascent,
        Arm::Through,
        Arm::ThroughFixed,
        Arm::Edited,
        Arm::EditedFixed,
        Arm::Likelihood,
        Arm::LikelihoodFixed,
        Arm::EditedLikelihood,
        Arm::EditedLikelihoodFixed,
        Arm::Hull,
        Arm::HullFixed,
        Arm::HullCandidates,
        Arm::Again,
        Arm::AgainFixed,
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
            Arm::Through => "through",
            Arm::ThroughFixed => "through-fixed",
            Arm::Edited => "edited",
            Arm::EditedFixed => "edited-fixed",
            Arm::Likelihood => "likelihood",
            Arm::LikelihoodFixed => "likelihood-fixed",
            Arm::EditedLikelihood => "edited-likelihood",
            Arm::EditedLikelihoodFixed => "edited-likelihood-fixed",
            Arm::Hull => "hull",
            Arm::HullFixed => "hull-fixed",
            Arm::HullCandidates => "hull-candidates",
            Arm::Again => "again",
            Arm::AgainFixed => "again-fixed",
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
            Arm::Through | Arm::ThroughFixed => {
                let form = ClosedForm::default().with_gradient(GradientFlow::Through);
                config.ithn.hardening = form.into();
                config.ithn.hold_report_states = false;
                config.negatives = self.hardness();
            }
            Arm::Edited | Arm::EditedFixed => {
                config.first_negatives = FirstNegatives::Edited;
                config.negatives = self.hardness();
            }
            Arm::Likelihood | Arm::LikelihoodFixed => {
                config.negatives = self.hardness();
                contrast_likelihoods(&mut config.ithn);
            }
            Arm::EditedLikelihood | Arm::EditedLikelihoodFixed => {
                config.first_negatives = FirstNegatives::Edited;
                config.negatives = self.hardness();
                contrast_likelihoods(&mut config.ithn);
            }
            Arm::Again | Arm::AgainFixed => {
                config.first_negatives = FirstNegatives::OtherFindings;
                config.mine_again = true;
                config.negatives = self.hardness();
            }
            Arm::Hull | Arm::HullFixed | Arm::HullCandidates => {
                config.first_negatives = FirstNegatives::OtherFindings;
                config.more_negatives = 3;
                config.negatives = self.hardness();
                config.ithn.hardening = Hull::default().into();
                if self == Arm::HullCandidates {
                    config.ithn.placement = HardNegativePlacement::Candidates;
                }
            }
        }
        config
    }

    /// Hardened negatives, or in a control negatives as they are.
    fn hardness(self) -> Negatives {
        match self {
            Arm::ThroughFixed
            | Arm::EditedFixed
            | Arm::LikelihoodFixed
            | Arm::EditedLikelihoodFixed
            | Arm::HullFixed
            | Arm::HullCandidates
            | Arm::AgainFixed => Negatives::Fixed,
            _ => Negatives::Ithn,
        }
    }
}

/// The contrast of likelihoods alone. Reports differ by some tenths of a nat per token; the scale lets that count.
fn contrast_likelihoods(ithn: &mut IthnConfig) {
    let [weight, scale] = [0.1, 4.0].map(Positive::literal);
    let contrast = LikelihoodContrast::new(weight, scale, NonNegative::literal(0.5));
    ithn.likelihood = Some(contrast);
    ithn.weights.contrastive = NonNegative::literal(0.0);
    ithn.weights.separation = NonNegative::literal(0.0);
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
