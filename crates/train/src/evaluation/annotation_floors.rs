//! Floors of a dataset in R2Gen's form, without a run.

use std::path::Path;

use ithn_checkpoint::config::{ExperimentConfig, Negatives, TextConfig};
use ithn_data::{Annotation, AnnotationEntry, ImageLoader, ImageTransform, OnBadStudy, Tokenizer};
use ithn_metrics::evaluation::{
    Evaluation, EvaluationFloors, EvaluationOptions, ScoredStudy, evaluate, evaluate_floors,
};

use super::nearest_image_report;
use crate::dataset::{DataSource, Dataset, PreparedData, Watch};
use crate::error::TrainError;

/// Floors of an annotation: constants from its training split, chosen on its validation split and scored on `studies`,
/// or on its test split without any.
///
/// References are prepared by `text`, with the words of the training split; those of `studies` are taken as they are and
/// should be prepared likewise, as R2Gen's and this library's predictions files are.
///
/// # Errors
///
/// If the annotation cannot be read, its training reports make no vocabulary, or a split is empty.
pub fn annotation_floors(
    annotation: &Path,
    text: &TextConfig,
    studies: Option<&[ScoredStudy]>,
    options: &EvaluationOptions<'_>,
) -> Result<EvaluationFloors, TrainError> {
    let Annotation { train, val, test } = Annotation::read(annotation)?;
    let tokenizer = Tokenizer::fit(
        train.iter().map(|entry| entry.report.as_str()),
        text.cleaning,
        text.minimum_occurrences,
    )?;
    let reference = |entry: &AnnotationEntry| tokenizer.reference(&entry.report, text.max_tokens);
    let scored = |entries: &[AnnotationEntry]| -> Vec<ScoredStudy> {
        entries
            .iter()
            .map(|entry| ScoredStudy {
                id: entry.id.clone(),
                prediction: String::new(),
                references: vec![reference(entry)],
                full_reference: Some(on_one_line(&entry.report)),
            })
            .collect()
    };
    let training: Vec<String> = train.iter().map(reference).collect();
    let validation = scored(&val);
    Ok(match studies {
        Some(studies) => evaluate_floors(&training, &validation, studies, options)?,
        None => evaluate_floors(&training, &validation, &scored(&test), options)?,
    })
}

/// Scores of the reports of the [nearest training films](nearest_image_report) on the test split of `source`.
///
/// Images are compared at the size, and reports prepared by the text section, of `config`.
///
/// # Errors
///
/// If studies or images cannot be read.
pub fn nearest_film_floor(
    source: &DataSource,
    config: &ExperimentConfig,
    options: &EvaluationOptions<'_>,
    watch: Watch<'_>,
) -> Result<Evaluation, TrainError> {
    let mut config = config.clone();
    config.negatives = Negatives::Off;
    let views = config.model.views;
    let dataset = Dataset::load_watched(source, views, None, OnBadStudy::Stop, watch)?;
    let data = PreparedData::watched(&dataset, &config, None, watch)?;
    let size = config.images.size;
    let images = ImageLoader::new(ImageTransform::Resize { size }, views, 0, 0);
    let test = &data.test;
    let studies: Vec<ScoredStudy> = nearest_image_report(&data, test, &images, watch)?
        .into_iter()
        .zip(test.studies.iter())
        .zip(test.references.iter().zip(&test.full_references))
        .map(|((prediction, study), (reference, full))| ScoredStudy {
            id: study.id.clone(),
            prediction,
            references: vec![reference.clone()],
            full_reference: Some(full.clone()),
        })
        .collect();
    Ok(evaluate(&studies, options)?)
}

fn on_one_line(report: &str) -> String {
    report.split_whitespace().collect::<Vec<_>>().join(" ")
}
