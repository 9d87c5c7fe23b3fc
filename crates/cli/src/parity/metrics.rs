//! `metrics.json`: BLEU, ROUGE-L, CIDEr and METEOR of pycocoevalcap.
//!
//! A subset without the pairs of real reports checks the hand-written corpora alone.

use std::collections::BTreeMap;
use std::path::Path;

use ithn_metrics::{CorpusScores, Meteor, OverlapScores, Pair, score_corpus};
use serde::Deserialize;

use super::check::{Check, Tolerance};
use super::fixture::{FixtureError, read_json};

pub const FAMILY: &str = "metrics";
const TOLERANCE: Tolerance = Tolerance::Absolute(1e-9);
const METEOR_TOLERANCE: Tolerance = Tolerance::Absolute(1e-6);
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
        let scores = scored(case.pairs())?;
        let what = format!("degenerate.{name}");
        checks.extend(compare(&what, &scores, &case.corpus, &case.per_sample));
    }
    Ok(checks)
}

/// METEOR of the same pairs, which needs METEOR's own data files.
pub fn meteor(dir: &Path, data: Option<&Path>) -> Result<Vec<Check>, FixtureError> {
    let Some(data) = data else {
        let what = "METEOR: its data files are not given";
        return Ok(vec![Check::absent(FAMILY, what)]);
    };
    if !dir.join("metrics.json").is_file() {
        return Ok(vec![Check::absent(FAMILY, "METEOR: no metrics.json")]);
    }
    let json: Json = read_json(dir, "metrics.json")?;
    let failed = |reason: String| FixtureError::Layout {
        path: dir.join("metrics.json"),
        reason,
    };
    let meteor = Meteor::with_data(data).map_err(|error| failed(error.to_string()))?;
    let mut checks = Vec::new();
    let mut compare =
        |what: String, pairs: Vec<Pair<'_>>, corpus: &Golden, studies: &GoldenStudies| {
            let scores = meteor
                .score(pairs)
                .map_err(|error| failed(error.to_string()))?;
            let golden = corpus.get("METEOR").copied().unwrap_or(f64::NAN);
            let line = |part: &str| format!("{what}: METEOR, {part}");
            checks.push(Check::numbers(
                FAMILY,
                line("corpus"),
                &[scores.corpus],
                &[golden],
                METEOR_TOLERANCE,
            ));
            let golden = studies.get("METEOR").cloned().unwrap_or_default();
            let computed = &scores.per_study[..golden.len().min(scores.per_study.len())];
            checks.push(Check::numbers(
                FAMILY,
                line("per sample"),
                computed,
                &golden,
                METEOR_TOLERANCE,
            ));
            Ok::<(), FixtureError>(())
        };
    if !json.pairs.is_empty() {
        let pairs = json
            .pairs
            .iter()
            .map(|pair| Pair::new(&pair.hyp, &pair.r#ref));
        compare(
            "pairs".to_owned(),
            pairs.collect(),
            &json.corpus,
            &json.per_sample_first50,
        )?;
    }
    for (name, case) in &json.degenerate {
        compare(
            format!("degenerate.{name}"),
            case.pairs(),
            &case.corpus,
            &case.per_sample,
        )?;
    }
    Ok(checks)
}

type Golden = BTreeMap<String, f64>;
type GoldenStudies = BTreeMap<String, Vec<f64>>;

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

impl Case {
    fn pairs(&self) -> Vec<Pair<'_>> {
        let mut pairs = Vec::with_capacity(self.hyps.len());
        for (hypothesis, references) in self.hyps.iter().zip(&self.refs) {
            let references = references.iter().map(String::as_str);
            pairs.push(Pair::with_references(hypothesis, references));
        }
        pairs
    }
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
