use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::journal::{Journal, Record};
use super::output::{PrepareSummary, finish, finished};
use crate::annotation::{Annotation, AnnotationEntry, resolve_below};
use crate::context::{StudyContext, stated};
use crate::error::DataError;
use crate::exclusion::{ExclusionReason, Exclusions, OnBadStudy};
use crate::mimic::LeftOutPriors;
use crate::open_i::{IndianaStudy, read_indiana_tables, read_open_i_folder};
use crate::replace::FileStamp;
use crate::screening::{ImageCheck, screen_images};
use crate::sections::{ReportSection, ReportSections};
use crate::study::{Split, Study};

/// Source of the Indiana University reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum IuXraySource {
    /// Open-i's folder `ecgen-radiology`, one XML file a study; images are `<parentImage id>.png`.
    Xml(PathBuf),
    /// Kaggle's two tables.
    Tables {
        /// `indiana_reports.csv`.
        reports: PathBuf,
        /// `indiana_projections.csv`.
        projections: PathBuf,
    },
}

/// Options of [`prepare_iu_xray`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct IuXrayOptions {
    /// Report section used as target text.
    pub section: ReportSection,
    /// Maximum number of images per study.
    pub views: usize,
    /// Minimum number of images per study.
    pub minimum_images: usize,
    /// An annotation whose ids and split are used, such as R2Gen's. Studies that it lacks are excluded;
    /// studies that the data lacks are counted and listed. Without one, 70 % of the studies are for
    /// training, 10 % for validation and 20 % for test, by a hash of the uid.
    pub split_from: Option<PathBuf>,
    /// Policy for broken studies.
    pub on_bad_study: OnBadStudy,
    /// How images are checked.
    pub image_check: ImageCheck,
}

impl Default for IuXrayOptions {
    /// Findings; one or two images, headers checked; the hashed split; stops at the first broken study.
    fn default() -> Self {
        IuXrayOptions {
            section: ReportSection::Findings,
            views: 2,
            minimum_images: 1,
            split_from: None,
            on_bad_study: OnBadStudy::Stop,
            image_check: ImageCheck::Header,
        }
    }
}

/// Prepares the Indiana University collection as R2Gen's `annotation.json`, with image paths relative
/// to `images`, and tables beside it in `out`.
///
/// # Errors
///
/// If a file is missing or invalid, or an image is missing or unreadable, unless such studies are
/// skipped; [`DataError::NoStudies`] if no study is left; if `out` holds another preparation or cannot
/// be written.
pub fn prepare_iu_xray(
    source: &IuXraySource,
    images: &Path,
    out: &Path,
    options: &IuXrayOptions,
) -> Result<PrepareSummary, DataError> {
    let fingerprint = fingerprint(source, images, options);
    fs::create_dir_all(out).map_err(DataError::io("cannot create", out))?;
    if let Some(summary) = finished(out, &fingerprint)? {
        return Ok(summary);
    }
    let mut exclusions = Exclusions::new(options.on_bad_study);
    let (read, named_in) = match source {
        IuXraySource::Xml(folder) => (read_open_i_folder(folder, &mut exclusions)?, folder),
        IuXraySource::Tables {
            reports,
            projections,
        } => (
            read_indiana_tables(reports, projections, &mut exclusions)?,
            projections,
        ),
    };
    let splits = options.split_from.as_deref().map(split_of).transpose()?;
    if let Some(splits) = &splits {
        list_absent(splits, &read, &mut exclusions);
    }
    let mut studies = Vec::with_capacity(read.len());
    let mut sections = HashMap::new();
    for study in read {
        if let Some((study, parts)) = choose(
            study,
            images,
            named_in,
            options,
            splits.as_ref(),
            &mut exclusions,
        )? {
            sections.insert(study.id.clone(), parts);
            studies.push(study);
        }
    }
    let studies = screen_images(studies, options.image_check, &mut exclusions)?;
    let mut records = Vec::with_capacity(studies.len());
    for study in &studies {
        records.push(Record::Kept {
            entry: Box::new(AnnotationEntry::of_study(study, out, images)?),
            sections: sections.remove(&study.id).unwrap_or_default(),
        });
    }
    let mut journal = Journal::open(out, &fingerprint)?;
    records
        .retain(|record| !matches!(record, Record::Kept { entry, .. } if journal.has(&entry.id)));
    journal.append(&records)?;
    finish(
        out,
        &fingerprint,
        journal,
        &exclusions,
        LeftOutPriors::default(),
    )
}

