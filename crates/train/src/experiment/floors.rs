//! Floors of a run: test scores without a generator.

use std::sync::Arc;

use ithn_data::ImageLoader;
use ithn_metrics::floors::{LabelFloors, OverlapMetric};
use serde::{Deserialize, Serialize};

use crate::dataset::{PreparedData, Watch};
use crate::error::TrainError;
use crate::evaluation::{
    SplitScores, composed_reports, constant_labels, most_frequent_report, nearest_image_report,
    score_split,
};

/// Test scores without a generator; constants are chosen on the validation split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Floors {
    /// Always the most frequent training report.
    pub most_frequent: SplitScores,
    /// The report of the training study with the nearest image.
    pub nearest_image: SplitScores,
    /// Always one report, composed of training sentences; absent in earlier runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub composed: Vec<ComposedFloor>,
    /// Always the same labels; absent in earlier runs and where no study has a finding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<LabelFloors>,
}

/// A report composed of training sentences, for every study.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ComposedFloor {
    /// The metric that it was composed for.
    pub metric: OverlapMetric,
    /// The report.
    pub report: String,
    /// Its score on the validation split.
    pub validation: f64,
    /// Its scores on the test split.
    pub scores: SplitScores,
}

/// A number that a run and its floors have, if they have it.
type Read = fn(&SplitScores) -> Option<f64>;

/// Metrics in which a run should beat its floors.
const COMPARED: [(&str, Read); 5] = [
    ("BLEU-4", |scores| Some(scores.bleu_4)),
    ("ROUGE-L", |scores| Some(scores.rouge_l)),
    ("CIDEr", |scores| Some(scores.cider)),
    ("findings F1, micro", |scores| scores.findings.headline()),
    ("findings F1, macro", |scores| {
        let classes = scores.findings.findings_by_class.as_ref()?;
        Some(classes.f1_13_macro)
    }),
];

impl Floors {
    /// Floors of the test split.
    pub(super) fn of(
        data: &PreparedData,
        images: &Arc<ImageLoader>,
        watch: Watch<'_>,
    ) -> Result<Self, TrainError> {
        let test = &data.test;
        let scored =
            |reports: &[String]| Ok::<_, TrainError>(score_split(test, reports, data.findings)?.0);
        let composed = composed_reports(data)?
            .into_iter()
            .map(|composed| {
                let report = composed.text();
                Ok(ComposedFloor {
                    metric: composed.metric,
                    validation: composed.score,
                    scores: scored(&vec![report.clone(); test.studies.len()])?,
                    report,
                })
            })
            .collect::<Result<_, TrainError>>()?;
        Ok(Floors {
            most_frequent: scored(&most_frequent_report(data, test))?,
            nearest_image: scored(&nearest_image_report(data, test, images, watch)?)?,
            composed,
            labels: constant_labels(data)?,
        })
    }

    /// Rows of a table: a name, and scores of reports.
    pub fn rows(&self) -> Vec<(String, &SplitScores)> {
        let composed = self.composed.iter().map(|floor| {
            let name = format!("floor: composed for {}", floor.metric);
            (name, &floor.scores)
        });
        [
            (
                "floor: most frequent report".to_owned(),
                &self.most_frequent,
            ),
            ("floor: nearest image".to_owned(), &self.nearest_image),
        ]
        .into_iter()
        .chain(composed)
        .collect()
    }

    /// What test scores do not beat: a sentence for each metric, empty if every floor is beaten.
    pub fn unbeaten_by(&self, test: &SplitScores) -> Vec<String> {
        let rows = self.rows();
        let unbeaten = |(metric, read): (&str, Read)| {
            let labels = self.labels.as_ref().and_then(|labels| match metric {
                "findings F1, micro" => {
                    let names = labels.best_set.labels.join(" and ");
                    Some((format!("{names} for every study"), labels.best_micro()))
                }
                "findings F1, macro" => Some((
                    "every class for every study".to_owned(),
                    labels.best_macro(),
                )),
                _ => None,
            });
            let floors = rows.iter().filter_map(|(name, scores)| {
                Some((name.trim_start_matches("floor: ").to_owned(), read(scores)?))
            });
            let (name, floor) = floors
                .chain(labels)
                .max_by(|(_, a), (_, b)| a.total_cmp(b))?;
            let value = read(test)?;
            (value <= floor).then(|| {
                format!("{metric} {value:.4} on test does not beat the floor {floor:.4} ({name})")
            })
        };
        COMPARED.into_iter().filter_map(unbeaten).collect()
    }

    /// Constant labels as lines of text; empty without any.
    pub fn label_lines(&self) -> Vec<String> {
        let Some(labels) = &self.labels else {
            return Vec::new();
        };
        let mut lines: Vec<String> = [
            (labels.best_set.labels.join(" and "), &labels.best_set),
            ("every finding".to_owned(), &labels.every_label),
        ]
        .into_iter()
        .map(|(names, set)| {
            format!(
                "floor: {names} for every study: findings F1 {:.4} micro, {:.4} macro",
                set.f1_micro, set.f1_macro
            )
        })
        .collect();
        let single: Vec<String> = labels
            .always_positive
            .iter()
            .filter(|label| label.positives > 0)
            .map(|label| format!("{} {:.3} ({})", label.label, label.f1, label.positives))
            .collect();
        lines.push(format!(
            "floor: one finding for every study, its F1 (and true studies of {}): {}",
            labels.studies,
            single.join(", ")
        ));
        lines
    }
}
