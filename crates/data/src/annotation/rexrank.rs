//! Studies in ReXrank's files, with the line of text that they call context:
//!
//! ```text
//! Age:60-70.Gender:F.Indication: cough, fever.Comparison: None.
//! ```

use std::fmt;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::entry::{AnnotationEntry, projections_of};
use super::prior::PriorEntry;
use crate::context::{Projection, StudyContext, stated};
use crate::error::DataError;
use crate::sections::ReportSections;

/// The texts of ReXrank's `context`. What it writes as `nan`, or leaves empty, is missing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RexrankContext {
    /// Age or range of ages.
    pub age: Option<String>,
    /// `F` or `M`.
    pub gender: Option<String>,
    /// Why the films were taken.
    pub indication: Option<String>,
    /// What they were compared with, in words.
    pub comparison: Option<String>,
}

/// Names of the texts, in their order.
const NAMES: [&str; 4] = ["Age:", "Gender:", "Indication:", "Comparison:"];

impl RexrankContext {
    /// Reads a line. A text goes on to the next name; ReXrank leaves out the full stop before it now and then. A line
    /// without any of the names states nothing.
    pub fn parse(line: &str) -> Self {
        let mut rest = line;
        let mut texts: [Option<String>; 4] = Default::default();
        let mut open: Option<usize> = None;
        for (place, name) in NAMES.iter().enumerate() {
            // The last name may occur in the text before it.
            let found = match place + 1 == NAMES.len() {
                true => rest.rfind(name),
                false => rest.find(name),
            };
            let Some(at) = found else {
                continue;
            };
            if let Some(open) = open {
                texts[open] = text(&rest[..at]);
            }
            (open, rest) = (Some(place), &rest[at + name.len()..]);
        }
        if let Some(open) = open {
            texts[open] = text(rest);
        }
        let [age, gender, indication, comparison] = texts;
        RexrankContext {
            age,
            gender,
            indication,
            comparison,
        }
    }
}

impl fmt::Display for RexrankContext {
    /// As ReXrank writes it: age and gender only where they are known, `nan` for a missing indication, `None` for a missing
    /// comparison.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(age) = &self.age {
            write!(formatter, "Age:{age}.")?;
        }
        if let Some(gender) = &self.gender {
            write!(formatter, "Gender:{gender}.")?;
        }
        let [indication, comparison] = [(&self.indication, "nan"), (&self.comparison, "None")]
            .map(|(text, none)| text.as_deref().unwrap_or(none));
        write!(
            formatter,
            "Indication: {indication}.Comparison: {comparison}."
        )
    }
}

/// A text between two names, without the full stop that closes it.
fn text(between: &str) -> Option<String> {
    let text = between.trim();
    let text = text.strip_suffix('.').unwrap_or(text).trim_end();
    match text {
        "nan" | "NaN" | "None" => None,
        text => stated(text),
    }
}

/// A study of ReXrank's input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RexrankStudy {
    /// Its key.
    pub id: String,
    /// Image files, the key image first.
    pub images: Vec<PathBuf>,
    /// Projections from `frontal_lateral`, indication and comparison from `context`, and the previous study from `prior`, an
    /// object that is this library's own, with the keys of a [`PriorEntry`].
    pub context: StudyContext,
}

impl RexrankStudy {
    /// Reads the study `id`; its image paths, those that begin with `/` too, are below `root`. `file` is named in errors.
    ///
    /// # Errors
    ///
    /// [`DataError::Rexrank`] naming the study and the key; [`DataError::BadPrior`] or [`DataError::ForeignPrior`] for a
    /// previous study that cannot be one.
    pub fn read(id: &str, study: &Value, root: &Path, file: &Path) -> Result<Self, DataError> {
        let failed = |reason: String| DataError::Rexrank {
            path: file.to_owned(),
            study: id.to_owned(),
            reason,
        };
        let list = |key: &str| texts_of(study, key).map_err(failed);
        let paths = list("image_path")?;
        if paths.is_empty() {
            return Err(failed(
                "no 'image_path' with a path or a list of paths".to_owned(),
            ));
        }
        let context = match study.get("context") {
            None | Some(Value::Null) => RexrankContext::default(),
            Some(Value::String(line)) => RexrankContext::parse(line),
            Some(other) => return Err(failed(format!("'context' is no text: {other}"))),
        };
        let projections = projections_of(&list("frontal_lateral")?, paths.len());
        let mut films: Vec<(String, Option<Projection>)> = {
            let projections = projections
                .map_err(|reason| failed(reason.replace("view_position", "'frontal_lateral'")))?;
            let known = projections.into_iter().map(Some);
            let known = known.chain(std::iter::repeat(None));
            paths.into_iter().zip(known).collect()
        };
        if let Some(key) = study.get("key_image_path").and_then(Value::as_str)
            && let Some(at) = films.iter().position(|(path, _)| path == key)
        {
            films[..=at].rotate_right(1);
        }
        let resolve = |path: &str| inside(root, path).map_err(failed);
        let prior = match study.get("prior") {
            None | Some(Value::Null) => None,
            Some(prior) => {
                let prior: PriorEntry = serde_json::from_value(prior.clone())
                    .map_err(|error| failed(format!("'prior': {error}")))?;
                let entry = entry_of(id, study);
                Some(Box::new(prior.prior(&entry, file, resolve)?))
            }
        };
        Ok(RexrankStudy {
            id: id.to_owned(),
            images: (films.iter())
                .map(|(path, _)| resolve(path))
                .collect::<Result<_, _>>()?,
            context: StudyContext {
                projections: films.iter().filter_map(|(_, known)| *known).collect(),
                indication: context.indication,
                comparison: context.comparison,
                prior,
            },
        })
    }
}

