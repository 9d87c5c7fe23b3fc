use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::journal::{Journal, Record};
use crate::annotation::{AnnotationEntry, rexrank_input};
use crate::error::{DataError, json_reason};
use crate::exclusion::{Exclusion, ExclusionReason, Exclusions};
use crate::mimic::LeftOutPriors;
use crate::replace::replace_file;
use crate::study::Split;

const SUMMARY: &str = "summary.json";

/// Studies that carry something beside their images, in train, val and test.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContextCounts {
    /// Studies whose images' projections are known.
    pub projections: [usize; 3],
    /// Studies with an indication.
    pub indications: [usize; 3],
    /// Studies with a comparison.
    pub comparisons: [usize; 3],
    /// Studies with a previous study.
    pub priors: [usize; 3],
    /// Of those, previous studies with a report.
    pub prior_reports: [usize; 3],
    /// Studies that have no previous study although their patient has others.
    pub left_out_priors: LeftOutPriors,
}

impl ContextCounts {
    fn add(&mut self, place: usize, entry: &AnnotationEntry) {
        let prior = entry.prior.as_ref();
        let counted = [
            (&mut self.projections, !entry.view_position.is_empty()),
            (&mut self.indications, entry.indication.is_some()),
            (&mut self.comparisons, entry.comparison.is_some()),
            (&mut self.priors, prior.is_some()),
            (
                &mut self.prior_reports,
                prior.is_some_and(|prior| prior.report.is_some()),
            ),
        ];
        for (counts, has) in counted {
            counts[place] += usize::from(has);
        }
    }
}

impl fmt::Display for ContextCounts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{:16}{:>9}{:>9}{:>9}",
            "studies with", "train", "val", "test"
        )?;
        for (name, counts) in [
            ("projections", &self.projections),
            ("indication", &self.indications),
            ("comparison", &self.comparisons),
            ("prior study", &self.priors),
            ("prior report", &self.prior_reports),
        ] {
            let [train, val, test] = counts;
            write!(formatter, "\n  {name:14}{train:>9}{val:>9}{test:>9}")?;
        }
        let LeftOutPriors {
            without_date,
            other_split,
        } = self.left_out_priors;
        if !self.left_out_priors.is_empty() {
            write!(
                formatter,
                "\nwithout a prior study: {without_date} have no date, the previous one of {other_split} is in another \
                 split"
            )?;
        }
        Ok(())
    }
}

/// Result of a preparation, as in `summary.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrepareSummary {
    /// Number of studies in train, val and test.
    pub studies: [usize; 3],
    /// Number of images in train, val and test.
    pub images: [usize; 3],
    /// What studies carry beside their images.
    #[serde(default)]
    pub context: ContextCounts,
    /// Number of excluded studies by reason.
    pub excluded: BTreeMap<ExclusionReason, usize>,
    /// Whether an earlier, finished preparation was reused.
    #[serde(skip)]
    pub reused: bool,
}

impl fmt::Display for PrepareSummary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{:16}{:>9}{:>9}", "split", "studies", "images")?;
        for (place, split) in Split::ALL.into_iter().enumerate() {
            let (studies, images) = (self.studies[place], self.images[place]);
            writeln!(formatter, "{:16}{studies:>9}{images:>9}", split.name())?;
        }
        writeln!(formatter, "{}", self.context)?;
        let left_out: usize = self.excluded.values().sum();
        write!(formatter, "{:16}{left_out:>9}", "left out")?;
        for (reason, count) in &self.excluded {
            write!(formatter, "\n  {:14}{count:>9}", reason.name())?;
        }
        Ok(())
    }
}

#[derive(Serialize, Deserialize)]
struct Manifest {
    prepared_from: Value,
    #[serde(flatten)]
    summary: PrepareSummary,
}

/// The summary of an earlier preparation in `folder`, if it finished.
///
/// # Errors
///
/// [`DataError::PreparedOtherwise`] if its fingerprint differs.
pub(super) fn finished(
    folder: &Path,
    fingerprint: &Value,
) -> Result<Option<PrepareSummary>, DataError> {
    let path = folder.join(SUMMARY);
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        text => text.map_err(DataError::io("cannot read", &path))?,
    };
    let manifest: Manifest = serde_json::from_str(&text).map_err(|error| DataError::Json {
        path,
        reason: json_reason(&error),
    })?;
    if manifest.prepared_from != *fingerprint {
        return Err(DataError::PreparedOtherwise {
            path: folder.to_owned(),
        });
    }
    Ok(Some(PrepareSummary {
        reused: true,
        ..manifest.summary
    }))
}

/// Writes the files of a prepared dataset from the journal, the summary last. Holds one record in memory
/// at a time.
///
/// # Errors
///
/// [`DataError::NoStudies`] if every study is excluded; then only `exclusions.csv` is written.
pub(super) fn finish(
    folder: &Path,
    fingerprint: &Value,
    journal: Journal,
    exclusions: &Exclusions,
    left_out_priors: LeftOutPriors,
) -> Result<PrepareSummary, DataError> {
    let mut summary = PrepareSummary::default();
    summary.context.left_out_priors = left_out_priors;
    if !journal.keeps_any()? {
        return Err(no_studies(folder, journal, exclusions)?);
    }
    write_annotation(&folder.join("annotation.json"), &journal, &mut summary)?;
    write_sections(&folder.join("sections.csv"), &journal)?;
    write_rexrank(&folder.join("rexrank.json"), &journal)?;
    let path = folder.join("exclusions.csv");
    write_exclusions(&path, &journal, exclusions, &mut summary)?;
    let manifest = Manifest {
        prepared_from: fingerprint.clone(),
        summary,
    };
    replace_file(&folder.join(SUMMARY), |file| {
        serde_json::to_writer_pretty(&mut *file, &manifest)?;
        writeln!(file)
    })?;
    journal.close()?;
    Ok(manifest.summary)
}

