//! Mines first negatives for an annotation, which the official code expects precomputed.

use std::path::{Path, PathBuf};
use std::{fs, io};

use ithn_data::{Annotation, AnnotationEntry, Cleaning, DataError, write_atomically};

use rayon::prelude::*;
use serde_json::{Value, json};
use thiserror::Error;

use crate::{MiningError, MiningStudy, Neighbour, ReportEmbedding, TfIdfConfig, mine};

/// How negatives are mined and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct MiningOptions {
    /// Negatives per study, closest first; the official code reads the first.
    pub per_study: usize,
    /// Cleaning of reports before they are compared.
    pub cleaning: Cleaning,
    /// Which images of a negative are written.
    pub images: NegativeImages,
}

impl MiningOptions {
    /// So many negatives per study, with all their images; reports are cleaned before they are
    /// compared.
    pub fn new(per_study: usize, cleaning: Cleaning) -> Self {
        MiningOptions {
            per_study,
            cleaning,
            images: NegativeImages::All,
        }
    }
}

/// Which images of a negative are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NegativeImages {
    /// All of them: a path where the study has one image, a list where it has several.
    All,
    /// The first, as a path: the official code reads one view and expects a path.
    First,
}

/// Statistics of mining an annotation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MinedAnnotation {
    /// Studies that were given negatives.
    pub studies: usize,
    /// Studies without an admissible negative, left as they are: every training report is the
    /// patient's own or a duplicate.
    pub without: usize,
    /// Mean cosine of a study's report to its first negative.
    pub mean_similarity: f64,
}

/// Why an annotation could not be mined.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AnnotationMiningError {
    /// The annotation cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Its reports cannot be compared.
    #[error("{path}: {source}")]
    Mining {
        /// Path of the annotation.
        path: PathBuf,
        /// The study and its error.
        source: MiningError,
    },
    /// Fewer than one negative per study.
    #[error("at least 1 negative per study must be asked for")]
    NoneAsked,
}

/// Reads an annotation, gives every study of every split the closest admissible reports of the
/// training set by TF-IDF as `neg_report` and `neg_image_path`, and writes it to `out`; other keys stay.
///
/// Never the study itself, another study of its patient or a verbatim duplicate. The result depends
/// on nothing but the annotation and the options. `progress` gets the number of finished studies
/// and the total.
///
/// # Errors
///
/// If a file cannot be read or written, or a report has no word to compare: its study is named.
pub fn mine_annotation(
    annotation: &Path,
    out: &Path,
    options: &MiningOptions,
    progress: impl Fn(usize, usize) + Sync,
) -> Result<MinedAnnotation, AnnotationMiningError> {
    let fit = |reports: &AnnotationReports<'_>| {
        let training = reports.training.iter().map(String::as_str);
        TfIdfConfig::default().fit(training)
    };
    mine_annotation_by(annotation, out, options, fit, progress)
}

/// The cleaned reports of an annotation, which an embedding is made for.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct AnnotationReports<'a> {
    /// Reports of the training set.
    pub training: &'a [String],
    /// Reports of all splits, those of the training set first.
    pub all: &'a [String],
}

