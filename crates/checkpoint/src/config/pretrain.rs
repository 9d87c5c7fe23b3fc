use std::collections::HashSet;
use std::str::FromStr;

use ithn_backbone::{BackboneConfig, ResNetConfig};
use ithn_generator::config::{
    Fraction, NonNegative, Positive, Probability, check_count, no_options,
};
use ithn_metrics::FindingClass;
use serde::{Deserialize, Serialize};

use super::{Augmentation, ConfigError, ImageConfig, LearningRateSchedule, OptimizerConfig};

/// Most studies of a batch.
const MOST: usize = 65_536;

/// Most images of a study.
const MOST_VIEWS: usize = 64;

/// Most epochs.
const MOST_EPOCHS: usize = 1_000_000;

/// Most threads that decode images.
const MOST_THREADS: usize = 1_024;

/// How a backbone learns to see; round-trips through JSON and is saved before training begins. A new
/// one starts from a [`PretrainPreset`]'s.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct PretrainConfig {
    /// Preset that it was derived from.
    pub preset: PretrainPreset,
    /// The backbone, which must be that of the generator that its weights are for.
    pub backbone: BackboneConfig,
    /// Images per study, 1 to 64. The pooled features of all views together decide.
    pub views: usize,
    /// Size and augmentation.
    pub images: ImageConfig,
    /// Findings to tell, in the order of the classifier's outputs.
    pub classes: Vec<FindingClass>,
    /// What an uncertain finding counts as, in training and in scores.
    pub uncertain: UncertainPolicy,
    /// Weights of the positives in the loss.
    pub class_weights: ClassWeights,
    /// Share of each label that is moved to 1/2 in the loss.
    pub label_smoothing: Fraction,
    /// Dropout before the classification layer.
    pub dropout: Probability,
    /// Epochs at most, 1 to 1,000,000.
    pub epochs: usize,
    /// Studies per step, 1 to 65,536.
    pub batch_size: usize,
    /// Studies per evaluation batch, 1 to 65,536.
    pub evaluation_batch_size: usize,
    /// Seed of weights, dropout, order and augmentation.
    pub seed: u64,
    /// Optimiser and learning rates.
    pub optimizer: OptimizerConfig,
    /// Largest Euclidean norm of all gradients together; larger ones are scaled down to it.
    pub largest_gradient_norm: Option<Positive>,
    /// Decay of a running average of the weights, which is then what is scored and saved; none for
    /// the weights themselves.
    pub weight_averaging: Option<Probability>,
    /// Most epochs in a row that are worse than the best; one more ends training.
    pub patience: usize,
    /// Validation positives that a class needs, and as many negatives, to count for the choice of the
    /// epoch.
    pub least_positives: usize,
    /// How thresholds are chosen on the validation split.
    #[serde(default)]
    pub thresholds: ThresholdChoice,
    /// Threads that decode images, 1 to 1,024.
    pub loader_threads: usize,
}

/// What a finding counts as where a report, or a table, calls it uncertain. A finding that is not
/// mentioned is absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UncertainPolicy {
    /// Present (CheXpert's U-Ones).
    Positive,
    /// The finding counts as absent (CheXpert's U-Zeroes).
    Negative,
    /// Neither: left out of loss and scores (U-Ignore).
    Ignored,
}

/// How the probabilities are chosen from which classes count as present.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ThresholdChoice {
    /// For each class the one with its best F1.
    #[default]
    PerClass,
    /// One for all classes, with the best micro F1, on probabilities without the classes' weights: `p / (p + w (1 − p))`
    /// for a weight `w` of the positives. Rare classes have too few positives for a choice of their own.
    Shared,
}

/// Weights of the positives of a class in the loss; negatives weigh 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum ClassWeights {
    /// 1.
    #[serde(deserialize_with = "no_options")]
    None,
    /// The number of negatives per positive in the training split, to the power of `exponent`, but at most `at_most`. For a
    /// class without positives the weight is 1.
    Balanced {
        /// 1 for full balance, 0 for none.
        exponent: Fraction,
        /// Largest weight.
        at_most: Positive,
    },
}

