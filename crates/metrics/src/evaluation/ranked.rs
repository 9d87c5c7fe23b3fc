//! Image-report scores from a file, which a run or any other model wrote.

use std::collections::HashMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::EvaluationError;
use super::records::read_text;
use super::table::{column, csv_rows};
use crate::corpus::words;
use crate::error::MetricsError;
use crate::retrieval::{Query, Retrieval, near_twin_accuracy, retrieval};

const COLUMNS: [&str; 4] = ["id", "task", "candidate", "score"];

/// The candidates that a study's own report is ranked against, and the score that ranks them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RankingTask {
    /// Random reports, by the alignment of image and report.
    Retrieval,
    /// Its near-twins, by the same alignment.
    NearTwin,
    /// Its near-twins, by the likelihood that the generator gives them.
    NearTwinLikelihood,
}

impl RankingTask {
    const ALL: [Self; 3] = [Self::Retrieval, Self::NearTwin, Self::NearTwinLikelihood];

    /// Name of the task in a file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Retrieval => "retrieval",
            Self::NearTwin => "near_twin",
            Self::NearTwinLikelihood => "near_twin_likelihood",
        }
    }
}

/// The scores of one image in one task; a higher score is a closer report.
#[derive(Debug, Clone, PartialEq)]
pub struct RankedStudy {
    /// The study of the image.
    pub id: String,
    /// The candidates and the score.
    pub task: RankingTask,
    /// Score of its own report.
    pub own: f64,
    /// Studies whose reports are the other candidates, and their scores; at least one.
    pub others: Vec<(String, f64)>,
}

/// How well own reports are ranked; `None` for a task without studies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Ranking {
    /// Own reports among random ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retrieval: Option<Retrieval>,
    /// Own reports against near-twins, by alignment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub near_twin: Option<NearTwins>,
    /// The same by likelihood.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub near_twin_likelihood: Option<NearTwins>,
}

/// Own reports against their near-twins.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct NearTwins {
    /// Studies with a near-twin.
    pub studies: usize,
    /// Share whose own report beats all of its near-twins, in [0, 1].
    pub accuracy: f64,
}

/// Ranks own reports task by task, with [`retrieval()`] and [`near_twin_accuracy`].
///
/// # Errors
/// [`MetricsError::NotFinite`] for a NaN or infinite score, [`MetricsError::Empty`] without studies.
pub fn rank(studies: &[RankedStudy]) -> Result<Ranking, MetricsError> {
    if studies.is_empty() {
        return Err(MetricsError::Empty {
            what: "the list of ranked studies",
        });
    }
    let near_twins = |task| {
        let scores = scores_of(studies, task);
        if scores.is_empty() {
            return Ok(None);
        }
        let accuracy = near_twin_accuracy(queries(&scores))?;
        Ok::<_, MetricsError>(Some(NearTwins {
            studies: scores.len(),
            accuracy,
        }))
    };
    let among_random = scores_of(studies, RankingTask::Retrieval);
    Ok(Ranking {
        retrieval: match among_random.is_empty() {
            true => None,
            false => Some(retrieval(queries(&among_random))?),
        },
        near_twin: near_twins(RankingTask::NearTwin)?,
        near_twin_likelihood: near_twins(RankingTask::NearTwinLikelihood)?,
    })
}

/// Counts equal texts as hits: a candidate whose report has the words of the study's own report cannot outrank it.
///
/// Such candidates are taken out, and the own report gets the highest of their scores and its own. `report` gives the text
/// of a study; studies without one are left as they are. A task whose candidates all say the same as the own report is
/// dropped, for nothing is left to rank.
pub fn equal_reports_as_hits<'a>(
    studies: Vec<RankedStudy>,
    report: impl Fn(&str) -> Option<&'a str>,
) -> Vec<RankedStudy> {
    let merged = |mut study: RankedStudy| {
        let Some(own) = report(&study.id) else {
            return Some(study);
        };
        let mut best = study.own;
        study.others.retain(|(candidate, score)| {
            let is_equal = report(candidate).is_some_and(|other| words(other).eq(words(own)));
            if is_equal {
                best = best.max(*score);
            }
            !is_equal
        });
        study.own = best;
        (!study.others.is_empty()).then_some(study)
    };
    studies.into_iter().filter_map(merged).collect()
}

type Scores = Vec<(f64, Vec<f64>)>;

fn scores_of(studies: &[RankedStudy], task: RankingTask) -> Scores {
    let of_task = studies.iter().filter(|study| study.task == task);
    of_task
        .map(|study| {
            let others = study.others.iter().map(|&(_, score)| score);
            (study.own, others.collect())
        })
        .collect()
}

fn queries(scores: &Scores) -> impl Iterator<Item = Query<'_>> {
    scores
        .iter()
        .map(|(own, others)| Query { own: *own, others })
}