/// Builds [`DataError::NoStudies`] after writing `exclusions.csv`. Deletes the journal, so that the next
/// call reads all studies again.
fn no_studies(
    folder: &Path,
    journal: Journal,
    exclusions: &Exclusions,
) -> Result<DataError, DataError> {
    let mut summary = PrepareSummary::default();
    let path = folder.join("exclusions.csv");
    write_exclusions(&path, &journal, exclusions, &mut summary)?;
    journal.close()?;
    let reasons = summary.excluded.iter();
    let left_out: Vec<String> = reasons
        .map(|(reason, count)| format!("{reason}: {count}"))
        .collect();
    Ok(DataError::NoStudies {
        path,
        left_out: match left_out.is_empty() {
            true => "there was none to begin with".to_owned(),
            false => format!("left out: {}", left_out.join(", ")),
        },
    })
}

/// Writes R2Gen's `annotation.json`; reads the journal once per split.
fn write_annotation(
    path: &Path,
    journal: &Journal,
    summary: &mut PrepareSummary,
) -> Result<(), DataError> {
    replace_file(path, |file| {
        for (place, split) in Split::ALL.into_iter().enumerate() {
            let opening = if place == 0 { "{" } else { "],\n" };
            write!(file, "{opening}\"{}\":[", split.name())?;
            for record in journal.records().map_err(io::Error::other)? {
                let Record::Kept { entry, .. } = record.map_err(io::Error::other)? else {
                    continue;
                };
                if entry.split == split.name() {
                    let separator = if summary.studies[place] == 0 {
                        "\n"
                    } else {
                        ",\n"
                    };
                    file.write_all(separator.as_bytes())?;
                    serde_json::to_writer(&mut *file, &entry)?;
                    summary.studies[place] += 1;
                    summary.images[place] += entry.image_path.len();
                    summary.context.add(place, &entry);
                }
            }
        }
        writeln!(file, "]}}")
    })
}

/// Writes the studies of the test split as ReXrank's input.
fn write_rexrank(path: &Path, journal: &Journal) -> Result<(), DataError> {
    replace_file(path, |file| {
        let mut separator = "{\n";
        for record in journal.records().map_err(io::Error::other)? {
            let Record::Kept { entry, sections } = record.map_err(io::Error::other)? else {
                continue;
            };
            if entry.split == Split::Test.name() {
                write!(file, "{separator}{}: ", Value::from(entry.id.as_str()))?;
                serde_json::to_writer(&mut *file, &rexrank_input(&entry, &sections))?;
                separator = ",\n";
            }
        }
        let opening = if separator == "{\n" { "{" } else { "" };
        writeln!(file, "{opening}\n}}")
    })
}

fn write_sections(path: &Path, journal: &Journal) -> Result<(), DataError> {
    write_table(
        path,
        &[
            "id",
            "subject_id",
            "split",
            "indication",
            "technique",
            "comparison",
            "findings",
            "impression",
        ],
        |table| {
            for record in journal.records().map_err(io::Error::other)? {
                if let Record::Kept { entry, sections } = record.map_err(io::Error::other)? {
                    table.write_record([
                        entry.id.as_str(),
                        entry.subject_id.as_deref().unwrap_or_default(),
                        &entry.split,
                        &sections.indication,
                        &sections.technique,
                        &sections.comparison,
                        &sections.findings,
                        &sections.impression,
                    ])?;
                }
            }
            Ok(())
        },
    )
}

fn write_exclusions(
    path: &Path,
    journal: &Journal,
    exclusions: &Exclusions,
    summary: &mut PrepareSummary,
) -> Result<(), DataError> {
    write_table(path, &["study", "reason", "detail"], |table| {
        let mut write = |exclusion: &Exclusion| -> io::Result<()> {
            *summary.excluded.entry(exclusion.reason).or_default() += 1;
            let reason = exclusion.reason.name();
            Ok(table.write_record([exclusion.study.as_str(), reason, &exclusion.detail])?)
        };
        exclusions.list().iter().try_for_each(&mut write)?;
        for record in journal.records().map_err(io::Error::other)? {
            if let Record::Excluded(exclusion) = record.map_err(io::Error::other)? {
                write(&exclusion)?;
            }
        }
        Ok(())
    })
}

fn write_table(
    path: &Path,
    header: &[&str],
    rows: impl FnOnce(&mut csv::Writer<&mut BufWriter<fs::File>>) -> io::Result<()>,
) -> Result<(), DataError> {
    replace_file(path, |file| {
        let mut table = csv::Writer::from_writer(file);
        table.write_record(header)?;
        rows(&mut table)?;
        table.flush()
    })
}