impl ClassWeights {
    /// The weight of a class with these training labels.
    pub fn weight(self, positives: usize, negatives: usize) -> f64 {
        match self {
            ClassWeights::None => 1.0,
            ClassWeights::Balanced { .. } if positives == 0 => 1.0,
            ClassWeights::Balanced { exponent, at_most } => {
                let ratio = negatives as f64 / positives as f64;
                ratio.powf(exponent.get()).min(at_most.get())
            }
        }
    }
}

/// Named configurations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum PretrainPreset {
    /// A narrow network on images of 64 pixels, as the generator's preset `phantom` has it.
    Phantom,
    /// Width 24, four blocks, two views of 128 pixels: minutes on two cores.
    Small,
    /// ResNet-101 on images of 224 pixels, for a GPU or for weights that have learnt to see before.
    Published,
}

impl PretrainPreset {
    /// All presets, by name.
    pub const NAMES: [(&'static str, PretrainPreset); 3] = [
        ("phantom", PretrainPreset::Phantom),
        ("small", PretrainPreset::Small),
        ("published", PretrainPreset::Published),
    ];

    /// The preset's configuration.
    pub fn config(self) -> PretrainConfig {
        match self {
            PretrainPreset::Small => small(),
            PretrainPreset::Phantom => PretrainConfig {
                preset: self,
                backbone: ResNetConfig::narrow(16, vec![1, 1, 1]).into(),
                views: 1,
                images: ImageConfig::new(64, jitter()),
                epochs: 6,
                ..small()
            },
            PretrainPreset::Published => PretrainConfig {
                preset: self,
                backbone: ResNetConfig::resnet101().into(),
                images: ImageConfig::new(224, jitter()),
                optimizer: optimizer(3e-4),
                ..small()
            },
        }
    }
}

impl FromStr for PretrainPreset {
    type Err = ConfigError;

    fn from_str(name: &str) -> Result<Self, ConfigError> {
        let known = PretrainPreset::NAMES
            .iter()
            .find(|(known, _)| *known == name);
        known.map(|(_, preset)| *preset).ok_or_else(|| {
            let names = PretrainPreset::NAMES.map(|(name, _)| name).join(", ");
            ConfigError::new(
                "preset",
                format!("unknown preset '{name}': use one of {names}"),
            )
        })
    }
}

fn jitter() -> Augmentation {
    Augmentation::Jitter {
        rotation: NonNegative::literal(10.0),
        scale: Probability::literal(0.1),
        shift: Fraction::literal(0.06),
        contrast: Fraction::literal(0.2),
        brightness: Fraction::literal(0.1),
    }
}

/// AdamW along one cycle that rises to `rate`.
fn optimizer(rate: f64) -> OptimizerConfig {
    OptimizerConfig::adamw(
        NonNegative::literal(rate),
        NonNegative::literal(0.05),
        LearningRateSchedule::OneCycle {
            rise: Fraction::literal(0.3),
            start: Fraction::literal(0.04),
            end: Fraction::literal(1e-4),
        },
    )
}

fn small() -> PretrainConfig {
    let abnormal = FindingClass::all().into_iter();
    PretrainConfig {
        preset: PretrainPreset::Small,
        backbone: ResNetConfig::narrow(24, vec![1, 1, 1, 1]).into(),
        views: 2,
        images: ImageConfig::new(128, jitter()),
        classes: abnormal
            .filter(|class| *class != FindingClass::NoFinding)
            .collect(),
        uncertain: UncertainPolicy::Positive,
        class_weights: ClassWeights::Balanced {
            exponent: Fraction::literal(0.5),
            at_most: Positive::literal(20.0),
        },
        label_smoothing: Fraction::literal(0.0),
        dropout: Probability::literal(0.3),
        epochs: 14,
        batch_size: 32,
        evaluation_batch_size: 64,
        seed: 7580,
        optimizer: optimizer(3e-3),
        largest_gradient_norm: None,
        weight_averaging: None,
        patience: 25,
        least_positives: 5,
        thresholds: ThresholdChoice::Shared,
        loader_threads: 2,
    }
}

impl PretrainConfig {
    /// Checks every number and combination.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming the key, its value and what it must be.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let within = |parent: &str, checked: Result<(), ConfigError>| {
            checked.map_err(|error| error.within(parent))
        };
        within("backbone", self.backbone.validate())?;
        check_count("views", self.views, MOST_VIEWS)?;
        within("images", self.images.validate())?;
        let distinct: HashSet<&FindingClass> = self.classes.iter().collect();
        if self.classes.is_empty() || distinct.len() < self.classes.len() {
            return Err(ConfigError::new(
                "classes",
                "must name at least one class, and each once",
            ));
        }
        check_count("epochs", self.epochs, MOST_EPOCHS)?;
        check_count("batch_size", self.batch_size, MOST)?;
        check_count("evaluation_batch_size", self.evaluation_batch_size, MOST)?;
        check_count("least_positives", self.least_positives, MOST)?;
        check_count("loader_threads", self.loader_threads, MOST_THREADS)?;
        within("optimizer", self.optimizer.validate())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ithn_models::config::from_json;

