use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::DataError;
use crate::exclusion::{Exclusions, OnBadStudy};
use crate::reports::ReportFiles;
use crate::screening::{ImageCheck, first_sound, screen_images};
use crate::sections::ReportSection;
use crate::study::Study;

mod index;
mod moment;
mod priors;
mod study;

pub(crate) use index::{IndexedStudy, MimicIndex};
pub(crate) use moment::date_after;
pub use priors::LeftOutPriors;
pub(crate) use study::{StudyReading, open_reports, read_study};

/// Reports read between two calls of `progress`.
const AT_A_TIME: usize = 4096;

/// Options of [`read_mimic`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MimicOptions {
    /// Report section used as target text.
    pub section: ReportSection,
    /// View positions in order of preference; any other comes last.
    pub view_preference: Vec<String>,
    /// Maximum number of images per study.
    pub views: usize,
    /// Folder or zip archive of MIMIC-CXR's reports, if they are not in the folder of the tables.
    pub reports: Option<PathBuf>,
    /// Policy for broken studies.
    pub on_bad_study: OnBadStudy,
    /// How images are checked.
    pub image_check: ImageCheck,
    /// Maximum number of images of a patient's previous study, which may be 0 for its report alone; `None` reads no
    /// previous studies. It needs `StudyDate` and `StudyTime` in the metadata.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prior_views: Option<usize>,
}

impl Default for MimicOptions {
    /// Findings; PA, AP, LATERAL, LL; one image, which must exist; stops at the first broken study; no previous
    /// studies.
    fn default() -> Self {
        MimicOptions {
            section: ReportSection::Findings,
            view_preference: ["PA", "AP", "LATERAL", "LL"].map(str::to_owned).to_vec(),
            views: 1,
            reports: None,
            on_bad_study: OnBadStudy::Stop,
            image_check: ImageCheck::Present,
            prior_views: None,
        }
    }
}

/// Studies of a MIMIC-CXR-JPG folder, and the excluded ones.
#[derive(Debug, Clone)]
pub struct MimicStudies {
    /// Studies in the order of their ids.
    pub studies: Vec<Study>,
    /// Excluded studies with their reasons.
    pub exclusions: Exclusions,
    /// Studies that have no previous study although their patient has others, if previous studies are read.
    pub left_out_priors: LeftOutPriors,
}

/// Reads a folder laid out as PhysioNet ships MIMIC-CXR-JPG 2.x, with the reports of MIMIC-CXR
/// beside the images: as `files/`, or in `mimic-cxr-reports.zip`. The reports may have been repacked with
/// up to three folders above `p10/`.
///
/// Needed: `mimic-cxr-2.0.0-split.csv[.gz]`, `mimic-cxr-2.0.0-metadata.csv[.gz]`, reports
/// `files/p10/p10000032/s50414267.txt`, images `files/p10/p10000032/s50414267/<dicom_id>.jpg` (or
/// `.dcm`, as in MIMIC-CXR, which needs the feature `dicom`). Optional:
/// `mimic-cxr-2.0.0-chexpert.csv[.gz]`.
///
/// # Errors
///
/// If a table or a column is missing or a table is truncated; [`DataError::NoReports`] if no report
/// exists, as in MIMIC-CXR-JPG alone. Also if a row is invalid, or a report or an image is missing or
/// unreadable, unless such studies are skipped.
pub fn read_mimic(root: &Path, options: &MimicOptions) -> Result<MimicStudies, DataError> {
    read_mimic_watched(root, options, |_, _| {})
}

/// Like [`read_mimic`]; `progress` gets the number of reports read and their total, every few thousand
/// reports.
///
/// # Errors
///
/// As [`read_mimic`].
pub fn read_mimic_watched(
    root: &Path,
    options: &MimicOptions,
    progress: impl FnMut(usize, usize),
) -> Result<MimicStudies, DataError> {
    let mut exclusions = Exclusions::new(options.on_bad_study);
    let reader = MimicReader::open(root, options, &mut exclusions)?;
    let candidates = reader.index.studies.iter().collect();
    let studies = reader.sound(candidates, &mut exclusions, progress)?;
    Ok(MimicStudies {
        studies,
        left_out_priors: reader.index.left_out_priors,
        exclusions,
    })
}

