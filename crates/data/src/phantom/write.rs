use std::fs;
use std::path::Path;

use image::GrayImage;
use image::codecs::jpeg::JpegEncoder;
use rayon::prelude::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::cohort::{PhantomConfig, PhantomStudy, is_held_out, sample_cohort};
use super::draw::draw_radiograph;
use super::findings::PhantomFindings;
use super::history::PhantomChanges;
use super::report::{ReportParts, any_indication, report_text};
use super::tables::{Filed, write_tables};
use crate::error::DataError;
use crate::study::Split;

/// Version of the drawings, the grammar and the layout: raised whenever one of them changes.
const FORMAT: u32 = 1;

/// Written last, so that its presence means that all the rest is there.
pub(super) const MANIFEST: &str = "phantom.json";

/// Result of [`write_phantom_dataset`] and of [`write_phantom_histories`](super::write_phantom_histories).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhantomSummary {
    /// Studies in train, validation and test.
    pub studies: [usize; 3],
    /// Studies, of all splits, that have a near-twin.
    pub near_twins: usize,
    /// Whether a complete dataset of the same config was already there and nothing was written.
    pub reused: bool,
}

/// What is known of a written study, by the ids that `read_mimic` gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhantomRecord {
    /// Study, such as `s50414267`.
    pub id: String,
    /// Patient, such as `p10000032`.
    pub patient: String,
    /// Part of the dataset.
    pub split: Split,
    /// What the film shows.
    pub findings: PhantomFindings,
    /// Its near-twin's id, if it has one.
    pub near_twin: Option<String>,
    /// Whether its combination of findings is held out of training.
    pub held_out: bool,
    /// Its patient's previous study, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prior: Option<String>,
    /// What has changed since then.
    #[serde(default, skip_serializing_if = "PhantomChanges::is_empty")]
    pub changes: PhantomChanges,
}

#[derive(Serialize)]
struct Manifest<'a, C> {
    format: u32,
    config: &'a C,
    studies: Vec<PhantomRecord>,
}

/// What a manifest is made for.
#[derive(Deserialize)]
struct Purpose<C> {
    format: u32,
    config: C,
}

/// The studies of a manifest, of whatever cohort.
#[derive(Deserialize)]
struct Studies {
    studies: Vec<PhantomRecord>,
}

/// Writes a cohort as MIMIC-CXR-JPG is laid out: JPEG films (quality 95), section-headed reports,
/// and the split, metadata and chexpert tables. `read_mimic` reads it.
///
/// All files are written to a temporary folder next to `dir` and moved to `dir` at the end. A
/// complete dataset of the same config is left as it is.
///
/// # Errors
/// If `dir` holds anything else, the config asks for films under 16 pixels or more than a
/// million studies, or the disk fails.
pub fn write_phantom_dataset(
    dir: &Path,
    config: &PhantomConfig,
) -> Result<PhantomSummary, DataError> {
    check(dir, config)?;
    let cohort = sample_cohort(config);
    let reused = place_dataset(dir, (FORMAT, config), |root| {
        write_all(root, config, &cohort)
    })?;
    Ok(summary(&cohort, reused))
}

/// Has `write` write a dataset of this format and config to a temporary folder, which then becomes `dir`; true if `dir`
/// was that dataset already.
pub(super) fn place_dataset<C: PartialEq + DeserializeOwned>(
    dir: &Path,
    purpose: (u32, &C),
    write: impl FnOnce(&Path) -> Result<(), DataError>,
) -> Result<bool, DataError> {
    if holds(dir, purpose) {
        return Ok(true);
    }
    refuse_other_content(dir)?;
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(DataError::io("cannot create", parent))?;
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    let partial = parent.join(format!(".{name}.partial-{}", std::process::id()));
    let moved = write(&partial).and_then(|()| move_over(&partial, dir));
    if moved.is_err() {
        // The first error is the one to report.
        let _ = fs::remove_dir_all(&partial);
    }
    match moved {
        // Another process may have finished the same dataset meanwhile.
        Err(_) if holds(dir, purpose) => Ok(true),
        moved => moved.map(|()| false),
    }
}

