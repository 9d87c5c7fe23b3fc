//! Classifiers and reports against human tags: a truth that no labeler of ours made.
//!
//! Tags are Open-i's MeSH column, classes of [`findings_of_tags`]. Studies are matched by [`open_i_uid`].

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::EvaluationError;
use super::output::{Share, interval_end};
use super::records::{ID, read_text};
use super::table::{column, csv_rows};
use super::{ClassFindings, TaggedReport, class_findings, findings_of_tags, intervals_of};
use crate::{
    classification::{ClassScores, Estimate, always_positive_f1, score_class},
    error::{MetricsError, check_paired},
    findings::{FindingCounts, Undefined},
    labeler::{FindingClass, LabelerVersion, Uncertain},
};

/// Number of abnormal classes.
const CLASSES: usize = FindingClass::ABNORMAL.len();

/// What a classifier gives a study.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassifiedStudy {
    /// Identifier, such as R2Gen's `CXR2384_IM-0942` or Open-i's `2384`.
    pub id: String,
    /// A score for each class of [`FindingClass::ABNORMAL`]; higher is more likely.
    pub scores: [f64; CLASSES],
}

/// A classifier against human tags.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TagScores {
    /// Studies with tags.
    pub studies: usize,
    /// Studies left out because nobody tagged them.
    pub untagged: usize,
    /// The 13 abnormal classes.
    pub classes: Vec<ClassAgainstTags>,
    /// F1 at the thresholds, counts pooled over the classes.
    pub f1_micro: Estimate,
    /// F1 at the thresholds, mean over the classes, 0/0 as 0.
    pub f1_macro: Estimate,
}

/// One class of a classifier.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassAgainstTags {
    /// CheXpert's name of it.
    pub class: String,
    /// Its scores.
    #[serde(flatten)]
    pub scores: ClassScores,
}

/// Findings of written reports against human tags.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ReportsAgainstTags {
    /// The labeler that read the reports.
    pub labeler: String,
    /// Studies with tags.
    pub studies: usize,
    /// Studies left out because nobody tagged them.
    pub untagged: usize,
    /// The 13 abnormal classes: tags as truth, the labeler's reading of the reports as prediction.
    pub classes: Vec<ClassFindings>,
    /// F1, counts pooled over the classes.
    pub f1_micro: Estimate,
    /// F1, mean over the classes, 0/0 as 0.
    pub f1_macro: Estimate,
    /// Macro F1 of giving every class to every study.
    pub always_positive_f1_macro: f64,
}

/// Open-i's uid of a study: the number that an id begins with, after `CXR` if that is there.
///
/// ```
/// use ithn_metrics::evaluation::open_i_uid;
///
/// assert_eq!(open_i_uid("CXR2384_IM-0942"), Some(2384));
/// assert_eq!(open_i_uid("2384"), Some(2384));
/// assert_eq!(open_i_uid("IM-0942"), None);
/// ```
pub fn open_i_uid(id: &str) -> Option<u64> {
    let id = id.trim();
    let number = id.strip_prefix("CXR").unwrap_or(id);
    let end = number
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(number.len());
    let (digits, rest) = number.split_at(end);
    // "1a" is another kind of name, "1_IM-2" is not.
    match rest.chars().next() {
        Some(letter) if letter.is_alphanumeric() => None,
        _ => digits.parse().ok(),
    }
}

/// Scores a classifier against human tags: AUROC, average precision and F1 of every abnormal class, with 95 % bootstrap
/// intervals over studies (none for 0 draws).
///
/// `thresholds` are in the order of [`FindingClass::ABNORMAL`] and were chosen on other studies, see
/// [`best_f1_threshold`](crate::classification::best_f1_threshold). Studies without tags are left out and counted.
///
/// # Errors
/// [`MetricsError::UnknownStudy`] for an id that holds no uid, [`MetricsError::Empty`] if no study has tags,
/// [`MetricsError::NotFinite`] for a score that is NaN or infinite.
pub fn score_classifier_by_tags(
    studies: &[ClassifiedStudy],
    tags: &[TaggedReport],
    thresholds: &[f64; CLASSES],
    draws: usize,
    seed: u64,
) -> Result<TagScores, MetricsError> {
    let ids = studies.iter().map(|study| study.id.as_str());
    let (kept, truth) = tagged(ids, tags)?;
    let mut table = abnormal_table()?;
    for (&at, truth) in kept.iter().zip(&truth) {
        let scores = &studies[at].scores;
        let named: [bool; CLASSES] =
            std::array::from_fn(|class| scores[class] >= thresholds[class]);
        table.add(truth, &named)?;
    }
    let classes = FindingClass::ABNORMAL
        .iter()
        .enumerate()
        .map(|(class, finding)| {
            let scores: Vec<f64> = kept.iter().map(|&at| studies[at].scores[class]).collect();
            let labels: Vec<bool> = truth.iter().map(|flags| flags[class]).collect();
            Ok(ClassAgainstTags {
                class: finding.name().to_owned(),
                scores: score_class(&scores, &labels, thresholds[class], draws, seed)?,
            })
        })
        .collect::<Result<_, MetricsError>>()?;
    let (f1_micro, f1_macro) = averages(&table, draws, seed)?;
    Ok(TagScores {
        studies: kept.len(),
        untagged: studies.len() - kept.len(),
        classes,
        f1_micro,
        f1_macro,
    })
}

