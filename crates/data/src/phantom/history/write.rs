use std::fs;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::cohort::{HistoryStudy, PhantomHistoryConfig, sample_histories};
use crate::context::Projection;
use crate::error::DataError;
use crate::mimic::date_after;
use crate::phantom::chexpert::CHEXPERT_CLASSES;
use crate::phantom::draw::draw_radiograph;
use crate::phantom::lateral::draw_lateral_radiograph;
use crate::phantom::report::{ReportParts, report_text, spread};
use crate::phantom::tables::{
    METADATA_HEADER, SPLIT_HEADER, chexpert_row, dicom_name, scatter, write_table,
};
use crate::phantom::write::{
    MANIFEST, PhantomRecord, PhantomSummary, holds, place_dataset, write_film, write_manifest,
    write_text,
};
use crate::study::Split;

/// Version of the drawings, the grammar, the histories and the layout: raised whenever one of them changes.
const FORMAT: u32 = 1;

/// Dates of first studies lie in this many days.
const FIRST_DAYS: u64 = 20_000;

/// Most patients of a cohort.
const MOST_PATIENTS: usize = 250_000;

/// Writes a cohort of patients with histories as MIMIC-CXR-JPG is laid out: JPEG films (quality 95) with projections,
/// section-headed reports with indication and comparison, and the split, metadata and chexpert tables with dates.
/// `read_mimic` reads it, with `prior_views` the previous studies as well.
///
/// All files are written to a temporary folder next to `dir` and moved to `dir` at the end. A complete dataset of the
/// same config is left as it is.
///
/// # Errors
/// If `dir` holds anything else, the config asks for films under 16 pixels, more than 250,000 patients or a rate
/// outside `[0, 1]`, or the disk fails.
pub fn write_phantom_histories(
    dir: &Path,
    config: &PhantomHistoryConfig,
) -> Result<PhantomSummary, DataError> {
    check(dir, config)?;
    let cohort = sample_histories(config);
    let reused = place_dataset(dir, (FORMAT, config), |root| {
        write_all(root, config, &cohort)
    })?;
    let count = |split| cohort.iter().filter(|study| study.split == split).count();
    Ok(PhantomSummary {
        studies: Split::ALL.map(count),
        near_twins: 0,
        reused,
    })
}

/// Whether `dir` holds the whole dataset that `config` describes, of this version.
pub fn is_complete_history(dir: &Path, config: &PhantomHistoryConfig) -> bool {
    holds(dir, (FORMAT, config))
}

fn check(dir: &Path, config: &PhantomHistoryConfig) -> Result<(), DataError> {
    let refused = |reason: String| {
        Err(DataError::Json {
            path: dir.join(MANIFEST),
            reason,
        })
    };
    let size = config.image_size;
    if size < 16 {
        return refused(format!("image_size is {size}, and must be at least 16"));
    }
    let patients = [config.train, config.validation, config.test];
    let patients = patients.into_iter().fold(0, usize::saturating_add);
    if patients > MOST_PATIENTS {
        return refused(format!(
            "{patients} phantom patients are more than {MOST_PATIENTS}"
        ));
    }
    let rates = config.rates.named();
    match rates.iter().find(|(_, rate)| !(0.0..=1.0).contains(rate)) {
        Some((name, rate)) => refused(format!("rates.{name} is {rate}, and must lie in 0..=1")),
        None => Ok(()),
    }
}

/// A study with its ids.
struct Filed<'a> {
    study: &'a HistoryStudy,
    subject: u64,
    number: u64,
    /// Names of its films.
    dicoms: Vec<String>,
}

impl<'a> Filed<'a> {
    fn new(index: usize, study: &'a HistoryStudy, seed: u64) -> Self {
        let films = study.films.iter();
        Filed {
            study,
            subject: 10_000_000 + scatter(study.patient, 7_368_787),
            number: 50_000_000 + scatter(index, 4_256_249),
            dicoms: films.map(|(_, film)| dicom_name(*film, seed)).collect(),
        }
    }

    fn folder(&self, root: &Path) -> PathBuf {
        root.join("files")
            .join(format!("p{}", self.subject / 1_000_000))
            .join(format!("p{}", self.subject))
            .join(format!("s{}", self.number))
    }

    /// `YYYYMMDD`: a day of its patient's own, and the days since.
    fn date(&self) -> String {
        let first = spread(self.subject) % FIRST_DAYS;
        date_after(first as i64 + i64::from(self.study.day))
    }
}

fn write_all(
    root: &Path,
    config: &PhantomHistoryConfig,
    cohort: &[HistoryStudy],
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
    let record = |filed_study: &Filed| PhantomRecord {
        id: format!("s{}", filed_study.number),
        patient: format!("p{}", filed_study.subject),
        split: filed_study.study.split,
        findings: filed_study.study.findings.clone(),
        near_twin: None,
        held_out: false,
        prior: filed_study
            .study
            .prior
            .map(|prior| format!("s{}", filed[prior].number)),
        changes: filed_study.study.changes.clone(),
    };
    let studies = filed.iter().map(record).collect();
    write_manifest(root, FORMAT, config, studies)
}

