use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::phantom::attributes::{Lobe, Side};
use crate::phantom::findings::{FindingKind, PhantomFinding, PhantomFindings};

/// What has become of a finding since the previous study.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It was not there.
    New,
    /// It has a larger size.
    Larger,
    /// It has a smaller size.
    Smaller,
    /// It is there as before.
    Unchanged,
    /// It is no longer there.
    Resolved,
}

impl Change {
    /// All changes.
    pub const ALL: [Change; 5] = [
        Change::New,
        Change::Larger,
        Change::Smaller,
        Change::Unchanged,
        Change::Resolved,
    ];

    /// `new`, `larger`, `smaller`, `unchanged` or `resolved`.
    pub fn name(self) -> &'static str {
        match self {
            Change::New => "new",
            Change::Larger => "larger",
            Change::Smaller => "smaller",
            Change::Unchanged => "unchanged",
            Change::Resolved => "resolved",
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

/// Where a finding is: its kind, and side and lobe if its kind has them. One place holds one finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FindingPlace {
    /// What it is.
    pub kind: FindingKind,
    /// Left or right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub side: Option<Side>,
    /// In which lobe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lobe: Option<Lobe>,
}

impl FindingPlace {
    /// The place of a finding.
    pub fn of(finding: PhantomFinding) -> Self {
        FindingPlace {
            kind: finding.kind(),
            side: finding.side(),
            lobe: finding.lobe(),
        }
    }
}

/// A change of one finding, as files hold it.
#[derive(Serialize, Deserialize)]
struct StoredChange {
    #[serde(flatten)]
    place: FindingPlace,
    change: Change,
}

/// Changes of findings between two studies of a patient, one per place.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<StoredChange>", into = "Vec<StoredChange>")]
pub struct PhantomChanges {
    changes: BTreeMap<FindingPlace, Change>,
}

impl From<Vec<StoredChange>> for PhantomChanges {
    fn from(stored: Vec<StoredChange>) -> Self {
        let stored = stored.into_iter();
        stored.map(|it| (it.place, it.change)).collect()
    }
}

impl From<PhantomChanges> for Vec<StoredChange> {
    fn from(changes: PhantomChanges) -> Self {
        let stored = changes.changes.into_iter();
        stored
            .map(|(place, change)| StoredChange { place, change })
            .collect()
    }
}

/// Keeps the last of several changes at one place.
impl FromIterator<(FindingPlace, Change)> for PhantomChanges {
    fn from_iter<I: IntoIterator<Item = (FindingPlace, Change)>>(changes: I) -> Self {
        PhantomChanges {
            changes: changes.into_iter().collect(),
        }
    }
}

impl PhantomChanges {
    /// The changes from the findings of an earlier study to those of a later one: every finding of either has one.
    pub fn between(earlier: &PhantomFindings, later: &PhantomFindings) -> Self {
        let places = |findings: &PhantomFindings| -> BTreeMap<FindingPlace, PhantomFinding> {
            let findings = findings.iter();
            findings.map(|it| (FindingPlace::of(it), it)).collect()
        };
        let (before, now) = (places(earlier), places(later));
        let all: BTreeSet<&FindingPlace> = before.keys().chain(now.keys()).collect();
        all.into_iter()
            .map(|place| {
                let change = match (before.get(place), now.get(place)) {
                    (None, _) => Change::New,
                    (_, None) => Change::Resolved,
                    (Some(before), Some(now)) if now.size() > before.size() => Change::Larger,
                    (Some(before), Some(now)) if now.size() < before.size() => Change::Smaller,
                    _ => Change::Unchanged,
                };
                (*place, change)
            })
            .collect()
    }

    /// The change at a place.
    pub fn get(&self, place: &FindingPlace) -> Option<Change> {
        self.changes.get(place).copied()
    }

    /// All changes, by place.
    pub fn iter(&self) -> impl Iterator<Item = (FindingPlace, Change)> + '_ {
        self.changes.iter().map(|(place, change)| (*place, *change))
    }

    /// Number of changes.
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether there is none: nothing is compared.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phantom::attributes::Size;

    #[test]
    fn every_finding_of_either_study_has_its_change_and_json_keeps_them() {
        let effusion = |side, size| {
            PhantomFinding::new(FindingKind::Effusion, Some(side), None, Some(size)).expect("whole")
        };
        let plain = |kind| PhantomFinding::new(kind, None, None, None).expect("whole");
        let before: PhantomFindings = [
            effusion(Side::Left, Size::Small),
            effusion(Side::Right, Size::Large),
            plain(FindingKind::Edema),
            plain(FindingKind::Pacemaker),
        ]
        .into_iter()
        .collect();
        let now: PhantomFindings = [
            effusion(Side::Left, Size::Moderate),
            effusion(Side::Right, Size::Small),
            plain(FindingKind::Pacemaker),
            plain(FindingKind::EndotrachealTube),
        ]
        .into_iter()
        .collect();
        let changes = PhantomChanges::between(&before, &now);
        let found: Vec<_> = changes
            .iter()
            .map(|(place, change)| (place.kind, place.side, change))
            .collect();
        let expected = [
            (FindingKind::EndotrachealTube, None, Change::New),
            (FindingKind::Pacemaker, None, Change::Unchanged),
            (FindingKind::Effusion, Some(Side::Left), Change::Larger),
            (FindingKind::Effusion, Some(Side::Right), Change::Smaller),
            (FindingKind::Edema, None, Change::Resolved),
        ];
        assert_eq!(found, expected);
        let json = serde_json::to_string(&changes).expect("serialisable");
        assert_eq!(
            serde_json::from_str::<PhantomChanges>(&json).expect("readable"),
            changes
        );
        assert!(
            PhantomChanges::between(&now, &now)
                .iter()
                .all(|(_, it)| it == Change::Unchanged)
        );
    }
}
