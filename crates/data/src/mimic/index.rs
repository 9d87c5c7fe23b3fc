use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::Path;

use super::MimicOptions;
use super::moment::Moment;
use super::priors::{LeftOutPriors, Previous, previous_studies};
use crate::context::Projection;
use crate::error::DataError;
use crate::exclusion::{ExclusionReason, Exclusions};
use crate::labels::{CHEXPERT_LABELS, Label, Labels};
use crate::study::Split;
use crate::table::Table;

/// The tables of MIMIC-CXR-JPG, by study.
pub(crate) struct MimicIndex {
    /// By study id, without its `s`.
    pub studies: BTreeMap<String, IndexedStudy>,
    /// CheXpert's labels by study id.
    pub labels: HashMap<String, Labels>,
    /// Studies that could have had a previous one.
    pub left_out_priors: LeftOutPriors,
}

/// A study before its report is read.
pub(crate) struct IndexedStudy {
    /// Patient, without its `p`.
    pub subject: String,
    /// Part of the dataset.
    pub split: Split,
    /// Its images, the preferred first.
    pub images: Vec<IndexedImage>,
    /// When it was taken, if dates were asked for and are there.
    pub moment: Option<Moment>,
    /// The patient's previous study, if previous studies were asked for and there is one.
    pub previous: Option<Previous>,
}

/// An image of a study, ordered by preference.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct IndexedImage {
    /// Rank of its view.
    pub rank: usize,
    /// Its name.
    pub dicom: String,
    /// Its projection.
    pub projection: Projection,
}

/// What the metadata says of an image.
#[derive(Clone, Copy)]
struct ImageMetadata {
    rank: usize,
    projection: Projection,
    moment: Option<Moment>,
}

impl MimicIndex {
    /// Reads the tables in `root`; broken rows follow the policy of `exclusions`.
    pub fn read(
        root: &Path,
        options: &MimicOptions,
        exclusions: &mut Exclusions,
    ) -> Result<Self, DataError> {
        fs::read_dir(root).map_err(DataError::io("cannot read folder", root))?;
        let views = read_views(root, options, exclusions)?;
        let mut studies = read_split(root, options, &views, exclusions)?;
        for study in studies.values_mut() {
            study.images.sort();
        }
        let labels = read_labels(root, exclusions)?;
        // Exclude a study with any broken row: it would lack an image or its labels.
        for exclusion in exclusions.list() {
            studies.remove(exclusion.study.trim_start_matches('s'));
        }
        let left_out_priors = match options.prior_views {
            Some(_) => previous_studies(&mut studies),
            None => LeftOutPriors::default(),
        };
        Ok(MimicIndex {
            studies,
            labels,
            left_out_priors,
        })
    }
}

fn needed(root: &Path, name: &str) -> Result<Table, DataError> {
    Table::find(root, name)?.ok_or_else(|| DataError::Layout {
        path: root.to_owned(),
        layout: "MIMIC-CXR-JPG",
        missing: format!("{name} or {name}.gz"),
    })
}

/// Calls `visit` for every row; a row with an error excludes its study.
fn visit_rows(
    table: Table,
    study: usize,
    exclusions: &mut Exclusions,
    visit: impl FnMut(&crate::table::Row) -> Result<(), String>,
) -> Result<(), DataError> {
    table.for_each_or(visit, |row, error| {
        let study = row.map_or_else(String::new, |row| format!("s{}", row.id(study)));
        exclusions.broken(&study, ExclusionReason::BadRow, error)
    })
}

/// Metadata of every image, by dicom id. Dates are read if previous studies are asked for.
fn read_views(
    root: &Path,
    options: &MimicOptions,
    exclusions: &mut Exclusions,
) -> Result<HashMap<String, ImageMetadata>, DataError> {
    let table = needed(root, "mimic-cxr-2.0.0-metadata.csv")?;
    let dicom = table.column("dicom_id")?;
    let view = table.column("ViewPosition")?;
    let study = table.column("study_id")?;
    let dates = match options.prior_views {
        Some(_) => Some((table.column("StudyDate")?, table.column("StudyTime")?)),
        None => None,
    };
    let mut views = HashMap::new();
    visit_rows(table, study, exclusions, |row| {
        let rank = options
            .view_preference
            .iter()
            .position(|wanted| wanted == row.get(view))
            .unwrap_or(options.view_preference.len());
        let moment = match dates {
            Some((date, time)) => Moment::parse(row.id(date), row.get(time))?,
            None => None,
        };
        let metadata = ImageMetadata {
            rank,
            projection: Projection::parse(row.get(view)),
            moment,
        };
        views.insert(row.get(dicom).to_owned(), metadata);
        Ok(())
    })?;
    Ok(views)
}

