//! The labeler against human tags: the MeSH column of Open-i's reports.

use std::path::Path;

use super::error::EvaluationError;
use super::formats::Section;
use super::records::{PREDICTION, REFERENCE, Record, Records, is_json, read_text};
use super::table::{cell, column, csv_rows};
use super::{ClassFindings, class_findings, intervals_of};
use crate::{
    error::MetricsError,
    findings::FindingCounts,
    labeler::{FindingClass, LabelerVersion, Uncertain},
};

/// A report of a file, with its human tags if the file has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaggedReport {
    /// Identifier; the row number if there is no column `uid`, `id` or `study_id`.
    pub id: String,
    /// Column `report` (or `Report Impression`, as CheXbert calls it); without it `findings` and `impression` with a blank line between them; without
    /// those the prediction, or else the reference.
    pub report: String,
    /// Column `MeSH`, else `Problems`.
    pub tags: Option<String>,
}

/// Reads reports and tags from a CSV file such as the Open-i collection's `indiana_reports.csv`, or reports
/// alone from what [`read_studies`](super::read_studies) reads: a run's `predictions.csv`, of which the
/// predictions are taken, or R2Gen's `annotation.json`, all splits of it.
///
/// # Errors
/// [`EvaluationError`] naming the file and row.
pub fn read_tagged_reports(path: &Path) -> Result<Vec<TaggedReport>, EvaluationError> {
    let text = read_text(path)?;
    let reports = match is_json(path, &text) {
        true => from_records(path)?,
        false => from_csv(path, &text)?,
    };
    match reports.is_empty() {
        true => Err(EvaluationError::Empty {
            path: path.to_owned(),
        }),
        false => Ok(reports),
    }
}

fn from_records(path: &Path) -> Result<Vec<TaggedReport>, EvaluationError> {
    let report = |row: Record| {
        let first = row.references.into_iter().next();
        TaggedReport {
            id: row.id.unwrap_or_else(|| row.row.to_string()),
            report: row.text.or(row.prediction).or(first).unwrap_or_default(),
            tags: None,
        }
    };
    Ok(Records::read(path, Section::Both)?
        .rows
        .into_iter()
        .map(report)
        .collect())
}

fn from_csv(path: &Path, text: &str) -> Result<Vec<TaggedReport>, EvaluationError> {
    let rows = csv_rows(path, text)?;
    let [(_, header), body @ ..] = rows.as_slice() else {
        return Ok(Vec::new());
    };
    let find = |names: &[&str]| column(header, names);
    let id = find(&["uid", "id", "study_id"]);
    let parts = || [find(&["findings"]), find(&["impression"])];
    let texts: Vec<usize> = match find(&["report", "text", "report impression"]) {
        Some(report) => vec![report],
        None if parts() != [None, None] => parts().into_iter().flatten().collect(),
        None => find(PREDICTION)
            .or_else(|| find(REFERENCE))
            .into_iter()
            .collect(),
    };
    if texts.is_empty() {
        return Err(EvaluationError::Column {
            path: path.to_owned(),
            what: "reports",
            expected:
                "report, text, Report Impression, findings, impression, prediction, reference"
                    .to_owned(),
            found: header.join(", ").chars().take(200).collect(),
        });
    }
    let tags = find(&["MeSH"]).or_else(|| find(&["Problems"]));
    let report = |(row, fields): &(usize, Vec<String>)| TaggedReport {
        id: id.map_or_else(|| row.to_string(), |id| fields[id].clone()),
        report: texts
            .iter()
            .map(|&text| cell(&fields[text]))
            .collect::<Vec<_>>()
            .join("\n\n"),
        tags: tags.map(|tags| cell(&fields[tags]).to_owned()),
    };
    Ok(body.iter().map(report).collect())
}

/// Classes of a report's MeSH tags, in the order of [`FindingClass::all`]; `None` for an untagged report.
///
/// Tags are separated by `;`, each a heading with qualifiers separated by `/`. The table is in `docs/evaluation.md`.
pub fn findings_of_tags(tags: &str) -> Option<[bool; FindingClass::COUNT]> {
    let mut found = [false; FindingClass::COUNT];
    let mut any = false;
    for tag in tags.split(';') {
        let tag = tag.to_lowercase();
        let mut parts = tag.split('/').map(str::trim);
        let heading = parts.next().unwrap_or_default();
        let qualifiers: Vec<&str> = parts.collect();
        if heading == "no indexing" {
            return None;
        }
        any |= !heading.is_empty();
        for class in classes_of_tag(heading, &qualifiers) {
            found[class.index()] = true;
        }
    }
    any.then_some(found)
}

