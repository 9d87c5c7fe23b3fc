//! Scores of studies that need nothing but their texts.

use rayon::prelude::*;

use super::radcliq::bleu_2;
use super::scores::ScoreColumn;
use super::temporal::{temporal_f1, trigram_variety};
use crate::evaluation::ScoredStudy;

/// Column of [`temporal_f1`].
pub const TEMPORAL_F1: &str = "temporal_f1";

/// Column of [`trigram_variety`] over words.
pub const ARN: &str = "arn_words";

/// Column of the [`bleu_2`] of CXR-Report-Metric and ReXrank, per study.
pub const BLEU_2: &str = "bleu_2_per_study";

/// Temporal F1, repeated trigrams (over words between white space) and per-study BLEU-2 of every
/// study, each in [0, 1]. BLEU-2 reads the first reference of a study, the others read all.
pub fn text_scores(studies: &[ScoredStudy]) -> Vec<ScoreColumn> {
    let column = |name: &str, score: &(dyn Fn(&ScoredStudy) -> f64 + Sync)| ScoreColumn {
        name: name.to_owned(),
        scores: studies.par_iter().map(|study| Some(score(study))).collect(),
    };
    vec![
        column(TEMPORAL_F1, &|study| {
            let references = study.references.iter().map(String::as_str);
            temporal_f1(&study.prediction, references)
        }),
        column(ARN, &|study| {
            let words: Vec<&str> = study.prediction.split_whitespace().collect();
            trigram_variety(&words)
        }),
        column(BLEU_2, &|study| {
            let reference = study.references.first().map_or("", String::as_str);
            bleu_2(&study.prediction, reference)
        }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_scored_study_by_study() {
        let study = |prediction: &str, reference: &str| ScoredStudy {
            id: prediction.to_owned(),
            prediction: prediction.to_owned(),
            references: vec![reference.to_owned()],
            full_reference: None,
        };
        let studies = [
            study("heart is stable .", "heart is stable ."),
            study("a b a b a b", "new effusion ."),
        ];
        let columns = text_scores(&studies);
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names, [TEMPORAL_F1, ARN, BLEU_2]);
        assert!(columns[0].scores[0] > Some(0.999) && columns[0].scores[1] < Some(1e-9));
        assert_eq!(columns[1].scores, [Some(1.0), Some(0.5)]);
        assert_eq!(columns[2].scores, [Some(1.0), Some(0.0)]);
    }
}
