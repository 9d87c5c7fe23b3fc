use std::collections::BTreeMap;

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

/// Status of a finding that a report mentions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Label {
    /// 1: present.
    Positive,
    /// 0: stated to be absent.
    Negative,
    /// -1: uncertain.
    Uncertain,
}

impl Label {
    fn number(self) -> i8 {
        match self {
            Label::Positive => 1,
            Label::Negative => 0,
            Label::Uncertain => -1,
        }
    }

    /// Parses `1`, `0` or `-1`; a decimal part of zeros may follow a point or a comma. A blank is `None`.
    ///
    /// # Errors
    ///
    /// A message for any other value.
    pub(crate) fn parse(value: &str) -> Result<Option<Self>, String> {
        let whole = match value.split_once(['.', ',']) {
            Some((whole, zeros)) if zeros.bytes().all(|byte| byte == b'0') => whole,
            _ => value,
        };
        match whole {
            "" if value.is_empty() => Ok(None),
            "1" => Ok(Some(Label::Positive)),
            "0" | "-0" => Ok(Some(Label::Negative)),
            "-1" => Ok(Some(Label::Uncertain)),
            _ => Err(format!("label '{value}': expected 1, 0, -1 or a blank")),
        }
    }
}

/// Fourteen labels, in the order of [`CHEXPERT_LABELS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Labels(pub [Option<Label>; 14]);

impl Labels {
    /// Labels by name, as 1, 0 and -1; unmentioned findings are absent.
    pub(crate) fn named(self) -> BTreeMap<String, i8> {
        CHEXPERT_LABELS
            .iter()
            .zip(self.0)
            .filter_map(|(name, label)| Some(((*name).to_owned(), label?.number())))
            .collect()
    }

    /// The inverse of [`named`](Self::named).
    ///
    /// # Errors
    ///
    /// A message with the unknown name or number.
    pub(crate) fn from_named(named: &BTreeMap<String, i8>) -> Result<Self, String> {
        let mut labels = Labels::default();
        for (name, number) in named {
            let place = CHEXPERT_LABELS
                .iter()
                .position(|known| known == name)
                .ok_or_else(|| format!("unknown label '{name}'"))?;
            labels.0[place] = Label::parse(&number.to_string())?;
        }
        Ok(labels)
    }

    /// The label of a finding by its name in [`CHEXPERT_LABELS`]; `None` also for an unknown name.
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
        assert_eq!(Label::parse("0,00"), Ok(Some(Label::Negative)));
        for value in ["2", "1.5", ".0", "yes"] {
            assert!(Label::parse(value).unwrap_err().contains(value));
        }
    }

    #[test]
    fn named_labels_are_read_again() {
        let mut labels = Labels::default();
        labels.0[0] = Some(Label::Uncertain);
        labels.0[13] = Some(Label::Negative);
        let named = labels.named();
        assert_eq!(named.len(), 2);
        assert_eq!(Labels::from_named(&named), Ok(labels));
        let unknown = BTreeMap::from([("Gout".to_owned(), 1)]);
        assert!(Labels::from_named(&unknown).unwrap_err().contains("Gout"));
    }

    #[test]
    fn labels_are_found_by_name() {
        let mut labels = Labels::default();
        labels.0[13] = Some(Label::Negative);
        assert_eq!(labels.get("Support Devices"), Some(Label::Negative));
        assert_eq!(labels.get("Edema"), None);
    }
}
