//! F1 of RadGraph's entities and relations (Delbrouck et al., 2022; Yu et al., 2023), from the graphs
//! that RadGraph wrote.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::evaluation::EvaluationError;
use crate::evaluation::formats::read_json;

/// The graph of a report.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Graph {
    /// The report.
    #[serde(default)]
    pub text: String,
    /// Entities by key.
    #[serde(deserialize_with = "map_or_empty_list")]
    pub entities: BTreeMap<String, Entity>,
}

/// A span of the report.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Entity {
    /// Its words.
    pub tokens: String,
    /// `ANAT-DP`, `OBS-DP`, `OBS-U`, `OBS-DA`.
    pub label: String,
    /// Type and key of the other entity.
    #[serde(default)]
    pub relations: Vec<(String, String)>,
}

/// RadGraph writes `{}` for a report without entities; other tools write `[]`.
fn map_or_empty_list<'de, D: serde::Deserializer<'de>>(
    entities: D,
) -> Result<BTreeMap<String, Entity>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Entities {
        Map(BTreeMap<String, Entity>),
        List([Entity; 0]),
    }
    Ok(match Entities::deserialize(entities)? {
        Entities::Map(entities) => entities,
        Entities::List(_) => BTreeMap::new(),
    })
}

/// Whose lower-casing: the two versions of the package give different numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Casing {
    /// As the package 0.1.18 on PyPI and RadEval: case is kept, relations in `complete` aside. Most
    /// published numbers use it.
    #[default]
    Published,
    /// As the repository since: everything is lower-cased.
    Lower,
}

/// F1 of the three levels of reward, each in [0, 1].
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct RadGraphF1 {
    /// RG_E: entities, by words and label.
    pub simple: f64,
    /// RG_ER: entities, by words, label and whether they have a relation.
    pub partial: f64,
    /// RG_ĒR: entities without relations, and relations by type and the other entity's words.
    pub complete: f64,
}

/// The older F1 of CXR-Report-Metric that RadCliQ was fitted on; case is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct RadGraphCombined {
    /// F1 of entities, by words and label.
    pub entity: f64,
    /// F1 of relations, by type and both entities' words and labels; 0 without relations on a side.
    pub relation: f64,
    /// Their mean: equal reports without relations get 0.5.
    pub combined: f64,
}

/// [`radgraph`]'s scores of one study.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RadGraphStudy {
    /// The study's key.
    pub id: String,
    /// The three levels.
    #[serde(flatten)]
    pub f1: RadGraphF1,
    /// The older F1 of CXR-Report-Metric.
    #[serde(flatten)]
    pub older: RadGraphCombined,
}

/// [`radgraph`]: every study and the means over all of them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RadGraphScores {
    /// Whose lower-casing.
    pub casing: Casing,
    /// Means of the three levels.
    #[serde(flatten)]
    pub f1: RadGraphF1,
    /// Means of the older F1 of CXR-Report-Metric.
    #[serde(flatten)]
    pub older: RadGraphCombined,
    /// References without a predicted graph, which count as empty predictions.
    pub missing_predictions: usize,
    /// Study by study, in the order of their keys.
    #[serde(skip)]
    pub per_study: Vec<RadGraphStudy>,
}

/// Reads RadGraph's JSON: an object from study to graph.
///
/// # Errors
///
/// [`EvaluationError`] naming the file, and the study and entity of a relation whose other entity
/// is missing.
pub fn read_graphs(path: &Path) -> Result<BTreeMap<String, Graph>, EvaluationError> {
    let graphs: BTreeMap<String, Graph> = read_json(path)?;
    if graphs.is_empty() {
        return Err(EvaluationError::Empty {
            path: path.to_owned(),
        });
    }
    for (study, graph) in &graphs {
        for (key, entity) in &graph.entities {
            let lost = |(_, other): &&(String, String)| !graph.entities.contains_key(other);
            if let Some((_, other)) = entity.relations.iter().find(lost) {
                return Err(EvaluationError::Layout {
                    path: path.to_owned(),
                    reason: format!(
                        "study '{study}': entity '{key}' has a relation to '{other}', which is no entity of it: remove \
                         the relation"
                    ),
                });
            }
        }
    }
    Ok(graphs)
}

