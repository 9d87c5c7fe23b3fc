use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize};

mod entry;
mod lists;
mod prior;
mod rexrank;
mod views;

pub use entry::AnnotationEntry;
pub(crate) use entry::resolve_below;
pub use prior::PriorEntry;
pub(crate) use rexrank::rexrank_input;
pub use rexrank::{RexrankContext, RexrankStudy};
pub use views::Views;

use crate::error::{DataError, json_reason};
use crate::exclusion::{ExclusionReason, Exclusions, OnBadStudy};
use crate::replace::replace_file;
use crate::study::{Split, Study};
use lists::SplitLists;
use prior::Registry;

/// Studies of R2Gen's `annotation.json`, image paths resolved below `images` and all views kept.
///
/// # Errors
///
/// As [`Annotation::read`] and [`Annotation::studies`].
pub fn read_annotation(file: &Path, images: &Path) -> Result<Vec<Study>, DataError> {
    Annotation::read(file)?.studies(file, images)
}

/// The three lists of R2Gen's `annotation.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Annotation {
    /// Training studies.
    pub train: Vec<AnnotationEntry>,
    /// Validation studies.
    pub val: Vec<AnnotationEntry>,
    /// Test studies.
    pub test: Vec<AnnotationEntry>,
}

impl Annotation {
    /// Reads an annotation file, an entry at a time; a byte order mark and unknown keys are accepted.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or an entry lacks a key: the split, the place in it and the key
    /// are named.
    pub fn read(path: &Path) -> Result<Self, DataError> {
        let file = File::open(path).map_err(DataError::io("cannot read annotation", path))?;
        let mut file = BufReader::new(file);
        let start = file
            .fill_buf()
            .map_err(DataError::io("cannot read annotation", path))?;
        if start.starts_with(b"\xEF\xBB\xBF") {
            file.consume(3);
        }
        let failed = |reason: String| DataError::Json {
            path: path.to_owned(),
            reason,
        };
        let mut json = serde_json::Deserializer::from_reader(file);
        let lists = json
            .deserialize_map(SplitLists)
            .map_err(|error| failed(json_reason(&error)))?;
        json.end().map_err(|error| failed(json_reason(&error)))?;
        let list = |name: &str, entries: Option<Vec<AnnotationEntry>>| {
            entries.ok_or_else(|| failed(format!("no list '{name}' at the top level")))
        };
        let [train, val, test] = lists;
        Ok(Annotation {
            train: list("train", train)?,
            val: list("val", val)?,
            test: list("test", test)?,
        })
    }

    /// The annotation of some studies, their image paths relative to `images`, first negatives
    /// and labels included.
    ///
    /// # Errors
    ///
    /// [`DataError::EscapingPath`] if an image does not lie below `images`; `path` names the
    /// annotation in it.
    pub fn from_studies(studies: &[Study], path: &Path, images: &Path) -> Result<Self, DataError> {
        let mut annotation = Annotation::default();
        for study in studies {
            let entry = AnnotationEntry::of_study(study, path, images)?;
            match study.split {
                Split::Train => annotation.train.push(entry),
                Split::Validation => annotation.val.push(entry),
                Split::Test => annotation.test.push(entry),
            }
        }
        Ok(annotation)
    }

