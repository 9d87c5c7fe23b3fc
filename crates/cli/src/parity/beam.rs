//! `beam.safetensors` and `.json`: greedy search, beams and diverse groups under the official
//! options.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::{Device, Tensor};
use ithn::models::R2GenCmn;
use ithn_search::{Hypothesis, OfficialOptions, search};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::check::{Check, Tolerance};
use super::decoding::{
    official_options, official_rows, only_sums, search_for_all, token_log_probs,
};
use super::fixture::{Fixture, FixtureError, read_json};
use super::model::ModelOptions;
use super::precision::{ANOTHER_WORD, settled};

const FAMILY: &str = "beam";
const SCORES: Tolerance = Tolerance::Absolute(1e-4);

pub fn run(dir: &Path) -> Result<Vec<Check>, FixtureError> {
    let fixture = Fixture::read(dir, "beam.safetensors")?;
    let json: Json = read_json(dir, "beam.json")?;
    let device = Device::default();
    let options: ModelOptions = serde_json::from_value(Value::Object(json.config.clone()))
        .map_err(|error| fixture.layout(error.to_string()))?;
    settled(ANOTHER_WORD, |precision| {
        let weights = fixture.weights("state.", "encoder_decoder.");
        let generator = precision.module(options.without_backbone(weights, &device)?.generator);
        let patches = precision.tensor(fixture.tensor("att_feats", &device)?);
        let mut checks = Vec::new();
        for (name, case) in &json.cases {
            let found = case
                .search(&json, &generator, patches.clone())
                .map_err(|reason| fixture.layout(reason))?;
            checks.extend(case.check(name, &found, json.max_seq_length));
        }
        Ok(checks)
    })
}

#[derive(Deserialize)]
struct Json {
    config: Map<String, Value>,
    max_seq_length: usize,
    cases: BTreeMap<String, Case>,
}

#[derive(Deserialize)]
struct Case {
    options: Map<String, Value>,
    seq: Vec<Vec<u32>>,
    token_logprobs: Vec<Vec<LogProb>>,
    done_beams: Option<Vec<Vec<DoneBeam>>>,
}

/// A log-probability, `null` for NaN or `"-inf"`.
#[derive(Deserialize, Clone, Copy)]
#[serde(untagged)]
enum LogProb {
    Number(f64),
    Missing(Option<InfinityName>),
}

#[derive(Deserialize, Clone, Copy)]
enum InfinityName {
    #[serde(rename = "-inf")]
    Negative,
}

impl LogProb {
    fn value(self) -> f64 {
        match self {
            LogProb::Number(value) => value,
            LogProb::Missing(None) => f64::NAN,
            LogProb::Missing(Some(InfinityName::Negative)) => f64::NEG_INFINITY,
        }
    }
}

/// A finished beam: its tokens, the ending 0 included, and its score.
#[derive(Deserialize)]
struct DoneBeam {
    seq: Vec<u32>,
    p: f64,
}

/// What search found, best first, study by study; groups one after the other.
struct Found {
    options: OfficialOptions,
    studies: Vec<Vec<Hypothesis>>,
}

impl Case {
    fn search(
        &self,
        json: &Json,
        generator: &R2GenCmn,
        patches: Tensor<3>,
    ) -> Result<Found, String> {
        let options = official_options(&self.options, &json.config)?;
        let config = search_for_all(&options, json.max_seq_length)?;
        let [studies, _, _] = patches.dims();
        let state = generator.start_from(generator.encode_patches(patches));
        let studies: Vec<String> = (0..studies).map(|study| study.to_string()).collect();
        let studies =
            search(generator, state, &studies, &config).map_err(|error| error.to_string())?;
        Ok(Found { options, studies })
    }

    fn check(&self, name: &str, found: &Found, max_tokens: usize) -> Vec<Check> {
        let rows = official_rows(&found.studies, &found.options, max_tokens);
        let mut checks = vec![Check::equal(
            FAMILY,
            format!("{name}: seq"),
            &rows,
            &self.seq,
        )];
        checks.push(self.check_log_probs(name, found));
        if let Some(done) = &self.done_beams {
            checks.extend(check_done_beams(name, found, done));
        }
        checks
    }

    fn check_log_probs(&self, name: &str, found: &Found) -> Check {
        let Found { options, studies } = found;
        let golden: Vec<Vec<f64>> = self
            .token_logprobs
            .iter()
            .map(|row| row.iter().map(|log_prob| log_prob.value()).collect())
            .collect();
        let [actual, golden] = token_log_probs(studies, options, &golden);
        let what = if only_sums(options) {
            "sums of token_logprobs"
        } else {
            "token_logprobs"
        };
        Check::numbers(FAMILY, format!("{name}: {what}"), &actual, &golden, SCORES)
    }
}

fn check_done_beams(name: &str, found: &Found, golden: &[Vec<DoneBeam>]) -> [Check; 2] {
    let flat = |studies: &[Vec<Hypothesis>]| -> (Vec<Vec<u32>>, Vec<f64>) {
        studies.iter().flatten().map(with_end).unzip()
    };
    let (tokens, scores) = flat(&found.studies);
    let golden_tokens: Vec<Vec<u32>> = golden
        .iter()
        .flatten()
        .map(|beam| beam.seq.clone())
        .collect();
    let golden_scores: Vec<f64> = golden.iter().flatten().map(|beam| beam.p).collect();
    [
        Check::equal(
            FAMILY,
            format!("{name}: done_beams"),
            &tokens,
            &golden_tokens,
        ),
        Check::numbers(
            FAMILY,
            format!("{name}: done_beams p"),
            &scores,
            &golden_scores,
            SCORES,
        ),
    ]
}

/// Tokens with the 0 that ended them, and the score.
fn with_end(hypothesis: &Hypothesis) -> (Vec<u32>, f64) {
    let mut tokens = hypothesis.tokens.clone();
    if hypothesis.finished {
        tokens.push(0);
    }
    (tokens, hypothesis.score)
}
