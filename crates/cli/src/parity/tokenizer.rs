//! `tokenizer.json`: cleaning, vocabulary and ids, all exactly.
//!
//! A subset without vocabularies (they derive from licensed reports) checks cleaning alone.

use std::collections::BTreeMap;
use std::path::Path;

use ithn_data::{Cleaning, Tokenizer};
use serde::Deserialize;
use serde_json::Value;

use super::check::Check;
use super::fixture::{FixtureError, read_json};

const FAMILY: &str = "tokenizer";
/// The flavour whose vocabulary the decode cases are written in, if there are several.
const DECODING_FLAVOUR: &str = "iu_xray";
/// Beginning of the key of vocabularies built from the file's own reports; their number follows.
const MINI_VOCABULARIES: &str = "mini_vocab_from_real";

pub fn run(dir: &Path) -> Result<Vec<Check>, FixtureError> {
    let json: Json = read_json(dir, "tokenizer.json")?;
    let real: Vec<String> = json.real.iter().map(|report| report.raw.clone()).collect();
    let mut checks = Vec::new();
    let decoding_flavour = json.decoding_flavour();
    for (name, flavour) in &json.flavours {
        let cleaning = cleaning(dir, name)?;
        let tokenizer = flavour
            .vocab
            .clone()
            .map(|words| Tokenizer::from_words(words, cleaning));
        for (set, raw, golden) in [
            ("nasty", &json.nasty_raw, &flavour.nasty),
            ("real", &real, &flavour.real),
        ] {
            if !golden.is_empty() {
                let what = format!("{name}.{set}");
                checks.extend(texts(
                    &what,
                    raw,
                    golden,
                    cleaning,
                    tokenizer.as_ref(),
                    &json,
                ));
            }
        }
        if let Some(tokenizer) = &tokenizer {
            checks.push(flavour.vocabulary(name, tokenizer));
            if Some(name) == decoding_flavour && !json.decode_cases.is_empty() {
                checks.push(json.decoding(name, tokenizer));
            }
        }
    }
    for (key, value) in &json.others {
        if !key.starts_with(MINI_VOCABULARIES) {
            continue;
        }
        let vocabularies: BTreeMap<String, MiniVocabulary> = serde_json::from_value(value.clone())
            .map_err(|error| layout(dir, format!("'{key}': {error}")))?;
        for (name, golden) in &vocabularies {
            checks.push(mini_vocabulary(dir, key, name, golden, &real)?);
        }
    }
    Ok(checks)
}

#[derive(Deserialize)]
struct Json {
    nasty_raw: Vec<String>,
    #[serde(default)]
    real: Vec<RealReport>,
    flavours: BTreeMap<String, Flavour>,
    #[serde(default)]
    decode_cases: Vec<DecodeCase>,
    config: Config,
    #[serde(flatten)]
    others: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
struct Config {
    trunc_len: usize,
}

#[derive(Deserialize)]
struct RealReport {
    raw: String,
}

#[derive(Deserialize)]
struct Flavour {
    vocab_size: Option<usize>,
    unk_id: Option<u32>,
    dot_id: Option<u32>,
    vocab: Option<Vec<String>>,
    nasty: Vec<Text>,
    #[serde(default)]
    real: Vec<Text>,
}

#[derive(Deserialize)]
struct Text {
    cleaned: String,
    ids: Option<Vec<u32>>,
    decoded: Option<String>,
    /// Among them `ids_trunc<length>`: the last id of a report cut to that length, null if it is
    /// no longer.
    #[serde(flatten)]
    others: BTreeMap<String, Value>,
}

impl Text {
    fn last_kept(&self) -> Option<u32> {
        let truncated = |(name, _): &(&String, &Value)| name.starts_with("ids_trunc");
        let (_, last) = self.others.iter().find(truncated)?;
        u32::try_from(last.as_u64()?).ok()
    }
}

/// All words, or only how many.
#[derive(Deserialize)]
#[serde(untagged)]
enum MiniVocabulary {
    Words(Vec<String>),
    Size(usize),
}

#[derive(Deserialize)]
struct DecodeCase {
    ids: Vec<u32>,
    text: String,
}

impl Flavour {
    /// Size and the ids of `<unk>` and the full stop.
    fn vocabulary(&self, name: &str, tokenizer: &Tokenizer) -> Check {
        let stop = tokenizer.words().iter().position(|word| word == ".");
        let actual = [
            Some(tokenizer.words().len() as u32),
            Some(tokenizer.unknown()),
            stop.map(|index| index as u32 + 1),
        ];
        let golden = [
            self.vocab_size.map(|size| size as u32),
            self.unk_id,
            self.dot_id,
        ];
        let quantity = format!("{name}: vocab_size, unk_id, dot_id");
        Check::equal(FAMILY, quantity, &actual, &golden)
    }
}

impl Json {
    fn decoding_flavour(&self) -> Option<&String> {
        let known = self.flavours.get_key_value(DECODING_FLAVOUR);
        let with_words = || self.flavours.iter().find(|(_, one)| one.vocab.is_some());
        known.or_else(with_words).map(|(name, _)| name)
    }

