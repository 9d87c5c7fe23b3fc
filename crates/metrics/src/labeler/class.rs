//! The 14 classes and the statuses that a report can give them.

use serde::{Deserialize, Serialize};

/// The 14 observation classes of CheXpert (Irvin et al., 2019), in its column order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingClass {
    /// No class but, possibly, support devices. It is derived from the other classes, not from words.
    NoFinding,
    /// Widened mediastinum or enlarged cardiomediastinal silhouette.
    EnlargedCardiomediastinum,
    /// Enlarged heart.
    Cardiomegaly,
    /// Opacity of the lung of any cause, named as such.
    LungOpacity,
    /// Nodule, mass, tumour.
    LungLesion,
    /// Pulmonary oedema or congestion, heart failure.
    Edema,
    /// Consolidation, named as such.
    Consolidation,
    /// Pneumonia, infection.
    Pneumonia,
    /// Atelectasis, collapse.
    Atelectasis,
    /// Air in the pleural space.
    Pneumothorax,
    /// Fluid in the pleural space.
    PleuralEffusion,
    /// Pleural thickening, plaque, scar.
    PleuralOther,
    /// Fracture of any bone.
    Fracture,
    /// Lines, tubes, pacemakers, valves.
    SupportDevices,
}

impl FindingClass {
    /// Number of classes.
    pub const COUNT: usize = 14;

    /// The five classes most papers average over.
    pub const FIVE: [Self; 5] = [
        Self::Cardiomegaly,
        Self::Edema,
        Self::Consolidation,
        Self::Atelectasis,
        Self::PleuralEffusion,
    ];

    /// The 13 abnormal classes: all but [`NoFinding`](Self::NoFinding), which "normal" for every study scores well on.
    pub const ABNORMAL: [Self; Self::COUNT - 1] = [
        Self::EnlargedCardiomediastinum,
        Self::Cardiomegaly,
        Self::LungOpacity,
        Self::LungLesion,
        Self::Edema,
        Self::Consolidation,
        Self::Pneumonia,
        Self::Atelectasis,
        Self::Pneumothorax,
        Self::PleuralEffusion,
        Self::PleuralOther,
        Self::Fracture,
        Self::SupportDevices,
    ];

    const ALL: [Self; Self::COUNT] = [
        Self::NoFinding,
        Self::EnlargedCardiomediastinum,
        Self::Cardiomegaly,
        Self::LungOpacity,
        Self::LungLesion,
        Self::Edema,
        Self::Consolidation,
        Self::Pneumonia,
        Self::Atelectasis,
        Self::Pneumothorax,
        Self::PleuralEffusion,
        Self::PleuralOther,
        Self::Fracture,
        Self::SupportDevices,
    ];

    /// All classes, in CheXpert's column order.
    pub const fn all() -> [Self; Self::COUNT] {
        Self::ALL
    }

    /// Position in [`all`](Self::all), below 14: the row in a table of counts.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The name as CheXpert's CSV files spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoFinding => "No Finding",
            Self::EnlargedCardiomediastinum => "Enlarged Cardiomediastinum",
            Self::Cardiomegaly => "Cardiomegaly",
            Self::LungOpacity => "Lung Opacity",
            Self::LungLesion => "Lung Lesion",
            Self::Edema => "Edema",
            Self::Consolidation => "Consolidation",
            Self::Pneumonia => "Pneumonia",
            Self::Atelectasis => "Atelectasis",
            Self::Pneumothorax => "Pneumothorax",
            Self::PleuralEffusion => "Pleural Effusion",
            Self::PleuralOther => "Pleural Other",
            Self::Fracture => "Fracture",
            Self::SupportDevices => "Support Devices",
        }
    }
}

/// Label of a class that a report mentions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It is there.
    Positive,
    /// It is not there.
    Negative,
    /// It may be there.
    Uncertain,
}

impl Status {
    /// For a sign that often, not always, means the finding: asserted, it is uncertain.
    pub(super) const fn at_most_uncertain(self) -> Self {
        match self {
            Self::Positive => Self::Uncertain,
            status => status,
        }
    }
}

/// What an uncertain class counts as in binary labels; results must say which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Uncertain {
    /// As present.
    AsPositive,
    /// As absent.
    AsNegative,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_follow_the_order() {
        for (position, class) in FindingClass::all().into_iter().enumerate() {
            assert_eq!(class.index(), position);
        }
        assert_eq!(FindingClass::ABNORMAL, FindingClass::all()[1..]);
    }
}
