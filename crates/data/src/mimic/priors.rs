//! The previous study of every study of MIMIC-CXR.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::index::IndexedStudy;
use super::moment::Moment;

/// A patient's previous study.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Previous {
    /// Its id, without `s`.
    pub id: String,
    /// Days from it to the study.
    pub interval_days: u32,
}

/// Studies that have no previous study although their patient has others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LeftOutPriors {
    /// Studies without a date or a time, which are nobody's previous study either.
    pub without_date: usize,
    /// Studies whose patient's previous study is in another split.
    pub other_split: usize,
}

impl LeftOutPriors {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        *self == LeftOutPriors::default()
    }
}

/// Finds the latest earlier study of each study's patient. Studies of one moment have the same one, that of the
/// greatest id if several were taken at once; it is never of another split.
pub(super) fn previous_studies(studies: &mut BTreeMap<String, IndexedStudy>) -> LeftOutPriors {
    let mut left_out = LeftOutPriors::default();
    let mut patients: HashMap<&str, Vec<(Moment, &String)>> = HashMap::new();
    for (id, study) in &*studies {
        match study.moment {
            Some(moment) => patients
                .entry(&study.subject)
                .or_default()
                .push((moment, id)),
            None => left_out.without_date += 1,
        }
    }
    let mut found: Vec<(String, Previous)> = Vec::new();
    for history in patients.values_mut() {
        history.sort();
        for &(moment, id) in &*history {
            let earlier = history.iter().rev().find(|(other, _)| *other < moment);
            let Some(&(before, prior)) = earlier else {
                continue;
            };
            if studies[prior].split != studies[id].split {
                left_out.other_split += 1;
                continue;
            }
            let previous = Previous {
                id: prior.clone(),
                interval_days: moment.days_since(before),
            };
            found.push((id.clone(), previous));
        }
    }
    for (id, previous) in found {
        if let Some(study) = studies.get_mut(&id) {
            study.previous = Some(previous);
        }
    }
    left_out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::Split;

    fn study(subject: &str, date: &str, time: &str, split: Split) -> IndexedStudy {
        IndexedStudy {
            subject: subject.to_owned(),
            split,
            images: Vec::new(),
            moment: Moment::parse(date, time).expect("well formed"),
            previous: None,
        }
    }

    #[test]
    fn studies_of_one_moment_share_one_prior_and_none_is_later_or_of_another_split() {
        let train = |date, time| study("1", date, time, Split::Train);
        let mut studies: BTreeMap<String, IndexedStudy> = [
            ("1", train("21800101", "120000")),
            ("2", train("21800101", "120000")),
            ("3", train("21800103", "80000")),
            ("4", train("21800103", "80000")),
            ("5", train("21800103", "80001")),
            ("6", train("", "")),
            ("7", study("2", "21790101", "0", Split::Train)),
            ("8", study("2", "21800101", "0", Split::Test)),
            ("9", study("3", "21700101", "0", Split::Train)),
        ]
        .map(|(id, study)| (id.to_owned(), study))
        .into();
        let left_out = previous_studies(&mut studies);
        let found: Vec<Option<(&str, u32)>> = studies
            .values()
            .map(|study| {
                let previous = study.previous.as_ref()?;
                Some((previous.id.as_str(), previous.interval_days))
            })
            .collect();
        let after_two = Some(("2", 2));
        let expected = [
            None,
            None,
            after_two,
            after_two,
            Some(("4", 0)),
            None,
            None,
            None,
            None,
        ];
        assert_eq!(found, expected);
        assert_eq!(
            left_out,
            LeftOutPriors {
                without_date: 1,
                other_split: 1
            }
        );
    }
}