    fn decoding(&self, flavour: &str, tokenizer: &Tokenizer) -> Check {
        let decoded: Vec<String> = self
            .decode_cases
            .iter()
            .map(|case| tokenizer.decode(&case.ids))
            .collect();
        let golden: Vec<String> = self
            .decode_cases
            .iter()
            .map(|case| case.text.clone())
            .collect();
        Check::equal(
            FAMILY,
            format!("decode_cases, {flavour}"),
            &decoded,
            &golden,
        )
    }
}

/// Cleaning, and with a vocabulary also ids, the last id left by truncation, and decoding.
fn texts(
    what: &str,
    raw: &[String],
    golden: &[Text],
    cleaning: Cleaning,
    tokenizer: Option<&Tokenizer>,
    json: &Json,
) -> Vec<Check> {
    let compare = |part: &str, actual: &[String], golden: Vec<String>| {
        Check::equal(FAMILY, format!("{what}: {part}"), actual, &golden)
    };
    let cleaned: Vec<String> = raw.iter().map(|raw| cleaning.clean(raw)).collect();
    let golden_cleaned = golden.iter().map(|text| text.cleaned.clone()).collect();
    let mut checks = vec![compare("cleaned", &cleaned, golden_cleaned)];
    let Some(tokenizer) = tokenizer else {
        return checks;
    };

    let ids: Vec<Vec<u32>> = raw.iter().map(|raw| tokenizer.encode(raw)).collect();
    let golden_ids: Vec<Vec<u32>> = golden
        .iter()
        .map(|text| text.ids.clone().unwrap_or_default())
        .collect();
    checks.push(Check::equal(
        FAMILY,
        format!("{what}: ids"),
        &ids,
        &golden_ids,
    ));

    let length = json.config.trunc_len;
    let last_kept: Vec<Option<u32>> = ids
        .iter()
        .map(|ids| (ids.len() > length).then(|| ids[length - 1]))
        .collect();
    let golden_last: Vec<Option<u32>> = golden.iter().map(Text::last_kept).collect();
    checks.push(Check::equal(
        FAMILY,
        format!("{what}: last id of {length}"),
        &last_kept,
        &golden_last,
    ));

    let decoded: Vec<String> = ids.iter().map(|ids| tokenizer.decode(&ids[1..])).collect();
    let golden_decoded = golden
        .iter()
        .map(|text| text.decoded.clone().unwrap_or_default())
        .collect();
    checks.push(compare("decoded", &decoded, golden_decoded));
    checks
}

/// A vocabulary built from the reports in the file; `name` is `<flavour>_threshold<minimum>`.
fn mini_vocabulary(
    dir: &Path,
    key: &str,
    name: &str,
    golden: &MiniVocabulary,
    reports: &[String],
) -> Result<Check, FixtureError> {
    let malformed = |reason: String| layout(dir, reason);
    let (flavour, minimum) = name
        .split_once("_threshold")
        .and_then(|(flavour, minimum)| Some((flavour, minimum.parse::<usize>().ok()?)))
        .ok_or_else(|| malformed(format!("'{name}' names no flavour and threshold")))?;
    let reports = reports.iter().map(String::as_str);
    let tokenizer = Tokenizer::fit(reports, cleaning(dir, flavour)?, minimum)
        .map_err(|error| malformed(error.to_string()))?;
    let quantity = format!("{key}.{name}");
    Ok(match golden {
        MiniVocabulary::Words(words) => Check::equal(FAMILY, quantity, tokenizer.words(), words),
        MiniVocabulary::Size(size) => {
            Check::equal(FAMILY, quantity, &[tokenizer.words().len()], &[*size])
        }
    })
}

fn cleaning(dir: &Path, flavour: &str) -> Result<Cleaning, FixtureError> {
    serde_json::from_value(flavour.into()).map_err(|error| layout(dir, error.to_string()))
}

fn layout(dir: &Path, reason: String) -> FixtureError {
    FixtureError::Layout {
        path: dir.join("tokenizer.json"),
        reason,
    }
}