    /// Writes the annotation as JSON; the file is replaced only once all of it is written.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), DataError> {
        let text = serde_json::to_string(self).map_err(|error| DataError::Json {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
        replace_file(path, |file| file.write_all(text.as_bytes()))
    }

    /// Its studies, image paths resolved below `images`.
    ///
    /// `path` names the annotation in errors.
    ///
    /// # Errors
    ///
    /// If an image path leaves `images`, an entry has no image, or an id occurs twice;
    /// [`DataError::ForeignPrior`] if a previous study is of another patient, [`DataError::BadPrior`] if it is later, of
    /// another split, or empty.
    pub fn studies(&self, path: &Path, images: &Path) -> Result<Vec<Study>, DataError> {
        self.studies_or(path, images, &mut Exclusions::new(OnBadStudy::Stop))
    }

    /// As [`studies`](Self::studies), with broken entries meeting the policy of `exclusions`.
    ///
    /// # Errors
    ///
    /// As [`studies`](Self::studies), unless such entries are skipped.
    pub fn studies_or(
        &self,
        path: &Path,
        images: &Path,
        exclusions: &mut Exclusions,
    ) -> Result<Vec<Study>, DataError> {
        let mut seen = HashSet::new();
        let mut studies = Vec::new();
        let lists = [
            (Split::Train, &self.train),
            (Split::Validation, &self.val),
            (Split::Test, &self.test),
        ];
        let registry = Registry::of(&lists);
        for (split, entries) in lists {
            for entry in entries {
                let study = match seen.insert(&entry.id) {
                    true => registry
                        .check(entry, split, path)
                        .and_then(|()| entry.study(split, path, images)),
                    false => Err(DataError::Json {
                        path: path.to_owned(),
                        reason: format!("{}: the id {} occurs twice", split.name(), entry.id),
                    }),
                };
                match study {
                    Ok(study) => studies.push(study),
                    Err(error) => {
                        exclusions.broken(&entry.id, ExclusionReason::BadRow, error)?;
                    }
                }
            }
        }
        Ok(studies)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;
    use crate::study::NegativeStudy;

    fn read(json: &str) -> Result<Vec<Study>, DataError> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("annotation.json");
        fs::write(&path, json).expect("written");
        Annotation::read(&path)?.studies(&path, Path::new("/images"))
    }

    #[test]
    fn studies_carry_their_split_patient_and_paths() {
        let studies = read(
            "\u{feff}{\"train\":[{\"id\":\"CXR7_IM-1\",\"report\":\"r\",\"image_path\":[\"a/0.png\"],\
             \"split\":\"train\",\"neg_report\":[\"n\"],\"neg_image_path\":[\"b.png\"],\"more\":1}],\
             \"val\":[{\"id\":9,\"report\":\"r\",\"image_path\":[\"c.png\"],\"split\":\"val\",\
             \"subject_id\":5}],\"test\":[]}",
        )
        .expect("well formed");
        assert_eq!(studies[0].patient, "CXR7");
        assert_eq!(studies[0].images, [PathBuf::from("/images/a/0.png")]);
        let negative = studies[0].negative.as_ref().expect("it brings one");
        assert_eq!(negative.images, [PathBuf::from("/images/b.png")]);
        assert_eq!(
            (studies[1].patient.as_str(), studies[1].id.as_str()),
            ("5", "9")
        );
        assert_eq!(studies[1].split, Split::Validation);
    }

    #[test]
    fn what_is_written_is_read_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("annotation.json");
        let images = Path::new("/images");
        let study = |id: &str, split, negative| Study {
            id: id.to_owned(),
            patient: format!("p{id}"),
            images: vec![images.join("a/0.png"), images.join("a/1.png")],
            report: "No \"effusion\".\nClear.".to_owned(),
            split,
            labels: None,
            negative,
            context: Default::default(),
        };
        let negative = NegativeStudy {
            report: "Effusion.".to_owned(),
            images: vec![images.join("b/0.png"), images.join("b/1.png")],
        };
        let mut studies = vec![
            study("1", Split::Train, Some(negative)),
            study("2", Split::Validation, None),
            study("3", Split::Test, None),
        ];
        let annotation = Annotation::from_studies(&studies, &path, images).expect("below");
        annotation.write(&path).expect("writable");
        assert_eq!(read_annotation(&path, images).expect("readable"), studies);
        let elsewhere = Annotation::from_studies(&studies, &path, Path::new("/other"));
        assert!(matches!(elsewhere, Err(DataError::EscapingPath { .. })));

        Views::One(1).select(&mut studies[0]);
        assert_eq!(studies[0].images, [images.join("a/1.png")]);
        let negative = studies[0].negative.as_ref().expect("it has one");
        assert_eq!(negative.images, [images.join("b/1.png")]);
        Views::First.select(&mut studies[1]);
        assert_eq!(studies[1].images, [images.join("a/0.png")]);
    }

    #[test]
    fn half_a_negative_is_an_error() {
        let error = read(
            "{\"train\":[{\"id\":\"s\",\"report\":\"r\",\"image_path\":\"x.png\",\
             \"split\":\"train\",\"neg_report\":[\"n\"]}],\"val\":[],\"test\":[]}",
        )
        .unwrap_err()
        .to_string();
        assert!(
            error.contains("train: study s") && error.contains("give both"),
            "{error}"
        );
    }

    #[test]
    fn a_missing_key_names_its_entry() {
        let error = read("{\"train\":[{\"id\":\"s1\",\"image_path\":[]}],\"val\":[],\"test\":[]}")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("train[0] (\"s1\")") && error.contains("report"),
            "{error}"
        );
    }

    #[test]
    fn r2gens_ids_tell_their_patient() {
        for (id, patient) in [
            ("CXR2384_IM-0942", "CXR2384"),
            ("CXR2372_IM-0933-0001", "CXR2372"),
            ("CXR1_1_IM-0001", "CXR1"),
            ("CXR9", "CXR9"),
            ("CXRX_IM-0001", "CXRX_IM-0001"),
            ("s50414267", "s50414267"),
        ] {
            let entry = format!(
                "{{\"train\":[{{\"id\":\"{id}\",\"report\":\"r\",\"image_path\":\"x.png\",\
                 \"split\":\"train\"}}],\"val\":[],\"test\":[]}}"
            );
            assert_eq!(
                read(&entry).expect("well formed")[0].patient,
                patient,
                "{id}"
            );
        }
    }

    #[test]
    fn a_report_that_pandas_lost_is_named() {
        let error = read(
            "{\"train\":[{\"id\":\"s\",\"report\":\"nan\",\"image_path\":\"x.png\",\
             \"split\":\"train\"}],\"val\":[],\"test\":[]}",
        )
        .unwrap_err()
        .to_string();
        assert!(
            error.contains("train: study s") && error.contains("'nan'"),
            "{error}"
        );
    }

    #[test]
    fn a_missing_split_is_named() {
        let error = read("{\"train\":[],\"val\":[]}").unwrap_err().to_string();
        assert!(error.contains("no list 'test'"), "{error}");
    }

    #[test]
    fn a_path_may_not_leave_the_images_folder() {
        for image in ["../x.png", "/etc/passwd"] {
            let error = read(&format!(
                "{{\"train\":[{{\"id\":\"s\",\"report\":\"r\",\"image_path\":[\"{image}\"],\
                 \"split\":\"train\"}}],\"val\":[],\"test\":[]}}"
            ))
            .unwrap_err()
            .to_string();
            assert!(error.contains("leaves the images folder"), "{error}");
        }
    }
}
