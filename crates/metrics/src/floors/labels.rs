//! Floors of findings F1: the same labels for every study.

use serde::{Deserialize, Serialize};

use crate::error::{MetricsError, check_paired};

/// F1 of labels that do not depend on the study, on the studies of a test split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LabelFloors {
    /// Studies of the test split.
    pub studies: usize,
    /// Each label given to every study, in the order of the labels.
    pub always_positive: Vec<AlwaysPositive>,
    /// Every label given to every study: the best constant for macro F1.
    pub every_label: ConstantLabels,
    /// The set with the best micro F1 on validation.
    pub best_set: ConstantLabels,
}

/// A label given to every study.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlwaysPositive {
    /// The label.
    pub label: String,
    /// Studies where it is true.
    pub positives: usize,
    /// 2p / (1 + p), p being the share of such studies; 0 without any.
    pub f1: f64,
}

/// A set of labels given to every study.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConstantLabels {
    /// The labels.
    pub labels: Vec<String>,
    /// Micro F1 on validation.
    pub validation_f1_micro: f64,
    /// Micro F1 on test.
    pub f1_micro: f64,
    /// Macro F1 on test over all labels, 0/0 as 0.
    pub f1_macro: f64,
}

impl LabelFloors {
    /// The highest micro F1 of a constant on test.
    pub fn best_micro(&self) -> f64 {
        self.best_set.f1_micro.max(self.every_label.f1_micro)
    }

    /// The highest macro F1 of a constant on test, that of every label for every study.
    pub fn best_macro(&self) -> f64 {
        self.every_label.f1_macro
    }
}

/// Scores constant labels on `test`; the set is chosen on `validation`.
///
/// Both hold one row a study and one flag a label. Micro F1 of a set S given to n studies is
/// 2·Σ_{c∈S} P_c / (|S|·n + Σ_c P_c), P_c being the studies where c is true: of sets of one size, that of the most
/// frequent labels is the best, so all sizes are tried and the result is the best of all sets.
///
/// # Errors
/// [`MetricsError::Empty`] without labels or studies, [`MetricsError::LengthMismatch`] unless every row has one flag per
/// label.
///
/// # Example
/// ```
/// let names = ["opacity", "fracture"];
/// let validation = [[true, false], [true, false], [false, true]].map(Vec::from);
/// let test = [[true, false], [false, false]].map(Vec::from);
/// let floors = ithn_metrics::floors::label_floors(&names, &validation, &test)?;
/// assert_eq!(floors.best_set.labels, ["opacity"]);
/// assert_eq!(floors.best_set.f1_micro, 2.0 / 3.0);
/// assert_eq!(floors.every_label.f1_micro, 2.0 / 5.0);
/// # Ok::<(), ithn_metrics::MetricsError>(())
/// ```
pub fn label_floors<S: AsRef<str>>(
    names: &[S],
    validation: &[Vec<bool>],
    test: &[Vec<bool>],
) -> Result<LabelFloors, MetricsError> {
    let chosen_on = Positives::of(names.len(), validation)?;
    let scored_on = Positives::of(names.len(), test)?;
    let constant = |set: &[usize]| ConstantLabels {
        labels: set
            .iter()
            .map(|&at| names[at].as_ref().to_owned())
            .collect(),
        validation_f1_micro: chosen_on.micro(set),
        f1_micro: scored_on.micro(set),
        f1_macro: set.iter().map(|&at| scored_on.always(at)).sum::<f64>() / names.len() as f64,
    };
    let mut by_frequency: Vec<usize> = (0..names.len()).collect();
    by_frequency.sort_by_key(|&at| std::cmp::Reverse(chosen_on.counts[at]));
    let mut size = 1;
    for longer in 2..=names.len() {
        if chosen_on.micro(&by_frequency[..longer]) > chosen_on.micro(&by_frequency[..size]) {
            size = longer;
        }
    }
    let mut best: Vec<usize> = by_frequency[..size].to_vec();
    best.sort_unstable();
    let every: Vec<usize> = (0..names.len()).collect();
    Ok(LabelFloors {
        studies: test.len(),
        always_positive: every
            .iter()
            .map(|&at| AlwaysPositive {
                label: names[at].as_ref().to_owned(),
                positives: scored_on.counts[at],
                f1: scored_on.always(at),
            })
            .collect(),
        every_label: constant(&every),
        best_set: constant(&best),
    })
}

