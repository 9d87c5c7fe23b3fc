use serde::{Deserialize, Serialize};

/// CheXpert's fourteen findings, in the order of MIMIC-CXR-JPG's tables.
pub const CHEXPERT_LABELS: [&str; 14] = [
    "Atelectasis",
    "Cardiomegaly",
    "Consolidation",
    "Edema",
    "Enlarged Cardiomediastinum",
    "Fracture",
    "Lung Lesion",
    "Lung Opacity",
    "No Finding",
    "Pleural Effusion",
    "Pleural Other",
    "Pneumonia",
    "Pneumothorax",
    "Support Devices",
];

/// What a labeller read about one finding; an unmentioned one has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Label {
    /// 1: it is there.
    Positive,
    /// 0: it is said not to be there.
    Negative,
    /// -1: it may be there.
    Uncertain,
}

impl Label {
    /// `1`, `0` and `-1`, with or without decimals; a blank is no label.
    ///
    /// # Errors
    ///
    /// What is wrong with any other value, in words.
    pub(crate) fn parse(value: &str) -> Result<Option<Self>, String> {
        match value {
            "" => Ok(None),
            "1" | "1.0" => Ok(Some(Label::Positive)),
            "0" | "0.0" => Ok(Some(Label::Negative)),
            "-1" | "-1.0" => Ok(Some(Label::Uncertain)),
            other => Err(format!("label '{other}': expected 1, 0, -1 or a blank")),
        }
    }
}

/// Fourteen labels, in the order of [`CHEXPERT_LABELS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Labels(pub [Option<Label>; 14]);

impl Labels {
    /// The label of a finding called as in [`CHEXPERT_LABELS`]; `None` also for another name.
    pub fn get(&self, finding: &str) -> Option<Label> {
        let index = CHEXPERT_LABELS.iter().position(|name| *name == finding)?;
        self.0[index]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_numbers_with_or_without_decimals() {
        assert_eq!(Label::parse("1.0"), Ok(Some(Label::Positive)));
        assert_eq!(Label::parse("-1"), Ok(Some(Label::Uncertain)));
        assert_eq!(Label::parse(""), Ok(None));
        assert!(Label::parse("2").unwrap_err().contains("'2'"));
    }

    #[test]
    fn labels_are_found_by_name() {
        let mut labels = Labels::default();
        labels.0[13] = Some(Label::Negative);
        assert_eq!(labels.get("Support Devices"), Some(Label::Negative));
        assert_eq!(labels.get("Edema"), None);
    }
}
