use std::str::FromStr;

use ithn_backbone::ResNetConfig;
use ithn_data::Cleaning;
use ithn_decoder::TransformerConfig;
use ithn_generator::config::{Fraction, NonNegative, Positive, Probability};
use ithn_memory::CrossModalMemoryConfig;
use ithn_negatives::HardnessSchedule;
use ithn_search::SearchConfig;
use serde::{Deserialize, Serialize};

use super::{
    Activations, Augmentation, ConfigError, ExperimentConfig, FirstNegatives, GeneratorConfig,
    ImageConfig, ModelConfig, MonitoredMetric, Negatives, Precision, PretrainPreset, TextConfig,
    TrainingConfig,
};
use super::{Guards, LearningRateSchedule, OptimizerConfig, Records};
use ithn_models::{ContextConfig, FindingPromptsConfig, ImageFeature, R2GenCmnConfig};
use ithn_plugin::IthnConfig;

/// Named configurations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Preset {
    /// A small network for phantom studies: minutes on a laptop.
    Phantom,
    /// The same network on phantom patients with histories: it reads two films of a study, a film and the report of the
    /// previous study, and the indication.
    PhantomHistory,
    /// IU X-Ray on a small machine: pretraining without ImageNet, then a small decoder on frozen features.
    IuXraySmall,
    /// IU X-Ray at the published size, with this library's defaults.
    IuXray,
    /// MIMIC-CXR at the published size, with this library's defaults.
    MimicCxr,
    /// IU X-Ray as in the official code, defects included.
    OfficialIuXray,
    /// MIMIC-CXR as in the official code, defects included.
    OfficialMimicCxr,
}

impl Preset {
    /// All presets, by name.
    pub const NAMES: [(&'static str, Preset); 7] = [
        ("phantom", Preset::Phantom),
        ("phantom-history", Preset::PhantomHistory),
        ("iu-xray-small", Preset::IuXraySmall),
        ("iu-xray", Preset::IuXray),
        ("mimic-cxr", Preset::MimicCxr),
        ("official-iu-xray", Preset::OfficialIuXray),
        ("official-mimic-cxr", Preset::OfficialMimicCxr),
    ];

    /// Whether its backbone is meant to start from ImageNet weights.
    pub fn wants_pretrained_backbone(self) -> bool {
        !matches!(
            self,
            Preset::Phantom | Preset::PhantomHistory | Preset::IuXraySmall
        )
    }

    /// The preset's configuration.
    pub fn config(self) -> ExperimentConfig {
        match self {
            Preset::Phantom => phantom(),
            Preset::PhantomHistory => phantom_history(),
            Preset::IuXraySmall => iu_xray_small(),
            Preset::IuXray => published(self),
            Preset::MimicCxr => ExperimentConfig {
                text: mimic_text().with_forbid_unknown(true),
                ..published(self)
            },
            Preset::OfficialIuXray => official(self),
            Preset::OfficialMimicCxr => ExperimentConfig {
                text: mimic_text(),
                ..official(self)
            },
        }
    }
}

impl FromStr for Preset {
    type Err = ConfigError;

    fn from_str(name: &str) -> Result<Self, ConfigError> {
        Preset::NAMES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, preset)| *preset)
            .ok_or_else(|| {
                let names: Vec<&str> = Preset::NAMES.iter().map(|(name, _)| *name).collect();
                ConfigError::new(
                    "preset",
                    format!("unknown preset '{name}': use one of {}", names.join(", ")),
                )
            })
    }
}

