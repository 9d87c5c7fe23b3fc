//! Floors of a run: test scores without a generator.

use std::sync::Arc;

use ithn_data::ImageLoader;
use ithn_metrics::floors::{LabelFloors, OverlapMetric};
use serde::{Deserialize, Serialize};

use crate::dataset::{PreparedData, Watch};
use crate::error::TrainError;
use crate::evaluation::{
    ChangeFloor, SplitScores, change_floor, composed_reports, constant_labels, indication_reports,
    most_frequent_report, nearest_image_report_of, score_split,
};
use crate::ranks::Ranks;

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
    /// The report of the training studies with the most similar indication; absent where indications are not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub indication: Option<SplitScores>,
    /// The same change of every finding; absent where changes are not known exactly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<ChangeFloor>,
    /// Always the same labels; absent in earlier runs and where no study has a finding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<LabelFloors>,
}

/// One report, composed of training sentences for a metric and given to every study.
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
        ranks: &Ranks,
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
            nearest_image: scored(&nearest_image_report_of(data, test, images, watch, ranks)?)?,
            composed,
            indication: indication_reports(data, test)
                .map(|reports| scored(&reports))
                .transpose()?,
            change: change_floor(data),
            labels: constant_labels(data)?,
        })
    }

    /// Rows of a table: a name, and scores of reports.
    pub fn rows(&self) -> Vec<(String, &SplitScores)> {
        let composed = self.composed.iter().map(|floor| {
            let name = format!("floor: composed for {}", floor.metric);
            (name, &floor.scores)
        });
        let indication = self.indication.as_ref();
        let indication = indication.map(|scores| ("floor: similar indication".to_owned(), scores));
        [
            (
                "floor: most frequent report".to_owned(),
                &self.most_frequent,
            ),
            ("floor: nearest image".to_owned(), &self.nearest_image),
        ]
        .into_iter()
        .chain(composed)
        .chain(indication)
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

#[cfg(test)]
mod tests {
    use ithn_metrics::floors::label_floors;

    use super::*;

    /// Scores on real reports, as `metrics.json` holds them.
    fn scores(bleu_4: f64, micro: f64, macro_f1: f64) -> SplitScores {
        let text = format!(
            r#"{{"studies": 10, "bleu_1": 0.4, "bleu_2": 0.3, "bleu_3": 0.2, "bleu_4": {bleu_4}, "rouge_l": 0.3,
            "cider": 0.2, "bleu_4_full": 0.1, "findings_reader": "rules-14 v2", "findings_f1_micro": 0.7,
            "findings_by_class": {{"f1_13_micro": {micro}, "f1_13_macro": {macro_f1}, "f1_14_macro": 0.1,
                "f1_5_micro": 0.1, "f1_5_macro": 0.1, "classes": []}},
            "laterality_errors": null, "size_errors": null,
            "diversity": {{"reports": 10, "distinct": 2, "most_frequent_share": 0.5, "mean_words": 9.0}}}}"#
        );
        serde_json::from_str(&text).expect("as in metrics.json")
    }

    fn floors() -> Floors {
        let rows: Vec<Vec<bool>> = (0..10).map(|study| vec![study < 3, study == 9]).collect();
        Floors {
            most_frequent: scores(0.08, 0.0, 0.0),
            nearest_image: scores(0.10, 0.11, 0.05),
            composed: vec![ComposedFloor {
                metric: OverlapMetric::Bleu4,
                report: "lungs are clear .".to_owned(),
                validation: 0.18,
                scores: scores(0.17, 0.0, 0.0),
            }],
            indication: None,
            change: None,
            labels: Some(label_floors(&["Lung Opacity", "Edema"], &rows, &rows).expect("ten")),
        }
    }

    #[test]
    fn every_floor_that_is_not_beaten_is_named_once() {
        let floors = floors();
        let of = |test: &SplitScores| floors.unbeaten_by(test);
        // Opacity for every study: 2 · 3 / (10 + 4).
        let unbeaten = of(&scores(0.17, 0.40, 0.30));
        assert!(unbeaten[0].starts_with("BLEU-4 0.1700 on test does not beat the floor 0.1700"));
        assert!(unbeaten[0].contains("composed for BLEU-4"), "{unbeaten:?}");
        let f1 = unbeaten
            .iter()
            .find(|line| line.contains("micro"))
            .expect("below");
        assert!(f1.contains("0.4286 (Lung Opacity for every study)"), "{f1}");
        let average = unbeaten
            .iter()
            .find(|line| line.contains("macro"))
            .expect("below");
        assert!(average.contains("every class for every study"), "{average}");
        let mut better = scores(0.2, 0.5, 0.4);
        (better.rouge_l, better.cider) = (0.4, 0.3);
        assert_eq!(of(&better), Vec::<String>::new());
        assert_eq!(floors.rows().len(), 3);
        assert!(floors.label_lines()[2].contains("Lung Opacity 0.462 (3), Edema 0.182 (1)"));
    }

    #[test]
    fn floors_of_earlier_runs_are_read() {
        let mut json = serde_json::to_value(floors()).expect("serialisable");
        let fields = json.as_object_mut().expect("an object");
        fields.remove("composed");
        fields.remove("labels");
        let read: Floors = serde_json::from_value(json).expect("readable");
        assert_eq!((read.rows().len(), read.label_lines().len()), (2, 0));
        let whole = serde_json::to_value(floors()).expect("serialisable");
        assert_eq!(
            serde_json::from_value::<Floors>(whole).expect("readable"),
            floors()
        );
    }
}
