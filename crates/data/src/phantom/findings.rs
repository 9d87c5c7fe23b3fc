use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::attributes::{Lobe, Side, Size};

/// What can be found on a phantom film.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// Endotracheal tube.
    EndotrachealTube,
    /// PICC line, by the arm it enters from.
    PiccLine,
    /// Pacemaker; always in the left chest wall.
    Pacemaker,
    /// Enlarged heart, by size.
    Cardiomegaly,
    /// Pleural effusion, by side and size.
    Effusion,
    /// Pneumothorax, by side and size.
    Pneumothorax,
    /// Consolidation, by side and lobe.
    Consolidation,
    /// Lung nodule, by side and lobe.
    Nodule,
    /// Basilar atelectasis, by side.
    Atelectasis,
    /// Pulmonary edema.
    Edema,
    /// Rib fracture, by side.
    RibFracture,
}

impl FindingKind {
    /// All kinds, in the order reports state them.
    pub const ALL: [FindingKind; 11] = [
        FindingKind::EndotrachealTube,
        FindingKind::PiccLine,
        FindingKind::Pacemaker,
        FindingKind::Cardiomegaly,
        FindingKind::Effusion,
        FindingKind::Pneumothorax,
        FindingKind::Consolidation,
        FindingKind::Nodule,
        FindingKind::Atelectasis,
        FindingKind::Edema,
        FindingKind::RibFracture,
    ];

    /// Whether it has a side.
    pub fn has_side(self) -> bool {
        !matches!(
            self,
            FindingKind::EndotrachealTube
                | FindingKind::Pacemaker
                | FindingKind::Cardiomegaly
                | FindingKind::Edema
        )
    }

    /// Whether it has a size.
    pub fn has_size(self) -> bool {
        matches!(
            self,
            FindingKind::Cardiomegaly | FindingKind::Effusion | FindingKind::Pneumothorax
        )
    }

    /// Whether it has a lobe.
    pub fn has_lobe(self) -> bool {
        matches!(self, FindingKind::Consolidation | FindingKind::Nodule)
    }

    /// The CheXpert class it counts towards.
    pub fn chexpert_class(self) -> &'static str {
        match self {
            FindingKind::EndotrachealTube | FindingKind::PiccLine | FindingKind::Pacemaker => {
                "Support Devices"
            }
            FindingKind::Cardiomegaly => "Cardiomegaly",
            FindingKind::Effusion => "Pleural Effusion",
            FindingKind::Pneumothorax => "Pneumothorax",
            FindingKind::Consolidation => "Consolidation",
            FindingKind::Nodule => "Lung Lesion",
            FindingKind::Atelectasis => "Atelectasis",
            FindingKind::Edema => "Edema",
            FindingKind::RibFracture => "Fracture",
        }
    }
}

/// One finding, with exactly the attributes that its kind has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "AnyFinding", into = "AnyFinding")]
pub struct PhantomFinding {
    kind: FindingKind,
    side: Option<Side>,
    lobe: Option<Lobe>,
    size: Option<Size>,
}

impl PhantomFinding {
    /// A finding of `kind`; `None` when an attribute is missing, is one too many, or names a left
    /// middle lobe.
    pub fn new(
        kind: FindingKind,
        side: Option<Side>,
        lobe: Option<Lobe>,
        size: Option<Size>,
    ) -> Option<Self> {
        let complete = side.is_some() == kind.has_side()
            && lobe.is_some() == kind.has_lobe()
            && size.is_some() == kind.has_size();
        let anatomical = (side, lobe) != (Some(Side::Left), Some(Lobe::Middle));
        (complete && anatomical).then_some(Self {
            kind,
            side,
            lobe,
            size,
        })
    }

    /// Every finding there is, in order.
    pub fn all() -> Vec<Self> {
        let sides = [None, Some(Side::Left), Some(Side::Right)];
        let lobes = [
            None,
            Some(Lobe::Upper),
            Some(Lobe::Middle),
            Some(Lobe::Lower),
        ];
        let sizes = [
            None,
            Some(Size::Small),
            Some(Size::Moderate),
            Some(Size::Large),
        ];
        let mut findings = Vec::new();
        for kind in FindingKind::ALL {
            for side in sides {
                for lobe in lobes {
                    findings.extend(
                        sizes
                            .iter()
                            .filter_map(|&size| Self::new(kind, side, lobe, size)),
                    );
                }
            }
        }
        findings
    }

    /// What it is.
    pub fn kind(self) -> FindingKind {
        self.kind
    }

    /// Where, left or right, if its kind has a side.
    pub fn side(self) -> Option<Side> {
        self.side
    }

    /// In which lobe, if its kind has one.
    pub fn lobe(self) -> Option<Lobe> {
        self.lobe
    }

    /// How large, if its kind has a size.
    pub fn size(self) -> Option<Size> {
        self.size
    }

    /// Every finding that differs from this one in exactly one attribute: its near-twins.
    pub fn near_twins(self) -> Vec<Self> {
        let differs = |other: &Self| {
            let changes = [
                self.side != other.side,
                self.lobe != other.lobe,
                self.size != other.size,
            ];
            self.kind == other.kind && changes.iter().filter(|&&changed| changed).count() == 1
        };
        Self::all().into_iter().filter(differs).collect()
    }
}

