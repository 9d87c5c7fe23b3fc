use std::collections::HashMap;
use std::fs;
use std::path::Path;

use rayon::prelude::*;
use serde_json::{Value, json};

use super::journal::{Journal, Record};
use super::output::{PrepareSummary, finish, finished};
use crate::annotation::AnnotationEntry;
use crate::error::DataError;
use crate::exclusion::Exclusions;
use crate::mimic::{
    IndexedStudy, MimicIndex, MimicOptions, StudyReading, open_reports, read_study,
};
use crate::replace::FileStamp;
use crate::reports::ReportFiles;
use crate::screening::screen_images;
use crate::study::Study;

/// Studies per chunk; bounds the memory use.
const AT_A_TIME: usize = 1024;

/// Prepares a MIMIC-CXR-JPG folder: what [`read_mimic`](crate::read_mimic) reads, as
/// `annotation.json` with image paths relative to `data/files`, and tables beside it in `out`.
///
/// Resumes an interrupted call with the same files and options. `progress` gets the number of finished
/// studies and their total.
///
/// # Errors
///
/// As [`read_mimic`](crate::read_mimic); [`DataError::NoStudies`] if no study is left; if `out` holds
/// another preparation or cannot be written.
pub fn prepare_mimic(
    data: &Path,
    out: &Path,
    options: &MimicOptions,
    mut progress: impl FnMut(usize, usize),
) -> Result<PrepareSummary, DataError> {
    let fingerprint = fingerprint(data, options)?;
    fs::create_dir_all(out).map_err(DataError::io("cannot create", out))?;
    if let Some(summary) = finished(out, &fingerprint)? {
        return Ok(summary);
    }
    let mut exclusions = Exclusions::new(options.on_bad_study);
    let index = MimicIndex::read(data, options, &mut exclusions)?;
    let reports = open_reports(data, options, &index)?;
    let mut journal = Journal::open(out, &fingerprint)?;
    let pending: Vec<(&String, &IndexedStudy)> = index
        .studies
        .iter()
        .filter(|(id, _)| !journal.has(&format!("s{id}")))
        .collect();
    let preparation = Preparation {
        data,
        out,
        options,
        reports: &reports,
        index: &index,
    };
    for some in pending.chunks(AT_A_TIME) {
        journal.append(&preparation.records(some)?)?;
        progress(journal.len(), index.studies.len());
    }
    finish(
        out,
        &fingerprint,
        journal,
        &exclusions,
        index.left_out_priors,
    )
}

struct Preparation<'a> {
    data: &'a Path,
    out: &'a Path,
    options: &'a MimicOptions,
    reports: &'a ReportFiles,
    index: &'a MimicIndex,
}

impl Preparation<'_> {
    /// Records of a chunk of studies.
    fn records(&self, some: &[(&String, &IndexedStudy)]) -> Result<Vec<Record>, DataError> {
        let readings: Vec<StudyReading> = some
            .par_iter()
            .map(|&(id, study)| {
                read_study(
                    self.data,
                    self.options,
                    self.reports,
                    self.index,
                    (id, study),
                )
            })
            .collect::<Result<_, _>>()?;
        let mut exclusions = Exclusions::new(self.options.on_bad_study);
        let (mut studies, mut all_sections) = (Vec::new(), HashMap::new());
        for reading in readings {
            match reading {
                StudyReading::Excluded(exclusion) => exclusions.push(exclusion),
                StudyReading::Sound(study, sections) => {
                    all_sections.insert(study.id.clone(), sections);
                    studies.push(*study);
                }
            }
        }
        let studies = screen_images(studies, self.options.image_check, &mut exclusions)?;
        let mut records = Vec::with_capacity(some.len());
        for study in studies {
            records.push(Record::Kept {
                sections: all_sections.remove(&study.id).unwrap_or_default(),
                entry: Box::new(self.entry(study)?),
            });
        }
        let excluded = exclusions.list().iter().cloned();
        records.extend(excluded.map(Record::Excluded));
        Ok(records)
    }

    /// Entry in the format of R2Gen's MIMIC-CXR annotation: subject and study ids without `p` and `s`.
    fn entry(&self, mut study: Study) -> Result<AnnotationEntry, DataError> {
        let number = study.id.trim_start_matches('s').to_owned();
        study.labels = self.index.labels.get(&number).copied();
        let annotation = self.out.join("annotation.json");
        let entry = AnnotationEntry::of_study(&study, &annotation, &self.data.join("files"))?;
        let prior = entry.prior.map(|mut prior| {
            prior.subject_id = Some(study.patient.trim_start_matches('p').to_owned());
            prior
        });
        Ok(AnnotationEntry {
            subject_id: Some(study.patient.trim_start_matches('p').to_owned()),
            study_id: Some(number),
            prior,
            ..entry
        })
    }
}

/// Options and source files; preparations with equal fingerprints are interchangeable.
fn fingerprint(data: &Path, options: &MimicOptions) -> Result<Value, DataError> {
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut tables = serde_json::Map::new();
    for name in ["split", "metadata", "chexpert"] {
        for ending in ["csv", "csv.gz"] {
            let name = format!("mimic-cxr-2.0.0-{name}.{ending}");
            if let Ok(stamp) = FileStamp::of(&data.join(&name)) {
                tables.insert(name, json!(stamp));
            }
        }
    }
    Ok(json!({
        "format": 3,
        "layout": "mimic-cxr-jpg",
        "data": absolute(data),
        "options": options,
        "tables": tables,
    }))
}