/// Scores predicted graphs against those of the references, study by study.
///
/// Items are sets: repeats, keys and places do not matter. A study with an empty text or without
/// entities on a side scores 0, on both sides too, and counts in the means. A study that is missing
/// from the predictions counts as empty.
///
/// # Errors
///
/// [`EvaluationError::Layout`] if a predicted study has no reference; `path` names the predictions.
///
/// # Panics
///
/// If a relation leads to an entity that is not there, which [`read_graphs`] refuses.
pub fn radgraph(
    predictions: &BTreeMap<String, Graph>,
    references: &BTreeMap<String, Graph>,
    casing: Casing,
    path: &Path,
) -> Result<RadGraphScores, EvaluationError> {
    let layout = |reason: String| EvaluationError::Layout {
        path: path.to_owned(),
        reason,
    };
    if references.is_empty() {
        return Err(layout("no references to compare with".to_owned()));
    }
    if let Some(id) = predictions.keys().find(|id| !references.contains_key(*id)) {
        return Err(layout(format!("no reference for study '{id}'")));
    }
    let empty = Graph::default();
    let per_study: Vec<RadGraphStudy> = references
        .iter()
        .map(|(id, reference)| {
            let prediction = predictions.get(id).unwrap_or(&empty);
            RadGraphStudy {
                id: id.clone(),
                f1: rewards(prediction, reference, casing),
                older: combined(prediction, reference),
            }
        })
        .collect();
    let mean = |of: fn(&RadGraphStudy) -> f64| {
        per_study.iter().map(of).sum::<f64>() / per_study.len() as f64
    };
    Ok(RadGraphScores {
        casing,
        f1: RadGraphF1 {
            simple: mean(|study| study.f1.simple),
            partial: mean(|study| study.f1.partial),
            complete: mean(|study| study.f1.complete),
        },
        older: RadGraphCombined {
            entity: mean(|study| study.older.entity),
            relation: mean(|study| study.older.relation),
            combined: mean(|study| study.older.combined),
        },
        missing_predictions: references.len() - predictions.len(),
        per_study,
    })
}

/// The three levels for one pair of graphs.
///
/// # Panics
///
/// If a relation leads to an entity that is not there.
pub fn rewards(prediction: &Graph, reference: &Graph, casing: Casing) -> RadGraphF1 {
    let is_empty = |graph: &Graph| graph.text.is_empty() || graph.entities.is_empty();
    if is_empty(prediction) || is_empty(reference) {
        return RadGraphF1::default();
    }
    let cased = |tokens: &str| match casing {
        Casing::Published => tokens.to_owned(),
        Casing::Lower => tokens.to_lowercase(),
    };
    let entities = |graph: &Graph| -> BTreeSet<(String, String)> {
        let entities = graph.entities.values();
        entities
            .map(|entity| (cased(&entity.tokens), entity.label.clone()))
            .collect()
    };
    let related = |graph: &Graph| -> BTreeSet<(String, String, bool)> {
        let entities = graph.entities.values();
        entities
            .map(|entity| {
                let has_relation = !entity.relations.is_empty();
                (cased(&entity.tokens), entity.label.clone(), has_relation)
            })
            .collect()
    };
    /// An entity, with type and other end of a relation unless it has none.
    type Item = (String, String, Option<(String, String)>);
    let items = |graph: &Graph| -> BTreeSet<Item> {
        let mut items = BTreeSet::new();
        for entity in graph.entities.values() {
            if entity.relations.is_empty() {
                items.insert((cased(&entity.tokens), entity.label.clone(), None));
            }
            for (kind, other) in &entity.relations {
                let other = graph.entities[other].tokens.to_lowercase();
                let tokens = entity.tokens.to_lowercase();
                items.insert((tokens, entity.label.clone(), Some((kind.clone(), other))));
            }
        }
        items
    };
    RadGraphF1 {
        simple: f1(&entities(prediction), &entities(reference)),
        partial: f1(&related(prediction), &related(reference)),
        complete: f1(&items(prediction), &items(reference)),
    }
}

/// The older values for one pair of graphs.
///
/// # Panics
///
/// If a relation leads to an entity that is not there.
pub fn combined(prediction: &Graph, reference: &Graph) -> RadGraphCombined {
    type Named<'a> = (&'a str, &'a str);
    fn named(entity: &Entity) -> Named<'_> {
        (&entity.tokens, &entity.label)
    }
    fn entities(graph: &Graph) -> BTreeSet<Named<'_>> {
        graph.entities.values().map(named).collect()
    }
    fn relations(graph: &Graph) -> BTreeSet<(Named<'_>, Named<'_>, &str)> {
        let mut relations = BTreeSet::new();
        for entity in graph.entities.values() {
            for (kind, other) in &entity.relations {
                relations.insert((named(entity), named(&graph.entities[other]), kind.as_str()));
            }
        }
        relations
    }
    let entity = f1(&entities(prediction), &entities(reference));
    let relation = f1(&relations(prediction), &relations(reference));
    RadGraphCombined {
        entity,
        relation,
        combined: (entity + relation) / 2.0,
    }
}

/// F1 of two sets, 0 if one is empty or nothing is shared.
fn f1<T: Ord>(prediction: &BTreeSet<T>, reference: &BTreeSet<T>) -> f64 {
    let shared = prediction.intersection(reference).count() as f64;
    if shared == 0.0 {
        return 0.0;
    }
    let precision = shared / prediction.len() as f64;
    let recall = shared / reference.len() as f64;
    2.0 * precision * recall / (precision + recall)
}
