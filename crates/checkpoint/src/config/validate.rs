//! Numbers that no experiment can have, found before anything is read or built.

use ithn_generator::config::check_count;
use ithn_search::SearchError;

use ithn_negatives::Hardening;
use ithn_plugin::TextPath;

use super::{
    Augmentation, ConfigError, ExperimentConfig, FirstNegatives, ImageConfig, MOST_EPOCHS,
    Negatives, TextConfig, TrainingConfig,
};

/// Most studies of a batch, batches of a step and tokens of a report.
const MOST: usize = 65_536;

/// Most further negatives of a study.
const MOST_NEGATIVES: usize = 64;

/// Most threads that decode images.
const MOST_THREADS: usize = 1_024;

/// Largest multiple to which lengths of reports are rounded up.
const LARGEST_MULTIPLE: usize = 1_024;

/// Largest side of an input image of the backbone, in pixels.
const LARGEST_IMAGE: usize = 4_096;

/// Fewest tokens kept of a report: its beginning, a word and its end.
const FEWEST_TOKENS: usize = 3;

impl ExperimentConfig {
    /// Checks every number and combination. What passes can be built and trained, given the memory.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming the key, such as `training.optimizer.betas`, its value and what it must
    /// be.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.validate_sizes()?;
        within("training", self.training.validate())?;
        within("text", self.text.validate())?;
        within("images", self.images.validate())?;
        within("hardness", self.hardness.validate())?;
        self.validate_eyes()?;
        self.validate_negatives()?;
        self.decoding.validate().map_err(|error| {
            let option = match error {
                SearchError::OutOfRange { option, .. }
                | SearchError::TooManyReturned { option, .. } => option,
                _ => "",
            };
            ConfigError::new(option, error).within("decoding")
        })
    }

    /// Checks that what pretraining teaches fits the generator.
    fn validate_eyes(&self) -> Result<(), ConfigError> {
        let prompts = self.model.generator.finding_prompts();
        if prompts.is_some() && !self.training.freeze_backbone {
            return Err(ConfigError::new(
                "training.freeze_backbone",
                "must be true with model.generator.finding_prompts: findings are read by a classifier that was trained on \
                 the backbone as it is",
            ));
        }
        let Some(pretraining) = &self.pretraining else {
            return Ok(());
        };
        within("pretraining", pretraining.validate())?;
        let differs = |key: &str, other: &str| {
            let reason = format!("must be that of {other}: the weights are for it");
            Err(ConfigError::new(key, reason).within("pretraining"))
        };
        if Some(&pretraining.backbone) != self.model.generator.backbone() {
            return differs("backbone", "model.generator.backbone");
        }
        if pretraining.views != self.model.views {
            return differs("views", "model.views");
        }
        if pretraining.images.size != self.images.size {
            return differs("images.size", "images.size");
        }
        let names = pretraining.classes.iter().map(|class| class.name());
        if prompts.is_some_and(|prompts| !names.eq(prompts.classes.iter().map(String::as_str))) {
            return differs("classes", "model.generator.finding_prompts.classes");
        }
        Ok(())
    }

    /// Checks that several mined negatives can be used.
    fn validate_negatives(&self) -> Result<(), ConfigError> {
        let refuse = |key: &str, reason: &str| Err(ConfigError::new(key, reason));
        let more = self.more_negatives;
        if self.mine_again {
            if self.negatives == Negatives::Off
                || self.first_negatives == FirstNegatives::Edited
                || more > 0
            {
                return refuse(
                    "mine_again",
                    "must be false without negatives, with edited ones and with more_negatives: one report of another study \
                     is mined",
                );
            }
            if self.ithn.text_path != TextPath::ReportAlone {
                return refuse(
                    "ithn.text_path",
                    "must be \"report_alone\" with mine_again: reports are embedded once for all images",
                );
            }
        }
        let is_hull = matches!(self.ithn.hardening, Hardening::Hull(_));
        if more == 0 {
            return match is_hull {
                true => refuse(
                    "more_negatives",
                    "must be at least 1 with the hardening \"hull\": one negative has no hull to move in",
                ),
                false => Ok(()),
            };
        }
        if more > MOST_NEGATIVES {
            let reason = format!("must lie in 0..={MOST_NEGATIVES}, got {more}");
            return refuse("more_negatives", &reason);
        }
        if self.first_negatives == FirstNegatives::Edited {
            return refuse(
                "more_negatives",
                "must be 0 with edited first negatives: one edit is made of each report",
            );
        }
        if self.ithn.text_path != TextPath::ReportAlone {
            return refuse(
                "ithn.text_path",
                "must be \"report_alone\" with more_negatives, whose images are not read",
            );
        }
        match self.ithn.contrast_over_ranks {
            true => refuse(
                "ithn.contrast_over_ranks",
                "must be false with more_negatives: processes exchange one negative of each study",
            ),
            false => Ok(()),
        }
    }

    /// Checks what a model, the plug-in included, is built of.
    pub(crate) fn validate_sizes(&self) -> Result<(), ConfigError> {
        within("model", self.model.validate())?;
        within("ithn", self.ithn.validate())
    }
}

