//! What the decoding families share: the released options, and the released layout of what search
//! returns.

use ithn_decoder::search::{Hypothesis, ReleasedOptions, SearchConfig};
use serde_json::{Map, Value, json};

/// Options by name: those of `case` where it has them, else those of `defaults`, else the release's
/// own defaults.
pub fn released_options(
    case: &Map<String, Value>,
    defaults: &Map<String, Value>,
) -> Result<ReleasedOptions, String> {
    let released = json!({
        "sample_method": "beam_search",
        "beam_size": 3,
        "temperature": 1.0,
        "diversity_lambda": 0.5,
        "sample_n": 1,
        "group_size": 1,
        "output_logsoftmax": 1,
        "decoding_constraint": 0,
        "block_trigrams": 1,
        "length_penalty": "",
    });
    let mut options = match released {
        Value::Object(options) => options,
        _ => Map::new(),
    };
    for (name, value) in &mut options {
        if let Some(given) = case.get(name).or_else(|| defaults.get(name)) {
            *value = given.clone();
        }
    }
    serde_json::from_value(Value::Object(options)).map_err(|error| error.to_string())
}

/// The search under these options, returning every finished beam of a study instead of the best
/// `sample_n`.
pub fn search_for_all(
    options: &ReleasedOptions,
    max_tokens: usize,
) -> Result<SearchConfig, String> {
    let mut config =
        SearchConfig::from_released(options, max_tokens).map_err(|error| error.to_string())?;
    if options.beam_size > 1 {
        config.returned = options.beam_size / options.group_size.max(1);
    }
    Ok(config)
}

/// Token ids as the release returns them: `sample_n` rows per study, each padded with 0 to
/// `max_tokens`.
///
/// With `sample_n` beams out of as many, the rows of a study follow each other. In any other case
/// the release fills one row per study, the first ones, and leaves the rest empty.
pub fn released_rows(
    studies: &[Vec<Hypothesis>],
    options: &ReleasedOptions,
    max_tokens: usize,
) -> Vec<Vec<u32>> {
    let padded = |hypothesis: &Hypothesis| {
        let mut row = hypothesis.tokens.clone();
        row.resize(max_tokens, 0);
        row
    };
    let all = options.sample_n == options.beam_size;
    let kept = if all { options.sample_n } else { 1 };
    let mut rows: Vec<Vec<u32>> = studies
        .iter()
        .flat_map(|hypotheses| hypotheses.iter().take(kept))
        .map(padded)
        .collect();
    rows.resize(studies.len() * options.sample_n, vec![0; max_tokens]);
    rows
}