/// A narrow network on small images without dropout, which so small a network cannot spare, and a
/// hardness ramp that a training of minutes completes.
fn phantom() -> ExperimentConfig {
    let generator = R2GenCmnConfig::new(
        ResNetConfig::narrow(16, vec![1, 1, 1]),
        CrossModalMemoryConfig::new(64, 128, 4, 16).with_dropout(0.0),
        TransformerConfig::new(128, 256, 4, 1)
            .with_dropout(0.0)
            .with_attention_dropout(0.0),
    )
    .with_visual_dropout(0.0)
    .with_image_feature(ImageFeature::Encoder);
    ExperimentConfig {
        preset: Preset::Phantom,
        model: ModelConfig::new(generator, 1),
        ithn: IthnConfig::default().with_projection_width(64),
        negatives: Negatives::Ithn,
        first_negatives: FirstNegatives::default(),
        more_negatives: 0,
        mine_again: false,
        hardness: HardnessSchedule::FractionOfTraining {
            from: Fraction::literal(0.1),
            to: Fraction::literal(0.7),
            hardness: Fraction::literal(0.8),
        },
        training: TrainingConfig {
            epochs: 5,
            batch_size: 8,
            evaluation_batch_size: 64,
            seed: 7580,
            optimizer: OptimizerConfig {
                backbone_learning_rate: NonNegative::literal(1e-3),
                learning_rate: NonNegative::literal(1e-3),
                weight_decay: NonNegative::literal(0.0),
                betas: [0.9, 0.999].map(Probability::literal),
                schedule: LearningRateSchedule::Cosine {
                    floor: Fraction::literal(0.02),
                },
                warmup_steps: 50,
                ..OptimizerConfig::default()
            },
            monitor: MonitoredMetric::AbnormalF1,
            patience: 25,
            loader_threads: 2,
            accumulate: 1,
            precision: Precision::Single,
            repeats_at_most: 1,
            guards: Guards::default(),
            records: Records::default(),
            freeze_backbone: false,
            length_multiple: None,
            activations: Activations::Keep,
        },
        text: TextConfig {
            cleaning: Cleaning::MimicCxr,
            minimum_occurrences: 3,
            max_tokens: 80,
            forbid_unknown: true,
        },
        images: ImageConfig {
            size: 64,
            augmentation: Augmentation::None,
        },
        decoding: SearchConfig::beam_by_average(80, 3),
        pretraining: None,
    }
}

/// Two views of 128 pixels. The backbone learns to classify findings and then stays; the decoder is told what the classifier
/// reads. Studies with rare findings come up to three times in an epoch. Attention weights and the memory have no dropout:
/// drawing it took a fifth of a step.
fn iu_xray_small() -> ExperimentConfig {
    let mut pretraining = PretrainPreset::Small.config();
    pretraining.epochs = 16;
    pretraining.weight_averaging = Some(Probability::literal(0.99));
    let dropout = 0.1;
    let generator = R2GenCmnConfig::new(
        pretraining.backbone.clone(),
        CrossModalMemoryConfig::new(256, 128, 4, 16).with_dropout(0.0),
        TransformerConfig::new(128, 256, 4, 2)
            .with_dropout(dropout)
            .with_attention_dropout(0.0),
    )
    .with_visual_dropout(0.3)
    .with_image_feature(ImageFeature::Encoder)
    .with_finding_prompts(FindingPromptsConfig::new(
        pretraining.classes.iter().map(|class| class.name()),
    ));
    let base = phantom();
    ExperimentConfig {
        preset: Preset::IuXraySmall,
        model: ModelConfig::new(generator, pretraining.views),
        ithn: IthnConfig::default()
            .with_projection_width(64)
            .with_mask_equal_labels(true)
            .with_label_smoothing(Fraction::literal(0.05)),
        training: TrainingConfig {
            epochs: 20,
            batch_size: 16,
            optimizer: OptimizerConfig {
                weight_decay: NonNegative::literal(0.01),
                decoupled_weight_decay: true,
                warmup_steps: 200,
                ..base.training.optimizer
            },
            repeats_at_most: 3,
            freeze_backbone: true,
            length_multiple: None,
            activations: Activations::Keep,
            ..base.training
        },
        text: TextConfig {
            cleaning: Cleaning::IuXray,
            minimum_occurrences: 3,
            max_tokens: 60,
            forbid_unknown: true,
        },
        images: ImageConfig::new(pretraining.images.size, Augmentation::None),
        decoding: SearchConfig::greedy(60),
        pretraining: Some(pretraining),
        negatives: base.negatives,
        first_negatives: FirstNegatives::default(),
        more_negatives: 0,
        mine_again: false,
        hardness: base.hardness,
    }
}

