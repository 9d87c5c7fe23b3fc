//! Reports from the indication alone: what is gained without a film.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::most_frequent_report;
use crate::dataset::{EvaluationSplit, PreparedData};

/// For every study of a split the most frequent report of the training studies with the same indication, of equally
/// frequent ones the alphabetically first. An indication that training lacks counts as the one that shares most of its
/// words (Jaccard index); a study without an indication gets the most frequent report of all. `None` if no training study
/// has an indication that the model reads.
pub(crate) fn indication_reports(
    data: &PreparedData,
    split: &EvaluationSplit,
) -> Option<Vec<String>> {
    let mut reports: BTreeMap<&[u32], HashMap<&[u32], usize>> = BTreeMap::new();
    for member in &data.members {
        let study = &data.training[member.study];
        if !study.context.indication.is_empty() {
            let of_indication = reports.entry(&study.context.indication).or_default();
            *of_indication.entry(&study.tokens).or_insert(0) += 1;
        }
    }
    if reports.is_empty() {
        return None;
    }
    let best: BTreeMap<&[u32], String> = reports
        .into_iter()
        .map(|(indication, counts)| {
            let text = |tokens: &[u32]| data.tokenizer.decode(&tokens[1..]);
            let counted = counts
                .into_iter()
                .map(|(tokens, count)| (text(tokens), count));
            let best = counted.reduce(|one, other| {
                let better = other.1 > one.1 || other.1 == one.1 && other.0 < one.0;
                if better { other } else { one }
            });
            (indication, best.map_or_else(String::new, |(text, _)| text))
        })
        .collect();
    let usual = most_frequent_report(data, split);
    let studies = split.studies.iter().zip(usual);
    Some(
        studies
            .map(|(study, usual)| {
                let indication = study.context.indication.as_slice();
                match (indication, best.get(indication)) {
                    ([], _) => usual,
                    (_, Some(report)) => report.clone(),
                    (indication, None) => {
                        let similar = best.iter().reduce(|one, other| {
                            let [first, second] = [one, other].map(|it| overlap(it.0, indication));
                            if second > first { other } else { one }
                        });
                        similar.map_or(usual, |(_, report)| report.clone())
                    }
                }
            })
            .collect(),
    )
}

/// Jaccard index of the words.
fn overlap(one: &[u32], other: &[u32]) -> f64 {
    let [one, other] = [one, other].map(|words| words.iter().collect::<BTreeSet<_>>());
    let shared = one.intersection(&other).count();
    shared as f64 / (one.len() + other.len() - shared).max(1) as f64
}
