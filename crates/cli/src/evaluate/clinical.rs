//! Clinical numbers of a system: F1 by policy, RadGraph, RadCliQ, temporal F1, and scores made elsewhere.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use ithn::metrics::MetricsError;
use ithn::metrics::clinical::policies::{
    CheXbertScores, CxrMate1, CxrMate2, F1CheXbert, Policy, PolicyNumber, chexbert, cxrmate1,
    cxrmate2, f1chexbert, policy_numbers,
};
use ithn::metrics::clinical::radcliq::{COLUMNS, RadCliQ, RadCliQInputs};
use ithn::metrics::clinical::radgraph::{RadGraphScores, radgraph, read_graphs};
use ithn::metrics::clinical::scores::{ScoreColumn, ScoreSummary, ScoreTable};
use ithn::metrics::clinical::texts::{BLEU_2, text_scores};
use ithn::metrics::evaluation::{EvaluationError, ScoredStudy};
use serde::Serialize;

use super::arguments::Arguments;
use super::systems::Labels;

/// Column of SembScore.
const SEMB_SCORE: &str = "semb_score";

/// RadCliQ's two versions.
pub(super) const RADCLIQ: [(&str, RadCliQ); 2] =
    [("radcliq_v1", RadCliQ::V1), ("radcliq_v0", RadCliQ::V0)];

/// Clinical numbers of a system, as `--json` writes them.
#[derive(Serialize)]
pub(super) struct Clinical {
    /// Labels by policy.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<PolicyReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub radgraph: Option<RadGraphScores>,
    /// Means over studies.
    pub scores: Vec<ScoreSummary>,
    /// Which of those are better when lower.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lower_is_better: Vec<&'static str>,
    /// The same study by study.
    #[serde(skip)]
    pub table: ScoreTable,
}

/// F1 by one policy.
#[derive(Serialize)]
pub(super) struct PolicyReport {
    pub policy: Policy,
    /// Who made the labels.
    pub labeler: String,
    /// The numbers that papers quote.
    pub numbers: Vec<PolicyNumber>,
    /// All numbers of the policy.
    all: PolicyDetail,
}

#[derive(Serialize)]
#[serde(untagged)]
enum PolicyDetail {
    F1CheXbert(F1CheXbert),
    CxrMate(CxrMate2),
    CxrMate1(CxrMate1),
    CheXbert(CheXbertScores),
}

/// What a system's clinical numbers are made of.
pub(super) struct Inputs<'a> {
    pub arguments: &'a Arguments,
    pub policies: &'a [Policy],
    pub labeler: &'a str,
    pub studies: &'a [ScoredStudy],
    pub labels: Option<&'a Labels>,
    /// Files of the system's scores.
    pub scores: &'a [PathBuf],
    pub with_graphs: bool,
}

