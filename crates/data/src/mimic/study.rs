use std::path::{Path, PathBuf};

use super::{IndexedStudy, MimicIndex, MimicOptions};
use crate::error::DataError;
use crate::exclusion::{Exclusion, ExclusionReason, OnBadStudy};
use crate::reports::ReportFiles;
use crate::sections::ReportSections;
use crate::study::Study;

/// Opens the reports of an index, in the folder of the tables unless the options name another.
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

/// Result of reading one study.
pub(crate) enum StudyReading {
    /// A study without its labels, and all sections of its report.
    Sound(Box<Study>, ReportSections),
    /// Excluded.
    Excluded(Exclusion),
}

/// Reads the report of a study and resolves its image paths.
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

/// The JPEG of MIMIC-CXR-JPG, or the DICOM of MIMIC-CXR if only that exists.
fn image_file(folder: &Path, dicom: &str) -> PathBuf {
    let jpeg = folder.join(format!("{dicom}.jpg"));
    if jpeg.is_file() {
        return jpeg;
    }
    let original = folder.join(format!("{dicom}.dcm"));
    if original.is_file() { original } else { jpeg }
}

/// `files/p10/p10000032/s50414267` for subject 10000032 and study 50414267.
fn study_folder(root: &Path, subject: &str, study: &str) -> PathBuf {
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
