//! What the decoding families share: the official options, and the official layout of what search
//! returns.

use ithn_search::{Hypothesis, OfficialOptions, SearchConfig, Strategy};
use serde_json::{Map, Value};

/// Options by name: those of `case` where it has them, else those of `defaults`, else the release's
/// own defaults.
pub fn official_options(
    case: &Map<String, Value>,
    defaults: &Map<String, Value>,
) -> Result<OfficialOptions, String> {
    let official_defaults = serde_json::to_value(OfficialOptions::default());
    let mut options = match official_defaults.map_err(|error| error.to_string())? {
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
    options: &OfficialOptions,
    max_tokens: usize,
) -> Result<SearchConfig, String> {
    // Greedy search finds one report; the release repeats it where more are asked for.
    let single = OfficialOptions {
        sample_n: 1,
        ..options.clone()
    };
    let options = if options.beam_size == 1 {
        &single
    } else {
        options
    };
    let config =
        SearchConfig::from_official(options, max_tokens).map_err(|error| error.to_string())?;
    let kept = match config.strategy {
        Strategy::Greedy => 1,
        _ => options.beam_size / options.group_size.max(1),
    };
    config.with_reports(kept).map_err(|error| error.to_string())
}

/// Token ids as the release returns them: `sample_n` rows per study, each padded with 0 to
/// `max_tokens`.
///
/// With `sample_n` beams out of as many, the rows of a study follow each other; so they do with one
/// beam, which is repeated. In any other case the release fills one row per study, the first ones,
/// and leaves the rest empty.
pub fn official_rows(
    studies: &[Vec<Hypothesis>],
    options: &OfficialOptions,
    max_tokens: usize,
) -> Vec<Vec<u32>> {
    let padded = |hypothesis: &Hypothesis| {
        let mut row = hypothesis.tokens.clone();
        row.resize(max_tokens, 0);
        row
    };
    let mut rows: Vec<Vec<u32>> = returned(studies, options).map(padded).collect();
    rows.resize(studies.len() * options.sample_n, vec![0; max_tokens]);
    rows
}

/// The hypotheses in the rows that the release fills, in their order.
pub fn returned<'a>(
    studies: &'a [Vec<Hypothesis>],
    options: &OfficialOptions,
) -> impl Iterator<Item = &'a Hypothesis> {
    let (kept, repeated) = match (options.beam_size, options.sample_n) {
        (1, repeated) => (1, repeated),
        (beams, all) if beams == all => (all, 1),
        _ => (1, 1),
    };
    studies
        .iter()
        .flat_map(move |study| study.iter().take(kept))
        .flat_map(move |hypothesis| std::iter::repeat_n(hypothesis, repeated))
}

/// Log-probabilities of the tokens of every returned row, and the golden ones.
///
/// After its end, a row of the release means nothing. With blocked trigrams, outside beams, the
/// release reports what is left of log-probabilities after the cost, so only their sums compare.
pub fn token_log_probs(
    studies: &[Vec<Hypothesis>],
    options: &OfficialOptions,
    golden: &[Vec<f64>],
) -> [Vec<f64>; 2] {
    let mut actual = Vec::new();
    let mut expected = Vec::new();
    for (hypothesis, row) in returned(studies, options).zip(golden) {
        let written = row.iter().take(hypothesis.log_probs.len()).copied();
        if only_sums(options) {
            actual.push(hypothesis.score);
            expected.push(written.sum());
        } else {
            actual.extend(hypothesis.log_probs.iter().copied().map(f64::from));
            expected.extend(written);
        }
    }
    [actual, expected]
}

/// Whether the release reports log-probabilities after the cost of repeats.
pub fn only_sums(options: &OfficialOptions) -> bool {
    options.block_trigrams > 0 && options.beam_size == 1
}
