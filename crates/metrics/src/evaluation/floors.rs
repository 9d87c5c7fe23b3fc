//! What floors score on a test set, by every metric.

use std::fmt;

use serde::Serialize;

use super::output::Share;
use super::{Evaluation, EvaluationOptions, ScoredStudy, evaluate};
use crate::{
    error::MetricsError,
    floors::{LabelFloors, OverlapMetric, compose_constant, label_floors, most_frequent},
    labeler::FindingClass,
};

/// Scores on a test set of what needs no model.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct EvaluationFloors {
    /// Training reports that the constants come from.
    pub training_reports: usize,
    /// Validation studies that they were chosen on.
    pub validation_studies: usize,
    /// Reports: constants, and what was [added](Self::add).
    pub reports: Vec<FloorReport>,
    /// One set of the 13 abnormal classes for every study.
    pub labels: LabelFloors,
}

/// Reports that need no model, and their scores.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct FloorReport {
    /// How they were made.
    pub name: String,
    /// The report, if it is the same for every study.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Score on validation, if they were chosen there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<f64>,
    /// Scores on the test set.
    pub scores: Evaluation,
}

/// Scores what constants reach on `test`: the most frequent training report, one report composed of training sentences
/// for each overlap metric, one set of labels.
///
/// `training` are training reports and the references of `validation` and `test` those that predictions are compared
/// with, all prepared in one way; predictions are ignored. Constants are chosen on `validation`, never on `test`. Findings
/// are read by the labeler of `options`, whose `labels` are not used, and no intervals are drawn.
///
/// # Errors
/// [`MetricsError::Empty`] without training sentences or studies, [`MetricsError::NoReference`] for a study without a
/// reference.
pub fn evaluate_floors(
    training: &[String],
    validation: &[ScoredStudy],
    test: &[ScoredStudy],
    options: &EvaluationOptions<'_>,
) -> Result<EvaluationFloors, MetricsError> {
    let options = EvaluationOptions {
        labels: None,
        draws: 0,
        ..*options
    };
    let references = validation
        .iter()
        .enumerate()
        .map(|(index, study)| match study.references.first() {
            Some(reference) => Ok(reference.as_str()),
            None => Err(MetricsError::NoReference { index }),
        })
        .collect::<Result<Vec<&str>, _>>()?;
    let frequent = most_frequent(training).ok_or(MetricsError::Empty {
        what: "the list of training reports",
    })?;
    let mut constants = vec![(
        "most frequent training report".to_owned(),
        frequent.to_owned(),
        None,
    )];
    for metric in OverlapMetric::ALL {
        let composed = compose_constant(training, &references, metric)?;
        let name = format!("composed for {metric}");
        constants.push((name, composed.text(), Some(composed.score)));
    }
    let reports = constants
        .into_iter()
        .map(|(name, text, validation)| {
            let scores = evaluate(&predicting(test, &text), &options)?;
            Ok(FloorReport {
                name,
                text: Some(text),
                validation,
                scores,
            })
        })
        .collect::<Result<_, MetricsError>>()?;
    Ok(EvaluationFloors {
        training_reports: training.len(),
        validation_studies: validation.len(),
        reports,
        labels: label_floors(
            &FindingClass::ABNORMAL.map(FindingClass::name),
            &abnormal(validation, &options),
            &abnormal(test, &options),
        )?,
    })
}

/// The studies, each with the same prediction.
fn predicting(studies: &[ScoredStudy], text: &str) -> Vec<ScoredStudy> {
    let with = |study: &ScoredStudy| ScoredStudy {
        prediction: text.to_owned(),
        ..study.clone()
    };
    studies.iter().map(with).collect()
}

/// Abnormal findings of the references.
fn abnormal(studies: &[ScoredStudy], options: &EvaluationOptions<'_>) -> Vec<Vec<bool>> {
    studies
        .iter()
        .map(|study| {
            let labels = options.labeler.label(study.truth());
            let flags = labels.positives(options.uncertain);
            FindingClass::ABNORMAL
                .map(|class| flags[class.index()])
                .to_vec()
        })
        .collect()
}

impl EvaluationFloors {
    /// Adds a floor whose reports differ by study, such as those of the nearest training films.
    pub fn add(&mut self, name: &str, scores: Evaluation) {
        self.reports.push(FloorReport {
            name: name.to_owned(),
            text: None,
            validation: None,
            scores,
        });
    }