/// Scores the findings that a labeler reads in reports against human tags, with 95 % bootstrap intervals over studies
/// (none for 0 draws).
///
/// `reports` are ids and texts. Studies without tags are left out and counted.
///
/// # Errors
/// [`MetricsError::UnknownStudy`] for an id that holds no uid, [`MetricsError::Empty`] if no study has tags.
pub fn score_reports_by_tags(
    reports: &[(String, String)],
    tags: &[TaggedReport],
    labeler: LabelerVersion,
    uncertain: Uncertain,
    draws: usize,
    seed: u64,
) -> Result<ReportsAgainstTags, MetricsError> {
    let (kept, truth) = tagged(reports.iter().map(|(id, _)| id.as_str()), tags)?;
    let mut table = abnormal_table()?;
    for (&at, truth) in kept.iter().zip(&truth) {
        let flags = labeler.label(&reports[at].1).positives(uncertain);
        let named = FindingClass::ABNORMAL.map(|class| flags[class.index()]);
        table.add(truth, &named)?;
    }
    let always = |class: usize| {
        let labels: Vec<bool> = truth.iter().map(|flags| flags[class]).collect();
        always_positive_f1(&labels).unwrap_or(0.0)
    };
    let (f1_micro, f1_macro) = averages(&table, draws, seed)?;
    Ok(ReportsAgainstTags {
        labeler: labeler.name().to_owned(),
        studies: kept.len(),
        untagged: reports.len() - kept.len(),
        classes: class_findings(&table, intervals_of(&table, draws, seed)?.as_ref())?,
        f1_micro,
        f1_macro,
        always_positive_f1_macro: (0..CLASSES).map(always).sum::<f64>() / CLASSES as f64,
    })
}

/// Reads a classifier's scores: a CSV file with a column of ids and one for each abnormal class, by CheXpert's names.
///
/// # Errors
/// [`EvaluationError`] naming the file and row.
pub fn read_classified(path: &Path) -> Result<Vec<ClassifiedStudy>, EvaluationError> {
    let rows = csv_rows(path, &read_text(path)?)?;
    let body = match rows.as_slice() {
        [_, body @ ..] if !body.is_empty() => body,
        _ => {
            return Err(EvaluationError::Empty {
                path: path.to_owned(),
            });
        }
    };
    let header = &rows[0].1;
    let find = |names: &[&str], what, expected: &str| {
        column(header, names).ok_or_else(|| EvaluationError::Column {
            path: path.to_owned(),
            what,
            expected: expected.to_owned(),
            found: header.join(", ").chars().take(200).collect(),
        })
    };
    let id = find(ID, "ids", "id")?;
    let mut columns = [0; CLASSES];
    for (at, class) in columns.iter_mut().zip(FindingClass::ABNORMAL) {
        *at = find(&[class.name()], "a class", class.name())?;
    }
    let mut first_rows: HashMap<&str, usize> = HashMap::new();
    body.iter()
        .map(|(row, fields)| {
            if let Some(first) = first_rows.insert(&fields[id], *row) {
                return Err(EvaluationError::DuplicateId {
                    path: path.to_owned(),
                    row: *row,
                    first,
                    id: fields[id].clone(),
                });
            }
            let mut scores = [0.0; CLASSES];
            for (at, score) in scores.iter_mut().enumerate() {
                let text = fields[columns[at]].trim();
                *score = match text.parse::<f64>() {
                    Ok(number) if number.is_finite() => number,
                    _ => {
                        return Err(EvaluationError::Row {
                            path: path.to_owned(),
                            row: *row,
                            reason: format!(
                                "{}: score '{text}': expected a finite number",
                                FindingClass::ABNORMAL[at].name()
                            ),
                        });
                    }
                };
            }
            Ok(ClassifiedStudy {
                id: fields[id].clone(),
                scores,
            })
        })
        .collect()
}

