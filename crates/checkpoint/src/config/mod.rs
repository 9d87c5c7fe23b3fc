//! The configuration of a run (sizes, losses, schedules, text, images, decoding) and its presets.

mod changes;
mod guards;
mod negatives;
mod optimizer;
mod preset;
mod pretrain;
mod records;
mod schedule;
mod setting;
mod step;
mod validate;

use std::fs;
use std::path::Path;

use ithn_data::{Cleaning, ImageTransform, Jitter, Tokenizer};
use ithn_generator::config::{Fraction, NonNegative, Probability, no_options};
use ithn_negatives::HardnessSchedule;
use ithn_search::SearchConfig;
use serde::{Deserialize, Serialize};

pub use changes::Change;
pub use guards::{Guards, NonFinite};
pub use ithn_models::config::{
    ConfigError, GeneratorConfig, GeneratorKind, GeneratorTask, ModelConfig,
};
pub use negatives::{FirstNegatives, Negatives};
use negatives::{is_false, is_zero};
pub use optimizer::OptimizerConfig;
pub use preset::Preset;
pub use pretrain::{
    ClassWeights, PretrainConfig, PretrainPreset, ThresholdChoice, UncertainPolicy,
};
pub use records::Records;
pub use schedule::LearningRateSchedule;
pub use setting::Setting;
pub use step::{Activations, Precision};

use ithn_models::config::from_json;
use ithn_plugin::IthnConfig;

/// Most epochs of a training.
const MOST_EPOCHS: usize = 1_000_000;

/// A whole experiment; round-trips through JSON and is saved before training begins. A new one starts
/// from a [`Preset`]'s.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ExperimentConfig {
    /// Preset that it was derived from.
    pub preset: Preset,
    /// The generator and its sizes.
    pub model: ModelConfig,
    /// The plug-in.
    pub ithn: IthnConfig,
    /// Whether and how training uses negatives.
    pub negatives: Negatives,
    /// Where first negatives come from. Earlier files say nothing: mined.
    #[serde(default, skip_serializing_if = "FirstNegatives::is_default")]
    pub first_negatives: FirstNegatives,
    /// Further mined negatives of each study beside the first, for their hull
    /// ([`Hull`](ithn_negatives::Hull)) or as candidates, up to 64; their reports alone are read. 0 in earlier files.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_negatives: usize,
    /// Whether the model mines first negatives again at the beginning of every epoch but the first: the report of another
    /// patient whose embedding is nearest the image, among those that
    /// [`first_negatives`](Self::first_negatives) admits. Off in earlier files.
    #[serde(default, skip_serializing_if = "is_false")]
    pub mine_again: bool,
    /// How their hardness grows.
    pub hardness: HardnessSchedule,
    /// Epochs, batches, optimiser, stopping.
    pub training: TrainingConfig,
    /// Cleaning, vocabulary, length.
    pub text: TextConfig,
    /// Size and augmentation.
    pub images: ImageConfig,
    /// How reports are written in evaluation.
    pub decoding: SearchConfig,
    /// How the backbone learns to see before training, in a run that is given no weights; none for random weights. Earlier
    /// files have none.
    #[serde(default)]
    pub pretraining: Option<PretrainConfig>,
}

/// A figure of merit computed on the validation split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MonitoredMetric {
    /// BLEU-4.
    #[serde(rename = "bleu_4")]
    Bleu4,
    /// ROUGE-L.
    RougeL,
    /// CIDEr.
    Cider,
    /// Micro F1 of findings: exact on phantom studies, over all 14 classes on real reports, where "normal" for every
    /// study scores high. For the last, [`AbnormalF1`](Self::AbnormalF1) is meant.
    FindingsF1,
    /// Micro F1 over the 13 abnormal classes on real reports, which no single report for all wins; on phantom studies the
    /// same as [`FindingsF1`](Self::FindingsF1).
    #[serde(rename = "findings_f1_13")]
    AbnormalF1,
}

impl MonitoredMetric {
    /// Its usual name.
    pub fn name(self) -> &'static str {
        match self {
            MonitoredMetric::Bleu4 => "BLEU-4",
            MonitoredMetric::RougeL => "ROUGE-L",
            MonitoredMetric::Cider => "CIDEr",
            MonitoredMetric::FindingsF1 => "findings F1",
            MonitoredMetric::AbnormalF1 => "findings F1 over the abnormal classes",
        }
    }
}

