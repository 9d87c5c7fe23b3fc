use std::collections::BTreeSet;
use std::path::Path;

use ithn_data::phantom::{FindingKind, PhantomScores, read_findings, read_phantom_records};
use ithn_metrics::{FindingClass, FindingCounts, MetricsError, Uncertain, Undefined, label};
use serde::{Deserialize, Serialize};

/// Name of the exact reader in [`FindingsScores::findings_reader`].
const EXACT: &str = "phantom";

/// How findings are extracted from reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FindingsReader {
    /// By the grammar that wrote the references: exact, for phantom studies.
    Phantom,
    /// By the latest version of the rule-based labeler `rules-14`, for real reports; uncertain counts as positive.
    Rules14,
}

/// Agreement of findings in predictions and references.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FindingsScores {
    /// Which reader: `phantom` (exact, finding with its side) or the labeler with its version, such as `rules-14 v2`.
    pub findings_reader: String,
    /// Micro F1, in `[0, 1]`: exact on phantom studies, over all 14 classes on real reports. The latter gives "normal"
    /// for every study a high score: see [`headline`](Self::headline).
    pub findings_f1_micro: f64,
    /// Scores by class, on real reports; absent in files of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub findings_by_class: Option<ClassScores>,
    /// Findings claimed on the wrong side only, on phantom studies.
    pub laterality_errors: Option<u64>,
    /// Findings claimed with a wrong size, on phantom studies.
    pub size_errors: Option<u64>,
}

/// F1 over classes, in `[0, 1]`, 0/0 as 0, and the counts behind it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassScores {
    /// The 13 abnormal classes, counts pooled.
    pub f1_13_micro: f64,
    /// The 13 abnormal classes, mean over classes.
    pub f1_13_macro: f64,
    /// All 14 classes, mean over classes.
    pub f1_14_macro: f64,
    /// The five usual classes, counts pooled.
    pub f1_5_micro: f64,
    /// The five usual classes, mean over classes.
    pub f1_5_macro: f64,
    /// Counts of all 14 classes.
    pub classes: Vec<ClassCounts>,
}

/// Counts of a class over studies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassCounts {
    /// CheXpert's name of it.
    pub class: String,
    /// Studies whose reference has it.
    pub support: u64,
    /// Studies whose prediction has it.
    pub predicted: u64,
    /// Studies where both have it.
    pub correct: u64,
}

impl ClassCounts {
    /// F1 of the class, 0/0 as 0.
    pub fn f1(&self) -> f64 {
        match self.support + self.predicted {
            0 => 0.0,
            either => 2.0 * self.correct as f64 / either as f64,
        }
    }
}

impl FindingsScores {
    /// Whether findings were read exactly, on phantom studies.
    pub fn is_exact(&self) -> bool {
        self.findings_reader == EXACT
    }

    /// The score to go by: exact micro F1 on phantom studies, else micro F1 over the 13 abnormal classes. A report that
    /// is normal for every study scores 0. `None` for scores on real reports that an earlier version wrote.
    pub fn headline(&self) -> Option<f64> {
        match (&self.findings_by_class, self.is_exact()) {
            (_, true) => Some(self.findings_f1_micro),
            (Some(classes), false) => Some(classes.f1_13_micro),
            (None, false) => None,
        }
    }

    /// Name of [`headline`](Self::headline) in a table.
    pub fn headline_name(&self) -> &'static str {
        match self.is_exact() {
            true => "F1",
            false => "F1-13",
        }
    }
}

impl FindingsReader {
    /// The reader for a MIMIC-CXR-JPG folder: exact if it holds phantom studies.
    pub fn for_folder(folder: &Path) -> Self {
        if read_phantom_records(folder).is_ok() {
            FindingsReader::Phantom
        } else {
            FindingsReader::Rules14
        }
    }

    /// Compares predictions with references, study by study.
    ///
    /// # Errors
    ///
    /// If their numbers differ.
    pub fn compare(
        self,
        references: &[String],
        predictions: &[String],
    ) -> Result<FindingsScores, MetricsError> {
        match self {
            FindingsReader::Phantom => Ok(exact(references, predictions)),
            FindingsReader::Rules14 => by_rules(references, predictions),
        }
    }

    /// The findings of a report that the [headline](FindingsScores::headline) counts: finding and side of a phantom, such
    /// as `left effusion`; abnormal classes by CheXpert's names otherwise.
    pub fn abnormal(self, report: &str) -> BTreeSet<String> {
        match self {
            FindingsReader::Phantom => read_findings(report)
                .iter()
                .map(|finding| {
                    let side = finding
                        .side()
                        .map_or_else(String::new, |side| format!("{} ", side.word()));
                    format!("{side}{}", kind_words(finding.kind()))
                })
                .collect(),
            FindingsReader::Rules14 => {
                let flags = label(report).positives(Uncertain::AsPositive);
                FindingClass::ABNORMAL
                    .into_iter()
                    .filter(|class| flags[class.index()])
                    .map(|class| class.name().to_owned())
                    .collect()
            }
        }
    }
}

