use std::path::{Path, PathBuf};

use super::index::IndexedImage;
use super::{IndexedStudy, MimicIndex, MimicOptions};
use crate::context::{PriorStudy, Projection, StudyContext, known_projections, stated};
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
    index: &MimicIndex,
    (id, indexed): (&str, &IndexedStudy),
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
    let sections = ReportSections::of(&text);
    let prior = match read_prior(root, options, reports, index, indexed) {
        Ok(prior) => prior.map(Box::new),
        Err(error) => return broken(ExclusionReason::BadReport, error),
    };
    let taken = &indexed.images[..indexed.images.len().min(options.views.max(1))];
    let study = Study {
        id: name.clone(),
        patient: format!("p{}", indexed.subject),
        images: image_files(root, &indexed.subject, id, taken),
        report,
        split: indexed.split,
        labels: None,
        negative: None,
        context: StudyContext {
            projections: projections(taken),
            indication: stated(&sections.indication),
            comparison: stated(&sections.comparison),
            prior,
        },
    };
    Ok(StudyReading::Sound(Box::new(study), sections))
}

/// Reads the previous study of a study, as far as the options ask for it. A previous study that lacks the wanted
/// section has no report; one with neither report nor film is none.
///
/// # Errors
///
/// If its report is missing or unreadable.
fn read_prior(
    root: &Path,
    options: &MimicOptions,
    reports: &ReportFiles,
    index: &MimicIndex,
    indexed: &IndexedStudy,
) -> Result<Option<PriorStudy>, DataError> {
    let (Some(views), Some(previous)) = (options.prior_views, &indexed.previous) else {
        return Ok(None);
    };
    let Some(prior) = index.studies.get(&previous.id) else {
        return Ok(None);
    };
    let relative = report_file(&prior.subject, &previous.id);
    let text = reports.read(&relative)?.ok_or_else(|| {
        let absent = std::io::Error::from(std::io::ErrorKind::NotFound);
        DataError::io("cannot read report", reports.locate(&relative))(absent)
    })?;
    let report = options.section.extract(&text);
    let taken = &prior.images[..prior.images.len().min(views)];
    let is_empty = taken.is_empty() && report.is_none();
    Ok((!is_empty).then(|| PriorStudy {
        id: format!("s{}", previous.id),
        images: image_files(root, &prior.subject, &previous.id, taken),
        projections: projections(taken),
        report,
        interval_days: previous.interval_days,
    }))
}

fn image_files(root: &Path, subject: &str, id: &str, images: &[IndexedImage]) -> Vec<PathBuf> {
    let folder = study_folder(root, subject, id);
    let files = images.iter().map(|image| image_file(&folder, &image.dicom));
    files.collect()
}

fn projections(images: &[IndexedImage]) -> Vec<Projection> {
    known_projections(images.iter().map(|image| image.projection).collect())
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
