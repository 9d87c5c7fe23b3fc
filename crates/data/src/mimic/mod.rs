use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::DataError;
use crate::exclusion::{Exclusion, ExclusionReason, Exclusions, OnBadStudy};
use crate::reports::ReportFiles;
use crate::screening::{ImageCheck, screen_images};
use crate::sections::{ReportSection, ReportSections};
use crate::study::Study;

mod index;

pub(crate) use index::{IndexedStudy, MimicIndex};

/// How the MIMIC-CXR-JPG layout is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MimicOptions {
    /// Text to learn.
    pub section: ReportSection,
    /// Views in order of preference; any other comes last.
    pub view_preference: Vec<String>,
    /// Images taken of a study, at most.
    pub views: usize,
    /// Folder with the reports' `files/`, or `mimic-cxr-reports.zip`, if MIMIC-CXR and
    /// MIMIC-CXR-JPG lie in two places.
    pub reports: Option<PathBuf>,
    /// What happens when a study's files are broken.
    pub on_bad_study: OnBadStudy,
    /// How closely images are looked at.
    pub image_check: ImageCheck,
}

impl Default for MimicOptions {
    /// Findings; PA, AP, LATERAL, LL; one image, which must be there; the first broken study is an
    /// error.
    fn default() -> Self {
        MimicOptions {
            section: ReportSection::Findings,
            view_preference: ["PA", "AP", "LATERAL", "LL"].map(str::to_owned).to_vec(),
            views: 1,
            reports: None,
            on_bad_study: OnBadStudy::Stop,
            image_check: ImageCheck::Present,
        }
    }
}

/// Studies of a MIMIC-CXR-JPG folder, and those left out.
#[derive(Debug, Clone)]
pub struct MimicStudies {
    /// Studies in the order of their ids.
    pub studies: Vec<Study>,
    /// Studies left out, with their reasons.
    pub exclusions: Exclusions,
}

/// Reads a folder laid out as PhysioNet ships MIMIC-CXR-JPG 2.x, with the reports of MIMIC-CXR
/// beside the images: as `files/`, or in `mimic-cxr-reports.zip` as it comes. Reports that were packed
/// again are understood with other folders above `p10/`, up to three.
///
/// Needed: `mimic-cxr-2.0.0-split.csv[.gz]`, `mimic-cxr-2.0.0-metadata.csv[.gz]`, reports
/// `files/p10/p10000032/s50414267.txt`, images `files/p10/p10000032/s50414267/<dicom_id>.jpg` (or
/// `.dcm`, as MIMIC-CXR has them; decoding those needs the feature `dicom`). Used if there:
/// `mimic-cxr-2.0.0-chexpert.csv[.gz]`.
///
/// # Errors
///
/// If a table or a column is missing or a table ends early; [`DataError::NoReports`] if not one report
/// is there, as in MIMIC-CXR-JPG alone. Also if a row cannot be understood, or a
/// report or an image is missing or unreadable, unless such studies are skipped.
pub fn read_mimic(root: &Path, options: &MimicOptions) -> Result<MimicStudies, DataError> {
    let mut exclusions = Exclusions::new(options.on_bad_study);
    let index = MimicIndex::read(root, options, &mut exclusions)?;
    let reports = open_reports(root, options, &index)?;
    let read: Vec<Result<StudyReading, DataError>> = index
        .studies
        .par_iter()
        .map(|(id, study)| read_study(root, options, &reports, id, study))
        .collect();
    let mut studies = Vec::with_capacity(read.len());
    for ((id, _), reading) in index.studies.iter().zip(read) {
        match reading? {
            StudyReading::Sound(study, _) => studies.push(Study {
                labels: index.labels.get(id).copied(),
                ..*study
            }),
            StudyReading::Excluded(exclusion) => exclusions.push(exclusion),
        }
    }
    let studies = screen_images(studies, options.image_check, &mut exclusions)?;
    Ok(MimicStudies {
        studies,
        exclusions,
    })
}

/// Opens the reports of an index, beside the tables unless the options name another place.
pub(crate) fn open_reports(
    root: &Path,
    options: &MimicOptions,
    index: &MimicIndex,
) -> Result<ReportFiles, DataError> {
    let place = options.reports.as_deref().unwrap_or(root);
    let wanted = index.studies.iter();
    ReportFiles::open(
        place,
        wanted.map(|(id, study)| report_file(&study.subject, id)),
    )
}

