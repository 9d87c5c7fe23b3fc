//! Numbers that no experiment can have, found before anything is read or built.

use ithn_generator::config::check_count;
use ithn_search::SearchError;

use super::{
    Augmentation, ConfigError, ExperimentConfig, ImageConfig, MOST_EPOCHS, TextConfig,
    TrainingConfig,
};

/// Most studies of a batch, batches of a step and tokens of a report.
const MOST: usize = 65_536;

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
