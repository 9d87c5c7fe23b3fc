//! BLEU, ROUGE-L and CIDEr equal pycocoevalcap 1.2's on degenerate corpora written by hand.

use std::collections::BTreeMap;

use ithn_metrics::{OverlapScores, Pair, score_corpus};
use serde::Deserialize;

const TOLERANCE: f64 = 1e-9;

#[derive(Deserialize)]
struct Case {
    refs: Vec<Vec<String>>,
    hyps: Vec<String>,
    corpus: BTreeMap<String, f64>,
    per_sample: BTreeMap<String, Vec<f64>>,
}

#[test]
fn degenerate_corpora() {
    let cases: BTreeMap<String, Case> =
        serde_json::from_str(include_str!("fixtures/degenerate.json")).unwrap();
    assert_eq!(cases.len(), 15);
    for (name, case) in cases {
        let pairs = case
            .hyps
            .iter()
            .zip(&case.refs)
            .map(|(hypothesis, references)| {
                Pair::with_references(hypothesis, references.iter().map(String::as_str))
            });
        let scores = score_corpus(pairs).unwrap();
        assert_close(&name, &scores.corpus, |metric| case.corpus[metric]);
        for (study, scores) in scores.per_study.iter().enumerate() {
            let place = format!("{name}, study {study}");
            assert_close(&place, scores, |metric| case.per_sample[metric][study]);
        }
    }
}

fn assert_close(place: &str, scores: &OverlapScores, expected: impl Fn(&str) -> f64) {
    let [bleu_1, bleu_2, bleu_3, bleu_4] = scores.bleu;
    let computed = [
        ("BLEU_1", bleu_1),
        ("BLEU_2", bleu_2),
        ("BLEU_3", bleu_3),
        ("BLEU_4", bleu_4),
        ("ROUGE_L", scores.rouge_l),
        ("CIDEr", scores.cider),
    ];
    for (metric, value) in computed {
        let expected = expected(metric);
        let difference = (value - expected).abs();
        assert!(
            difference <= TOLERANCE,
            "{place}: {metric} is {value}, expected {expected}"
        );
    }
}