/// Positions of the studies that have tags, and their abnormal classes.
fn tagged<'a>(
    ids: impl Iterator<Item = &'a str>,
    tags: &[TaggedReport],
) -> Result<(Vec<usize>, Vec<[bool; CLASSES]>), MetricsError> {
    let unknown = |id: &str| MetricsError::UnknownStudy { id: id.to_owned() };
    let mut by_uid = HashMap::new();
    for report in tags {
        let uid = open_i_uid(&report.id).ok_or_else(|| unknown(&report.id))?;
        if let Some(found) = report.tags.as_deref().and_then(findings_of_tags) {
            by_uid.insert(uid, found);
        }
    }
    let (mut kept, mut truth) = (Vec::new(), Vec::new());
    for (at, id) in ids.enumerate() {
        let uid = open_i_uid(id).ok_or_else(|| unknown(id))?;
        if let Some(found) = by_uid.get(&uid) {
            kept.push(at);
            truth.push(FindingClass::ABNORMAL.map(|class| found[class.index()]));
        }
    }
    check_paired(("tagged studies", kept.len()), ("tags", truth.len()))?;
    Ok((kept, truth))
}

fn abnormal_table() -> Result<FindingCounts, MetricsError> {
    FindingCounts::new(FindingClass::ABNORMAL.map(FindingClass::name))
}

/// Micro and macro F1 of all classes.
fn averages(
    table: &FindingCounts,
    draws: usize,
    seed: u64,
) -> Result<(Estimate, Estimate), MetricsError> {
    let every: Vec<usize> = (0..CLASSES).collect();
    let zero = Undefined::Zero;
    let (mut micro, mut average) = (None, None);
    if draws > 0 {
        micro = Some(table.micro_f1_interval(&every, draws, seed)?);
        average = Some(table.macro_f1_interval(&every, zero, draws, seed)?);
    }
    Ok((
        Estimate {
            value: table.micro(&every)?.f1,
            interval: micro,
        },
        Estimate {
            value: table.macro_average(&every, zero)?.f1,
            interval: average,
        },
    ))
}

impl fmt::Display for TagScores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} studies with human tags; left out: {} untagged",
            self.studies, self.untagged
        )?;
        writeln!(
            f,
            "{:28} {:>6} {:>22} {:>22} {:>22} {:>16}",
            "class", "true", "AUROC (95 %)", "average precision", "F1", "always positive"
        )?;
        for ClassAgainstTags { class, scores } in &self.classes {
            writeln!(
                f,
                "{class:28} {:>6} {:>22} {:>22} {:>22} {:>16}",
                scores.positives,
                with_interval(scores.auroc),
                with_interval(scores.average_precision),
                with_interval(scores.f1),
                Share(scores.always_positive_f1.unwrap_or(f64::NAN)).to_string(),
            )?;
        }
        writeln!(f, "F1-13 micro {}", with_interval(Some(self.f1_micro)))?;
        writeln!(f, "F1-13 macro {}", with_interval(Some(self.f1_macro)))
    }
}

fn with_interval(estimate: Option<Estimate>) -> String {
    match estimate {
        None => "-".to_owned(),
        Some(Estimate {
            value,
            interval: None,
        }) => Share(value).to_string(),
        Some(Estimate {
            value,
            interval: Some(range),
        }) => format!(
            "{} ({} {})",
            Share(value),
            Share(range.low),
            Share(range.high)
        ),
    }
}

impl fmt::Display for ReportsAgainstTags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "reports read by {}, {} studies with human tags; left out: {} untagged",
            self.labeler, self.studies, self.untagged
        )?;
        for class in &self.classes {
            write!(
                f,
                "{:28} {:>6} {:>6} {:>9}",
                class.class,
                class.support,
                class.predicted,
                Share(class.scores.f1)
            )?;
            interval_end(f, class.f1_interval)?;
        }
        writeln!(f, "F1-13 micro {}", with_interval(Some(self.f1_micro)))?;
        writeln!(
            f,
            "F1-13 macro {}; every class for every study {}",
            with_interval(Some(self.f1_macro)),
            Share(self.always_positive_f1_macro)
        )
    }
}