impl TrainingConfig {
    /// Checks every number.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming the key below `training`.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check_count("epochs", self.epochs, MOST_EPOCHS)?;
        check_count("batch_size", self.batch_size, MOST)?;
        check_count("evaluation_batch_size", self.evaluation_batch_size, MOST)?;
        check_count("loader_threads", self.loader_threads, MOST_THREADS)?;
        check_count("accumulate", self.accumulate, MOST)?;
        check_count("repeats_at_most", self.repeats_at_most, MOST)?;
        if let Some(multiple) = self.length_multiple {
            check_count("length_multiple", multiple, LARGEST_MULTIPLE)?;
        }
        within("optimizer", self.optimizer.validate())?;
        within("records", self.records.validate())
    }
}

impl TextConfig {
    /// Checks the length of reports.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] at `max_tokens`.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if (FEWEST_TOKENS..=MOST).contains(&self.max_tokens) {
            return Ok(());
        }
        Err(ConfigError::new(
            "max_tokens",
            format!(
                "must lie in {FEWEST_TOKENS}..={MOST}, got {}",
                self.max_tokens
            ),
        ))
    }
}

impl ImageConfig {
    /// Checks the sizes.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] at `size`, `augmentation.shorter_side` or `augmentation.rotation`.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check_count("size", self.size, LARGEST_IMAGE)?;
        let shorter_side = match self.augmentation {
            Augmentation::None => return Ok(()),
            Augmentation::RandomCrop { shorter_side, .. } => shorter_side,
            Augmentation::Jitter { rotation, .. } if rotation.get() <= 180.0 => return Ok(()),
            Augmentation::Jitter { rotation, .. } => {
                return Err(ConfigError::new(
                    "augmentation.rotation",
                    format!("must lie in [0, 180] degrees, got {rotation}"),
                ));
            }
        };
        let most = 2 * LARGEST_IMAGE;
        if (self.size..=most).contains(&shorter_side) {
            return Ok(());
        }
        Err(ConfigError::new(
            "augmentation.shorter_side",
            format!(
                "must lie in {}..={most} (from the image's size, in pixels), got {shorter_side}",
                self.size
            ),
        ))
    }
}

fn within(parent: &str, checked: Result<(), ConfigError>) -> Result<(), ConfigError> {
    checked.map_err(|error| error.within(parent))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Preset;
    use ithn_negatives::Hull;

    #[test]
    fn several_negatives_are_refused_where_they_cannot_be_used() {
        let key = |change: &dyn Fn(&mut ExperimentConfig)| {
            let mut config = Preset::Phantom.config();
            change(&mut config);
            config.validate().map_err(|error| error.key().to_owned())
        };
        let refused = |key: &str| Err(key.to_owned());
        let hull = |config: &mut ExperimentConfig| config.ithn.hardening = Hull::default().into();
        assert_eq!(key(&hull), refused("more_negatives"));
        let with_three = |config: &mut ExperimentConfig| {
            hull(config);
            config.more_negatives = 3;
        };
        assert_eq!(key(&with_three), Ok(()));
        assert_eq!(
            key(&|config| config.more_negatives = MOST_NEGATIVES + 1),
            refused("more_negatives")
        );
        let and = |change: &dyn Fn(&mut ExperimentConfig)| {
            key(&|config| {
                with_three(config);
                change(config);
            })
        };
        assert_eq!(
            and(&|config| config.first_negatives = FirstNegatives::Edited),
            refused("more_negatives")
        );
        let again = |change: &dyn Fn(&mut ExperimentConfig)| {
            key(&|config| {
                config.mine_again = true;
                change(config);
            })
        };
        assert_eq!(again(&|_| {}), Ok(()));
        assert_eq!(
            again(&|config| config.negatives = Negatives::Off),
            refused("mine_again")
        );
        assert_eq!(
            again(&|config| config.ithn.text_path = TextPath::WithImage),
            refused("ithn.text_path")
        );
        assert_eq!(
            and(&|config| config.ithn.text_path = TextPath::SameImage),
            refused("ithn.text_path")
        );
        assert_eq!(
            and(&|config| config.ithn.contrast_over_ranks = true),
            refused("ithn.contrast_over_ranks")
        );
    }

    #[test]
    fn negatives_of_earlier_files_are_mined_and_one_each() {
        let config = Preset::Phantom.config();
        let json = serde_json::to_value(&config).expect("JSON");
        assert!(json.get("first_negatives").is_none() && json.get("more_negatives").is_none());
        let read: ExperimentConfig = serde_json::from_value(json).expect("a configuration");
        assert_eq!(
            (read.first_negatives, read.more_negatives),
            (FirstNegatives::Mined, 0)
        );
    }
}
