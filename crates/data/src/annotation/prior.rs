//! The previous study of an annotation's entry.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::entry::{
    AnnotationEntry, one_or_many, optional_text_or_number, projections_of, text_or_number,
};
use crate::context::{PriorStudy, Projection};
use crate::error::DataError;
use crate::study::Split;

/// The patient's previous study, as an entry of `annotation.json` brings it. This library's own key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriorEntry {
    /// Identifier.
    #[serde(deserialize_with = "text_or_number")]
    pub id: String,
    /// Patient; must be that of the entry.
    #[serde(
        default,
        deserialize_with = "optional_text_or_number",
        skip_serializing_if = "Option::is_none"
    )]
    pub subject_id: Option<String>,
    /// Image files, relative to the images folder.
    #[serde(
        default,
        deserialize_with = "one_or_many",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub image_path: Vec<String>,
    /// Projection of each image, by MIMIC-CXR's or Open-i's names.
    #[serde(
        default,
        deserialize_with = "one_or_many",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub view_position: Vec<String>,
    /// Report text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<String>,
    /// Days from it to the study, 0 or more.
    pub interval_days: i64,
}

impl PriorEntry {
    /// The entry of a previous study whose image paths are relative already.
    pub(super) fn of_prior(prior: &PriorStudy, patient: &str, image_path: Vec<String>) -> Self {
        PriorEntry {
            id: prior.id.clone(),
            subject_id: Some(patient.to_owned()),
            image_path,
            view_position: names(&prior.projections),
            report: prior.report.clone(),
            interval_days: i64::from(prior.interval_days),
        }
    }

    /// The previous study of `entry`, its image paths resolved by `resolve`. `path` names the annotation in errors.
    pub(super) fn prior(
        &self,
        entry: &AnnotationEntry,
        path: &Path,
        resolve: impl Fn(&str) -> Result<PathBuf, DataError>,
    ) -> Result<PriorStudy, DataError> {
        let bad = |reason: String| DataError::BadPrior {
            path: path.to_owned(),
            study: entry.id.clone(),
            prior: self.id.clone(),
            reason,
        };
        let patient = entry.patient();
        if let Some(other) = &self.subject_id
            && *other != patient
        {
            return Err(self.foreign(entry, path, other));
        }
        if self.id == entry.id {
            return Err(bad("it is the study itself".to_owned()));
        }
        let report = self.report.clone().filter(|report| !report.is_empty());
        if self.image_path.is_empty() && report.is_none() {
            return Err(bad(
                "it has neither a film (image_path) nor a report".to_owned()
            ));
        }
        let days = self.interval_days;
        Ok(PriorStudy {
            id: self.id.clone(),
            images: self
                .image_path
                .iter()
                .map(|image| resolve(image))
                .collect::<Result<_, _>>()?,
            projections: projections_of(&self.view_position, self.image_path.len()).map_err(bad)?,
            report,
            interval_days: u32::try_from(days).map_err(|_| {
                bad(format!(
                    "interval_days is {days}: the previous study must not be later than the study, nor 2³² days earlier"
                ))
            })?,
        })
    }

    fn foreign(&self, entry: &AnnotationEntry, path: &Path, other: &str) -> DataError {
        DataError::ForeignPrior {
            path: path.to_owned(),
            study: entry.id.clone(),
            prior: self.id.clone(),
            patients: Box::new([entry.patient(), other.to_owned()]),
        }
    }
}

/// Names of projections for an annotation.
pub(super) fn names(projections: &[Projection]) -> Vec<String> {
    let names = projections.iter().map(|it| it.name().to_owned());
    names.collect()
}

/// Patient and split of every entry that previous studies can be compared with.
pub(super) struct Registry<'a>(HashMap<&'a str, (String, Split)>);