fn read_split(
    root: &Path,
    options: &MimicOptions,
    views: &HashMap<String, ImageMetadata>,
    exclusions: &mut Exclusions,
) -> Result<BTreeMap<String, IndexedStudy>, DataError> {
    let table = needed(root, "mimic-cxr-2.0.0-split.csv")?;
    let [dicom, study, subject, split] =
        ["dicom_id", "study_id", "subject_id", "split"].map(|name| table.column(name));
    let (dicom, study, subject, split) = (dicom?, study?, subject?, split?);
    let mut studies: BTreeMap<String, IndexedStudy> = BTreeMap::new();
    let mut seen = HashSet::new();
    visit_rows(table, study, exclusions, |row| {
        let split = parse_split(row.get(split))?;
        for identifier in [row.get(dicom), row.id(study), row.id(subject)] {
            check_identifier(identifier)?;
        }
        if let Some(known) = studies.get(row.id(study)) {
            if known.split != split {
                return Err(format!("study {} stands in two splits", row.id(study)));
            }
            if known.subject != row.id(subject) {
                return Err(format!("study {} has two subjects", row.id(study)));
            }
        }
        let image = row.get(dicom);
        if !seen.insert(image.to_owned()) {
            return Err(format!("image {image} stands here twice"));
        }
        let known = views.get(image).copied().unwrap_or(ImageMetadata {
            rank: options.view_preference.len(),
            projection: Projection::Unknown,
            moment: None,
        });
        let indexed = studies
            .entry(row.id(study).to_owned())
            .or_insert_with(|| IndexedStudy {
                subject: row.id(subject).to_owned(),
                split,
                images: Vec::new(),
                moment: None,
                previous: None,
            });
        // A study begins with its first image.
        indexed.moment = match (indexed.moment, known.moment) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        indexed.images.push(IndexedImage {
            rank: known.rank,
            dicom: image.to_owned(),
            projection: known.projection,
        });
        Ok(())
    })?;
    Ok(studies)
}

/// Labels by study id; empty without the table.
fn read_labels(
    root: &Path,
    exclusions: &mut Exclusions,
) -> Result<HashMap<String, Labels>, DataError> {
    let Some(table) = Table::find(root, "mimic-cxr-2.0.0-chexpert.csv")? else {
        return Ok(HashMap::new());
    };
    let study = table.column("study_id")?;
    let columns: Vec<usize> = CHEXPERT_LABELS
        .iter()
        .map(|name| table.column(name))
        .collect::<Result<_, _>>()?;
    let mut labels = HashMap::new();
    visit_rows(table, study, exclusions, |row| {
        let mut all = Labels::default();
        for (label, column) in all.0.iter_mut().zip(&columns) {
            *label = Label::parse(row.get_some(*column))?;
        }
        labels.insert(row.id(study).to_owned(), all);
        Ok(())
    })?;
    Ok(labels)
}

fn parse_split(name: &str) -> Result<Split, String> {
    Split::ALL
        .into_iter()
        .find(|split| split.mimic_name() == name)
        .ok_or_else(|| format!("unknown split '{name}': expected train, validate or test"))
}

/// Identifiers become parts of paths: letters, digits, `-`, `_` and `.` alone, and not `..`.
fn check_identifier(identifier: &str) -> Result<(), String> {
    let fits =
        |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.');
    if identifier.is_empty() || !identifier.chars().all(fits) || identifier.starts_with('.') {
        Err(format!("'{identifier}' is no identifier"))
    } else {
        Ok(())
    }
}