/// A finding as written, before its attributes are checked.
#[derive(Serialize, Deserialize)]
struct AnyFinding {
    kind: FindingKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    side: Option<Side>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lobe: Option<Lobe>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<Size>,
}

impl TryFrom<AnyFinding> for PhantomFinding {
    type Error = &'static str;

    fn try_from(raw: AnyFinding) -> Result<Self, Self::Error> {
        PhantomFinding::new(raw.kind, raw.side, raw.lobe, raw.size)
            .ok_or("a finding whose attributes do not belong to its kind")
    }
}

impl From<PhantomFinding> for AnyFinding {
    fn from(finding: PhantomFinding) -> Self {
        let PhantomFinding {
            kind,
            side,
            lobe,
            size,
        } = finding;
        AnyFinding {
            kind,
            side,
            lobe,
            size,
        }
    }
}

/// The truth of a study: its findings, sorted, at most one of a kind per side and lobe.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "BTreeSet<PhantomFinding>", into = "BTreeSet<PhantomFinding>")]
pub struct PhantomFindings {
    findings: BTreeSet<PhantomFinding>,
}

impl PhantomFindings {
    /// No finding: a normal film.
    pub fn normal() -> Self {
        Self::default()
    }

    /// Adds `finding`; `false`, and nothing happens, if one of its kind is already at its place
    /// (the same effusion cannot be both small and large).
    pub fn insert(&mut self, finding: PhantomFinding) -> bool {
        let place = |f: &PhantomFinding| (f.kind, f.side, f.lobe);
        let free = self
            .findings
            .iter()
            .all(|known| place(known) != place(&finding));
        free && self.findings.insert(finding)
    }

    /// The same findings with `from` exchanged for `to`. `None` if `from` is absent, or if another finding
    /// of the kind of `to` is already at its place.
    pub fn replaced(&self, from: PhantomFinding, to: PhantomFinding) -> Option<Self> {
        let mut changed = self.clone();
        (changed.findings.remove(&from) && changed.insert(to)).then_some(changed)
    }

    /// The findings, sorted.
    pub fn iter(&self) -> impl Iterator<Item = PhantomFinding> + '_ {
        self.findings.iter().copied()
    }

    /// The findings of one kind, sorted.
    pub fn of(&self, kind: FindingKind) -> impl Iterator<Item = PhantomFinding> + '_ {
        self.iter().filter(move |finding| finding.kind == kind)
    }

    /// Whether any finding is of this kind.
    pub fn has(&self, kind: FindingKind) -> bool {
        self.of(kind).next().is_some()
    }

    /// Whether exactly this finding is there.
    pub fn contains(&self, finding: PhantomFinding) -> bool {
        self.findings.contains(&finding)
    }

    /// Number of findings.
    pub fn len(&self) -> usize {
        self.findings.len()
    }

    /// Whether the film is normal.
    pub fn is_empty(&self) -> bool {
        self.findings.is_empty()
    }
}

impl From<BTreeSet<PhantomFinding>> for PhantomFindings {
    fn from(findings: BTreeSet<PhantomFinding>) -> Self {
        findings.into_iter().collect()
    }
}

impl From<PhantomFindings> for BTreeSet<PhantomFinding> {
    fn from(findings: PhantomFindings) -> Self {
        findings.findings
    }
}

/// Keeps the first of several findings of the same kind at the same place.
impl FromIterator<PhantomFinding> for PhantomFindings {
    fn from_iter<I: IntoIterator<Item = PhantomFinding>>(findings: I) -> Self {
        let mut collected = Self::default();
        collected.extend(findings);
        collected
    }
}

/// Keeps the first of several findings of the same kind at the same place.
impl Extend<PhantomFinding> for PhantomFindings {
    fn extend<I: IntoIterator<Item = PhantomFinding>>(&mut self, findings: I) {
        for finding in findings {
            self.insert(finding);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_34_findings_and_json_keeps_them() {
        let all = PhantomFinding::all();
        assert_eq!(all.len(), 34);
        assert!(all.is_sorted());
        let findings: PhantomFindings = all.into_iter().collect();
        let json = serde_json::to_string(&findings).unwrap();
        assert_eq!(
            serde_json::from_str::<PhantomFindings>(&json).unwrap(),
            findings
        );
    }

    #[test]
    fn impossible_findings_are_refused() {
        use FindingKind::{Edema, Effusion, Nodule};
        assert!(PhantomFinding::new(Effusion, Some(Side::Left), None, None).is_none());
        assert!(PhantomFinding::new(Edema, Some(Side::Left), None, None).is_none());
        assert!(PhantomFinding::new(Nodule, Some(Side::Left), Some(Lobe::Middle), None).is_none());
        let json = r#"[{"kind":"nodule","side":"left","lobe":"middle"}]"#;
        assert!(serde_json::from_str::<PhantomFindings>(json).is_err());
    }

    #[test]
    fn one_place_holds_one_size() {
        let effusion =
            |size| PhantomFinding::new(FindingKind::Effusion, Some(Side::Left), None, Some(size));
        let (small, large) = (
            effusion(Size::Small).unwrap(),
            effusion(Size::Large).unwrap(),
        );
        let mut findings = PhantomFindings::normal();
        assert!(findings.insert(small) && !findings.insert(large));
        assert!(small.near_twins().contains(&large));
        assert_eq!(findings.replaced(small, large).unwrap().len(), 1);
    }
}