/// How many studies have each label.
struct Positives {
    counts: Vec<usize>,
    studies: usize,
}

impl Positives {
    fn of(labels: usize, rows: &[Vec<bool>]) -> Result<Self, MetricsError> {
        if labels == 0 || rows.is_empty() {
            let what = if labels == 0 {
                "the set of labels"
            } else {
                "the list of studies"
            };
            return Err(MetricsError::Empty { what });
        }
        let mut counts = vec![0; labels];
        for row in rows {
            check_paired(("labels", labels), ("a study's flags", row.len()))?;
            for (count, flag) in counts.iter_mut().zip(row) {
                *count += usize::from(*flag);
            }
        }
        Ok(Positives {
            counts,
            studies: rows.len(),
        })
    }

    fn micro(&self, set: &[usize]) -> f64 {
        let hits: usize = set.iter().map(|&at| self.counts[at]).sum();
        let true_ones: usize = self.counts.iter().sum();
        2.0 * hits as f64 / (set.len() * self.studies + true_ones) as f64
    }

    fn always(&self, at: usize) -> f64 {
        2.0 * self.counts[at] as f64 / (self.studies + self.counts[at]) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FindingCounts, Undefined};

    fn rows(studies: usize, salt: usize) -> Vec<Vec<bool>> {
        let flag = |study: usize, label: usize| {
            (study * 7 + label * 3 + salt).is_multiple_of(3 + 2 * label)
        };
        (0..studies)
            .map(|study| (0..4).map(|label| flag(study, label)).collect())
            .collect()
    }

    #[test]
    fn the_set_is_the_best_of_all_and_its_scores_are_those_of_the_table() {
        let (validation, test) = (rows(60, 1), rows(45, 2));
        let names = ["a", "b", "c", "d"];
        let floors = label_floors(&names, &validation, &test).expect("given");
        let scores = |rows: &[Vec<bool>], set: u32| {
            let mut table = FindingCounts::new(names).expect("four");
            let predicted: Vec<bool> = (0..4).map(|label| set >> label & 1 == 1).collect();
            for row in rows {
                table.add(row, &predicted).expect("four");
            }
            let all = [0, 1, 2, 3];
            let average = table.macro_average(&all, Undefined::Zero).expect("given");
            (table.micro(&all).expect("given").f1, average.f1)
        };
        let of = |labels: &[String]| {
            labels
                .iter()
                .map(|label| 1 << names.iter().position(|name| name == label).expect("known"))
                .sum::<u32>()
        };
        for constant in [&floors.best_set, &floors.every_label] {
            let (micro, average) = scores(&test, of(&constant.labels));
            assert!((micro - constant.f1_micro).abs() < 1e-12);
            assert!((average - constant.f1_macro).abs() < 1e-12);
        }
        let best = (1..16)
            .map(|set| scores(&validation, set).0)
            .fold(0.0, f64::max);
        assert!((floors.best_set.validation_f1_micro - best).abs() < 1e-12);
        let (most, macro_floor) = (1..16)
            .map(|set| scores(&test, set).1)
            .fold((0, 0.0f64), |(count, high), value| {
                (count + 1, high.max(value))
            });
        assert_eq!(most, 15);
        assert!((floors.best_macro() - macro_floor).abs() < 1e-12);
    }

    #[test]
    fn rare_labels_have_low_floors() {
        let test: Vec<Vec<bool>> = (0..590).map(|study| vec![study < 78, study < 16]).collect();
        let floors = label_floors(&["opacity", "effusion"], &test, &test).expect("given");
        let [opacity, effusion] = floors.always_positive.as_slice() else {
            panic!("two labels");
        };
        assert!((opacity.f1 - 0.2335).abs() < 1e-3 && (effusion.f1 - 0.0528).abs() < 1e-3);
        assert_eq!(floors.best_set.labels, ["opacity"]);
    }

    #[test]
    fn bad_input_is_named() {
        let none: [&str; 0] = [];
        assert!(label_floors(&none, &[vec![]], &[vec![]]).is_err());
        assert!(label_floors(&["a"], &[], &[vec![true]]).is_err());
        assert!(label_floors(&["a"], &[vec![true, false]], &[vec![true]]).is_err());
    }
}
