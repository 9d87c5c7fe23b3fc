use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::attributes::Side;
use super::findings::{FindingKind, PhantomFindings};

/// Right and wrong claims, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingCounts {
    /// In the prediction and in the reference.
    pub true_positives: u64,
    /// In the prediction only.
    pub false_positives: u64,
    /// True and not claimed.
    pub false_negatives: u64,
}

impl FindingCounts {
    /// F1 = 2 tp / (2 tp + fp + fn), in 0..=1; 1 when there was nothing to find and nothing claimed.
    pub fn f1(self) -> f64 {
        let twice = 2 * self.true_positives;
        match twice + self.false_positives + self.false_negatives {
            0 => 1.0,
            all => twice as f64 / all as f64,
        }
    }

    /// tp / (tp + fp), in 0..=1; 1 when nothing was claimed.
    pub fn precision(self) -> f64 {
        ratio(
            self.true_positives,
            self.true_positives + self.false_positives,
        )
    }

    /// tp / (tp + fn), in 0..=1; 1 when there was nothing to find.
    pub fn recall(self) -> f64 {
        ratio(
            self.true_positives,
            self.true_positives + self.false_negatives,
        )
    }

    fn add<T: Ord>(&mut self, truth: &BTreeSet<T>, claimed: &BTreeSet<T>) {
        let shared = truth.intersection(claimed).count() as u64;
        self.true_positives += shared;
        self.false_positives += claimed.len() as u64 - shared;
        self.false_negatives += truth.len() as u64 - shared;
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        1.0
    } else {
        part as f64 / whole as f64
    }
}

/// Errors of one kind, and the cases in which one was possible.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorCount {
    /// Number of errors.
    pub errors: u64,
    /// Number of cases in which the error was possible.
    pub opportunities: u64,
}

impl ErrorCount {
    fn add(&mut self, wrong: bool) {
        self.errors += u64::from(wrong);
        self.opportunities += 1;
    }
}

/// Exact scores of predicted against true findings, over any number of studies.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PhantomScores {
    /// Studies compared.
    pub studies: u64,
    /// Studies whose findings are all right, with nothing added.
    pub exact_studies: u64,
    /// Micro F1 over (kind, side) pairs: the headline.
    pub findings_f1_micro: f64,
    /// Micro F1 over whole findings: kind, side, lobe and size.
    pub exact_f1_micro: f64,
    /// Micro F1 over kinds alone.
    pub class_f1_micro: f64,
    /// Counts from which `findings_f1_micro` is computed.
    pub findings: FindingCounts,
    /// Counts from which `exact_f1_micro` is computed.
    pub exact: FindingCounts,
    /// Counts from which `class_f1_micro` is computed.
    pub class: FindingCounts,
    /// Counts per kind, ignoring attributes; kinds neither in the reference nor in the prediction
    /// are absent.
    pub by_kind: BTreeMap<FindingKind, FindingCounts>,
    /// Opportunity: a kind is truly on one side only and is claimed on either. Error: it is claimed
    /// on the wrong side only.
    pub laterality: ErrorCount,
    /// Opportunity: a sized finding is claimed at its side. Error: with another size.
    pub size: ErrorCount,
    /// Opportunity: a finding with a lobe is claimed at its side. Error: in other lobes only.
    pub lobe: ErrorCount,
}