/// What is compared with the patient of a previous study.
fn entry_of(id: &str, study: &Value) -> AnnotationEntry {
    AnnotationEntry {
        id: id.to_owned(),
        report: String::new(),
        image_path: Vec::new(),
        split: String::new(),
        subject_id: match study.get("subject_id") {
            Some(Value::String(subject)) => Some(subject.clone()),
            Some(Value::Number(subject)) => Some(subject.to_string()),
            _ => None,
        },
        study_id: None,
        view_position: Vec::new(),
        indication: None,
        comparison: None,
        prior: None,
        labels: Default::default(),
        neg_report: Vec::new(),
        neg_image_path: Vec::new(),
    }
}

/// One text or a list of them; none if the key is absent.
fn texts_of(study: &Value, key: &str) -> Result<Vec<String>, String> {
    let wrong = || format!("'{key}' is neither a text nor a list of texts");
    match study.get(key) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(vec![text.clone()]),
        Some(Value::Array(texts)) => texts
            .iter()
            .map(|text| text.as_str().map(str::to_owned).ok_or_else(wrong))
            .collect(),
        Some(_) => Err(wrong()),
    }
}

/// A path within the root, also if it begins with `/`.
fn inside(root: &Path, path: &str) -> Result<PathBuf, String> {
    let mut found = root.to_owned();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(name) => found.push(name),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => {
                return Err(format!("the path '{path}' leads out of the image root"));
            }
        }
    }
    match found == root {
        true => Err(format!("the path '{path}' names no file")),
        false => Ok(found),
    }
}

