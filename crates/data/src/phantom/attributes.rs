use serde::{Deserialize, Serialize};

/// The patient's side. On a frontal film the patient's right lies on the image's left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The patient's left: the image's right.
    Left,
    /// The patient's right: the image's left.
    Right,
}

impl Side {
    /// Both sides.
    pub const ALL: [Side; 2] = [Side::Left, Side::Right];

    /// The opposite side.
    pub fn other(self) -> Side {
        match self {
            Side::Left => Side::Right,
            Side::Right => Side::Left,
        }
    }

    /// `left` or `right`.
    pub fn word(self) -> &'static str {
        match self {
            Side::Left => "left",
            Side::Right => "right",
        }
    }
}

/// How large a finding is; of a heart, mildly, moderately or severely enlarged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Size {
    /// Small, or mild.
    Small,
    /// Moderate.
    Moderate,
    /// Large, or severe.
    Large,
}

impl Size {
    /// All sizes, growing.
    pub const ALL: [Size; 3] = [Size::Small, Size::Moderate, Size::Large];

    /// `small`, `moderate` or `large`.
    pub fn word(self) -> &'static str {
        match self {
            Size::Small => "small",
            Size::Moderate => "moderate",
            Size::Large => "large",
        }
    }
}

/// A lobe of a lung. Only the right lung has a middle one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lobe {
    /// Upper lobe.
    Upper,
    /// Middle lobe, of the right lung.
    Middle,
    /// Lower lobe.
    Lower,
}

impl Lobe {
    /// All lobes, from above.
    pub const ALL: [Lobe; 3] = [Lobe::Upper, Lobe::Middle, Lobe::Lower];

    /// `upper`, `middle` or `lower`.
    pub fn word(self) -> &'static str {
        match self {
            Lobe::Upper => "upper",
            Lobe::Middle => "middle",
            Lobe::Lower => "lower",
        }
    }
}
