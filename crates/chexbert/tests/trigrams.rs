//! Repeated trigrams of word pieces, which the metrics count and this crate's tokenizer splits.

use std::path::Path;

use ithn_chexbert::Tokenizer;
use ithn_metrics::clinical::parity::parity;

#[test]
fn word_pieces_repeat_as_often_as_in_the_golden_numbers() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tokenizer = Tokenizer::read(&here.join("tests/fixtures/vocab.txt")).unwrap();
    let fixtures = here.join("../metrics/tests/fixtures/clinical");
    let word_pieces = |text: &str| tokenizer.word_pieces(text);
    let checks = parity(&fixtures, "temporal", Some(&word_pieces)).unwrap();
    assert_eq!(checks.len(), 7);
    let failed: Vec<_> = checks.iter().filter(|check| !check.passed).collect();
    assert!(failed.is_empty(), "{failed:#?}");
}