/// Whether `dir` holds the whole dataset that `config` describes, of this version.
pub fn is_complete(dir: &Path, config: &PhantomConfig) -> bool {
    holds(dir, (FORMAT, config))
}

/// Whether `dir` holds the whole dataset of this format and config.
pub(super) fn holds<C: PartialEq + DeserializeOwned>(
    dir: &Path,
    (format, config): (u32, &C),
) -> bool {
    let manifest = read_manifest::<Purpose<C>>(dir);
    manifest.is_ok_and(|manifest| manifest.format == format && manifest.config == *config)
}

/// What is known of the studies that [`write_phantom_dataset`] or
/// [`write_phantom_histories`](super::write_phantom_histories) wrote to `dir`.
///
/// # Errors
/// If `dir` has no readable `phantom.json`.
pub fn read_phantom_records(dir: &Path) -> Result<Vec<PhantomRecord>, DataError> {
    read_manifest::<Studies>(dir).map(|manifest| manifest.studies)
}

fn read_manifest<M: DeserializeOwned>(dir: &Path) -> Result<M, DataError> {
    let path = dir.join(MANIFEST);
    let text = fs::read_to_string(&path).map_err(DataError::io("cannot read", &path))?;
    serde_json::from_str(&text).map_err(|error| DataError::Json {
        path,
        reason: error.to_string(),
    })
}

fn check(dir: &Path, config: &PhantomConfig) -> Result<(), DataError> {
    let total = [config.train, config.validation, config.test]
        .into_iter()
        .fold(0, usize::saturating_add);
    let reason = if config.image_size < 16 {
        format!(
            "image_size is {}, and must be at least 16",
            config.image_size
        )
    } else if total > 1_000_000 {
        format!("{total} phantom studies are more than a million")
    } else {
        return Ok(());
    };
    Err(DataError::Json {
        path: dir.join(MANIFEST),
        reason,
    })
}

/// Only an absent or an empty folder is written over.
fn refuse_other_content(dir: &Path) -> Result<(), DataError> {
    let io = DataError::io("cannot read", dir);
    match fs::read_dir(dir).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(io(error)),
        Ok(false) => Err(DataError::Json {
            path: dir.join(MANIFEST),
            reason: "the folder holds something other than the phantom dataset of this config; \
                     empty it or name another"
                .to_owned(),
        }),
    }
}

fn move_over(partial: &Path, dir: &Path) -> Result<(), DataError> {
    match fs::remove_dir(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(DataError::io("cannot replace", dir)(error));
        }
        _ => {}
    }
    fs::rename(partial, dir).map_err(DataError::io("cannot move the dataset to", dir))
}

fn summary(cohort: &[PhantomStudy], reused: bool) -> PhantomSummary {
    let count = |split| cohort.iter().filter(|study| study.split == split).count();
    PhantomSummary {
        studies: Split::ALL.map(count),
        near_twins: cohort
            .iter()
            .filter(|study| study.near_twin.is_some())
            .count(),
        reused,
    }
}

fn write_all(
    root: &Path,
    config: &PhantomConfig,
    cohort: &[PhantomStudy],
) -> Result<(), DataError> {
    let filed: Vec<Filed> = cohort
        .iter()
        .enumerate()
        .map(|(index, study)| Filed::new(index, study, config.seed))
        .collect();
    fs::create_dir_all(root).map_err(DataError::io("cannot create", root))?;
    filed
        .par_iter()
        .try_for_each(|study| write_study(root, config.image_size, study))?;
    write_tables(root, config.image_size, &filed)?;
    let studies = filed.iter().map(|study| record(study, &filed)).collect();
    write_manifest(root, FORMAT, config, studies)
}

/// Writes the manifest, the last of a dataset's files.
pub(super) fn write_manifest<C: Serialize>(
    root: &Path,
    format: u32,
    config: &C,
    studies: Vec<PhantomRecord>,
) -> Result<(), DataError> {
    let manifest = Manifest {
        format,
        config,
        studies,
    };
    let path = root.join(MANIFEST);
    let json = serde_json::to_string(&manifest).map_err(|error| DataError::Json {
        path: path.clone(),
        reason: error.to_string(),
    })?;
    write_file(&path, json.as_bytes())
}

