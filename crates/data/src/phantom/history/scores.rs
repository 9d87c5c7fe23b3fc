use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::change::{Change, PhantomChanges};

/// Change statements of predictions against those of references, counted exactly.
///
/// Two statements concern the same finding if they name the same place: kind, side and lobe.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeScores {
    /// Statements of the references.
    pub stated: u64,
    /// Of those, predicted as they are.
    pub right: u64,
    /// Of those, predicted with another change.
    pub wrong: u64,
    /// Of those, not predicted at all.
    pub missed: u64,
    /// Predicted statements of findings of which the reference states no change.
    pub invented: u64,
    /// Right statements and all of the references, by change.
    pub by_change: BTreeMap<Change, [u64; 2]>,
}

impl ChangeScores {
    /// Adds one study.
    pub fn add(&mut self, reference: &PhantomChanges, predicted: &PhantomChanges) {
        for (place, change) in reference.iter() {
            let counts = self.by_change.entry(change).or_default();
            self.stated += 1;
            counts[1] += 1;
            match predicted.get(&place) {
                Some(other) if other == change => {
                    self.right += 1;
                    counts[0] += 1;
                }
                Some(_) => self.wrong += 1,
                None => self.missed += 1,
            }
        }
        let invented = predicted
            .iter()
            .filter(|(place, _)| reference.get(place).is_none());
        self.invented += invented.count() as u64;
    }

    /// Share of the references' statements that are predicted as they are, in `[0, 1]`; 0 if there is none.
    pub fn accuracy(&self) -> f64 {
        share(self.right, self.stated)
    }

    /// The same among the statements whose finding is compared in the prediction, too: whether the change is right once
    /// the finding is found.
    pub fn accuracy_of_compared(&self) -> f64 {
        share(self.right, self.right + self.wrong)
    }

    /// Accuracy of stating `change` for every finding that a reference compares: a guess by somebody who knows the
    /// findings of both studies.
    pub fn accuracy_of_always(&self, change: Change) -> f64 {
        let of_change = self.by_change.get(&change).map_or(0, |counts| counts[1]);
        share(of_change, self.stated)
    }

    /// The change that references state most often; the first of equally frequent ones.
    pub fn most_frequent(&self) -> Option<Change> {
        let counts = self.by_change.iter().rev();
        counts.max_by_key(|(_, counts)| counts[1]).map(|it| *it.0)
    }
}

fn share(part: u64, whole: u64) -> f64 {
    match whole {
        0 => 0.0,
        whole => part as f64 / whole as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phantom::read_changes;

    #[test]
    fn statements_are_right_wrong_missed_or_invented() {
        let reference = read_changes(
            "There is a small left pleural effusion, new since the prior study. Pulmonary edema is present, \
             unchanged from the prior study. The endotracheal tube has been removed.",
        );
        let predicted = read_changes(
            "There is a large left pleural effusion, which is new. Pulmonary edema is present, which has grown. \
             The right pneumothorax has resolved.",
        );
        let mut scores = ChangeScores::default();
        scores.add(&reference, &predicted);
        let counts = [
            scores.stated,
            scores.right,
            scores.wrong,
            scores.missed,
            scores.invented,
        ];
        assert_eq!(counts, [3, 1, 1, 1, 1]);
        assert_eq!(scores.accuracy(), 1.0 / 3.0);
        assert_eq!(scores.accuracy_of_compared(), 0.5);
        assert_eq!(scores.accuracy_of_always(Change::Resolved), 1.0 / 3.0);
        scores.add(&reference, &reference);
        scores.add(
            &read_changes("The left picc line has been removed."),
            &predicted,
        );
        assert_eq!(scores.most_frequent(), Some(Change::Resolved));
        assert_eq!(ChangeScores::default().accuracy(), 0.0);
    }
}