/// Epochs, batches, optimiser and stopping. A new one starts from a [`Preset`]'s.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TrainingConfig {
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
    /// Validation metric that picks the best checkpoint, of equal epochs the later.
    pub monitor: MonitoredMetric,
    /// Most epochs in a row that are worse than the best; one more ends training.
    pub patience: usize,
    /// Threads that decode images, 1 to 1,024.
    pub loader_threads: usize,
    /// Batches whose gradients are averaged into one optimiser step, 1 to 65,536. Negatives are those of each
    /// batch alone, so this is not the same as a larger batch.
    #[serde(default = "one")]
    pub accumulate: usize,
    /// Numbers in which a training step multiplies.
    #[serde(default)]
    pub precision: Precision,
    /// Most repetitions of a study in an epoch. Studies with rare findings (labelled by `rules-14`)
    /// are repeated until those are as frequent as common ones, up to this limit; 1 repeats
    /// nothing.
    #[serde(default = "one")]
    pub repeats_at_most: usize,
    /// Gradient clipping, and the reaction to NaN or infinite values.
    #[serde(default)]
    pub guards: Guards,
    /// Checkpoints and logs that a run writes during training.
    #[serde(default)]
    pub records: Records,
    /// Whether the backbone keeps its first weights and normalises by its running statistics, as in
    /// evaluation. Without augmentation every image then has the same features throughout, which
    /// are computed once and kept on disk.
    #[serde(default)]
    pub freeze_backbone: bool,
    /// Multiple to which the length of a batch's reports is rounded up by masked padding, 1 to 1,024; 1 pads to the
    /// longest report alone. None is what suits the device: 16 on GPUs, which compile kernels anew for
    /// lengths that divide otherwise, and 1 on CPUs.
    #[serde(default)]
    pub length_multiple: Option<usize>,
    /// What of a step's forward pass is kept for its backward pass.
    #[serde(default)]
    pub activations: Activations,
}

fn one() -> usize {
    1
}

/// Cleaning, vocabulary and length of reports.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TextConfig {
    /// Cleaning rules.
    pub cleaning: Cleaning,
    /// Occurrences in training reports that make a word.
    pub minimum_occurrences: usize,
    /// Tokens kept of a report, the beginning included; 3 to 65,536.
    pub max_tokens: usize,
    /// Whether search never writes `<unk>`. Earlier files say nothing: it may.
    #[serde(default)]
    pub forbid_unknown: bool,
}

impl TextConfig {
    /// Reports of up to `max_tokens` tokens, in words that occur `minimum_occurrences` times or more. Search may
    /// write `<unk>`.
    pub fn new(cleaning: Cleaning, minimum_occurrences: usize, max_tokens: usize) -> Self {
        TextConfig {
            cleaning,
            minimum_occurrences,
            max_tokens,
            forbid_unknown: false,
        }
    }

    /// Sets [`forbid_unknown`](Self::forbid_unknown).
    pub fn with_forbid_unknown(mut self, forbid: bool) -> Self {
        self.forbid_unknown = forbid;
        self
    }
}

/// Size and augmentation of images.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ImageConfig {
    /// Side of the square input image of the backbone, in pixels, 1 to 4,096.
    pub size: usize,
    /// What training does to images.
    pub augmentation: Augmentation,
}

impl ImageConfig {
    /// Images of `size` × `size` pixels, augmented in training.
    pub fn new(size: usize, augmentation: Augmentation) -> Self {
        ImageConfig { size, augmentation }
    }
}

/// Image augmentation in training.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Augmentation {
    /// Nothing: resized as in evaluation, and kept in memory.
    #[serde(deserialize_with = "no_options")]
    None,
    /// Shorter side resized, then a random crop.
    RandomCrop {
        /// Length of the shorter side before the crop, in pixels, at most 8,192 and at least the size.
        shorter_side: usize,
        /// Whether half of the images are mirrored. A mirrored radiograph contradicts its report's
        /// left and right: for reproduction only.
        horizontal_flip: bool,
    },
    /// Resized as in evaluation, then rotated, scaled, shifted and changed in contrast and brightness
    /// at random. Left and right stay where they are. Keys as in [`ithn_data::Jitter`].
    Jitter {
        /// Largest rotation in degrees, in `[0, 180]`.
        rotation: NonNegative,
        /// Largest distance of the scale from 1, in `[0, 1)`.
        scale: Probability,
        /// Largest shift along each axis, as a share of the side.
        shift: Fraction,
        /// Largest distance of the contrast from 1.
        contrast: Fraction,
        /// Largest change of brightness, as a share of the range.
        brightness: Fraction,
    },
}

impl ImageConfig {
    /// The transform of training.
    pub fn training_transform(&self) -> ImageTransform {
        let size = self.size;
        match self.augmentation {
            Augmentation::None => self.evaluation_transform(),
            Augmentation::RandomCrop {
                shorter_side,
                horizontal_flip,
            } => ImageTransform::RandomCrop {
                shorter_side,
                size,
                horizontal_flip,
            },
            Augmentation::Jitter {
                rotation,
                scale,
                shift,
                contrast,
                brightness,
            } => ImageTransform::Jitter {
                size,
                limits: Jitter {
                    rotation: rotation.get(),
                    scale: scale.get(),
                    shift: shift.get(),
                    contrast: contrast.get(),
                    brightness: brightness.get(),
                },
            },
        }
    }

    /// The transform of evaluation: the whole image in a square, ignoring the aspect ratio.
    pub fn evaluation_transform(&self) -> ImageTransform {
        ImageTransform::Resize { size: self.size }
    }
}