fn exact(references: &[String], predictions: &[String]) -> FindingsScores {
    let read = |reports: &[String]| -> Vec<_> {
        reports.iter().map(|report| read_findings(report)).collect()
    };
    let (truth, predicted) = (read(references), read(predictions));
    let scores = PhantomScores::of(truth.iter().zip(&predicted));
    FindingsScores {
        findings_reader: EXACT.to_owned(),
        findings_f1_micro: scores.findings_f1_micro,
        findings_by_class: None,
        laterality_errors: Some(scores.laterality.errors),
        size_errors: Some(scores.size.errors),
    }
}

fn by_rules(references: &[String], predictions: &[String]) -> Result<FindingsScores, MetricsError> {
    let mut counts = FindingCounts::new(FindingClass::all().map(FindingClass::name))?;
    for (reference, prediction) in references.iter().zip(predictions) {
        let positives = |report: &str| label(report).positives(Uncertain::AsPositive);
        counts.add(&positives(reference), &positives(prediction))?;
    }
    let every: Vec<usize> = (0..FindingClass::COUNT).collect();
    let abnormal = FindingClass::ABNORMAL.map(FindingClass::index);
    let five = FindingClass::FIVE.map(FindingClass::index);
    let micro = |classes: &[usize]| -> Result<f64, MetricsError> {
        let f1 = counts.micro(classes)?.f1;
        Ok(if f1.is_nan() { 0.0 } else { f1 })
    };
    let average = |classes: &[usize]| -> Result<f64, MetricsError> {
        Ok(counts.macro_average(classes, Undefined::Zero)?.f1)
    };
    Ok(FindingsScores {
        findings_reader: ithn_metrics::LABELER.to_owned(),
        findings_f1_micro: counts.micro(&every)?.f1,
        findings_by_class: Some(ClassScores {
            f1_13_micro: micro(&abnormal)?,
            f1_13_macro: average(&abnormal)?,
            f1_14_macro: average(&every)?,
            f1_5_micro: micro(&five)?,
            f1_5_macro: average(&five)?,
            classes: counts
                .per_class()
                .iter()
                .zip(counts.classes())
                .map(|(counts, class)| ClassCounts {
                    class: class.clone(),
                    support: counts.support(),
                    predicted: counts.true_positives + counts.false_positives,
                    correct: counts.true_positives,
                })
                .collect(),
        }),
        laterality_errors: None,
        size_errors: None,
    })
}

/// A kind in words, such as `endotracheal tube`.
pub(crate) fn kind_words(kind: FindingKind) -> String {
    serde_json::to_value(kind)
        .ok()
        .and_then(|kind| kind.as_str().map(|name| name.replace('_', " ")))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(reports: &[&str]) -> Vec<String> {
        reports.iter().map(|report| (*report).to_owned()).collect()
    }

    #[test]
    fn normal_for_everybody_is_worth_nothing_in_the_headline() {
        let normal = "heart size is normal . lungs are clear .";
        let references = texts(&[normal, "small left pleural effusion .", normal]);
        let reader = FindingsReader::Rules14;
        let scores = reader
            .compare(&references, &texts(&[normal; 3]))
            .expect("three");
        assert_eq!(
            (scores.headline(), scores.headline_name()),
            (Some(0.0), "F1-13")
        );
        assert_eq!(scores.findings_f1_micro, 2.0 / 3.0);
        let scores = reader.compare(&references, &references).expect("three");
        assert_eq!(scores.headline(), Some(1.0));
        let classes = scores.findings_by_class.as_ref().expect("real reports");
        assert_eq!(classes.f1_13_macro, 1.0 / 13.0);
        let effusion = &classes.classes[FindingClass::PleuralEffusion.index()];
        assert_eq!(
            (effusion.support, effusion.correct, effusion.f1()),
            (1, 1, 1.0)
        );
        assert_eq!(classes.classes[FindingClass::Edema.index()].f1(), 0.0);
        let found = reader.abnormal(&references[1]);
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["Pleural Effusion"]);
        // Where nothing is abnormal, nothing can be found.
        let nothing = reader
            .compare(&texts(&[normal]), &texts(&[normal]))
            .expect("one");
        assert_eq!(nothing.headline(), Some(0.0));
    }

    #[test]
    fn phantoms_keep_their_exact_score_and_earlier_files_are_read() {
        let report = "there is a small left pleural effusion .";
        let reader = FindingsReader::Phantom;
        let scores = reader
            .compare(&texts(&[report]), &texts(&[report]))
            .expect("one");
        assert_eq!(
            (scores.headline(), scores.headline_name()),
            (Some(1.0), "F1")
        );
        assert_eq!(
            reader.abnormal(report).into_iter().collect::<Vec<_>>(),
            ["left effusion"]
        );
        let earlier = r#"{"findings_reader": "rules-14 v2", "findings_f1_micro": 0.7,
            "laterality_errors": null, "size_errors": null}"#;
        let earlier: FindingsScores = serde_json::from_str(earlier).expect("readable");
        assert_eq!(earlier.headline(), None);
    }
}