fn write_study(root: &Path, image_size: u32, filed: &Filed) -> Result<(), DataError> {
    let study = filed.study;
    let folder = filed.folder(root);
    fs::create_dir_all(&folder).map_err(DataError::io("cannot create", &folder))?;
    for ((projection, seed), dicom) in study.films.iter().zip(&filed.dicoms) {
        let film = match projection {
            Projection::Lateral => draw_lateral_radiograph(&study.findings, image_size, *seed),
            _ => draw_radiograph(&study.findings, image_size, *seed),
        };
        write_film(&folder.join(format!("{dicom}.jpg")), &film)?;
    }
    let parts = ReportParts {
        examination: "CHEST",
        indication: study.indication.as_deref(),
        comparison: match study.prior {
            Some(_) => "Chest radiograph of ___.",
            None => "None.",
        },
        findings: &study.findings,
        report: &study.report,
    };
    write_text(&folder.with_extension("txt"), &report_text(&parts))
}

fn write_tables(root: &Path, image_size: u32, filed: &[Filed]) -> Result<(), DataError> {
    let films = || {
        filed.iter().flat_map(|study| {
            let films = study.study.films.iter().zip(&study.dicoms);
            films.map(move |((projection, _), dicom)| (study, *projection, dicom))
        })
    };
    let split = films().map(|(filed, _, dicom)| {
        vec![
            dicom.clone(),
            filed.number.to_string(),
            filed.subject.to_string(),
            filed.study.split.mimic_name().to_owned(),
        ]
    });
    write_table(root, "split", &SPLIT_HEADER, split)?;
    let metadata = films().map(|(filed, projection, dicom)| {
        let code = match projection {
            Projection::Lateral => "lateral",
            Projection::AnteroPosterior => "antero-posterior",
            _ => "postero-anterior",
        };
        vec![
            dicom.clone(),
            filed.subject.to_string(),
            filed.number.to_string(),
            "CHEST".to_owned(),
            projection.name().to_owned(),
            image_size.to_string(),
            image_size.to_string(),
            filed.date(),
            format!("{:02}{:02}00.0", filed.number % 24, filed.number % 60),
            "CHEST".to_owned(),
            code.to_owned(),
            "Erect".to_owned(),
        ]
    });
    write_table(root, "metadata", &METADATA_HEADER, metadata)?;
    let header = [&["subject_id", "study_id"][..], &CHEXPERT_CLASSES].concat();
    let labels = filed.iter().map(|filed| {
        let study = filed.study;
        chexpert_row(
            [filed.subject, filed.number],
            &study.findings,
            &study.report,
        )
    });
    write_table(root, "chexpert", &header, labels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phantom::{HistoryRates, read_changes, read_findings, read_phantom_records};
    use crate::{MimicOptions, read_mimic};

    #[test]
    fn the_mimic_reader_reads_priors_projections_and_indications() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("history");
        let config = PhantomHistoryConfig::new(12, 2, 3).with_image_size(24);
        let summary = write_phantom_histories(&root, &config).expect("written");
        assert!(!summary.reused && is_complete_history(&root, &config));
        assert!(
            write_phantom_histories(&root, &config)
                .expect("there")
                .reused
        );

        let mut options = MimicOptions::default();
        (options.views, options.prior_views) = (3, Some(2));
        let read = read_mimic(&root, &options).expect("sound");
        let records = read_phantom_records(&root).expect("written");
        assert_eq!(read.studies.len(), records.len());
        assert!(read.left_out_priors.is_empty());
        let cohort = sample_histories(&config);
        for (record, truth) in records.iter().zip(&cohort) {
            let mut studies = read.studies.iter();
            let study = studies.find(|study| study.id == record.id).expect("read");
            let context = &study.context;
            let prior = context.prior.as_ref();
            assert_eq!(prior.map(|prior| &prior.id), record.prior.as_ref());
            if let (Some(prior), Some(index)) = (prior, truth.prior) {
                assert_eq!(prior.interval_days, truth.day - cohort[index].day);
                let report = prior.report.as_deref().expect("it has findings");
                assert_eq!(read_findings(report), cohort[index].findings);
                assert!((1..=2).contains(&prior.images.len()));
                assert_eq!(prior.images.len(), prior.projections.len());
            }
            assert_eq!(read_changes(&study.report), record.changes);
            assert_eq!(study.images.len(), truth.films.len());
            let mut projections: Vec<Projection> = truth.films.iter().map(|it| it.0).collect();
            projections.sort();
            assert_eq!(context.projections, projections);
            let indication = context.indication.as_deref();
            assert_eq!(
                indication.map(|text| text.trim_end_matches('.').to_owned()),
                truth
                    .indication
                    .as_ref()
                    .map(|text| format!("___ year old patient with {text}"))
            );
        }
        let without = read_mimic(&root, &MimicOptions::default()).expect("sound");
        assert!(
            without
                .studies
                .iter()
                .all(|study| study.context.prior.is_none())
        );
    }

    #[test]
    fn impossible_configs_and_other_folders_are_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("history");
        let rates = HistoryRates {
            grow: 1.5,
            ..HistoryRates::default()
        };
        let config = PhantomHistoryConfig::new(1, 1, 1);
        for (config, part) in [
            (config.clone().with_image_size(8), "image_size"),
            (config.clone().with_rates(rates), "rates.grow is 1.5"),
            (PhantomHistoryConfig::new(usize::MAX, 1, 1), "patients"),
        ] {
            let error = write_phantom_histories(&root, &config).unwrap_err();
            assert!(error.to_string().contains(part), "{error}");
            assert!(!root.exists());
        }
        let plain = crate::phantom::PhantomConfig::new(1, 1, 1).with_image_size(16);
        crate::phantom::write_phantom_dataset(&root, &plain).expect("written");
        assert!(write_phantom_histories(&root, &config).is_err());
    }
}
