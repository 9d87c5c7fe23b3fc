use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Component, Path, PathBuf};

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::error::DataError;
use crate::exclusion::{ExclusionReason, Exclusions, OnBadStudy};
use crate::labels::Labels;
use crate::study::{NegativeStudy, Split, Study};

/// Studies of R2Gen's `annotation.json`, image paths resolved below `images` and all views kept.
///
/// # Errors
///
/// As [`Annotation::read`] and [`Annotation::studies`].
pub fn read_annotation(file: &Path, images: &Path) -> Result<Vec<Study>, DataError> {
    Annotation::read(file)?.studies(file, images)
}

/// Which of a study's images are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Views {
    /// Every one.
    #[default]
    All,
    /// The first.
    First,
    /// The one at this place, counted from 0; a study with fewer images keeps its last.
    One(usize),
}

impl Views {
    /// Drops the images of a study, and of its negative, that are not wanted.
    pub fn select(self, study: &mut Study) {
        let place = match self {
            Views::All => return,
            Views::First => 0,
            Views::One(place) => place,
        };
        let negative = study.negative.as_mut().map(|negative| &mut negative.images);
        for images in std::iter::once(&mut study.images).chain(negative) {
            let kept = place.min(images.len().saturating_sub(1));
            let image = std::mem::take(images).into_iter().nth(kept);
            images.extend(image);
        }
    }
}