/// What reading one study came to.
pub(crate) enum StudyReading {
    /// A study without its labels, and all sections of its report.
    Sound(Box<Study>, ReportSections),
    /// Left out.
    Excluded(Exclusion),
}

/// Reads the report of a study and names its images.
///
/// # Errors
///
/// If its report is missing or unreadable, unless such studies are skipped.
pub(crate) fn read_study(
    root: &Path,
    options: &MimicOptions,
    reports: &ReportFiles,
    id: &str,
    indexed: &IndexedStudy,
) -> Result<StudyReading, DataError> {
    let name = format!("s{id}");
    let relative = report_file(&indexed.subject, id);
    let excluded = |reason, detail: String| {
        Ok(StudyReading::Excluded(Exclusion {
            study: name.clone(),
            reason,
            detail,
        }))
    };
    let broken = |reason, error: DataError| match options.on_bad_study {
        OnBadStudy::Stop => Err(error),
        OnBadStudy::Skip => excluded(reason, error.to_string()),
    };
    let text = match reports.read(&relative) {
        Ok(Some(text)) => text,
        Ok(None) => {
            let absent = std::io::Error::from(std::io::ErrorKind::NotFound);
            let error = DataError::io("cannot read report", reports.locate(&relative))(absent);
            return broken(ExclusionReason::MissingReport, error);
        }
        Err(error) => return broken(ExclusionReason::BadReport, error),
    };
    let Some(report) = options.section.extract(&text) else {
        return excluded(ExclusionReason::NoSection, String::new());
    };
    let folder = study_folder(root, &indexed.subject, id);
    let study = Study {
        id: name.clone(),
        patient: format!("p{}", indexed.subject),
        images: indexed
            .images
            .iter()
            .take(options.views.max(1))
            .map(|(_, dicom)| image_file(&folder, dicom))
            .collect(),
        report,
        split: indexed.split,
        labels: None,
        negative: None,
    };
    Ok(StudyReading::Sound(
        Box::new(study),
        ReportSections::of(&text),
    ))
}

/// The JPEG of MIMIC-CXR-JPG, or where only that is there the DICOM of MIMIC-CXR.
fn image_file(folder: &Path, dicom: &str) -> PathBuf {
    let jpeg = folder.join(format!("{dicom}.jpg"));
    if jpeg.is_file() {
        return jpeg;
    }
    let original = folder.join(format!("{dicom}.dcm"));
    if original.is_file() { original } else { jpeg }
}

/// `files/p10/p10000032/s50414267` for subject 10000032 and study 50414267.
pub(crate) fn study_folder(root: &Path, subject: &str, study: &str) -> PathBuf {
    root.join(relative_folder(subject, study))
}

/// `files/p10/p10000032/s50414267.txt`.
fn report_file(subject: &str, study: &str) -> String {
    format!("{}.txt", relative_folder(subject, study))
}

fn relative_folder(subject: &str, study: &str) -> String {
    let group = subject.get(..2).unwrap_or(subject);
    format!("files/p{group}/p{subject}/s{study}")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;
    use crate::labels::{CHEXPERT_LABELS, Label};
    use crate::study::Split;

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
        let excluded = &read.exclusions.list()[0];
        assert_eq!(excluded.study, "s50000001");
        assert_eq!(excluded.reason, ExclusionReason::NoSection);
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
    fn without_reports_nothing_is_left_out_one_by_one() {
        let folder = folder(SPLIT, "FINDINGS: x");
        let elsewhere = folder.path().join("elsewhere");
        fs::create_dir(&elsewhere).expect("created");
        for on_bad_study in [OnBadStudy::Stop, OnBadStudy::Skip] {
            let options = MimicOptions {
                reports: Some(elsewhere.clone()),
                on_bad_study,
                ..MimicOptions::default()
            };
            let error = read_mimic(folder.path(), &options).unwrap_err();
            assert!(
                matches!(error, DataError::NoReports { studies: 1, .. }),
                "{error}"
            );
            let error = error.to_string();
            assert!(
                error.contains("elsewhere") && error.contains("MIMIC-CXR"),
                "{error}"
            );
        }
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
