//! Open-i's studies by the parity of their uid.

use std::fmt;
use std::str::FromStr;

use ithn_checkpoint::config::ConfigError;
use ithn_data::Split;
use ithn_metrics::MetricsError;
use ithn_metrics::evaluation::open_i_uid;
use serde::{Deserialize, Serialize};

use super::Dataset;
use crate::error::TrainError;

/// Half of the Open-i collection, IU X-Ray's source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UidParity {
    /// 2, 4, …
    Even,
    /// 1, 3, …
    Odd,
}

impl UidParity {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            UidParity::Even => "even",
            UidParity::Odd => "odd",
        }
    }

    fn has(self, uid: u64) -> bool {
        uid.is_multiple_of(2) == (self == UidParity::Even)
    }
}

impl fmt::Display for UidParity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

impl FromStr for UidParity {
    type Err = ConfigError;

    fn from_str(name: &str) -> Result<Self, ConfigError> {
        [UidParity::Even, UidParity::Odd]
            .into_iter()
            .find(|parity| parity.name() == name)
            .ok_or_else(|| ConfigError::new("uids", format!("unknown '{name}': use even or odd")))
    }
}

impl Dataset {
    /// Keeps training and validation studies of one parity, and makes all studies of the other the test split.
    ///
    /// The rest, test studies of the parity that is trained on, is left out: nothing is trained on a study of the test
    /// split that the dataset came with.
    pub(super) fn restrict_training(&mut self, parity: UidParity) -> Result<(), TrainError> {
        let mut kept = Vec::with_capacity(self.studies.len());
        let mut left_out = 0;
        for mut study in std::mem::take(&mut self.studies) {
            let uid = open_i_uid(&study.id).ok_or_else(|| MetricsError::UnknownStudy {
                id: study.id.clone(),
            })?;
            match (parity.has(uid), study.split) {
                (true, Split::Test) => left_out += 1,
                (true, Split::Train | Split::Validation) => kept.push(study),
                (false, _) => {
                    study.split = Split::Test;
                    kept.push(study);
                }
            }
        }
        self.studies = kept;
        self.notes.push(format!(
            "trains on {parity} uids alone; studies of the other uids are the test split; left out: {left_out} test \
             studies of {parity} uid"
        ));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use ithn_checkpoint::card::DataKind;
    use ithn_data::Study;
    use ithn_inference::FindingsReader;

    use super::*;

    fn dataset(ids: &[(&str, Split)]) -> Dataset {
        let study = |&(id, split): &(&str, Split)| Study {
            id: id.to_owned(),
            patient: id.to_owned(),
            images: vec![PathBuf::from("film.png")],
            report: "lungs are clear .".to_owned(),
            split,
            labels: None,
            negative: None,
            context: Default::default(),
        };
        Dataset {
            path: PathBuf::from("annotation.json"),
            studies: ids.iter().map(study).collect(),
            findings: FindingsReader::Rules14,
            notes: Vec::new(),
            warnings: Vec::new(),
            kind: DataKind::Annotation,
        }
    }

    #[test]
    fn the_other_parity_becomes_the_test_split_and_no_test_study_is_trained_on() {
        let ids = [
            ("CXR2_IM-1", Split::Train),
            ("CXR3_IM-2", Split::Train),
            ("CXR4_IM-3", Split::Validation),
            ("CXR5_IM-4", Split::Validation),
            ("CXR6_IM-5", Split::Test),
            ("CXR7_IM-6", Split::Test),
        ];
        for (parity, expected) in [
            (
                UidParity::Even,
                [
                    ("CXR2_IM-1", Split::Train),
                    ("CXR3_IM-2", Split::Test),
                    ("CXR4_IM-3", Split::Validation),
                    ("CXR5_IM-4", Split::Test),
                    ("CXR7_IM-6", Split::Test),
                ],
            ),
            (
                UidParity::Odd,
                [
                    ("CXR2_IM-1", Split::Test),
                    ("CXR3_IM-2", Split::Train),
                    ("CXR4_IM-3", Split::Test),
                    ("CXR5_IM-4", Split::Validation),
                    ("CXR6_IM-5", Split::Test),
                ],
            ),
        ] {
            let mut dataset = dataset(&ids);
            dataset.restrict_training(parity).expect("uids");
            let found: Vec<(&str, Split)> = dataset
                .studies
                .iter()
                .map(|study| (study.id.as_str(), study.split))
                .collect();
            assert_eq!(found, expected);
            assert!(dataset.notes[0].contains(parity.name()));
            assert_eq!(parity.name().parse(), Ok(parity));
        }
        assert!("both".parse::<UidParity>().is_err());
    }

    #[test]
    fn an_id_without_a_uid_is_named() {
        let mut dataset = dataset(&[("p10/s1", Split::Train)]);
        let error = dataset.restrict_training(UidParity::Even).unwrap_err();
        assert!(error.to_string().contains("'p10/s1'"), "{error}");
    }
}