/// An entry of R2Gen's `annotation.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnnotationEntry {
    /// Identifier.
    #[serde(deserialize_with = "text_or_number")]
    pub id: String,
    /// Report text.
    pub report: String,
    /// Image files, relative to the images folder.
    #[serde(deserialize_with = "one_or_many")]
    pub image_path: Vec<String>,
    /// `train`, `val` or `test`.
    pub split: String,
    /// Patient, in MIMIC-CXR annotations.
    #[serde(
        default,
        deserialize_with = "optional_text_or_number",
        skip_serializing_if = "Option::is_none"
    )]
    pub subject_id: Option<String>,
    /// Study, in MIMIC-CXR annotations.
    #[serde(
        default,
        deserialize_with = "optional_text_or_number",
        skip_serializing_if = "Option::is_none"
    )]
    pub study_id: Option<String>,
    /// CheXpert's findings by name, 1, 0 or -1; unmentioned ones are absent. This library's own key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, i8>,
    /// Reports of first negatives, closest first.
    #[serde(
        default,
        deserialize_with = "one_or_many",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub neg_report: Vec<String>,
    /// Images of first negatives, in the same order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub neg_image_path: Vec<Value>,
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
            .map_err(|error| failed(error.to_string()))?;
        json.end().map_err(|error| failed(error.to_string()))?;
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
        let partial = path.with_extension("json.partial");
        fs::write(&partial, text).map_err(DataError::io("cannot write", &partial))?;
        fs::rename(&partial, path).map_err(DataError::io("cannot write", path))
    }

    /// Its studies, image paths resolved below `images`.
    ///
    /// `path` names the annotation in errors.
    ///
    /// # Errors
    ///
    /// If an image path leaves `images`, an entry has no image, or an id occurs twice.
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
        for (split, entries) in [
            (Split::Train, &self.train),
            (Split::Validation, &self.val),
            (Split::Test, &self.test),
        ] {
            for entry in entries {
                let study = match seen.insert(&entry.id) {
                    true => entry.study(split, path, images),
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

impl AnnotationEntry {
    /// The entry of a study, its image paths relative to `images`.
    pub(crate) fn of_study(study: &Study, path: &Path, images: &Path) -> Result<Self, DataError> {
        let list = |paths: &[PathBuf]| -> Result<Vec<String>, DataError> {
            paths
                .iter()
                .map(|image| relative_to(images, image, path, &study.id))
                .collect()
        };
        Ok(AnnotationEntry {
            id: study.id.clone(),
            report: study.report.clone(),
            image_path: list(&study.images)?,
            split: study.split.name().to_owned(),
            subject_id: Some(study.patient.clone()),
            study_id: None,
            labels: study.labels.map(Labels::named).unwrap_or_default(),
            neg_report: study.negative.iter().map(|it| it.report.clone()).collect(),
            neg_image_path: match &study.negative {
                None => Vec::new(),
                Some(negative) => vec![Value::from(list(&negative.images)?)],
            },
        })
    }

    fn study(&self, split: Split, path: &Path, images: &Path) -> Result<Study, DataError> {
        let resolve = |image: &str| {
            resolve_below(images, image).ok_or_else(|| DataError::EscapingPath {
                path: path.to_owned(),
                study: self.id.clone(),
                image: image.to_owned(),
            })
        };
        if self.image_path.is_empty() {
            return Err(DataError::Json {
                path: path.to_owned(),
                reason: format!("{}: study {} has no image", split.name(), self.id),
            });
        }
        let negative = match (self.neg_report.first(), self.neg_image_path.first()) {
            (None, None) => None,
            (Some(report), Some(paths)) => Some(NegativeStudy {
                report: report.clone(),
                images: image_list(paths)
                    .filter(|paths| !paths.is_empty())
                    .ok_or_else(|| DataError::Json {
                        path: path.to_owned(),
                        reason: format!(
                            "{}: study {}: neg_image_path is no list of paths",
                            split.name(),
                            self.id
                        ),
                    })?
                    .iter()
                    .map(|image| resolve(image))
                    .collect::<Result<_, _>>()?,
            }),
            _ => {
                return Err(DataError::Json {
                    path: path.to_owned(),
                    reason: format!(
                        "{}: study {} has one of neg_report and neg_image_path; give both or none",
                        split.name(),
                        self.id
                    ),
                });
            }
        };
        Ok(Study {
            id: self.id.clone(),
            patient: self.patient(),
            images: self
                .image_path
                .iter()
                .map(|image| resolve(image))
                .collect::<Result<_, _>>()?,
            report: self.report.clone(),
            split,
            labels: self.labels(split, path)?,
            negative,
        })
    }

    fn labels(&self, split: Split, path: &Path) -> Result<Option<Labels>, DataError> {
        if self.labels.is_empty() {
            return Ok(None);
        }
        Labels::from_named(&self.labels)
            .map(Some)
            .map_err(|reason| DataError::Json {
                path: path.to_owned(),
                reason: format!("{}: study {}: {reason}", split.name(), self.id),
            })
    }

    /// Its patient: the subject, or for `CXR2384_IM-0942` the number behind `CXR`, or the study itself.
    pub fn patient(&self) -> String {
        if let Some(subject) = &self.subject_id {
            return subject.clone();
        }
        match self.id.split_once("_IM") {
            Some((patient, _)) if patient.starts_with("CXR") => patient.to_owned(),
            _ => self.id.clone(),
        }
    }
}

/// Reads the lists `train`, `val` and `test`, whatever else stands beside them.
struct SplitLists;

impl<'de> Visitor<'de> for SplitLists {
    type Value = [Option<Vec<AnnotationEntry>>; 3];

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object with the lists train, val and test")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut lists = [None, None, None];
        while let Some(key) = map.next_key::<String>()? {
            match Split::ALL.iter().position(|split| split.name() == key) {
                None => drop(map.next_value::<IgnoredAny>()?),
                Some(place) if lists[place].is_some() => {
                    return Err(serde::de::Error::custom(format!(
                        "the list '{key}' stands twice"
                    )));
                }
                Some(place) => {
                    lists[place] = Some(map.next_value_seed(EntryList(Split::ALL[place].name()))?);
                }
            }
        }
        Ok(lists)
    }
}

/// Reads the entries of one list; the name is for messages.
struct EntryList(&'static str);

impl<'de> DeserializeSeed<'de> for EntryList {
    type Value = Vec<AnnotationEntry>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for EntryList {
    type Value = Vec<AnnotationEntry>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "a list '{}'", self.0)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut read = Vec::new();
        while let Some(entry) = entries.next_element::<Value>()? {
            let described = AnnotationEntry::deserialize(&entry).map_err(|error| {
                let id = entry
                    .get("id")
                    .map_or_else(String::new, |id| format!(" ({id})"));
                serde::de::Error::custom(format!("{}[{}]{id}: {error}", self.0, read.len()))
            })?;
            read.push(described);
        }
        Ok(read)
    }
}

/// A negative's images: one path, or a list of them; `None` if it is anything else.
fn image_list(paths: &Value) -> Option<Vec<String>> {
    match paths {
        Value::String(path) => Some(vec![path.clone()]),
        Value::Array(paths) => paths
            .iter()
            .map(|path| path.as_str().map(str::to_owned))
            .collect(),
        _ => None,
    }
}

/// `relative` below `root`; `None` if it is absolute or climbs out.
pub(crate) fn resolve_below(root: &Path, relative: &str) -> Option<PathBuf> {
    let path = Path::new(relative);
    path.components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
        .then(|| root.join(path))
}

/// `image` as an annotation beside `images` names it, with `/` on every system.
fn relative_to(images: &Path, image: &Path, path: &Path, study: &str) -> Result<String, DataError> {
    let escaping = || DataError::EscapingPath {
        path: path.to_owned(),
        study: study.to_owned(),
        image: image.display().to_string(),
    };
    let below = image.strip_prefix(images).map_err(|_| escaping())?;
    let parts: Option<Vec<&str>> = below.iter().map(|part| part.to_str()).collect();
    Ok(parts.ok_or_else(escaping)?.join("/"))
}

fn text_or_number<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::String(text) => Ok(text),
        Value::Number(number) => Ok(number.to_string()),
        other => Err(serde::de::Error::custom(format!(
            "expected a text or a number, found {other}"
        ))),
    }
}

/// A list of texts, or one text.
fn one_or_many<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::String(text) => Ok(vec![text]),
        many => Vec::deserialize(many).map_err(serde::de::Error::custom),
    }
}

fn optional_text_or_number<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(None),
        value => text_or_number(value)
            .map(Some)
            .map_err(serde::de::Error::custom),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