impl PhantomScores {
    /// Scores pairs of true and predicted findings.
    pub fn of<'a>(
        pairs: impl IntoIterator<Item = (&'a PhantomFindings, &'a PhantomFindings)>,
    ) -> Self {
        let mut scores = Self::default();
        for (truth, predicted) in pairs {
            scores.add(truth, predicted);
        }
        scores.findings_f1_micro = scores.findings.f1();
        scores.exact_f1_micro = scores.exact.f1();
        scores.class_f1_micro = scores.class.f1();
        scores
    }

    fn add(&mut self, truth: &PhantomFindings, predicted: &PhantomFindings) {
        self.studies += 1;
        self.exact_studies += u64::from(truth == predicted);
        self.exact
            .add(&truth.iter().collect(), &predicted.iter().collect());
        self.findings
            .add(&kinds_and_sides(truth), &kinds_and_sides(predicted));
        self.class.add(&kinds(truth), &kinds(predicted));
        for kind in kinds(truth).union(&kinds(predicted)) {
            let only = |found: &PhantomFindings| found.has(*kind).then_some(*kind).into_iter();
            let counts = self.by_kind.entry(*kind).or_default();
            counts.add(&only(truth).collect(), &only(predicted).collect());
        }
        self.add_laterality(truth, predicted);
        self.add_attributes(truth, predicted);
    }

    fn add_laterality(&mut self, truth: &PhantomFindings, predicted: &PhantomFindings) {
        for kind in kinds(truth).intersection(&kinds(predicted)) {
            let (true_sides, claimed) = (sides(truth, *kind), sides(predicted, *kind));
            if true_sides.len() == 1 {
                self.laterality.add(true_sides.is_disjoint(&claimed));
            }
        }
    }

    fn add_attributes(&mut self, truth: &PhantomFindings, predicted: &PhantomFindings) {
        for (kind, side) in kinds_and_sides(truth).intersection(&kinds_and_sides(predicted)) {
            let here = |found: &PhantomFindings| -> BTreeSet<_> {
                let at_side = found.of(*kind).filter(|finding| finding.side() == *side);
                at_side
                    .map(|finding| (finding.lobe(), finding.size()))
                    .collect()
            };
            let wrong = here(truth).is_disjoint(&here(predicted));
            if kind.has_size() {
                self.size.add(wrong);
            } else if kind.has_lobe() {
                self.lobe.add(wrong);
            }
        }
    }
}

fn kinds(findings: &PhantomFindings) -> BTreeSet<FindingKind> {
    findings.iter().map(|finding| finding.kind()).collect()
}

fn kinds_and_sides(findings: &PhantomFindings) -> BTreeSet<(FindingKind, Option<Side>)> {
    findings
        .iter()
        .map(|finding| (finding.kind(), finding.side()))
        .collect()
}

fn sides(findings: &PhantomFindings, kind: FindingKind) -> BTreeSet<Side> {
    findings
        .of(kind)
        .filter_map(|finding| finding.side())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phantom::read_findings;

    fn score(truth: &str, predicted: &str) -> PhantomScores {
        PhantomScores::of([(&read_findings(truth), &read_findings(predicted))])
    }

    #[test]
    fn one_wrong_word_is_one_error_of_its_sort() {
        let truth = "There is a small left pleural effusion.";
        let side = score(truth, "There is a small right pleural effusion.");
        assert_eq!(
            side.laterality,
            ErrorCount {
                errors: 1,
                opportunities: 1
            }
        );
        assert_eq!((side.findings_f1_micro, side.class_f1_micro), (0.0, 1.0));
        assert_eq!(side.size.opportunities, 0);

        let size = score(truth, "There is a large left pleural effusion.");
        assert_eq!(
            size.size,
            ErrorCount {
                errors: 1,
                opportunities: 1
            }
        );
        assert_eq!((size.exact_f1_micro, size.findings_f1_micro), (0.0, 1.0));
        assert_eq!(
            size.laterality,
            ErrorCount {
                errors: 0,
                opportunities: 1
            }
        );

        let truth = "There is consolidation in the left upper lobe.";
        let lobe = score(truth, "There is consolidation in the left lower lobe.");
        assert_eq!(
            lobe.lobe,
            ErrorCount {
                errors: 1,
                opportunities: 1
            }
        );
    }

    #[test]
    fn f1_counts_findings_over_all_studies() {
        let (normal, edema) = (
            read_findings(""),
            read_findings("There is pulmonary edema."),
        );
        let scores = PhantomScores::of([(&edema, &edema), (&edema, &normal), (&normal, &normal)]);
        assert_eq!(scores.findings_f1_micro, 2.0 / 3.0);
        assert_eq!((scores.studies, scores.exact_studies), (3, 2));
        assert_eq!(scores.by_kind[&FindingKind::Edema].false_negatives, 1);
        assert_eq!(PhantomScores::of([(&normal, &normal)]).exact_f1_micro, 1.0);
    }
}