    /// What predictions do not beat, one sentence a metric; empty if they beat every floor.
    ///
    /// Compared are BLEU-4, ROUGE-L, CIDEr, and micro and macro F1 of the 13 abnormal classes.
    pub fn unbeaten_by(&self, predictions: &Evaluation) -> Vec<String> {
        type Read = fn(&Evaluation) -> f64;
        let reports: [(&str, Read); 5] = [
            ("BLEU-4", |it| it.overlap.bleu_4),
            ("ROUGE-L", |it| it.overlap.rouge_l),
            ("CIDEr", |it| it.overlap.cider),
            ("F1-13 micro", |it| it.findings.micro_13.f1),
            ("F1-13 macro", |it| it.findings.macro_13.f1),
        ];
        let labels = |metric: &str| match metric {
            "F1-13 micro" => Some((
                "one set of labels for every study",
                self.labels.best_micro(),
            )),
            "F1-13 macro" => Some(("every label for every study", self.labels.best_macro())),
            _ => None,
        };
        let unbeaten = |(metric, read): (&str, Read)| {
            let constants = self
                .reports
                .iter()
                .map(|constant| (constant.name.as_str(), read(&constant.scores)))
                .chain(labels(metric));
            let (name, floor) = constants.max_by(|(_, a), (_, b)| a.total_cmp(b))?;
            let value = read(predictions);
            (value <= floor)
                .then(|| format!("{metric} {value:.4} does not beat the floor {floor:.4} ({name})"))
        };
        reports.into_iter().filter_map(unbeaten).collect()
    }
}

impl fmt::Display for EvaluationFloors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(first) = self.reports.first() else {
            return Ok(());
        };
        let protocol = first.scores.protocol;
        writeln!(
            f,
            "floors from {} training reports, constants chosen on {} validation studies, scored on {}; protocol {protocol}",
            self.training_reports, self.validation_studies, self.labels.studies
        )?;
        let meteor = match first.scores.overlap.meteor {
            Some(_) => "METEOR",
            None => "METEOR-es",
        };
        writeln!(
            f,
            "\n{:30} {:>6} {:>7} {:>7} {:>7} {:>7} {meteor:>9} {:>8} {:>7} {:>12} {:>12} {:>12} {:>7}",
            "reports",
            "words",
            "BLEU-1",
            "BLEU-2",
            "BLEU-3",
            "BLEU-4",
            "ROUGE-L",
            "CIDEr",
            "F1-13 micro",
            "F1-13 macro",
            "F1-14 micro",
            "same"
        )?;
        for constant in &self.reports {
            let (overlap, findings) = (&constant.scores.overlap, &constant.scores.findings);
            writeln!(
                f,
                "{:30} {:>6} {:7.4} {:7.4} {:7.4} {:7.4} {:9.4} {:8.4} {:7.4} {:12.4} {:12.4} {:12.4} {:5.1} %",
                constant.name,
                constant.text.as_deref().map_or_else(
                    || "-".to_owned(),
                    |text| text.split_whitespace().count().to_string()
                ),
                overlap.bleu_1,
                overlap.bleu_2,
                overlap.bleu_3,
                overlap.bleu_4,
                overlap.meteor.or(overlap.meteor_es).unwrap_or(f64::NAN),
                overlap.rouge_l,
                overlap.cider,
                findings.micro_13.f1,
                findings.macro_13.f1,
                findings.micro_14.f1,
                100.0 * constant.scores.diversity.most_frequent_share,
            )?;
        }
        writeln!(
            f,
            "\n{:60} {:>12} {:>12}",
            "one set of labels for every study", "F1-13 micro", "F1-13 macro"
        )?;
        let labels = &self.labels;
        for (name, set) in [
            (labels.best_set.labels.join(", "), &labels.best_set),
            ("all 13 abnormal classes".to_owned(), &labels.every_label),
        ] {
            writeln!(f, "{name:60} {:12.4} {:12.4}", set.f1_micro, set.f1_macro)?;
        }
        writeln!(
            f,
            "\n{:60} {:>12} {:>12}",
            "one class for every study", "true", "its F1"
        )?;
        for class in &labels.always_positive {
            let f1 = Share(class.f1);
            writeln!(f, "{:60} {:>12} {f1:>12}", class.label, class.positives)?;
        }
        Ok(())
    }
}
