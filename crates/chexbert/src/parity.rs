//! Golden numbers of CheXbert's own code against this crate, for any folder of the layout that
//! `tests/fixtures` has: sizes, vocabulary and texts are read from the folder.

use std::fs;
use std::path::Path;

use burn::tensor::Device;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};

use crate::error::CheXbertError;
use crate::{
    CheXbert, Cleaning, Label, Labels, OBSERVATIONS, Reading, cosine, heads_of_config, write_labels,
};

/// One quantity, compared over a whole folder.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Check {
    /// What was compared.
    pub name: String,
    /// Largest absolute difference, or the number of entries that differ where they must be equal.
    pub difference: f64,
    /// Largest difference that passes; 0 where entries must be equal.
    pub tolerance: f64,
    /// Whether the difference is a number within the tolerance.
    pub passed: bool,
}

/// Tolerance of embeddings in single precision.
const EMBEDDING: f64 = 2e-5;
/// Tolerance of logits.
const LOGITS: f64 = 1e-4;
/// Tolerance of cosines.
const COSINE: f64 = 1e-6;

#[derive(Deserialize)]
struct Expected {
    label_order: Vec<String>,
    labeled_small_ids: Vec<usize>,
    reports: Vec<ExpectedReport>,
    semb: Vec<ExpectedCosine>,
}

#[derive(Deserialize)]
struct ExpectedReport {
    id: usize,
    clean: String,
    input_ids: Vec<u32>,
    classes: Vec<u8>,
    in_label_csv: bool,
    clean_report_list: Option<String>,
    input_ids_report_list: Option<Vec<u32>>,
    classes_report_list: Option<Vec<u8>>,
    input_ids_raw: Option<Vec<u32>>,
    classes_raw: Option<Vec<u8>>,
    input_ids_cxrmate2: Option<Vec<u32>>,
}

#[derive(Deserialize)]
struct ExpectedCosine {
    r#ref: usize,
    hyp: usize,
    cos_f64: f64,
}

#[derive(Deserialize)]
struct Report {
    id: usize,
    text: String,
}