impl<'a> Registry<'a> {
    /// Of the entries of all splits; empty where no entry has a previous study.
    pub(super) fn of(lists: &[(Split, &'a Vec<AnnotationEntry>)]) -> Self {
        let mut entries = lists.iter().flat_map(|(_, entries)| entries.iter());
        if entries.all(|entry| entry.prior.is_none()) {
            return Registry(HashMap::new());
        }
        let entries = lists
            .iter()
            .flat_map(|(split, entries)| entries.iter().map(|entry| (*split, entry)));
        let known = entries.map(|(split, entry)| (entry.id.as_str(), (entry.patient(), split)));
        Registry(known.collect())
    }

    /// Checks that the previous study of an entry, if it is an entry itself, is of the same patient and split.
    pub(super) fn check(
        &self,
        entry: &AnnotationEntry,
        split: Split,
        path: &Path,
    ) -> Result<(), DataError> {
        let Some(prior) = &entry.prior else {
            return Ok(());
        };
        match self.0.get(prior.id.as_str()) {
            Some((patient, _)) if *patient != entry.patient() => {
                Err(prior.foreign(entry, path, patient))
            }
            Some((_, other)) if *other != split => Err(DataError::BadPrior {
                path: path.to_owned(),
                study: entry.id.clone(),
                prior: prior.id.clone(),
                reason: format!(
                    "it is in the split {} and the study in {}: all studies of a patient belong to one split",
                    other.name(),
                    split.name()
                ),
            }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Annotation;
    use crate::context::Projection;
    use crate::error::DataError;
    use crate::study::Study;
    use std::path::Path;

    fn read(study: &str, others: &str) -> Result<Vec<Study>, DataError> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("annotation.json");
        let json = format!(
            "{{\"train\":[{{\"id\":\"s2\",\"subject_id\":7,\"report\":\"Larger.\",\"image_path\":[\"a.png\",\"b.png\"],\
             \"split\":\"train\",{study}}}{others}],\"val\":[],\"test\":[]}}"
        );
        std::fs::write(&path, json).expect("written");
        Annotation::read(&path)?.studies(&path, Path::new("/images"))
    }

    const PRIOR: &str = "\"prior\":{\"id\":\"s1\",\"subject_id\":\"7\",\"image_path\":\"c.png\",\"view_position\":\"AP\",\
         \"report\":\"Small.\",\"interval_days\":12}";

    #[test]
    fn context_is_read_and_written_again() {
        let extra = format!(
            "\"view_position\":[\"PA\",\"LL\"],\"indication\":\"Cough.\",\"comparison\":\"___\",{PRIOR}"
        );
        let studies = read(&extra, "").expect("sound");
        let context = &studies[0].context;
        assert_eq!(
            context.projections,
            [Projection::PosteroAnterior, Projection::Lateral]
        );
        assert_eq!(context.indication.as_deref(), Some("Cough."));
        assert_eq!(context.comparison, None);
        let prior = context.prior.as_ref().expect("it has one");
        assert_eq!((prior.id.as_str(), prior.interval_days), ("s1", 12));
        assert_eq!(prior.images, [Path::new("/images/c.png")]);
        assert_eq!(prior.projections, [Projection::AnteroPosterior]);
        let path = Path::new("annotation.json");
        let annotation = Annotation::from_studies(&studies, path, Path::new("/images"));
        let again = annotation
            .expect("below")
            .studies(path, Path::new("/images"));
        assert_eq!(again.expect("sound"), studies);
    }

    #[test]
    fn a_prior_of_another_patient_is_refused_and_both_are_named() {
        let foreign = PRIOR.replace("\"subject_id\":\"7\"", "\"subject_id\":\"8\"");
        let unsaid = PRIOR.replace("\"subject_id\":\"7\",", "");
        let entry = |patient: u32, split: &str| {
            format!(
                ",{{\"id\":\"s1\",\"subject_id\":{patient},\"report\":\"Small.\",\"image_path\":\"c.png\",\
                 \"split\":\"{split}\"}}"
            )
        };
        for (study, others) in [(foreign, String::new()), (unsaid, entry(8, "train"))] {
            let error = read(&study, &others).expect_err("of patient 8");
            assert!(matches!(error, DataError::ForeignPrior { .. }), "{error}");
            let error = error.to_string();
            for part in ["study s2 of patient 7", "study s1 of patient 8"] {
                assert!(error.contains(part), "{error}");
            }
        }
        read(PRIOR, &entry(7, "train")).expect("the patient's own");
    }

    #[test]
    fn a_prior_that_cannot_be_one_says_why() {
        for (from, to, reason) in [
            ("\"interval_days\":12", "\"interval_days\":-1", "-1"),
            ("\"id\":\"s1\"", "\"id\":\"s2\"", "the study itself"),
            (
                "\"view_position\":\"AP\"",
                "\"view_position\":[\"AP\",\"PA\"]",
                "view_position",
            ),
            (
                "\"image_path\":\"c.png\",\"view_position\":\"AP\",\"report\":\"Small.\"",
                "\"report\":\"\"",
                "neither a film",
            ),
        ] {
            assert!(PRIOR.contains(from), "{from}");
            let error = read(&PRIOR.replace(from, to), "")
                .expect_err(to)
                .to_string();
            assert!(error.contains(reason) && error.contains("s2"), "{error}");
        }
    }

    #[test]
    fn a_prior_of_another_split_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("annotation.json");
        let entry = |id: &str, split: &str, more: &str| {
            format!(
                "{{\"id\":\"{id}\",\"subject_id\":7,\"report\":\"r\",\"image_path\":\"a.png\",\"split\":\"{split}\"{more}}}"
            )
        };
        let json = format!(
            "{{\"train\":[{}],\"val\":[],\"test\":[{}]}}",
            entry("s1", "train", ""),
            entry("s2", "test", &format!(",{PRIOR}"))
        );
        std::fs::write(&path, json).expect("written");
        let annotation = Annotation::read(&path).expect("well formed");
        let error = annotation.studies(&path, Path::new("/images"));
        let error = error.expect_err("split train").to_string();
        assert!(
            error.contains("split train") && error.contains("s1"),
            "{error}"
        );
    }
}
