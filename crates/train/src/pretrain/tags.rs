//! A classifier against tags that people gave.

use std::path::Path;

use ithn_checkpoint::config::{ConfigError, PretrainConfig};
use ithn_metrics::FindingClass;
use ithn_metrics::evaluation::{
    ClassifiedStudy, TagScores, read_tagged_reports, score_classifier_by_tags,
};

use super::labels::LabelledSplit;
use super::run::PretrainOptions;
use super::scores::{DRAWS, SEED};
use super::weights::ClassifierHeader;
use crate::error::TrainError;

/// Checks, before anything else is done, that the table of tags can be read and that the classifier tells every class of it.
pub(super) fn check_tags(
    config: &PretrainConfig,
    options: &PretrainOptions,
) -> Result<(), TrainError> {
    if let Some(path) = &options.tags {
        places(config)?;
        read_tagged_reports(path)?;
    }
    Ok(())
}

/// Scores the probabilities of a split's studies, a row each, against the tags of a table.
pub(super) fn score_by_tags(
    path: &Path,
    split: &LabelledSplit,
    rows: &[Vec<f32>],
    header: &ClassifierHeader,
) -> Result<TagScores, TrainError> {
    let places = places(&header.config)?;
    let studies: Vec<ClassifiedStudy> = split
        .studies
        .iter()
        .zip(rows)
        .map(|(study, row)| ClassifiedStudy {
            id: study.id.clone(),
            scores: places.map(|place| f64::from(row[place])),
        })
        .collect();
    let thresholds = places.map(|place| header.thresholds[place]);
    let tags = read_tagged_reports(path)?;
    Ok(score_classifier_by_tags(
        &studies,
        &tags,
        &thresholds,
        DRAWS,
        SEED,
    )?)
}

/// Where each abnormal class stands among the classifier's.
fn places(config: &PretrainConfig) -> Result<[usize; FindingClass::ABNORMAL.len()], ConfigError> {
    let mut places = [0; FindingClass::ABNORMAL.len()];
    for (place, class) in places.iter_mut().zip(FindingClass::ABNORMAL) {
        let found = config.classes.iter().position(|own| *own == class);
        *place = found.ok_or_else(|| {
            let reason = format!(
                "must hold all abnormal classes to be compared with tags: '{}' is missing",
                class.name()
            );
            ConfigError::new("classes", reason)
        })?;
    }
    Ok(places)
}
