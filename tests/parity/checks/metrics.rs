//! `metrics.json`: BLEU, ROUGE-L and CIDEr of pycocoevalcap.
//!
//! A subset without the pairs of real reports checks the hand-written corpora alone.

use std::collections::BTreeMap;
use std::path::Path;

use ithn_metrics::{CorpusScores, OverlapScores, Pair, score_corpus};
use serde::Deserialize;

use super::check::{Check, Tolerance};
use super::fixture::{FixtureError, read_json};

const FAMILY: &str = "metrics";
const TOLERANCE: Tolerance = Tolerance::Absolute(1e-9);
const METRICS: [&str; 6] = ["BLEU_1", "BLEU_2", "BLEU_3", "BLEU_4", "ROUGE_L", "CIDEr"];

pub fn run(dir: &Path) -> Result<Vec<Check>, FixtureError> {
    let json: Json = read_json(dir, "metrics.json")?;
    let scored = |pairs: Vec<Pair<'_>>| {
        score_corpus(pairs).map_err(|error| FixtureError::Layout {
            path: dir.join("metrics.json"),
            reason: error.to_string(),
        })
    };
    let mut checks = Vec::new();
    if !json.pairs.is_empty() {
        let pairs = json
            .pairs
            .iter()
            .map(|pair| Pair::new(&pair.hyp, &pair.r#ref));
        let scores = scored(pairs.collect())?;
        checks.extend(compare(
            "pairs",
            &scores,
            &json.corpus,
            &json.per_sample_first50,
        ));
    }
    for (name, case) in &json.degenerate {
        let pairs = case
            .hyps
            .iter()
            .zip(&case.refs)
            .map(|(hypothesis, references)| {
                Pair::with_references(hypothesis, references.iter().map(String::as_str))
            });
        let scores = scored(pairs.collect())?;
        let what = format!("degenerate.{name}");
        checks.extend(compare(&what, &scores, &case.corpus, &case.per_sample));
    }
    checks.push(Check::absent(
        FAMILY,
        "METEOR: this build does not compute it",
    ));
    Ok(checks)
}

#[derive(Deserialize)]
struct Json {
    #[serde(default)]
    pairs: Vec<RealPair>,
    #[serde(default)]
    corpus: BTreeMap<String, f64>,
    #[serde(default)]
    per_sample_first50: BTreeMap<String, Vec<f64>>,
    degenerate: BTreeMap<String, Case>,
}

#[derive(Deserialize)]
struct RealPair {
    hyp: String,
    r#ref: String,
}

#[derive(Deserialize)]
struct Case {
    refs: Vec<Vec<String>>,
    hyps: Vec<String>,
    corpus: BTreeMap<String, f64>,
    per_sample: BTreeMap<String, Vec<f64>>,
}

/// Two lines: all metrics of the corpus, and those of its studies, the first ones if the golden
/// numbers end there.
fn compare(
    what: &str,
    scores: &CorpusScores,
    corpus: &BTreeMap<String, f64>,
    per_study: &BTreeMap<String, Vec<f64>>,
) -> [Check; 2] {
    let golden_corpus = METRICS.map(|metric| corpus.get(metric).copied().unwrap_or(f64::NAN));
    let mut actual = Vec::new();
    let mut golden = Vec::new();
    for (index, metric) in METRICS.iter().enumerate() {
        let studies = per_study.get(*metric).cloned().unwrap_or_default();
        let computed = scores.per_study.iter().take(studies.len().max(1));
        actual.extend(computed.map(|study| values(study)[index]));
        golden.extend(studies);
    }
    [
        Check::numbers(
            FAMILY,
            format!("{what}: corpus"),
            &values(&scores.corpus),
            &golden_corpus,
            TOLERANCE,
        ),
        Check::numbers(
            FAMILY,
            format!("{what}: per sample"),
            &actual,
            &golden,
            TOLERANCE,
        ),
    ]
}

/// In the order of [`METRICS`].
fn values(scores: &OverlapScores) -> [f64; 6] {
    let [bleu_1, bleu_2, bleu_3, bleu_4] = scores.bleu;
    [bleu_1, bleu_2, bleu_3, bleu_4, scores.rouge_l, scores.cider]
}