/// Compares a folder with `chexbert.pth`, `chexbert_legacy.pth`, `config.json`, `vocab.txt`,
/// `reports.json`, `expected.json`, `expected.safetensors`, `labeled_reports.csv` and
/// `labeled_small.csv`.
///
/// Token ids, classes and label files must be equal; embeddings within 2e-5, logits within 1e-4,
/// cosines within 1e-6.
///
/// # Errors
///
/// [`CheXbertError`] if a file is missing, malformed or does not belong to the others.
pub fn parity(folder: &Path, device: &Device) -> Result<Vec<Check>, CheXbertError> {
    let reports: Vec<Report> = read_json(&folder.join("reports.json"))?;
    let expected: Expected = read_json(&folder.join("expected.json"))?;
    let numbers = Numbers::read(&folder.join("expected.safetensors"))?;
    let ids_agree = reports.len() == expected.reports.len()
        && reports.len() == numbers.rows
        && (0..reports.len()).all(|at| reports[at].id == at && expected.reports[at].id == at);
    let indices = (expected.labeled_small_ids.iter().copied())
        .chain(expected.semb.iter().flat_map(|pair| [pair.r#ref, pair.hyp]));
    if !ids_agree || indices.into_iter().any(|id| id >= reports.len()) {
        return Err(CheXbertError::layout(
            folder,
            "reports.json, expected.json and expected.safetensors hold different reports",
        ));
    }
    let texts: Vec<&str> = reports.iter().map(|report| report.text.as_str()).collect();
    let heads = heads_of_config(&folder.join("config.json"))?;
    let load = |name: &str| {
        let (weights, vocabulary) = (folder.join(name), folder.join("vocab.txt"));
        CheXbert::load_with_heads(&weights, &vocabulary, Some(heads), device)
    };
    let chexbert = load("chexbert.pth")?;
    let readings = chexbert.read(&texts);
    let mut checks = vec![equal(
        "label order",
        expected.label_order.iter().map(String::as_str),
        OBSERVATIONS,
    )];
    checks.extend(token_checks(&chexbert, &texts, &expected));
    checks.push(equal(
        "classes",
        expected.reports.iter().map(|report| report.classes.clone()),
        readings.iter().map(|reading| classes(&reading.labels)),
    ));
    checks.extend(numbers.checks("zip", &readings));
    checks.push(cosines(&expected.semb, &readings));
    checks.push(label_files(folder, &texts, &expected, &readings)?);
    let legacy = load("chexbert_legacy.pth")?.read(&texts);
    checks.extend(numbers.checks("legacy pickle", &legacy));
    checks.extend(other_cleanings(chexbert, &texts, &expected));
    Ok(checks)
}

/// Checks the token ids of the texts under every tool's cleaning.
fn token_checks(chexbert: &CheXbert, texts: &[&str], expected: &Expected) -> Vec<Check> {
    let longest = chexbert.sizes().positions;
    let ids = |cleaning: Cleaning| {
        texts.iter().map(move |text| {
            let text = cleaning.apply(text);
            chexbert.tokenizer().encode(&text, longest)
        })
    };
    let wanted = |other: fn(&ExpectedReport) -> Option<&Vec<u32>>| {
        let reports = expected.reports.iter();
        reports.map(move |report| other(report).unwrap_or(&report.input_ids).clone())
    };
    let clean = |cleaning: Cleaning| {
        texts
            .iter()
            .map(move |text| cleaning.apply(text).into_owned())
    };
    vec![
        equal(
            "cleaned text",
            expected.reports.iter().map(|report| report.clean.clone()),
            clean(Cleaning::LabelScript),
        ),
        equal(
            "cleaned text, report list",
            expected.reports.iter().map(|report| {
                let other = report.clean_report_list.as_ref();
                other.unwrap_or(&report.clean).clone()
            }),
            clean(Cleaning::ReportList),
        ),
        equal("token ids", wanted(|_| None), ids(Cleaning::LabelScript)),
        equal(
            "token ids, report list",
            wanted(|report| report.input_ids_report_list.as_ref()),
            ids(Cleaning::ReportList),
        ),
        equal(
            "token ids, raw text",
            wanted(|report| report.input_ids_raw.as_ref()),
            ids(Cleaning::Raw),
        ),
        equal(
            "token ids, CXRMate-2",
            wanted(|report| report.input_ids_cxrmate2.as_ref()),
            ids(Cleaning::CxrMate2),
        ),
    ]
}

/// Classes under the other cleanings that the folder has classes for.
fn other_cleanings(chexbert: CheXbert, texts: &[&str], expected: &Expected) -> Vec<Check> {
    let wanted = |other: fn(&ExpectedReport) -> Option<&Vec<u8>>| {
        let reports = expected.reports.iter();
        reports.map(move |report| other(report).unwrap_or(&report.classes).clone())
    };
    let chexbert = chexbert.with_cleaning(Cleaning::ReportList);
    let list = equal(
        "classes, report list",
        wanted(|report| report.classes_report_list.as_ref()),
        chexbert.label(texts).iter().map(classes),
    );
    let chexbert = chexbert.with_cleaning(Cleaning::Raw);
    let raw = equal(
        "classes, raw text",
        wanted(|report| report.classes_raw.as_ref()),
        chexbert.label(texts).iter().map(classes),
    );
    vec![list, raw]
}

fn classes(labels: &Labels) -> Vec<u8> {
    labels.iter().copied().map(Label::class).collect()
}

fn cosines(expected: &[ExpectedCosine], readings: &[Reading]) -> Check {
    let pairs = expected.iter().map(|pair| {
        let embedding = |id: usize| readings[id].embedding.as_slice();
        (
            pair.cos_f64,
            cosine(embedding(pair.r#ref), embedding(pair.hyp)),
        )
    });
    close("cosine of embeddings", pairs, COSINE)
}

/// Both label files, byte by byte; the difference counts the files that are not equal.
fn label_files(
    folder: &Path,
    texts: &[&str],
    expected: &Expected,
    readings: &[Reading],
) -> Result<Check, CheXbertError> {
    let all = expected.reports.iter().filter(|report| report.in_label_csv);
    let files = [
        ("labeled_reports.csv", all.map(|report| report.id).collect()),
        ("labeled_small.csv", expected.labeled_small_ids.clone()),
    ];
    let mut differing = 0;
    for (name, ids) in files {
        let path = folder.join(name);
        let wanted = fs::read(&path).map_err(CheXbertError::io(&path))?;
        let chosen: Vec<&str> = ids.iter().map(|&id| texts[id]).collect();
        let labels: Vec<Labels> = ids.iter().map(|&id| readings[id].labels).collect();
        let mut written = Vec::new();
        write_labels(&mut written, &chosen, &labels).map_err(CheXbertError::io(&path))?;
        differing += usize::from(wanted != written);
    }
    Ok(check("label files", differing as f64, 0.0))
}

fn check(name: impl Into<String>, difference: f64, tolerance: f64) -> Check {
    Check {
        name: name.into(),
        difference,
        tolerance,
        passed: difference <= tolerance,
    }
}

/// Counts the entries that differ; entries that only one side has differ.
fn equal<A: PartialEq<B>, B>(
    name: &str,
    expected: impl IntoIterator<Item = A>,
    found: impl IntoIterator<Item = B>,
) -> Check {
    let (mut expected, mut found) = (expected.into_iter(), found.into_iter());
    let mut differing = 0;
    loop {
        match (expected.next(), found.next()) {
            (None, None) => break,
            (Some(a), Some(b)) if a == b => {}
            _ => differing += 1,
        }
    }
    check(name, f64::from(differing), 0.0)
}

/// Largest absolute difference; NaN differs from everything.
fn close(name: &str, pairs: impl IntoIterator<Item = (f64, f64)>, tolerance: f64) -> Check {
    let differences = pairs.into_iter().map(|(expected, found)| {
        let difference = (expected - found).abs();
        if difference.is_nan() {
            f64::INFINITY
        } else {
            difference
        }
    });
    check(name, differences.fold(0.0, f64::max), tolerance)
}

/// Embeddings and logits of a folder.
struct Numbers {
    rows: usize,
    cls: Vec<f32>,
    logits: Vec<f32>,
}

impl Numbers {
    fn read(path: &Path) -> Result<Self, CheXbertError> {
        let bytes = fs::read(path).map_err(CheXbertError::io(path))?;
        let malformed = |reason: String| CheXbertError::layout(path, reason);
        let file =
            SafeTensors::deserialize(&bytes).map_err(|error| malformed(error.to_string()))?;
        let table = |name: &str| {
            let view = file
                .tensor(name)
                .map_err(|error| malformed(error.to_string()))?;
            match (view.dtype(), view.shape()) {
                (Dtype::F32, &[rows, _]) => {
                    let values = view.data().as_chunks::<4>().0.iter();
                    Ok((
                        rows,
                        values.map(|bytes| f32::from_le_bytes(*bytes)).collect(),
                    ))
                }
                (dtype, shape) => Err(malformed(format!("'{name}' is {dtype:?} {shape:?}"))),
            }
        };
        let (rows, cls) = table("cls")?;
        let (logit_rows, logits) = table("logits")?;
        if rows != logit_rows {
            return Err(malformed(format!(
                "{rows} embeddings, {logit_rows} rows of logits"
            )));
        }
        Ok(Self { rows, cls, logits })
    }

    fn checks(&self, file: &str, readings: &[Reading]) -> [Check; 2] {
        let compare = |what: &str, expected: &[f32], of: fn(&Reading) -> &[f32], tolerance| {
            let found: Vec<f32> = readings.iter().flat_map(of).copied().collect();
            let name = format!("{what}, {file}");
            if found.len() != expected.len() {
                return check(name, f64::INFINITY, tolerance);
            }
            let pairs = expected.iter().zip(&found);
            close(
                &name,
                pairs.map(|(a, b)| (f64::from(*a), f64::from(*b))),
                tolerance,
            )
        };
        [
            compare(
                "embeddings",
                &self.cls,
                |reading| &reading.embedding,
                EMBEDDING,
            ),
            compare("logits", &self.logits, |reading| &reading.logits, LOGITS),
        ]
    }
}

fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T, CheXbertError> {
    let text = fs::read_to_string(path).map_err(CheXbertError::io(path))?;
    serde_json::from_str(&text).map_err(|error| CheXbertError::layout(path, error.to_string()))
}