/// An entry of an annotation with its sections, as a study of ReXrank's input: what a leaderboard's files hold, and the
/// previous study.
pub(crate) fn rexrank_input(entry: &AnnotationEntry, sections: &ReportSections) -> Value {
    let frontal_lateral = entry
        .view_position
        .iter()
        .map(|name| match Projection::parse(name) {
            Projection::Lateral => "Lateral",
            Projection::Unknown => "",
            _ => "Frontal",
        });
    let context = RexrankContext {
        indication: entry.indication.as_deref().and_then(text),
        comparison: entry.comparison.as_deref().and_then(text),
        ..RexrankContext::default()
    };
    let section = |text: &str| match text.is_empty() {
        true => Value::Null,
        false => Value::from(text),
    };
    let mut study = Map::new();
    for (key, value) in [
        ("image_path", json!(entry.image_path)),
        ("key_image_path", json!(entry.image_path.first())),
        ("frontal_lateral", frontal_lateral.collect()),
        ("context", json!(context.to_string())),
        ("section_findings", section(&sections.findings)),
        ("section_impression", section(&sections.impression)),
        ("subject_id", json!(entry.subject_id)),
        ("split", json!(entry.split)),
    ] {
        study.insert(key.to_owned(), value);
    }
    if let Some(prior) = &entry.prior {
        study.insert("prior".to_owned(), json!(prior));
    }
    Value::Object(study)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_rexrank_writes_them() {
        let full = RexrankContext::parse(
            "Age:60-70.Gender:F.Indication: cough, fever. Rule out pneumonia.Comparison: ___.",
        );
        assert_eq!(full.age.as_deref(), Some("60-70"));
        assert_eq!(full.gender.as_deref(), Some("F"));
        assert_eq!(
            full.indication.as_deref(),
            Some("cough, fever. Rule out pneumonia")
        );
        assert_eq!(full.comparison, None);
        let bare = RexrankContext::parse("Age:82.0.Gender:F.Indication:nanComparison: None.");
        assert_eq!(bare.age.as_deref(), Some("82.0"));
        assert_eq!((bare.indication, bare.comparison), (None, None));
        let named = RexrankContext::parse("Indication: Comparison: old film.Comparison: Chest.");
        assert_eq!(named.indication.as_deref(), Some("Comparison: old film"));
        assert_eq!(named.comparison.as_deref(), Some("Chest"));
        assert_eq!(RexrankContext::parse("cough"), RexrankContext::default());
    }

    #[test]
    fn lines_are_written_as_they_are_read() {
        let context = RexrankContext {
            age: Some("60-70".to_owned()),
            gender: Some("M".to_owned()),
            indication: Some("chest pain".to_owned()),
            comparison: Some("Chest radiograph".to_owned()),
        };
        for context in [context, RexrankContext::default()] {
            assert_eq!(RexrankContext::parse(&context.to_string()), context);
        }
    }

    fn read(study: Value) -> Result<RexrankStudy, DataError> {
        RexrankStudy::read("a", &study, Path::new("r"), Path::new("input.json"))
    }

    #[test]
    fn the_key_image_comes_first_with_its_projection() {
        let study = json!({
            "image_path": ["0.png", "/1.png", "./2.png"], "key_image_path": "./2.png",
            "frontal_lateral": ["Lateral", "", "Frontal"],
            "context": "Indication: cough.Comparison: None.", "subject_id": 7,
            "prior": {"id": "old", "subject_id": 7, "image_path": "p.png", "interval_days": 3},
        });
        let read = read(study).expect("sound");
        assert_eq!(
            read.images,
            ["r/2.png", "r/0.png", "r/1.png"].map(PathBuf::from)
        );
        let context = read.context;
        assert_eq!(
            context.projections,
            [
                Projection::Frontal,
                Projection::Lateral,
                Projection::Unknown
            ]
        );
        assert_eq!(context.indication.as_deref(), Some("cough"));
        let prior = context.prior.expect("it has one");
        assert_eq!((prior.id.as_str(), prior.interval_days), ("old", 3));
        assert_eq!(prior.images, [PathBuf::from("r/p.png")]);
    }

    #[test]
    fn what_cannot_be_read_names_the_study_and_the_key() {
        for (study, part) in [
            (json!({"image_path": 3}), "image_path"),
            (json!({}), "image_path"),
            (json!({"image_path": "../0.png"}), "leads out"),
            (json!({"image_path": "/"}), "names no file"),
            (json!({"image_path": "0.png", "context": 3}), "context"),
            (
                json!({"image_path": "0.png", "frontal_lateral": ["Frontal", "Lateral"]}),
                "frontal_lateral",
            ),
            (
                json!({"image_path": "0.png", "prior": {"id": "b"}}),
                "prior",
            ),
            (
                json!({"image_path": "0.png", "subject_id": "7", "prior":
                    {"id": "b", "subject_id": "8", "report": "Clear.", "interval_days": 1}}),
                "patient 8",
            ),
        ] {
            let error = read(study).expect_err(part).to_string();
            assert!(error.contains(part) && error.contains("study a"), "{error}");
        }
    }

    #[test]
    fn a_study_written_is_read_again() {
        let entry: AnnotationEntry = serde_json::from_value(json!({
            "id": "s2", "report": "Larger.", "image_path": ["a.png", "b.png"], "split": "test", "subject_id": "7",
            "view_position": ["PA", "LL"], "indication": "Cough.", "comparison": "Chest of ___.",
            "prior": {"id": "s1", "subject_id": "7", "image_path": ["c.png"], "view_position": ["AP"],
                "report": "Small.", "interval_days": 12},
        }))
        .expect("an entry");
        let sections = ReportSections {
            findings: "Larger.".to_owned(),
            ..ReportSections::default()
        };
        let written = rexrank_input(&entry, &sections);
        assert_eq!(written["section_impression"], Value::Null);
        assert_eq!(written["key_image_path"], "a.png");
        let root = Path::new("r");
        let again = RexrankStudy::read("s2", &written, root, Path::new("f.json")).expect("sound");
        let study = entry
            .study(crate::study::Split::Test, Path::new("f.json"), root)
            .expect("sound");
        assert_eq!(again.images, study.images);
        let context = again.context;
        assert_eq!(
            context.projections,
            [Projection::Frontal, Projection::Lateral]
        );
        assert_eq!(context.indication.as_deref(), Some("Cough"));
        assert_eq!(context.comparison.as_deref(), Some("Chest of ___"));
        assert_eq!(context.prior, study.context.prior);
    }
}
