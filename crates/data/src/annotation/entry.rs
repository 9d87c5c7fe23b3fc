use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::prior::{PriorEntry, names};
use crate::context::{Projection, StudyContext, known_projections, stated};
use crate::error::DataError;
use crate::labels::Labels;
use crate::study::{NegativeStudy, Split, Study};
use crate::table::is_missing;

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
    /// Projection of each image, by MIMIC-CXR's or Open-i's names. This library's own key.
    #[serde(
        default,
        deserialize_with = "one_or_many",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub view_position: Vec<String>,
    /// Why the films were taken. This library's own key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub indication: Option<String>,
    /// What they were compared with, in words. This library's own key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comparison: Option<String>,
    /// The patient's previous study. This library's own key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prior: Option<Box<PriorEntry>>,
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
            view_position: names(&study.context.projections),
            indication: study.context.indication.clone(),
            comparison: study.context.comparison.clone(),
            prior: match &study.context.prior {
                None => None,
                Some(prior) => {
                    let images = list(&prior.images)?;
                    Some(Box::new(PriorEntry::of_prior(
                        prior,
                        &study.patient,
                        images,
                    )))
                }
            },
            labels: study.labels.map(Labels::named).unwrap_or_default(),
            neg_report: study.negative.iter().map(|it| it.report.clone()).collect(),
            neg_image_path: match &study.negative {
                None => Vec::new(),
                Some(negative) => vec![Value::from(list(&negative.images)?)],
            },
        })
    }

    pub(super) fn study(
        &self,
        split: Split,
        path: &Path,
        images: &Path,
    ) -> Result<Study, DataError> {
        let resolve = |image: &str| {
            resolve_below(images, image).ok_or_else(|| DataError::EscapingPath {
                path: path.to_owned(),
                study: self.id.clone(),
                image: image.to_owned(),
            })
        };
        let failed = |reason: String| DataError::Json {
            path: path.to_owned(),
            reason: format!("{}: study {}{reason}", split.name(), self.id),
        };
        if self.image_path.is_empty() {
            return Err(failed(" has no image".to_owned()));
        }
        if is_missing(&self.report) {
            let report = &self.report;
            return Err(failed(format!(
                ": the report is '{report}', which stands for an empty cell; leave the study out"
            )));
        }
        let negative = match (self.neg_report.first(), self.neg_image_path.first()) {
            (None, None) => None,
            (Some(report), Some(paths)) => Some(NegativeStudy {
                report: report.clone(),
                images: image_list(paths)
                    .filter(|paths| !paths.is_empty())
                    .ok_or_else(|| failed(": neg_image_path is no list of paths".to_owned()))?
                    .iter()
                    .map(|image| resolve(image))
                    .collect::<Result<_, _>>()?,
            }),
            _ => {
                return Err(failed(
                    " has one of neg_report and neg_image_path; give both or none".to_owned(),
                ));
            }
        };
        let prior = self.prior.as_ref();
        let context = StudyContext {
            projections: projections_of(&self.view_position, self.image_path.len())
                .map_err(|reason| failed(format!(": {reason}")))?,
            indication: self.indication.as_deref().and_then(stated),
            comparison: self.comparison.as_deref().and_then(stated),
            prior: prior
                .map(|prior| prior.prior(self, path, resolve).map(Box::new))
                .transpose()?,
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
            labels: match self.labels.is_empty() {
                true => None,
                false => {
                    let labels = Labels::from_named(&self.labels);
                    Some(labels.map_err(|reason| failed(format!(": {reason}")))?)
                }
            },
            negative,
            context,
        })
    }

    /// Its patient: the subject; for `CXR2384_IM-0942` or `CXR1_1_IM-0001` the uid, `CXR2384` or `CXR1`;
    /// otherwise the study itself.
    pub fn patient(&self) -> String {
        if let Some(subject) = &self.subject_id {
            return subject.clone();
        }
        let uid = self.id.split('_').next().unwrap_or_default();
        let number = uid.strip_prefix("CXR").unwrap_or_default();
        let is_uid = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        match is_uid {
            true => uid.to_owned(),
            false => self.id.clone(),
        }
    }
}

/// Projections by their names, one for each of `images`, or none at all.
pub(super) fn projections_of(names: &[String], images: usize) -> Result<Vec<Projection>, String> {
    if !names.is_empty() && names.len() != images {
        return Err(format!(
            "view_position has {} names for {images} images: give one for each, or none",
            names.len()
        ));
    }
    let projections = names.iter().map(|name| Projection::parse(name));
    Ok(known_projections(projections.collect()))
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

pub(super) fn text_or_number<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<String, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::String(text) => Ok(text),
        Value::Number(number) => Ok(number.to_string()),
        other => Err(serde::de::Error::custom(format!(
            "expected a text or a number, found {other}"
        ))),
    }
}

/// A list of texts, or one text.
pub(super) fn one_or_many<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<String>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::String(text) => Ok(vec![text]),
        many => Vec::deserialize(many).map_err(serde::de::Error::custom),
    }
}

pub(super) fn optional_text_or_number<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(None),
        value => text_or_number(value)
            .map(Some)
            .map_err(serde::de::Error::custom),
    }
}