impl ExperimentConfig {
    /// Reads a saved configuration.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming the file, the key and what is wrong with its value.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text =
            fs::read_to_string(path).map_err(|error| ConfigError::new("", error).in_file(path))?;
        from_json(&text).map_err(|error| error.in_file(path))
    }

    /// The same experiment with a generator of this library, as large as the present one if that is
    /// an R2GenCMN, else as its preset's.
    pub fn with_generator(mut self, kind: GeneratorKind) -> Self {
        let model = match self.model.generator {
            present @ GeneratorConfig::R2GenCmn(_) => present,
            _ => self.preset.config().model.generator,
        };
        self.model.generator = kind.sized_like(model);
        self
    }

    /// How reports are searched in the words of `tokenizer`: [`decoding`](Self::decoding), with the token of
    /// `<unk>` forbidden if [`text`](Self::text) says so.
    pub fn search(&self, tokenizer: &Tokenizer) -> SearchConfig {
        let mut search = self.decoding.clone();
        let unknown = tokenizer.unknown();
        if self.text.forbid_unknown && !search.forbidden.contains(&unknown) {
            search.forbidden.push(unknown);
        }
        search
    }

    /// Sets the seed of training, and of pretraining if there is any.
    pub fn set_seed(&mut self, seed: u64) {
        self.training.seed = seed;
        if let Some(pretraining) = &mut self.pretraining {
            pretraining.seed = seed;
        }
    }

    /// λ at a point of training: the schedule's, or 1 for negatives that stay as they are.
    pub fn lambda(&self, point: ithn_negatives::TrainingPoint) -> f64 {
        match self.negatives {
            Negatives::Ithn => self.hardness.lambda(point),
            Negatives::Fixed | Negatives::Off => 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earlier_form_is_an_r2gen_cmn() {
        let model = Preset::OfficialIuXray.config().model;
        let sizes = model.r2gen_cmn().expect("the preset is an R2GenCMN");
        let earlier = serde_json::json!({
            "backbone": sizes.backbone, "memory": sizes.memory,
            "transformer": sizes.transformer, "visual_dropout": sizes.visual_dropout,
            "views": model.views,
        });
        let read: ModelConfig = serde_json::from_value(earlier).expect("the earlier form is read");
        assert_eq!(read, model);
    }

    #[test]
    fn unknown_words_are_forbidden_where_the_configuration_says_so() {
        let tokenizer = Tokenizer::numbered(6, Cleaning::IuXray);
        let mut config = Preset::OfficialIuXray.config();
        assert_eq!(config.search(&tokenizer), config.decoding);
        config.text.forbid_unknown = true;
        config.decoding.forbidden = vec![2];
        let forbidden = config.search(&tokenizer).forbidden;
        assert_eq!(forbidden, [2, tokenizer.unknown()]);
        for (name, preset) in Preset::NAMES {
            let forbids = preset.config().text.forbid_unknown;
            assert_eq!(forbids, !name.starts_with("official"), "{name}");
        }
    }

    #[test]
    fn monitors_of_earlier_files_are_read() {
        for (name, monitor) in [
            ("bleu_4", MonitoredMetric::Bleu4),
            ("rouge_l", MonitoredMetric::RougeL),
            ("cider", MonitoredMetric::Cider),
            ("findings_f1", MonitoredMetric::FindingsF1),
            ("findings_f1_13", MonitoredMetric::AbnormalF1),
        ] {
            let mut config = serde_json::to_value(Preset::Phantom.config()).expect("serialisable");
            config["training"]["monitor"] = name.into();
            let read: ExperimentConfig = serde_json::from_value(config).expect("readable");
            assert_eq!(read.training.monitor, monitor);
        }
    }

    #[test]
    fn every_generator_has_a_valid_size_in_every_preset_and_round_trips() {
        for (name, preset) in Preset::NAMES {
            for kind in GeneratorKind::ALL {
                let config = preset.config().with_generator(kind);
                let reads = preset.config().model.generator.context().is_some();
                if reads && kind == GeneratorKind::R2Gen {
                    let error = config.validate().expect_err("it reads no context");
                    assert_eq!(error.key(), "model.generator.context");
                } else {
                    config.validate().expect("valid");
                }
                assert_eq!(config.model.generator.name(), kind.name());
                assert_eq!(kind.name().parse(), Ok(kind));
                let json = serde_json::to_string(&config.model).expect("serialisable");
                let read: ModelConfig = serde_json::from_str(&json).expect("readable");
                assert_eq!(read, config.model, "{name}");
            }
        }
    }

    #[test]
    fn sizes_that_cannot_be_built_are_refused_by_name() {
        let mut config = Preset::Phantom
            .config()
            .with_generator(GeneratorKind::R2Gen);
        if let GeneratorConfig::R2Gen(sizes) = &mut config.model.generator {
            sizes.transformer.heads = 3;
        }
        let error = config.validate().unwrap_err().to_string();
        assert!(
            error.contains("model.generator.transformer.heads") && error.contains("3 heads"),
            "{error}"
        );
    }
}
