use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::error::DataError;
use crate::labels::{CHEXPERT_LABELS, Label, Labels};
use crate::sections::ReportSection;
use crate::study::{Split, Study, check_images};
use crate::table::Table;

/// How the MIMIC-CXR-JPG layout is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MimicOptions {
    /// Text to learn.
    pub section: ReportSection,
    /// Views in order of preference; any other comes last.
    pub view_preference: Vec<String>,
    /// Images taken of a study, at most.
    pub views: usize,
    /// Folder with the reports' `files/`, if MIMIC-CXR and MIMIC-CXR-JPG lie in two places.
    pub reports: Option<PathBuf>,
}

impl Default for MimicOptions {
    /// Findings; PA, AP, LATERAL, LL; one image.
    fn default() -> Self {
        MimicOptions {
            section: ReportSection::Findings,
            view_preference: ["PA", "AP", "LATERAL", "LL"].map(str::to_owned).to_vec(),
            views: 1,
            reports: None,
        }
    }
}

/// Studies of a MIMIC-CXR-JPG folder, and those left out.
#[derive(Debug, Clone)]
pub struct MimicStudies {
    /// Studies in the order of their ids.
    pub studies: Vec<Study>,
    /// Studies left out because their report lacks the wanted section, by id (no `s` before it).
    pub without_section: Vec<String>,
}

/// An image of a study, before its report is read.
struct Row {
    dicom: String,
    subject: String,
    split: Split,
    preference: usize,
}

/// Reads a folder laid out as PhysioNet ships MIMIC-CXR-JPG 2.x, with the reports of MIMIC-CXR
/// beside the images.
///
/// Needed: `mimic-cxr-2.0.0-split.csv[.gz]`, `mimic-cxr-2.0.0-metadata.csv[.gz]`, reports
/// `files/p10/p10000032/s50414267.txt`, images `files/p10/p10000032/s50414267/<dicom_id>.jpg`.
/// Used if there: `mimic-cxr-2.0.0-chexpert.csv[.gz]`.
///
/// # Errors
///
/// If a table, a column, a report or an image is missing, or a row cannot be understood.
pub fn read_mimic(root: &Path, options: &MimicOptions) -> Result<MimicStudies, DataError> {
    if !root.is_dir() {
        return Err(DataError::Layout {
            path: root.to_owned(),
            layout: "MIMIC-CXR-JPG",
            missing: "such folder".to_owned(),
        });
    }
    let views = read_views(root, options)?;
    let by_study = read_split(root, options, &views)?;
    let mut labels = read_labels(root)?;
    let read: Vec<(String, Result<Option<Study>, DataError>)> = by_study
        .into_par_iter()
        .map(|(id, rows)| {
            let study = read_study(root, options, &id, rows);
            (id, study)
        })
        .collect();
    let mut studies = Vec::with_capacity(read.len());
    let mut without_section = Vec::new();
    for (id, study) in read {
        match study? {
            Some(study) => studies.push(Study {
                labels: labels.remove(&id),
                ..study
            }),
            None => without_section.push(id),
        }
    }
    check_images(&studies)?;
    Ok(MimicStudies {
        studies,
        without_section,
    })
}

/// A study without its labels; `None` if its report lacks the wanted section.
fn read_study(
    root: &Path,
    options: &MimicOptions,
    study: &str,
    mut rows: Vec<Row>,
) -> Result<Option<Study>, DataError> {
    rows.sort_by(|a, b| (a.preference, &a.dicom).cmp(&(b.preference, &b.dicom)));
    let (subject, split) = (&rows[0].subject, rows[0].split);
    let reports = options.reports.as_deref().unwrap_or(root);
    let report = study_folder(reports, subject, study).with_extension("txt");
    let text = fs::read(&report).map_err(DataError::io("cannot read report", &report))?;
    let Some(report) = options.section.extract(&String::from_utf8_lossy(&text)) else {
        return Ok(None);
    };
    let folder = study_folder(root, subject, study);
    Ok(Some(Study {
        id: format!("s{study}"),
        patient: format!("p{subject}"),
        images: rows
            .iter()
            .take(options.views.max(1))
            .map(|row| folder.join(format!("{}.jpg", row.dicom)))
            .collect(),
        report,
        split,
        labels: None,
        negative: None,
    }))
}

