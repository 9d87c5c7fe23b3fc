//! Files for other people's tools.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde_json::{Map, Value, json};

use crate::evaluation::error::EvaluationError;
use crate::evaluation::studies::ScoredStudy;

/// A tool whose files can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Export {
    /// ReXrank's `prediction.json`.
    RexRank,
    /// CXR-Report-Metric's two tables.
    CxrReportMetric,
    /// RadEval's JSON.
    RadEval,
}

impl Export {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::RexRank, Self::CxrReportMetric, Self::RadEval];

    /// The name on a command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RexRank => "rexrank",
            Self::CxrReportMetric => "cxr-report-metric",
            Self::RadEval => "radeval",
        }
    }
}

impl fmt::Display for Export {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// No file of such a tool is written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no export is called '{0}': expected rexrank, cxr-report-metric or radeval")]
pub struct UnknownExport(String);

impl FromStr for Export {
    type Err = UnknownExport;

    fn from_str(name: &str) -> Result<Self, UnknownExport> {
        Self::ALL
            .into_iter()
            .find(|export| export.name() == name)
            .ok_or_else(|| UnknownExport(name.to_owned()))
    }
}

/// Writes studies as a tool reads them, and returns the files: `predictions.json` for ReXrank,
/// `radeval.json`, or `gt_reports.csv` and `predicted_reports.csv` for CXR-Report-Metric.
///
/// Of several references the first is written. A reference that is not made of ReXrank's two sections
/// is written as its findings. CXR-Report-Metric wants whole numbers for ids: unless all are, studies
/// are numbered from 0 and `study_ids.csv` holds the numbers beside the ids.
///
/// # Errors
///
/// [`EvaluationError::Io`] naming the file.
pub fn export(
    export: Export,
    folder: &Path,
    studies: &[ScoredStudy],
) -> Result<Vec<PathBuf>, EvaluationError> {
    fs::create_dir_all(folder).map_err(failed(folder))?;
    match export {
        Export::RexRank => {
            let studies = studies
                .iter()
                .map(|study| (study.id.clone(), rexrank(study)));
            let object = Value::Object(studies.collect::<Map<_, _>>());
            Ok(vec![write(folder.join("predictions.json"), &object)?])
        }
        Export::RadEval => {
            let references: Vec<&str> = studies.iter().map(reference).collect();
            let hypotheses: Vec<&str> = studies
                .iter()
                .map(|study| study.prediction.as_str())
                .collect();
            let object = json!({ "references": references, "hypotheses": hypotheses });
            Ok(vec![write(folder.join("radeval.json"), &object)?])
        }
        Export::CxrReportMetric => tables(folder, studies),
    }
}

fn failed<E: Into<Box<dyn std::error::Error + Send + Sync>>>(
    path: &Path,
) -> impl FnOnce(E) -> EvaluationError {
    let path = path.to_owned();
    move |error| EvaluationError::Io {
        path,
        source: io::Error::other(error),
    }
}

fn write(path: PathBuf, value: &Value) -> Result<PathBuf, EvaluationError> {
    let text = serde_json::to_string_pretty(value).map_err(failed(&path))?;
    fs::write(&path, text + "\n").map_err(failed(&path))?;
    Ok(path)
}

fn reference(study: &ScoredStudy) -> &str {
    study.references.first().map_or("", String::as_str)
}

/// A study as a JSON object in ReXrank's format; a missing section is `null`.
fn rexrank(study: &ScoredStudy) -> Value {
    let reference = reference(study);
    let sections = reference
        .strip_prefix("Findings: ")
        .and_then(|rest| rest.split_once(" Impression: "));
    let section = |text: &str| match text {
        "None" => Value::Null,
        text => Value::from(text),
    };
    let (findings, impression) = match sections {
        Some((findings, impression)) => (section(findings), section(impression)),
        None => (Value::from(reference), Value::Null),
    };
    json!({
        "section_findings": findings,
        "section_impression": impression,
        "report": reference,
        "model_prediction": study.prediction,
    })
}

fn tables(folder: &Path, studies: &[ScoredStudy]) -> Result<Vec<PathBuf>, EvaluationError> {
    let are_numbers = studies.iter().all(|study| study.id.parse::<i64>().is_ok());
    let numbers: Vec<String> = if are_numbers {
        studies.iter().map(|study| study.id.clone()).collect()
    } else {
        (0..studies.len())
            .map(|number| number.to_string())
            .collect()
    };
    let table = |name: &str, column: &str, cell: fn(&ScoredStudy) -> &str| {
        let path = folder.join(name);
        let write = || -> Result<(), csv::Error> {
            let mut table = csv::Writer::from_path(&path)?;
            table.write_record(["study_id", column])?;
            for (number, study) in numbers.iter().zip(studies) {
                table.write_record([number.as_str(), cell(study)])?;
            }
            Ok(table.flush()?)
        };
        write().map_err(failed(&path))?;
        Ok::<_, EvaluationError>(path)
    };
    let mut files = vec![
        table("gt_reports.csv", "report", reference)?,
        table("predicted_reports.csv", "report", |study| &study.prediction)?,
    ];
    if !are_numbers {
        files.push(table("study_ids.csv", "id", |study| &study.id)?);
    }
    Ok(files)
}