/// Applies section, split and image limits; `None` if a rule excludes the study.
fn choose(
    study: IndianaStudy,
    images: &Path,
    named_in: &Path,
    options: &IuXrayOptions,
    splits: Option<&HashMap<String, (String, Split)>>,
    exclusions: &mut Exclusions,
) -> Result<Option<(Study, ReportSections)>, DataError> {
    let (id, split) = match splits {
        None => (study.id(), hashed_split(&study.uid)),
        Some(splits) => match splits.get(&study.uid) {
            Some((id, split)) => (id.clone(), *split),
            None => {
                exclusions.by_rule(&study.id(), ExclusionReason::NotInSplit);
                return Ok(None);
            }
        },
    };
    if study.images.len() < options.minimum_images.max(1) {
        exclusions.by_rule(&id, ExclusionReason::TooFewImages);
        return Ok(None);
    }
    let Some(report) = options.section.choose(&study.sections) else {
        exclusions.by_rule(&id, ExclusionReason::NoSection);
        return Ok(None);
    };
    let mut paths = Vec::new();
    for image in study.images.iter().take(options.views.max(1)) {
        match resolve_below(images, image) {
            Some(path) => paths.push(path),
            None => {
                let error = DataError::EscapingPath {
                    path: named_in.to_owned(),
                    study: id.clone(),
                    image: image.clone(),
                };
                exclusions.broken(&id, ExclusionReason::BadRow, error)?;
                return Ok(None);
            }
        }
    }
    let kept = paths.len();
    let chosen = Study {
        id,
        patient: study.uid,
        images: paths,
        report,
        split,
        labels: None,
        negative: None,
        context: StudyContext {
            projections: study.projections.into_iter().take(kept).collect(),
            indication: stated(&study.sections.indication),
            comparison: stated(&study.sections.comparison),
            prior: None,
        },
    };
    Ok(Some((chosen, study.sections)))
}

/// Adds to `exclusions` the studies of the given split that the data lacks, unless they are already
/// excluded as broken.
fn list_absent(
    splits: &HashMap<String, (String, Split)>,
    read: &[IndianaStudy],
    exclusions: &mut Exclusions,
) {
    let broken = exclusions.list().iter().map(|exclusion| {
        // Open-i's file of CXR7 is 7.xml.
        let name = exclusion.study.as_str();
        format!("CXR{}", name.strip_prefix("CXR").unwrap_or(name))
    });
    let mut known: HashSet<String> = broken.collect();
    known.extend(read.iter().map(|study| study.uid.clone()));
    let mut absent: Vec<_> = splits
        .iter()
        .filter(|(uid, _)| !known.contains(*uid))
        .collect();
    absent.sort_by_key(|(uid, _)| (uid.len(), uid.as_str()));
    for (_, (id, _)) in absent {
        exclusions.by_rule(id, ExclusionReason::NotInData);
    }
}

/// Id and split of every patient of an annotation.
fn split_of(annotation: &Path) -> Result<HashMap<String, (String, Split)>, DataError> {
    let read = Annotation::read(annotation)?;
    let lists = [
        (Split::Train, &read.train),
        (Split::Validation, &read.val),
        (Split::Test, &read.test),
    ];
    let mut splits = HashMap::new();
    for (split, entries) in lists {
        for entry in entries {
            let earlier = splits.insert(entry.patient(), (entry.id.clone(), split));
            if earlier.is_some() {
                return Err(DataError::Json {
                    path: annotation.to_owned(),
                    reason: format!("{}: two studies of {}", split.name(), entry.patient()),
                });
            }
        }
    }
    Ok(splits)
}

/// 70 % train, 10 % val, 20 % test: FNV-1a of the uid, mixed as SplitMix64 does, modulo 10.
fn hashed_split(uid: &str) -> Split {
    let mut hash = uid.bytes().fold(0xCBF2_9CE4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    });
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    match (hash ^ (hash >> 31)) % 10 {
        0..=6 => Split::Train,
        7 => Split::Validation,
        _ => Split::Test,
    }
}

fn fingerprint(source: &IuXraySource, images: &Path, options: &IuXrayOptions) -> Value {
    let files: Vec<&Path> = match source {
        IuXraySource::Xml(folder) => vec![folder],
        IuXraySource::Tables {
            reports,
            projections,
        } => vec![reports, projections],
    };
    let stamps: Vec<Option<FileStamp>> = files
        .into_iter()
        .chain(options.split_from.as_deref())
        .map(|file| FileStamp::of(file).ok())
        .collect();
    json!({
        "format": 3,
        "layout": "iu-xray",
        "source": source,
        "images": images,
        "options": options,
        "files": stamps,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hashed_split_keeps_its_proportions_and_its_members() {
        let mut counts = [0usize; 3];
        for uid in 1..4000 {
            let split = hashed_split(&format!("CXR{uid}"));
            let place = Split::ALL.iter().position(|it| *it == split);
            counts[place.expect("it is one of three")] += 1;
        }
        for (count, share) in counts.into_iter().zip([0.7, 0.1, 0.2]) {
            assert!((count as f64 / 3999.0 - share).abs() < 0.02, "{counts:?}");
        }
        let first: Vec<Split> = ["CXR1", "CXR2", "CXR3", "CXR4", "CXR5", "CXR6"]
            .map(hashed_split)
            .to_vec();
        assert_eq!(first, FIRST_SIX);
    }

    /// Published splits depend on these values.
    const FIRST_SIX: [Split; 6] = [
        Split::Train,
        Split::Train,
        Split::Train,
        Split::Test,
        Split::Train,
        Split::Train,
    ];
}