/// `files/p10/p10000032/s50414267` for subject 10000032 and study 50414267.
pub(crate) fn study_folder(root: &Path, subject: &str, study: &str) -> PathBuf {
    let group = subject.get(..2).unwrap_or(subject);
    root.join("files")
        .join(format!("p{group}"))
        .join(format!("p{subject}"))
        .join(format!("s{study}"))
}

fn needed(root: &Path, name: &str) -> Result<Table, DataError> {
    Table::find(root, name)?.ok_or_else(|| DataError::Layout {
        path: root.to_owned(),
        layout: "MIMIC-CXR-JPG",
        missing: format!("{name} or {name}.gz"),
    })
}

/// Rank of every image's view, by dicom id.
fn read_views(root: &Path, options: &MimicOptions) -> Result<HashMap<String, usize>, DataError> {
    let table = needed(root, "mimic-cxr-2.0.0-metadata.csv")?;
    let dicom = table.column("dicom_id")?;
    let view = table.column("ViewPosition")?;
    let mut views = HashMap::new();
    table.for_each(|row| {
        let rank = options
            .view_preference
            .iter()
            .position(|wanted| wanted == row.get(view))
            .unwrap_or(options.view_preference.len());
        views.insert(row.get(dicom).to_owned(), rank);
        Ok(())
    })?;
    Ok(views)
}

fn read_split(
    root: &Path,
    options: &MimicOptions,
    views: &HashMap<String, usize>,
) -> Result<BTreeMap<String, Vec<Row>>, DataError> {
    let table = needed(root, "mimic-cxr-2.0.0-split.csv")?;
    let [dicom, study, subject, split] =
        ["dicom_id", "study_id", "subject_id", "split"].map(|name| table.column(name));
    let (dicom, study, subject, split) = (dicom?, study?, subject?, split?);
    let mut studies: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    let mut seen = HashSet::new();
    table.for_each(|row| {
        let split = parse_split(row.get(split))?;
        for column in [dicom, study, subject] {
            check_identifier(row.get(column))?;
        }
        let rows = studies.entry(row.get(study).to_owned()).or_default();
        if rows.first().is_some_and(|first| first.split != split) {
            return Err(format!("study {} stands in two splits", row.get(study)));
        }
        if rows
            .first()
            .is_some_and(|first| first.subject != row.get(subject))
        {
            return Err(format!("study {} has two subjects", row.get(study)));
        }
        if !seen.insert(row.get(dicom).to_owned()) {
            return Err(format!("image {} stands here twice", row.get(dicom)));
        }
        rows.push(Row {
            dicom: row.get(dicom).to_owned(),
            subject: row.get(subject).to_owned(),
            split,
            preference: views
                .get(row.get(dicom))
                .copied()
                .unwrap_or(options.view_preference.len()),
        });
        Ok(())
    })?;
    Ok(studies)
}