/// Like [`mine_annotation`] with another embedding, which `fit` makes of the annotation's reports: a
/// model that prefers batches embeds them there, and what is returned looks its vectors up.
///
/// # Errors
///
/// As [`mine_annotation`], and if the embedding gives numbers that are not finite, or vectors of
/// several kinds or lengths.
pub fn mine_annotation_by<E: ReportEmbedding>(
    annotation: &Path,
    out: &Path,
    options: &MiningOptions,
    fit: impl FnOnce(&AnnotationReports<'_>) -> E,
    progress: impl Fn(usize, usize) + Sync,
) -> Result<MinedAnnotation, AnnotationMiningError> {
    if options.per_study == 0 {
        return Err(AnnotationMiningError::NoneAsked);
    }
    let read = Annotation::read(annotation)?;
    let found = nearest(&read, annotation, options, fit, &progress)?;
    // The typed annotation drops keys that it does not know; the file keeps them.
    let mut whole = read_json(annotation)?;
    let mut summary = MinedAnnotation {
        studies: 0,
        without: 0,
        mean_similarity: 0.0,
    };
    let lists = ["train", "val", "test"];
    let mut found = found.iter();
    for list in lists {
        let entries = whole.get_mut(list).and_then(Value::as_array_mut);
        for (entry, negatives) in entries.into_iter().flatten().zip(found.by_ref()) {
            write_negatives(entry, negatives, &read.train, options.images);
            match negatives.first() {
                None => summary.without += 1,
                Some(first) => {
                    summary.studies += 1;
                    summary.mean_similarity += f64::from(first.similarity);
                }
            }
        }
    }
    summary.mean_similarity /= summary.studies.max(1) as f64;
    let text = serde_json::to_vec(&whole).map_err(json_error(out))?;
    write_atomically(out, &text).map_err(io_error("cannot write", out))?;
    Ok(summary)
}

/// Negatives of all studies: training, validation, then test.
fn nearest<E: ReportEmbedding>(
    annotation: &Annotation,
    path: &Path,
    options: &MiningOptions,
    fit: impl FnOnce(&AnnotationReports<'_>) -> E,
    progress: &(impl Fn(usize, usize) + Sync),
) -> Result<Vec<Vec<Neighbour>>, AnnotationMiningError> {
    let entries: Vec<&AnnotationEntry> = [&annotation.train, &annotation.val, &annotation.test]
        .into_iter()
        .flatten()
        .collect();
    let reports: Vec<String> = entries
        .par_iter()
        .map(|entry| options.cleaning.clean(&entry.report))
        .collect();
    let patients: Vec<String> = entries.iter().map(|entry| entry.patient()).collect();
    let studies: Vec<MiningStudy> = (0..entries.len())
        .map(|index| MiningStudy {
            id: &entries[index].id,
            patient: &patients[index],
            report: &reports[index],
        })
        .collect();
    let training = &studies[..annotation.train.len()];
    let embedding = fit(&AnnotationReports {
        training: &reports[..training.len()],
        all: &reports,
    });
    let total = studies.len();
    mine(training, &studies, options.per_study, &embedding, |done| {
        progress(done, total);
    })
    .map_err(|source| AnnotationMiningError::Mining {
        path: path.to_owned(),
        source,
    })
}

/// Replaces the negatives of an entry; none are taken away.
fn write_negatives(
    entry: &mut Value,
    negatives: &[Neighbour],
    training: &[AnnotationEntry],
    images: NegativeImages,
) {
    let Some(entry) = entry.as_object_mut() else {
        return;
    };
    entry.remove("neg_report");
    entry.remove("neg_image_path");
    if negatives.is_empty() {
        return;
    }
    let chosen = || negatives.iter().map(|negative| &training[negative.index]);
    let reports: Vec<&str> = chosen().map(|entry| entry.report.as_str()).collect();
    let paths: Vec<Value> = chosen()
        .map(|entry| match (images, entry.image_path.as_slice()) {
            (NegativeImages::First, [first, ..]) | (_, [first]) => json!(first),
            (_, paths) => json!(paths),
        })
        .collect();
    entry.insert("neg_report".to_owned(), json!(reports));
    entry.insert("neg_image_path".to_owned(), json!(paths));
}

fn read_json(path: &Path) -> Result<Value, DataError> {
    let text = fs::read_to_string(path).map_err(io_error("cannot read annotation", path))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    serde_json::from_str(text).map_err(json_error(path))
}

fn io_error(action: &'static str, path: &Path) -> impl Fn(io::Error) -> DataError + use<> {
    let path = path.to_owned();
    move |source| DataError::Io {
        action,
        path: path.clone(),
        source,
    }
}

fn json_error(path: &Path) -> impl Fn(serde_json::Error) -> DataError + use<> {
    let path = path.to_owned();
    move |error| DataError::Json {
        path: path.clone(),
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Embedding;

    const ANNOTATION: &str = r#"{
        "train": [
            {"id": "CXR1_IM-1", "report": "Heart is large. No effusion.", "split": "train",
             "image_path": ["CXR1_IM-1/0.png", "CXR1_IM-1/1.png"], "mine": 7},
            {"id": "CXR1_IM-2", "report": "Heart is large. No edema.", "split": "train",
             "image_path": ["CXR1_IM-2/0.png"]},
            {"id": "CXR2_IM-1", "report": "Heart is large. No effusion.", "split": "train",
             "image_path": ["CXR2_IM-1/0.png"]},
            {"id": "CXR3_IM-1", "report": "Heart is normal. No effusion.", "split": "train",
             "image_path": ["CXR3_IM-1/0.png", "CXR3_IM-1/1.png"], "neg_report": ["old"],
             "neg_image_path": ["old.png"]}
        ],
        "val": [{"id": "CXR4_IM-1", "report": "Heart is large.", "split": "val",
                 "image_path": ["CXR4_IM-1/0.png"]}],
        "test": [], "version": 3
    }"#;

    fn mined(images: NegativeImages) -> (Value, MinedAnnotation) {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, out) = (
            folder.path().join("in.json"),
            folder.path().join("out.json"),
        );
        fs::write(&path, ANNOTATION).expect("written");
        let options = MiningOptions {
            per_study: 1,
            cleaning: Cleaning::IuXray,
            images,
        };
        let summary = mine_annotation(&path, &out, &options, |done, total| {
            assert!(done <= total);
        })
        .expect("minable");
        let whole = read_json(&out).expect("readable");
        Annotation::read(&out)
            .and_then(|read| read.studies(&out, Path::new("/images")))
            .expect("the reader takes it");
        (whole, summary)
    }

    #[test]
    fn every_split_gets_negatives_from_the_training_set() {
        let (whole, summary) = mined(NegativeImages::All);
        assert_eq!((summary.studies, summary.without), (5, 0));
        let first = &whole["train"][0];
        // Not itself, not its patient's other study, not the duplicate.
        assert_eq!(
            first["neg_report"],
            json!(["Heart is normal. No effusion."])
        );
        assert_eq!(
            first["neg_image_path"],
            json!([["CXR3_IM-1/0.png", "CXR3_IM-1/1.png"]])
        );
        let other = &whole["train"][3];
        assert_eq!(other["neg_report"], json!(["Heart is large. No effusion."]));
        assert!(whole["val"][0]["neg_report"].is_array());
    }

    #[test]
    fn what_it_does_not_know_it_keeps() {
        let (whole, _) = mined(NegativeImages::All);
        assert_eq!(
            (&whole["train"][0]["mine"], &whole["version"]),
            (&json!(7), &json!(3))
        );
    }

    #[test]
    fn another_embedding_finds_other_negatives() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, out) = (
            folder.path().join("in.json"),
            folder.path().join("out.json"),
        );
        fs::write(&path, ANNOTATION).expect("written");
        let options = MiningOptions::new(1, Cleaning::IuXray);
        let fit = |reports: &AnnotationReports<'_>| {
            assert_eq!((reports.training.len(), reports.all.len()), (4, 5));
            // Edema is what counts: only one report has it.
            |report: &str| {
                Embedding::Dense(vec![1.0, f32::from(u8::from(report.contains("edema")))])
            }
        };
        mine_annotation_by(&path, &out, &options, fit, |_, _| {}).expect("minable");
        let whole = read_json(&out).expect("readable");
        assert_eq!(
            whole["train"][3]["neg_report"],
            json!(["Heart is large. No effusion."])
        );
    }

    #[test]
    fn one_view_is_a_plain_path() {
        let (whole, _) = mined(NegativeImages::First);
        assert_eq!(
            whole["train"][0]["neg_image_path"],
            json!(["CXR3_IM-1/0.png"])
        );
        assert_eq!(
            whole["train"][1]["neg_image_path"].as_array().map(Vec::len),
            Some(1)
        );
    }
}
