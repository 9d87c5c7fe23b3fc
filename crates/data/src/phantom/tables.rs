use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::chexpert::{CHEXPERT_CLASSES, chexpert_labels};
use super::cohort::PhantomStudy;
use super::findings::PhantomFindings;
use super::read::read_report;
use super::report::spread;
use crate::error::DataError;

/// Columns of the split table.
pub(super) const SPLIT_HEADER: [&str; 4] = ["dicom_id", "study_id", "subject_id", "split"];

/// Columns of the metadata table.
pub(super) const METADATA_HEADER: [&str; 12] = [
    "dicom_id",
    "subject_id",
    "study_id",
    "PerformedProcedureStepDescription",
    "ViewPosition",
    "Rows",
    "Columns",
    "StudyDate",
    "StudyTime",
    "ProcedureCodeSequence_CodeMeaning",
    "ViewCodeSequence_CodeMeaning",
    "PatientOrientationCodeSequence_CodeMeaning",
];

/// A study with its ids.
pub(super) struct Filed<'a> {
    pub study: &'a PhantomStudy,
    pub subject: u64,
    pub number: u64,
    pub dicom: String,
}

impl<'a> Filed<'a> {
    pub fn new(index: usize, study: &'a PhantomStudy, seed: u64) -> Self {
        Self {
            study,
            subject: 10_000_000 + scatter(index, 7_368_787),
            number: 50_000_000 + scatter(index, 4_256_249),
            dicom: dicom_name(study.film_seed, seed),
        }
    }

    /// `files/p10/p10000032/s50414267`, below `root`.
    pub fn folder(&self, root: &Path) -> PathBuf {
        root.join("files")
            .join(format!("p{}", self.subject / 1_000_000))
            .join(format!("p{}", self.subject))
            .join(format!("s{}", self.number))
    }
}

/// Name of a film: forty hexadecimal digits of its seed and that of its cohort.
pub(super) fn dicom_name(film_seed: u64, seed: u64) -> String {
    let mix = |part: u64| spread(film_seed ^ spread(seed ^ part));
    let (one, two, three) = (mix(1), mix(2), mix(3));
    let halves = [
        one >> 32,
        one & 0xffff_ffff,
        two >> 32,
        two & 0xffff_ffff,
        three >> 32,
    ];
    halves.map(|half| format!("{half:08x}")).join("-")
}

/// Maps indices below 9,999,991 one to one onto numbers below it, far apart: multiplication modulo
/// a prime.
pub(super) fn scatter(index: usize, factor: u64) -> u64 {
    (index as u64 + 1) * factor % 9_999_991
}

/// Writes the split, metadata and chexpert tables.
pub(super) fn write_tables(root: &Path, image_size: u32, filed: &[Filed]) -> Result<(), DataError> {
    let split = filed.iter().map(|f| {
        let split = f.study.split.mimic_name().to_owned();
        vec![
            f.dicom.clone(),
            f.number.to_string(),
            f.subject.to_string(),
            split,
        ]
    });
    write_table(root, "split", &SPLIT_HEADER, split)?;
    let metadata = filed.iter().map(|f| metadata_row(f, image_size));
    write_table(root, "metadata", &METADATA_HEADER, metadata)?;
    let header = [&["subject_id", "study_id"][..], &CHEXPERT_CLASSES].concat();
    let labels = filed.iter().map(|filed| {
        let study = filed.study;
        let ids = [filed.subject, filed.number];
        chexpert_row(ids, &study.findings, &study.report)
    });
    write_table(root, "chexpert", &header, labels)
}

fn metadata_row(filed: &Filed, image_size: u32) -> Vec<String> {
    let day = filed.number % 28 + 1;
    vec![
        filed.dicom.clone(),
        filed.subject.to_string(),
        filed.number.to_string(),
        "CHEST (PA)".to_owned(),
        "PA".to_owned(),
        image_size.to_string(),
        image_size.to_string(),
        format!("2180{:02}{day:02}", filed.number % 12 + 1),
        format!("{:02}{:02}00.0", filed.subject % 24, filed.number % 60),
        "CHEST (PA)".to_owned(),
        "postero-anterior".to_owned(),
        "Erect".to_owned(),
    ]
}

/// Row of the chexpert table, of a subject and a study.
pub(super) fn chexpert_row(ids: [u64; 2], findings: &PhantomFindings, report: &str) -> Vec<String> {
    let denied = read_report(report).denied;
    let labels = chexpert_labels(findings, &denied);
    let cell = |label: Option<f32>| label.map(|value| format!("{value:.1}")).unwrap_or_default();
    let mut row: Vec<String> = ids.map(|id| id.to_string()).into();
    row.extend(labels.map(cell));
    row
}

/// Writes `mimic-cxr-2.0.0-<name>.csv.gz`.
pub(super) fn write_table(
    root: &Path,
    name: &str,
    header: &[&str],
    rows: impl Iterator<Item = Vec<String>>,
) -> Result<(), DataError> {
    let path = root.join(format!("mimic-cxr-2.0.0-{name}.csv.gz"));
    let written = || -> std::io::Result<()> {
        let mut table = csv::Writer::from_writer(Vec::new());
        table.write_record(header)?;
        for row in rows {
            table.write_record(row)?;
        }
        let text = table.into_inner().map_err(|error| error.into_error())?;
        let mut gzip = GzEncoder::new(fs::File::create(&path)?, Compression::default());
        gzip.write_all(&text)?;
        gzip.finish()?.sync_all()
    };
    written().map_err(DataError::io("cannot write", &path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_never_collide() {
        for factor in [7_368_787, 4_256_249] {
            let ids: std::collections::BTreeSet<u64> =
                (0..20_000).map(|index| scatter(index, factor)).collect();
            assert_eq!(ids.len(), 20_000);
        }
    }
}