fn classes_of_tag(heading: &str, qualifiers: &[&str]) -> &'static [FindingClass] {
    use FindingClass::*;
    let has = |qualifier: &str| qualifiers.contains(&qualifier);
    match heading {
        "normal" => &[NoFinding],
        "cardiomegaly" => &[Cardiomegaly],
        "cardiac shadow" | "heart" if has("enlarged") => &[Cardiomegaly],
        "mediastinum" if (has("enlarged") || has("prominent")) && !has("lymph nodes") => {
            &[EnlargedCardiomediastinum]
        }
        "opacity" | "infiltrate" | "airspace disease" | "lung diseases, interstitial" => {
            &[LungOpacity]
        }
        "density" if has("lung") => &[LungOpacity],
        "markings" | "thickening" if has("interstitial") => &[LungOpacity],
        "nodule" | "mass" | "cavitation" => &[LungLesion],
        "pulmonary edema" | "pulmonary congestion" | "heart failure" => &[Edema],
        "consolidation" => &[Consolidation],
        "pneumonia" => &[Pneumonia],
        "pulmonary atelectasis" => &[Atelectasis],
        "pneumothorax" => &[Pneumothorax],
        "pleural effusion" | "hemothorax" => &[PleuralEffusion],
        "hydropneumothorax" | "hemopneumothorax" => &[Pneumothorax, PleuralEffusion],
        "thickening" | "calcinosis" | "cicatrix" if has("pleura") => &[PleuralOther],
        "fractures, bone" => &[Fracture],
        "catheters, indwelling"
        | "implanted medical device"
        | "medical device"
        | "tube, inserted"
        | "stents" => &[SupportDevices],
        _ => &[],
    }
}

/// Agreement of the labeler with human tags for every class, and for opacity and consolidation pooled.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct ClassAgreement {
    /// The labeler with its version, such as `rules-14 v2`.
    pub labeler: String,
    /// Reports with tags and text.
    pub reports: usize,
    /// Reports left out because they have no tags.
    pub untagged: usize,
    /// Reports left out because they have no text.
    pub empty: usize,
    /// Tags as truth, the labeler as prediction.
    pub classes: Vec<ClassFindings>,
}

/// Measures the labeler against human tags, with 95 % bootstrap intervals over reports.
///
/// # Errors
/// [`MetricsError::Empty`] if no report has both text and tags.
pub fn agreement(
    reports: &[TaggedReport],
    labeler: LabelerVersion,
    uncertain: Uncertain,
    draws: usize,
    seed: u64,
) -> Result<ClassAgreement, MetricsError> {
    let both = |flags: &[bool; FindingClass::COUNT]| {
        let either =
            flags[FindingClass::LungOpacity.index()] || flags[FindingClass::Consolidation.index()];
        [flags.as_slice(), &[either]].concat()
    };
    let names = FindingClass::all().map(FindingClass::name);
    let mut counts = FindingCounts::new(names.into_iter().chain(["Opacity or Consolidation"]))?;
    let (mut untagged, mut empty) = (0, 0);
    for report in reports {
        if report.report.trim().is_empty() {
            empty += 1;
            continue;
        }
        match report.tags.as_deref().and_then(findings_of_tags) {
            Some(tagged) => counts.add(
                &both(&tagged),
                &both(&labeler.label(&report.report).positives(uncertain)),
            )?,
            None => untagged += 1,
        }
    }
    if counts.studies() == 0 {
        return Err(MetricsError::Empty {
            what: "the list of tagged reports",
        });
    }
    Ok(ClassAgreement {
        labeler: labeler.name().to_owned(),
        reports: counts.studies(),
        untagged,
        empty,
        classes: class_findings(&counts, intervals_of(&counts, draws, seed)?.as_ref())?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(tags: &str) -> Option<Vec<&'static str>> {
        let found = findings_of_tags(tags)?;
        let all = FindingClass::all().into_iter();
        Some(
            all.filter(|class| found[class.index()])
                .map(FindingClass::name)
                .collect(),
        )
    }

    #[test]
    fn tags_become_classes() {
        assert_eq!(classes("normal"), Some(vec!["No Finding"]));
        assert_eq!(
            classes("Cardiac Shadow/enlarged;Opacity/lung/base/left ; Spine/degenerative"),
            Some(vec!["Cardiomegaly", "Lung Opacity"])
        );
        assert_eq!(
            classes("Hydropneumothorax/left"),
            Some(vec!["Pneumothorax", "Pleural Effusion"])
        );
        assert_eq!(classes("Mediastinum/lymph nodes/enlarged"), Some(vec![]));
        assert_eq!(classes("No Indexing"), None);
        assert_eq!(classes(""), None);
    }
}