/// A CSV table with one row per score: `id`, `task`, `candidate`, `score`; a study's own report is the candidate with
/// the study's id.
///
/// # Errors
/// [`csv::Error`] if writing to memory fails.
pub fn ranked_table(studies: &[RankedStudy]) -> Result<Vec<u8>, csv::Error> {
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record(COLUMNS)?;
    for study in studies {
        let own = (&study.id, study.own);
        let others = study.others.iter().map(|(id, score)| (id, *score));
        for (candidate, score) in std::iter::once(own).chain(others) {
            let score = score.to_string();
            table.write_record([&study.id, study.task.name(), candidate, &score])?;
        }
    }
    table
        .into_inner()
        .map_err(|error| csv::Error::from(error.into_error()))
}

/// Reads what [`ranked_table`] writes; rows may come in any order, other columns are ignored.
///
/// # Errors
/// [`EvaluationError`] naming the file and row.
pub fn read_ranked(path: &Path) -> Result<Vec<RankedStudy>, EvaluationError> {
    let rows = csv_rows(path, &read_text(path)?)?;
    let [(_, header), body @ ..] = rows.as_slice() else {
        return Err(EvaluationError::Empty {
            path: path.to_owned(),
        });
    };
    let mut columns = [0; COLUMNS.len()];
    for (at, name) in columns.iter_mut().zip(COLUMNS) {
        *at = column(header, &[name]).ok_or_else(|| EvaluationError::Column {
            path: path.to_owned(),
            what: "scores of candidates",
            expected: name.to_owned(),
            found: header.join(", ").chars().take(200).collect(),
        })?;
    }
    let mut gathered = Gathered::default();
    for (row, fields) in body {
        let [id, task, candidate, score] = columns.map(|at| fields[at].trim());
        gathered
            .add(*row, id, task, candidate, score)
            .map_err(|reason| EvaluationError::Row {
                path: path.to_owned(),
                row: *row,
                reason,
            })?;
    }
    gathered.finish(path)
}

/// A study while its rows are being read.
struct Partial {
    /// First row that names it.
    row: usize,
    id: String,
    task: RankingTask,
    own: Option<f64>,
    others: Vec<(String, f64)>,
}

#[derive(Default)]
struct Gathered {
    studies: Vec<Partial>,
    place: HashMap<(String, RankingTask), usize>,
    /// Row of every study, task and candidate.
    seen: HashMap<(usize, String), usize>,
}

impl Gathered {
    fn add(
        &mut self,
        row: usize,
        id: &str,
        task: &str,
        candidate: &str,
        score: &str,
    ) -> Result<(), String> {
        if id.is_empty() || candidate.is_empty() {
            return Err("no id or no candidate: both name a study".to_owned());
        }
        let known = RankingTask::ALL.into_iter();
        let task = known.clone().find(|it| it.name() == task).ok_or_else(|| {
            let names: Vec<_> = known.map(RankingTask::name).collect();
            format!("task '{task}': expected one of {}", names.join(", "))
        })?;
        let number: f64 = match score.parse() {
            Ok(number) if f64::is_finite(number) => number,
            _ => return Err(format!("score '{score}': expected a finite number")),
        };
        let place = *self
            .place
            .entry((id.to_owned(), task))
            .or_insert(self.studies.len());
        if place == self.studies.len() {
            self.studies.push(Partial {
                row,
                id: id.to_owned(),
                task,
                own: None,
                others: Vec::new(),
            });
        }
        if let Some(first) = self.seen.insert((place, candidate.to_owned()), row) {
            return Err(format!(
                "candidate '{candidate}' of study '{id}' already has a score in row {first}"
            ));
        }
        let study = &mut self.studies[place];
        if candidate == id {
            study.own = Some(number);
        } else {
            study.others.push((candidate.to_owned(), number));
        }
        Ok(())
    }

    fn finish(self, path: &Path) -> Result<Vec<RankedStudy>, EvaluationError> {
        if self.studies.is_empty() {
            return Err(EvaluationError::Layout {
                path: path.to_owned(),
                reason: "no scores in it".to_owned(),
            });
        }
        self.studies
            .into_iter()
            .map(|study| match study.own {
                Some(own) if !study.others.is_empty() => Ok(RankedStudy {
                    id: study.id,
                    task: study.task,
                    own,
                    others: study.others,
                }),
                own => Err(EvaluationError::Row {
                    path: path.to_owned(),
                    row: study.row,
                    reason: format!(
                        "study '{}' has no score of {} for task {}",
                        study.id,
                        match own {
                            Some(_) => "another report",
                            None => "its own report (the candidate with its id)",
                        },
                        study.task.name()
                    ),
                }),
            })
            .collect()
    }
}
