use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use super::{IndianaStudy, on_one_line};
use crate::context::Projection;
use crate::error::DataError;
use crate::exclusion::{ExclusionReason, Exclusions};
use crate::sections::ReportSections;
use crate::table::Table;

/// Reads `indiana_reports.csv` and `indiana_projections.csv` (gzipped or not), in the order of uids;
/// of a study's images the frontal ones come first.
///
/// # Errors
///
/// If a table or a column is missing; if a row is invalid, a uid occurs twice or an image has no report,
/// unless such rows are skipped.
pub(crate) fn read_indiana_tables(
    reports: &Path,
    projections: &Path,
    exclusions: &mut Exclusions,
) -> Result<Vec<IndianaStudy>, DataError> {
    let mut studies = read_reports(reports, exclusions)?;
    let table = Table::open(projections)?;
    let [uid, filename, projection] =
        ["uid", "filename", "projection"].map(|name| table.column(name));
    let (uid, filename, projection) = (uid?, filename?, projection?);
    let mut images: BTreeMap<u32, Vec<(usize, String)>> = BTreeMap::new();
    table.for_each_or(
        |row| {
            let number = parse_uid(row.id(uid))?;
            let rank = match row.get(projection) {
                "Frontal" => 0,
                "Lateral" => 1,
                "" => return Err("no projection: expected Frontal or Lateral".to_owned()),
                other => return Err(format!("projection '{other}': expected Frontal or Lateral")),
            };
            if !studies.contains_key(&number) {
                return Err(format!("uid {number} has no report"));
            }
            let file = row.get(filename);
            let of_study = images.entry(number).or_default();
            if file.is_empty() {
                return Err("no filename".to_owned());
            }
            if of_study.iter().any(|(_, known)| known == file) {
                return Err(format!("image {file} stands here twice"));
            }
            of_study.push((rank, file.to_owned()));
            Ok(())
        },
        |row, error| {
            let study = row.map_or_else(String::new, |row| format!("CXR{}", row.id(uid)));
            exclusions.broken(&study, ExclusionReason::BadRow, error)
        },
    )?;
    // Exclude a study with any broken row: it would lack an image.
    let broken: HashSet<&str> = exclusions
        .list()
        .iter()
        .map(|it| it.study.as_str())
        .collect();
    studies.retain(|_, study| !broken.contains(study.uid.as_str()));
    for (number, mut of_study) in images {
        of_study.sort_by_key(|(rank, _)| *rank);
        if let Some(study) = studies.get_mut(&number) {
            (study.projections, study.images) = of_study
                .into_iter()
                .map(|(rank, file)| ([Projection::Frontal, Projection::Lateral][rank], file))
                .unzip();
        }
    }
    Ok(studies.into_values().collect())
}

fn read_reports(
    path: &Path,
    exclusions: &mut Exclusions,
) -> Result<BTreeMap<u32, IndianaStudy>, DataError> {
    let table = Table::open(path)?;
    let uid = table.column("uid")?;
    let [indication, comparison, findings, impression] =
        ["indication", "comparison", "findings", "impression"].map(|name| table.column(name));
    let (indication, comparison) = (indication?, comparison?);
    let (findings, impression) = (findings?, impression?);
    let mut studies = BTreeMap::new();
    table.for_each_or(
        |row| {
            let number = parse_uid(row.id(uid))?;
            let context = |column| on_one_line(row.get(column));
            let text = |column| on_one_line(row.get_some(column));
            let study = IndianaStudy {
                uid: format!("CXR{number}"),
                images: Vec::new(),
                projections: Vec::new(),
                sections: ReportSections {
                    indication: context(indication),
                    technique: String::new(),
                    comparison: context(comparison),
                    findings: text(findings),
                    impression: text(impression),
                },
            };
            if studies.contains_key(&number) {
                return Err(format!("uid {number} stands here twice"));
            }
            studies.insert(number, study);
            Ok(())
        },
        |row, error| {
            let study = row.map_or_else(String::new, |row| format!("CXR{}", row.id(uid)));
            exclusions.broken(&study, ExclusionReason::BadRow, error)
        },
    )?;
    Ok(studies)
}

fn parse_uid(text: &str) -> Result<u32, String> {
    text.parse()
        .map_err(|_| format!("uid '{text}' is no number"))
}
