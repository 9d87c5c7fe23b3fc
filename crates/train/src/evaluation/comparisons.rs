//! Comparisons with previous studies: right, wrong, invented, and made where there is nothing to compare with.

use std::fmt;

use ithn_data::phantom::{Change, ChangeScores, read_changes};
use ithn_inference::FindingsReader;
use ithn_metrics::clinical::temporal::{compares, temporal_f1};
use serde::{Deserialize, Serialize};

use crate::dataset::{EvaluationSplit, PreparedData};

/// How a split's predictions compare studies with previous ones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ComparisonScores {
    /// Studies with a previous study.
    pub with_prior: usize,
    /// Studies without one.
    pub without_prior: usize,
    /// Of the latter, those whose prediction compares: it hallucinates a previous study.
    pub hallucinated: usize,
    /// F1 of temporal keywords (Libra), mean over studies, in `[0, 1]`.
    pub temporal_f1: f64,
    /// Change statements of the studies with a previous study, exact: of phantom studies alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<ChangeScores>,
}

/// What is gained by stating the same change of every finding.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ChangeFloor {
    /// The change that training reports state most often.
    pub change: Change,
    /// Its share of the statements of the test references, in `[0, 1]`: the accuracy of somebody who knows all
    /// findings of both studies.
    pub accuracy: f64,
}

impl ComparisonScores {
    /// Share of the studies without a previous study whose prediction compares, in `[0, 1]`; 0 without any.
    pub fn hallucinated_share(&self) -> f64 {
        match self.without_prior {
            0 => 0.0,
            studies => self.hallucinated as f64 / studies as f64,
        }
    }
}

impl fmt::Display for ComparisonScores {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(changes) = &self.changes {
            write!(
                formatter,
                "change accuracy {:.3} ({} of {} statements right, {} wrong, {} missed, {} invented), ",
                changes.accuracy(),
                changes.right,
                changes.stated,
                changes.wrong,
                changes.missed,
                changes.invented,
            )?;
        }
        write!(
            formatter,
            "temporal F1 {:.3}, comparisons in {} of {} studies without a prior ({:.1} %)",
            self.temporal_f1,
            self.hallucinated,
            self.without_prior,
            100.0 * self.hallucinated_share(),
        )
    }
}

/// Scores of a split whose previous studies are known; `None` for another.
pub(super) fn comparison_scores(
    split: &EvaluationSplit,
    predictions: &[String],
    findings: FindingsReader,
) -> Option<ComparisonScores> {
    let priors = split.priors.as_ref()?;
    let mut scores = ComparisonScores {
        with_prior: priors.iter().filter(|has| **has).count(),
        without_prior: priors.iter().filter(|has| !**has).count(),
        hallucinated: 0,
        temporal_f1: 0.0,
        changes: (findings == FindingsReader::Phantom).then(ChangeScores::default),
    };
    let reports = split.full_references.iter().zip(predictions);
    for (has_prior, (reference, prediction)) in priors.iter().zip(reports) {
        scores.temporal_f1 += temporal_f1(prediction, [reference.as_str()]);
        if !has_prior {
            scores.hallucinated += usize::from(compares(prediction));
        } else if let Some(changes) = &mut scores.changes {
            changes.add(&read_changes(reference), &read_changes(prediction));
        }
    }
    scores.temporal_f1 /= priors.len().max(1) as f64;
    Some(scores)
}

/// The most frequent change of the training reports, scored on the test split; `None` where changes are not known
/// exactly.
pub(crate) fn change_floor(data: &PreparedData) -> Option<ChangeFloor> {
    if data.findings != FindingsReader::Phantom || data.test.priors.is_none() {
        return None;
    }
    let nothing = read_changes("");
    let mut training = ChangeScores::default();
    for study in data.training.iter() {
        let report = data.tokenizer.decode(&study.tokens[1..]);
        training.add(&read_changes(&report), &nothing);
    }
    let mut test = ChangeScores::default();
    for reference in &data.test.full_references {
        test.add(&read_changes(reference), &nothing);
    }
    let change = training.most_frequent()?;
    Some(ChangeFloor {
        change,
        accuracy: test.accuracy_of_always(change),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn split(references: &[&str], priors: Option<Vec<bool>>) -> EvaluationSplit {
        let texts: Vec<String> = references.iter().map(|text| (*text).to_owned()).collect();
        EvaluationSplit {
            name: "test",
            studies: Arc::new(Vec::new()),
            references: texts.clone(),
            full_references: texts,
            priors,
        }
    }

    #[test]
    fn comparisons_without_a_prior_are_hallucinated_and_others_counted() {
        let references = [
            "The lungs are clear.",
            "There is a small left pleural effusion, new since the prior study.",
            "No pneumothorax.",
        ];
        let predictions = [
            "there is a left rib fracture unchanged from the prior study .",
            "there is a small left pleural effusion unchanged from the prior study .",
            "no pneumothorax .",
        ]
        .map(str::to_owned);
        let split_of = |priors| split(&references, priors);
        let scores = |reader| {
            let split = split_of(Some(vec![false, true, false]));
            comparison_scores(&split, &predictions, reader).expect("priors are known")
        };
        let exact = scores(FindingsReader::Phantom);
        assert_eq!((exact.with_prior, exact.without_prior), (1, 2));
        assert_eq!((exact.hallucinated, exact.hallucinated_share()), (1, 0.5));
        let changes = exact.changes.as_ref().expect("exact");
        assert_eq!((changes.stated, changes.right, changes.wrong), (1, 0, 1));
        let line = exact.to_string();
        assert!(
            line.contains("1 wrong") && line.contains("50.0 %"),
            "{line}"
        );
        assert!(scores(FindingsReader::Rules14).changes.is_none());
        let unknown = split_of(None);
        assert!(comparison_scores(&unknown, &predictions, FindingsReader::Phantom).is_none());
    }
}