fn write_study(root: &Path, image_size: u32, filed: &Filed) -> Result<(), DataError> {
    let folder = filed.folder(root);
    fs::create_dir_all(&folder).map_err(DataError::io("cannot create", &folder))?;
    let film = draw_radiograph(&filed.study.findings, image_size, filed.study.film_seed);
    write_film(&folder.join(format!("{}.jpg", filed.dicom)), &film)?;
    let report = report_text(&ReportParts {
        examination: "CHEST (PA)",
        indication: Some(any_indication(filed.subject)),
        comparison: "None.",
        findings: &filed.study.findings,
        report: &filed.study.report,
    });
    write_text(&folder.with_extension("txt"), &report)
}

/// Writes a film as JPEG.
pub(super) fn write_film(path: &Path, film: &GrayImage) -> Result<(), DataError> {
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, 95)
        .encode_image(film)
        .map_err(|error| DataError::io("cannot encode", path)(std::io::Error::other(error)))?;
    write_file(path, &jpeg)
}

/// Writes a text.
pub(super) fn write_text(path: &Path, text: &str) -> Result<(), DataError> {
    write_file(path, text.as_bytes())
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<(), DataError> {
    fs::write(path, bytes).map_err(DataError::io("cannot write", path))
}

fn record(filed: &Filed, all: &[Filed]) -> PhantomRecord {
    PhantomRecord {
        id: format!("s{}", filed.number),
        patient: format!("p{}", filed.subject),
        split: filed.study.split,
        findings: filed.study.findings.clone(),
        near_twin: filed
            .study
            .near_twin
            .map(|twin| format!("s{}", all[twin].number)),
        held_out: is_held_out(&filed.study.findings),
        prior: None,
        changes: PhantomChanges::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phantom::read_report;
    use crate::{MimicOptions, read_mimic};

    const SMALL: PhantomConfig = PhantomConfig {
        train: 6,
        validation: 2,
        test: 4,
        near_twin_share: 0.5,
        image_size: 32,
        seed: 3,
    };

    #[test]
    fn the_mimic_reader_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("phantom");
        let summary = write_phantom_dataset(&root, &SMALL).unwrap();
        assert_eq!((summary.studies, summary.reused), ([6, 2, 4], false));

        let read = read_mimic(&root, &MimicOptions::default()).unwrap();
        let records = read_phantom_records(&root).unwrap();
        assert_eq!(read.studies.len(), records.len());
        for record in &records {
            let study = read
                .studies
                .iter()
                .find(|study| study.id == record.id)
                .unwrap();
            assert_eq!(
                (&study.patient, study.split),
                (&record.patient, record.split)
            );
            assert_eq!(read_report(&study.report).findings, record.findings);
            let film = image::open(&study.images[0]).unwrap();
            assert_eq!((film.width(), film.height()), (32, 32));
        }
        let twins = records
            .iter()
            .filter(|record| record.near_twin.is_some())
            .count();
        assert_eq!(twins, summary.near_twins);
    }

    #[test]
    fn a_complete_dataset_is_reused_and_another_refused() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("deep/phantom");
        assert!(!is_complete(&root, &SMALL));
        write_phantom_dataset(&root, &SMALL).unwrap();
        assert!(is_complete(&root, &SMALL));
        assert!(write_phantom_dataset(&root, &SMALL).unwrap().reused);

        let other = PhantomConfig { seed: 4, ..SMALL };
        let error = write_phantom_dataset(&root, &other)
            .unwrap_err()
            .to_string();
        assert!(error.contains("phantom.json"), "{error}");
        fs::remove_file(root.join(MANIFEST)).unwrap();
        assert!(write_phantom_dataset(&root, &SMALL).is_err());
        let beside = fs::read_dir(root.parent().unwrap()).unwrap().count();
        assert_eq!(beside, 1, "a partial folder was left behind");
    }

    #[test]
    fn impossible_configs_are_refused_before_anything_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("phantom");
        for config in [
            PhantomConfig {
                image_size: 0,
                ..SMALL
            },
            PhantomConfig {
                train: usize::MAX,
                ..SMALL
            },
        ] {
            assert!(write_phantom_dataset(&root, &config).is_err());
            assert!(!root.exists());
        }
    }
}
