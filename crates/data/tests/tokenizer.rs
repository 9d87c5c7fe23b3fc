//! The tokenizer against R2Gen's own, on hand-written strings.

use std::collections::BTreeMap;
use std::path::Path;

use ithn_data::{Cleaning, Tokenizer};
use serde::Deserialize;

#[derive(Deserialize)]
struct Cases {
    raw: Vec<String>,
    flavours: BTreeMap<String, Flavour>,
}

#[derive(Deserialize)]
struct Flavour {
    threshold: usize,
    vocab: Vec<String>,
    cleaned: Vec<String>,
    ids: Vec<Vec<u32>>,
    decoded: Vec<String>,
}

fn cases() -> Cases {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tokenizer_cases.json");
    let text = std::fs::read_to_string(path).expect("the fixture is committed");
    serde_json::from_str(&text).expect("the fixture is well formed")
}

fn cleaning(flavour: &str) -> Cleaning {
    serde_json::from_value(flavour.into()).expect("flavours are called as Cleaning serialises them")
}

#[test]
fn every_string_is_cleaned_as_r2gen_does() {
    let cases = cases();
    assert_eq!(cases.flavours.len(), 2);
    for (name, flavour) in &cases.flavours {
        assert_eq!(flavour.cleaned.len(), cases.raw.len());
        for (raw, cleaned) in cases.raw.iter().zip(&flavour.cleaned) {
            assert_eq!(&cleaning(name).clean(raw), cleaned, "{name}: {raw:?}");
        }
    }
}

#[test]
fn vocabulary_and_ids_are_those_of_r2gen() {
    let cases = cases();
    for (name, flavour) in &cases.flavours {
        let reports = cases.raw.iter().map(String::as_str);
        let tokenizer = Tokenizer::fit(reports, cleaning(name), flavour.threshold)
            .expect("there are frequent words");
        assert_eq!(tokenizer.words(), flavour.vocab, "{name}");
        for ((raw, ids), decoded) in cases.raw.iter().zip(&flavour.ids).zip(&flavour.decoded) {
            assert_eq!(&tokenizer.encode(raw), ids, "{name}: {raw:?}");
            assert_eq!(&tokenizer.decode(&ids[1..]), decoded, "{name}: {raw:?}");
        }
    }
}
