use std::fs;
use std::path::{Path, PathBuf};

use ithn_checkpoint::config::{ExperimentConfig, Preset};
use ithn_generator::config::ConfigError;
use serde::{Deserialize, Serialize};

use crate::error::TrainError;
use crate::records::output_error;
use crate::{DataSource, Dataset};
use ithn_alignment::TemperatureTraining;
use ithn_data::OnBadStudy;

/// Studies of a real data set in place of phantoms, and the weights of the frozen backbone that all cells look through.
///
/// A cell's result depends on the content of the files alone, so their paths are no part of its JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RealStudies {
    /// R2Gen's `annotation.json`.
    #[serde(skip)]
    pub annotation: PathBuf,
    /// Folder that its image paths start from.
    #[serde(skip)]
    pub images: PathBuf,
    /// A pretrained classifier's weights.
    #[serde(skip)]
    pub backbone_weights: PathBuf,
    /// CRC-32 of the annotation.
    pub annotation_checksum: u32,
    /// CRC-32 of the weights.
    pub weights_checksum: u32,
}

impl RealStudies {
    /// Reads the files' checksums.
    ///
    /// # Errors
    ///
    /// [`TrainError::Output`] naming the file that cannot be read.
    pub fn read(
        annotation: PathBuf,
        images: PathBuf,
        backbone_weights: PathBuf,
    ) -> Result<Self, TrainError> {
        Ok(RealStudies {
            annotation_checksum: checksum(&annotation)?,
            weights_checksum: checksum(&backbone_weights)?,
            annotation,
            images,
            backbone_weights,
        })
    }

    /// The base configuration of the arms: preset `iu-xray-small` without pretraining, whose weights are given; without
    /// findings told to the decoder, so that what it writes is what it sees itself; and with fixed temperatures, so that
    /// learning cannot switch the hard negatives off.
    pub fn base() -> ExperimentConfig {
        let mut config = Preset::IuXraySmall.config();
        config.pretraining = None;
        if let ithn_checkpoint::config::GeneratorConfig::R2GenCmn(sizes) =
            &mut config.model.generator
        {
            sizes.finding_prompts = None;
        }
        config.ithn.temperatures.training = TemperatureTraining::Fixed;
        config
    }

    pub(super) fn dataset(&self, views: usize) -> Result<Dataset, TrainError> {
        let source = DataSource::Annotation {
            file: self.annotation.clone(),
            images: self.images.clone(),
        };
        Dataset::load(&source, views, None, OnBadStudy::Stop)
    }

    /// Checks that a configuration keeps the backbone as it is.
    pub(super) fn validate(config: &ExperimentConfig) -> Result<(), ConfigError> {
        let training = &config.training;
        match (training.freeze_backbone, &config.pretraining) {
            (false, _) => Err(ConfigError::new(
                "training.freeze_backbone",
                "must be true: all cells look through one backbone",
            )),
            (true, Some(_)) => Err(ConfigError::new(
                "pretraining",
                "must be null: the weights are given",
            )),
            (true, None) => Ok(()),
        }
    }
}

fn checksum(path: &Path) -> Result<u32, TrainError> {
    let bytes = fs::read(path).map_err(output_error(path))?;
    Ok(crc32fast::hash(&bytes))
}