    #[test]
    fn presets_are_valid_and_round_trip_through_json() {
        for (name, preset) in PretrainPreset::NAMES {
            let config = preset.config();
            assert_eq!(name.parse(), Ok(preset));
            assert_eq!(config.preset, preset);
            config.validate().expect("a preset is valid");
            let json = serde_json::to_string(&config).expect("serialisable");
            assert_eq!(from_json::<PretrainConfig>(&json), Ok(config));
        }
        let error = "large".parse::<PretrainPreset>().unwrap_err().to_string();
        assert!(error.contains("small, published"), "{error}");
    }

    #[test]
    fn wrong_values_and_unknown_keys_are_refused_by_key() {
        let value = serde_json::to_value(PretrainPreset::Small.config()).expect("serialisable");
        let with = |pointer: &str, wrong: serde_json::Value| {
            let mut value = value.clone();
            let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
            value.pointer_mut(parent).expect("it is there")[key] = wrong;
            let read = from_json::<PretrainConfig>(&value.to_string());
            read.and_then(|config| config.validate().map(|()| config))
                .expect_err(pointer)
                .to_string()
        };
        for (pointer, wrong, part) in [
            ("/classes", serde_json::json!([]), "classes"),
            (
                "/classes",
                serde_json::json!(["edema", "edema"]),
                "each once",
            ),
            ("/epochs", serde_json::json!(0), "epochs"),
            ("/dropout", serde_json::json!(1.0), "dropout"),
            ("/unheard_of", serde_json::json!(1), "unheard_of"),
            ("/class_weights/most", serde_json::json!(1), "most"),
            (
                "/images/augmentation/rotation",
                serde_json::json!(200),
                "rotation",
            ),
            ("/backbone/width", serde_json::json!(0), "backbone.width"),
        ] {
            let error = with(pointer, wrong);
            assert!(error.contains(part), "{pointer}: {error}");
        }
    }

    #[test]
    fn weights_balance_up_to_their_limit() {
        let balanced = ClassWeights::Balanced {
            exponent: Fraction::literal(0.5),
            at_most: Positive::literal(4.0),
        };
        assert_eq!(balanced.weight(10, 90), 3.0);
        assert_eq!(balanced.weight(1, 900), 4.0);
        assert_eq!(balanced.weight(0, 900), 1.0);
        assert_eq!(ClassWeights::None.weight(1, 900), 1.0);
    }
}