/// [`phantom`] with context, and room for the longer reports.
fn phantom_history() -> ExperimentConfig {
    let mut config = phantom();
    config.preset = Preset::PhantomHistory;
    config.model.views = 2;
    if let GeneratorConfig::R2GenCmn(sizes) = &mut config.model.generator {
        sizes.context = Some(ContextConfig::new(1, 100, 16));
    }
    config.training.epochs = 10;
    config.text.max_tokens = 110;
    config.decoding = SearchConfig::beam_by_average(110, 3);
    config
}

/// ResNet-101, 2048 × 512 memory with 8 heads and 32 kept rows, 3 + 3 layers: as published.
fn published_model(views: usize, image_feature: ImageFeature) -> ModelConfig {
    let generator = R2GenCmnConfig::new(
        ResNetConfig::resnet101(),
        CrossModalMemoryConfig::new(2048, 512, 8, 32),
        TransformerConfig::new(512, 512, 8, 3),
    )
    .with_visual_dropout(0.5)
    .with_image_feature(image_feature);
    ModelConfig::new(generator, views)
}

/// The published sizes and schedule, with this library's defaults where the official code is wrong.
fn published(preset: Preset) -> ExperimentConfig {
    let mimic = matches!(preset, Preset::MimicCxr | Preset::OfficialMimicCxr);
    ExperimentConfig {
        preset,
        model: published_model(if mimic { 1 } else { 2 }, ImageFeature::Encoder),
        ithn: IthnConfig::default(),
        negatives: Negatives::Ithn,
        first_negatives: FirstNegatives::default(),
        more_negatives: 0,
        mine_again: false,
        hardness: HardnessSchedule::PerEpoch {
            alpha: NonNegative::literal(0.01),
        },
        training: TrainingConfig {
            epochs: 100,
            batch_size: 16,
            evaluation_batch_size: 16,
            seed: if mimic { 9153 } else { 7580 },
            optimizer: OptimizerConfig {
                schedule: LearningRateSchedule::Step {
                    every_epochs: if mimic { 3 } else { 10 },
                    factor: Positive::literal(0.8),
                },
                ..OptimizerConfig::default()
            },
            monitor: MonitoredMetric::AbnormalF1,
            patience: 25,
            loader_threads: 2,
            accumulate: 1,
            precision: Precision::Single,
            repeats_at_most: 1,
            guards: Guards::default(),
            records: Records::default(),
            freeze_backbone: false,
            length_multiple: None,
            activations: Activations::Keep,
        },
        text: TextConfig {
            cleaning: Cleaning::IuXray,
            minimum_occurrences: 3,
            max_tokens: 60,
            forbid_unknown: true,
        },
        images: ImageConfig {
            size: 224,
            augmentation: Augmentation::RandomCrop {
                shorter_side: 256,
                horizontal_flip: false,
            },
        },
        decoding: SearchConfig::beam(60, 3),
        pretraining: None,
    }
}

/// What the official code runs: one view, mirrored images, the mixed projection with gradients
/// through it, pooling over padding, a search whose temperature skips the first word, the best epoch by BLEU-4.
fn official(preset: Preset) -> ExperimentConfig {
    let mut config = published(preset);
    config.model = published_model(1, ImageFeature::Backbone);
    config.ithn = IthnConfig::official();
    config.images.augmentation = Augmentation::RandomCrop {
        shorter_side: 256,
        horizontal_flip: true,
    };
    config.decoding = SearchConfig::official(config.text.max_tokens);
    config.text.forbid_unknown = false;
    config.training.monitor = MonitoredMetric::Bleu4;
    config
}

