use std::path::Path;

use ithn_data::phantom::{PhantomScores, read_findings, read_phantom_records};
use ithn_metrics::{FindingClass, FindingCounts, MetricsError, Uncertain, label};
use serde::{Deserialize, Serialize};

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
    /// Micro F1, in `[0, 1]`.
    pub findings_f1_micro: f64,
    /// Findings claimed on the wrong side only, on phantom studies.
    pub laterality_errors: Option<u64>,
    /// Findings claimed with a wrong size, on phantom studies.
    pub size_errors: Option<u64>,
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
}

fn exact(references: &[String], predictions: &[String]) -> FindingsScores {
    let read = |reports: &[String]| -> Vec<_> {
        reports.iter().map(|report| read_findings(report)).collect()
    };
    let (truth, predicted) = (read(references), read(predictions));
    let scores = PhantomScores::of(truth.iter().zip(&predicted));
    FindingsScores {
        findings_reader: "phantom".to_owned(),
        findings_f1_micro: scores.findings_f1_micro,
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
    Ok(FindingsScores {
        findings_reader: ithn_metrics::LABELER.to_owned(),
        findings_f1_micro: counts.micro(&every)?.f1,
        laterality_errors: None,
        size_errors: None,
    })
}