impl Inputs<'_> {
    pub(super) fn compute(&self) -> Result<Clinical, EvaluationError> {
        let mut columns = text_scores(self.studies);
        if let Some(cosines) = self.labels.and_then(|labels| labels.semb_score.as_ref()) {
            columns.push(column(SEMB_SCORE, cosines.iter().copied().map(Some)));
        }
        let radgraph = match self.arguments.radgraph.as_slice() {
            [predictions, references] if self.with_graphs => {
                let scores = self.graphs(predictions, references)?;
                columns.extend(self.graph_columns(&scores, predictions)?);
                Some(scores)
            }
            _ => None,
        };
        let mut given: Vec<ScoreColumn> = Vec::new();
        for path in self.scores {
            for column in self.given(path)? {
                if given.iter().any(|other| same_name(other, &column)) {
                    return Err(EvaluationError::Layout {
                        path: path.clone(),
                        reason: format!("another file has scores '{}' as well", column.name),
                    });
                }
                // What is given stands before what is computed here.
                columns.retain(|other| !same_name(other, &column));
                given.push(column);
            }
        }
        columns.append(&mut given);
        let radcliq = radcliq(&columns);
        let lower_is_better = match radcliq.is_empty() {
            true => Vec::new(),
            false => RADCLIQ.iter().map(|(name, _)| *name).collect(),
        };
        columns.retain(|column| !radcliq.iter().any(|own| same_name(own, column)));
        columns.extend(radcliq);
        let ids = self.studies.iter().map(|study| study.id.clone()).collect();
        let table = ScoreTable::new("predictions", ids, columns);
        Ok(Clinical {
            policies: self.policies()?,
            radgraph,
            scores: table.summaries(self.arguments.draws as usize, self.arguments.seed)?,
            lower_is_better,
            table,
        })
    }

    fn policies(&self) -> Result<Vec<PolicyReport>, MetricsError> {
        let Some(labels) = self.labels else {
            return Ok(Vec::new());
        };
        let (references, predictions) = (&labels.references, &labels.predictions);
        let report = |&policy: &Policy| {
            let draws = self.arguments.draws as usize;
            let seed = self.arguments.seed;
            Ok(PolicyReport {
                policy,
                labeler: self.labeler.to_owned(),
                numbers: policy_numbers(policy, references, predictions, draws, seed)?,
                all: detail(policy, labels)?,
            })
        };
        self.policies.iter().map(report).collect()
    }

    fn graphs(
        &self,
        predictions: &Path,
        references: &Path,
    ) -> Result<RadGraphScores, EvaluationError> {
        let (predicted, wanted) = (read_graphs(predictions)?, read_graphs(references)?);
        let casing = self.arguments.radgraph_case.into();
        radgraph(&predicted, &wanted, casing, predictions)
    }

    /// Graphs are keyed by the ids of studies, or by their places from 0 as the package `radgraph` does.
    fn graph_columns(
        &self,
        scores: &RadGraphScores,
        path: &Path,
    ) -> Result<Vec<ScoreColumn>, EvaluationError> {
        let graphs = &scores.per_study;
        let by_id: HashMap<&str, usize> = graphs
            .iter()
            .enumerate()
            .map(|(at, study)| (study.id.as_str(), at))
            .collect();
        let known = |key: &str| by_id.get(key).copied();
        let ids = self.studies.iter().map(|study| known(&study.id));
        let places = (0..self.studies.len()).map(|at| known(&at.to_string()));
        let order = [ids.collect::<Option<Vec<_>>>(), places.collect()];
        let order = order
            .into_iter()
            .flatten()
            .find(|order| order.len() == graphs.len())
            .ok_or_else(|| EvaluationError::Layout {
                path: path.to_owned(),
                reason: format!(
                    "{} graphs whose keys are neither the ids of the {} studies nor their places from 0",
                    graphs.len(),
                    self.studies.len()
                ),
            })?;
        let of =
            |name: &str, score: fn(&ithn::metrics::clinical::radgraph::RadGraphStudy) -> f64| {
                column(name, order.iter().map(|&at| Some(score(&graphs[at]))))
            };
        Ok(vec![
            of("radgraph_simple", |study| study.f1.simple),
            of("radgraph_partial", |study| study.f1.partial),
            of("radgraph_complete", |study| study.f1.complete),
            of(COLUMNS[0], |study| study.older.combined),
        ])
    }

    /// The columns of a file of scores, in the order of the studies; one that the file lacks has no score.
    fn given(&self, path: &Path) -> Result<Vec<ScoreColumn>, EvaluationError> {
        let table = ScoreTable::read(path)?;
        let places: HashMap<&str, usize> = self
            .studies
            .iter()
            .enumerate()
            .map(|(at, study)| (study.id.as_str(), at))
            .collect();
        let mut order: Vec<Option<usize>> = vec![None; self.studies.len()];
        for (row, id) in table.ids().iter().enumerate() {
            match places.get(id.as_str()) {
                Some(&place) => order[place] = Some(row),
                None => {
                    return Err(EvaluationError::Layout {
                        path: path.to_owned(),
                        reason: format!("study '{id}' is not among the predictions"),
                    });
                }
            }
        }
        let in_order = |from: &ScoreColumn| {
            column(
                &from.name,
                order.iter().map(|row| row.and_then(|row| from.scores[row])),
            )
        };
        Ok(table.columns().iter().map(in_order).collect())
    }
}

fn column(name: &str, scores: impl Iterator<Item = Option<f64>>) -> ScoreColumn {
    ScoreColumn {
        name: name.to_owned(),
        scores: scores.collect(),
    }
}

fn same_name(a: &ScoreColumn, b: &ScoreColumn) -> bool {
    a.name.eq_ignore_ascii_case(&b.name)
}

/// RadCliQ where its four columns are at hand; BLEU-2 is computed if it is not given.
fn radcliq(columns: &[ScoreColumn]) -> Vec<ScoreColumn> {
    let find = |name: &str| {
        let mut named = columns
            .iter()
            .filter(|column| column.name.eq_ignore_ascii_case(name));
        named.next().map(|column| &column.scores)
    };
    let [graph, bert, semb, bleu] = COLUMNS.map(find);
    let (Some(graph), Some(bert), Some(semb), Some(bleu)) =
        (graph, bert, semb, bleu.or_else(|| find(BLEU_2)))
    else {
        return Vec::new();
    };
    let inputs = |at: usize| {
        Some(RadCliQInputs {
            radgraph_combined: graph[at]?,
            bertscore: bert[at]?,
            semb_score: semb[at]?,
            bleu_score: bleu[at]?,
        })
    };
    RADCLIQ
        .iter()
        .map(|(name, model)| {
            let scores = (0..graph.len()).map(|at| Some(model.score(&inputs(at)?)));
            column(name, scores)
        })
        .collect()
}

fn detail(policy: Policy, labels: &Labels) -> Result<PolicyDetail, MetricsError> {
    let (references, predictions) = (&labels.references, &labels.predictions);
    Ok(match policy {
        Policy::CxrMate => PolicyDetail::CxrMate(cxrmate2(references, predictions)?),
        Policy::CxrMate1 => PolicyDetail::CxrMate1(cxrmate1(references, predictions)?),
        Policy::CheXbert => PolicyDetail::CheXbert(chexbert(references, predictions)?),
        _ => {
            let mut scores = f1chexbert(references, predictions)?;
            // The JSON speaks of the corpus.
            scores.per_study = Vec::new();
            PolicyDetail::F1CheXbert(scores)
        }
    })
}