fn mimic_text() -> TextConfig {
    TextConfig {
        cleaning: Cleaning::MimicCxr,
        minimum_occurrences: 10,
        max_tokens: 60,
        forbid_unknown: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ithn_alignment::{HardNegativePlacement, Pooling, TemperatureTraining};
    use ithn_negatives::{ClosedForm, Hardening};
    use ithn_plugin::TextPath;

    #[test]
    fn presets_are_valid_and_round_trip_through_json() {
        for (name, preset) in Preset::NAMES {
            let config = preset.config();
            assert_eq!(name.parse(), Ok(preset));
            assert_eq!(config.preset, preset);
            config.validate().expect("a preset is valid");
            let json = serde_json::to_string(&config).expect("a config is serialisable");
            let read: ExperimentConfig = serde_json::from_str(&json).expect("and readable");
            assert_eq!(read, config);
        }
    }

    #[test]
    fn official_presets_are_what_the_release_runs() {
        for (preset, cleaning, minimum_occurrences, step_every, seed) in [
            (Preset::OfficialIuXray, Cleaning::IuXray, 3, 10, 7580),
            (Preset::OfficialMimicCxr, Cleaning::MimicCxr, 10, 3, 9153),
        ] {
            let config = preset.config();
            let official = Hardening::ClosedForm(ClosedForm::official());
            assert_eq!(config.ithn.hardening, official);
            assert!(!config.ithn.mask_equal_reports);
            assert_eq!(config.ithn.pooling, Pooling::AllPositions);
            assert_eq!(config.ithn.text_path, TextPath::WithImage);
            assert_eq!(
                config.ithn.placement,
                HardNegativePlacement::DiagonalPenalty
            );
            assert_eq!(
                config.ithn.temperatures.training,
                TemperatureTraining::Learned
            );
            assert_eq!(config.ithn.projection_width, 512);
            assert_eq!(config.negatives, Negatives::Ithn);
            let alpha = NonNegative::literal(0.01);
            assert_eq!(config.hardness, HardnessSchedule::PerEpoch { alpha });
            assert_eq!(config.model, published_model(1, ImageFeature::Backbone));
            assert_eq!(
                config.images.augmentation,
                Augmentation::RandomCrop {
                    shorter_side: 256,
                    horizontal_flip: true
                }
            );
            assert_eq!(config.decoding, SearchConfig::official(60));
            assert_eq!(
                config.text,
                TextConfig {
                    cleaning,
                    minimum_occurrences,
                    max_tokens: 60,
                    forbid_unknown: false
                }
            );
            let training = &config.training;
            assert_eq!((training.epochs, training.batch_size), (100, 16));
            assert_eq!((training.seed, training.patience), (seed, 25));
            assert_eq!(training.monitor, MonitoredMetric::Bleu4);
            assert_eq!(
                training.optimizer,
                OptimizerConfig {
                    schedule: LearningRateSchedule::Step {
                        every_epochs: step_every,
                        factor: Positive::literal(0.8)
                    },
                    ..OptimizerConfig::default()
                }
            );
        }
    }

    #[test]
    fn our_presets_are_what_the_method_means() {
        for preset in [Preset::IuXray, Preset::MimicCxr] {
            let config = preset.config();
            let published = Hardening::ClosedForm(ClosedForm::default());
            assert_eq!(config.ithn.hardening, published);
            assert!(config.ithn.mask_equal_reports);
            assert_eq!(config.training.monitor, MonitoredMetric::AbnormalF1);
            assert_eq!(config.ithn.pooling, Pooling::ReportTokens);
            assert_eq!(
                config.images.augmentation,
                Augmentation::RandomCrop {
                    shorter_side: 256,
                    horizontal_flip: false
                }
            );
            assert_eq!(config.decoding, SearchConfig::beam(60, 3));
        }
    }

    #[test]
    fn the_phantom_ramp_reaches_a_hardness_of_at_least_three_fifths() {
        let config = Preset::Phantom.config();
        let end = ithn_negatives::TrainingPoint {
            epoch: config.training.epochs,
            step: 100,
            total_steps: 100,
        };
        assert!(1.0 - config.lambda(end) >= 0.6);
    }
}