/// Labels by study id, if the table is there.
fn read_labels(root: &Path) -> Result<HashMap<String, Labels>, DataError> {
    let Some(table) = Table::find(root, "mimic-cxr-2.0.0-chexpert.csv")? else {
        return Ok(HashMap::new());
    };
    let study = table.column("study_id")?;
    let columns: Vec<usize> = CHEXPERT_LABELS
        .iter()
        .map(|name| table.column(name))
        .collect::<Result<_, _>>()?;
    let mut labels = HashMap::new();
    table.for_each(|row| {
        let mut all = Labels::default();
        for (label, column) in all.0.iter_mut().zip(&columns) {
            *label = Label::parse(row.get(*column))?;
        }
        labels.insert(row.get(study).to_owned(), all);
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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// A folder with one study of two images; `split` and `report` are the files' contents.
    fn folder(split: &str, report: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        let study = root.join("files/p10/p10000001/s50000001");
        fs::create_dir_all(&study).expect("created");
        for dicom in ["front", "side"] {
            fs::write(study.join(format!("{dicom}.jpg")), b"jpeg").expect("written");
        }
        fs::write(study.with_extension("txt"), report).expect("written");
        fs::write(root.join("mimic-cxr-2.0.0-split.csv"), split).expect("written");
        fs::write(
            root.join("mimic-cxr-2.0.0-metadata.csv"),
            "\u{feff}dicom_id,subject_id,study_id,ViewPosition\r\n\
             side,10000001,50000001,LATERAL\r\nfront,10000001,50000001,PA\r\n",
        )
        .expect("written");
        folder
    }

    const SPLIT: &str = "dicom_id,study_id,subject_id,split\n\
        side,50000001,10000001,validate\nfront,50000001,10000001,validate\n";

    #[test]
    fn the_frontal_view_comes_first() {
        let folder = folder(SPLIT, "FINDINGS:\n Clear.\n");
        let read = read_mimic(folder.path(), &MimicOptions::default()).expect("well formed");
        let study = &read.studies[0];
        assert!(study.images[0].ends_with("s50000001/front.jpg"));
        assert_eq!(study.images.len(), 1);
        assert_eq!(study.report, "Clear.");
        assert_eq!(study.split, Split::Validation);
        assert_eq!(study.patient, "p10000001");
    }

    #[test]
    fn a_study_without_findings_is_left_out_and_named() {
        let folder = folder(SPLIT, "IMPRESSION: nothing.\n");
        let read = read_mimic(folder.path(), &MimicOptions::default()).expect("well formed");
        assert!(read.studies.is_empty());
        assert_eq!(read.without_section, ["50000001"]);
    }

    #[test]
    fn bad_rows_name_file_and_line() {
        for (split, expected) in [
            (
                SPLIT.replace("validate", "dev"),
                "line 2: unknown split 'dev'",
            ),
            (
                SPLIT.replace("50000001", "../etc"),
                "line 2: '../etc' is no identifier",
            ),
            (
                SPLIT.replace("subject_id", "subject"),
                "no column 'subject_id'",
            ),
            (
                SPLIT.replace("front", "side"),
                "line 3: image side stands here twice",
            ),
            (
                SPLIT.replace("front,50000001,10000001", "front,50000001,10000002"),
                "line 3: study 50000001 has two subjects",
            ),
            (format!("{SPLIT}front,5\n"), "line 4"),
        ] {
            let folder = folder(&split, "FINDINGS: x");
            let error = read_mimic(folder.path(), &MimicOptions::default())
                .unwrap_err()
                .to_string();
            assert!(error.contains(expected), "{error}");
            assert!(error.contains("mimic-cxr-2.0.0-split.csv"), "{error}");
        }
    }

    #[test]
    fn missing_images_are_counted_and_the_first_named() {
        let folder = folder(SPLIT, "FINDINGS: x");
        fs::remove_file(
            folder
                .path()
                .join("files/p10/p10000001/s50000001/front.jpg"),
        )
        .expect("removed");
        let error = read_mimic(folder.path(), &MimicOptions::default())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("1 of 1 images") && error.contains("front.jpg"),
            "{error}"
        );
    }

    #[test]
    fn labels_come_from_a_gzipped_table() {
        let folder = folder(SPLIT, "FINDINGS: x");
        let path = folder.path().join("mimic-cxr-2.0.0-chexpert.csv.gz");
        let write = |edema: &str| {
            let file = fs::File::create(&path).expect("created");
            let mut gz = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
            let header = CHEXPERT_LABELS.join(",");
            write!(
                gz,
                "subject_id,study_id,{header}\r\n10000001,50000001,1.0,,,{edema},,,,,,,,,,-1.0\r\n"
            )
            .expect("written");
            gz.finish().expect("finished");
        };
        write("0.0");
        let read = read_mimic(folder.path(), &MimicOptions::default()).expect("well formed");
        let labels = read.studies[0].labels.expect("the table has the study");
        assert_eq!(labels.get("Atelectasis"), Some(Label::Positive));
        assert_eq!(labels.get("Edema"), Some(Label::Negative));
        assert_eq!(labels.get("Fracture"), None);
        assert_eq!(labels.get("Support Devices"), Some(Label::Uncertain));
        write("yes");
        let error = read_mimic(folder.path(), &MimicOptions::default()).unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains("chexpert.csv.gz, line 2: label 'yes'"),
            "{error}"
        );
    }

    #[test]
    fn a_missing_report_is_named() {
        let folder = folder(SPLIT, "FINDINGS: x");
        let options = MimicOptions {
            reports: Some(folder.path().join("elsewhere")),
            ..MimicOptions::default()
        };
        let error = read_mimic(folder.path(), &options).unwrap_err().to_string();
        assert!(
            error.contains("cannot read report") && error.contains("elsewhere/files/p10"),
            "{error}"
        );
    }

    #[test]
    fn a_folder_of_something_else_says_what_it_lacks() {
        let folder = tempfile::tempdir().expect("a folder");
        let error = read_mimic(folder.path(), &MimicOptions::default())
            .unwrap_err()
            .to_string();
        assert!(error.contains("mimic-cxr-2.0.0-metadata.csv"), "{error}");
    }
}