/// Like [`read_mimic`] for the first `limit` studies of every split. Excluded studies are replaced by the
/// next ones; no other report or image is read.
///
/// # Errors
///
/// As [`read_mimic`].
pub fn read_mimic_first(
    root: &Path,
    options: &MimicOptions,
    limit: usize,
) -> Result<MimicStudies, DataError> {
    let mut exclusions = Exclusions::new(options.on_bad_study);
    let reader = MimicReader::open(root, options, &mut exclusions)?;
    let candidates = reader.index.studies.iter().collect();
    let split = |(_, study): &Candidate| study.split;
    let mut studies = first_sound(candidates, limit, split, |some| {
        reader.sound(some, &mut exclusions, |_, _| {})
    })?;
    studies.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(MimicStudies {
        studies,
        left_out_priors: reader.index.left_out_priors,
        exclusions,
    })
}

/// The tables of a folder and its opened reports.
struct MimicReader<'a> {
    root: &'a Path,
    options: &'a MimicOptions,
    index: MimicIndex,
    reports: ReportFiles,
}

/// A study of the tables and its id.
type Candidate<'a> = (&'a String, &'a IndexedStudy);

impl<'a> MimicReader<'a> {
    fn open(
        root: &'a Path,
        options: &'a MimicOptions,
        exclusions: &mut Exclusions,
    ) -> Result<Self, DataError> {
        let index = MimicIndex::read(root, options, exclusions)?;
        let reports = open_reports(root, options, &index)?;
        Ok(MimicReader {
            root,
            options,
            index,
            reports,
        })
    }

    /// Reads some studies; returns those with a valid report and valid images.
    fn sound(
        &self,
        some: Vec<Candidate>,
        exclusions: &mut Exclusions,
        mut progress: impl FnMut(usize, usize),
    ) -> Result<Vec<Study>, DataError> {
        let mut studies = Vec::with_capacity(some.len());
        for (number, chunk) in some.chunks(AT_A_TIME).enumerate() {
            let readings: Vec<StudyReading> = chunk
                .par_iter()
                .map(|&(id, study)| {
                    let (root, options) = (self.root, self.options);
                    read_study(root, options, &self.reports, &self.index, (id, study))
                })
                .collect::<Result<_, _>>()?;
            for ((id, _), reading) in chunk.iter().zip(readings) {
                match reading {
                    StudyReading::Sound(study, _) => studies.push(Study {
                        labels: self.index.labels.get(*id).copied(),
                        ..*study
                    }),
                    StudyReading::Excluded(exclusion) => exclusions.push(exclusion),
                }
            }
            progress(number * AT_A_TIME + chunk.len(), some.len());
        }
        screen_images(studies, self.options.image_check, exclusions)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;
    use crate::exclusion::ExclusionReason;
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
    fn reports_beyond_the_limit_are_not_read() {
        let more = "c,50000002,10000001,validate\nd,50000003,10000001,test\n";
        let folder = folder(&format!("{SPLIT}{more}"), "FINDINGS: x");
        // The third study's report is absent, and the second one's is beyond the limit.
        let read = |limit| {
            let options = MimicOptions {
                on_bad_study: OnBadStudy::Skip,
                ..MimicOptions::default()
            };
            read_mimic_first(folder.path(), &options, limit).expect("skipped")
        };
        let [one, two] = [1, 2].map(read);
        assert_eq!((one.studies.len(), two.studies.len()), (1, 1));
        assert_eq!(one.exclusions.list()[0].study, "s50000003");
        assert_eq!(
            (one.exclusions.list().len(), two.exclusions.list().len()),
            (1, 2)
        );
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
