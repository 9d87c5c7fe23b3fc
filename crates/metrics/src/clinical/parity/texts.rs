//! Temporal keywords and repeated trigrams.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::{Check, Golden, Largest, WordPieces};
use crate::clinical::temporal::{KEYWORDS, clean, keywords, temporal_f1, trigram_variety};
use crate::evaluation::EvaluationError;

const TOLERANCE: f64 = 1e-12;

/// Trigram variety is stored in single precision by CXRMate-2.
const SINGLE: f64 = 6e-8;

pub(super) fn run(
    folder: &Path,
    word_pieces: Option<WordPieces<'_>>,
) -> Result<Vec<Check>, EvaluationError> {
    let expected = Golden::read(folder, "expected.json")?;
    let mut checks = temporal(folder, &expected)?;
    checks.extend(trigrams(folder, &expected, word_pieces)?);
    Ok(checks)
}

fn texts(values: &[Value]) -> Vec<&str> {
    values.iter().filter_map(Value::as_str).collect()
}

fn temporal(folder: &Path, expected: &Golden) -> Result<Vec<Check>, EvaluationError> {
    let pairs = Golden::read(folder, "pairs.json")?;
    let mut scores = Largest::new("temporal: F1");
    let mut words = Largest::new("temporal: keywords");
    let mut cleaned = Largest::new("temporal: cleaned text");
    words.equal(texts(expected.list("/keywords")?), KEYWORDS);
    let count = pairs.list("")?.len();
    scores.equal(expected.list("/temporal/pairs")?.len(), count);
    let mut sum = 0.0;
    for at in 0..count {
        let prediction = pairs.text(&format!("/{at}/hyp"))?;
        let references = match pairs.at(&format!("/{at}/ref"))? {
            Value::Array(references) => texts(references),
            reference => texts(std::slice::from_ref(reference)),
        };
        let place = |key: &str| format!("/temporal/pairs/{at}/{key}");
        let f1 = temporal_f1(prediction, references.iter().copied());
        sum += f1;
        scores.number(expected.number(&place("f1"))?, f1);
        let found: BTreeSet<&str> = references.iter().copied().flat_map(keywords).collect();
        for (key, found) in [
            ("pred_keywords", keywords(prediction)),
            ("ref_keywords", found),
        ] {
            let wanted = texts(expected.list(&place(key))?);
            words.equal(wanted, found.into_iter().collect::<Vec<_>>());
        }
        cleaned.equal(expected.text(&place("pred_clean"))?, clean(prediction));
    }
    scores.number(expected.number("/temporal/mean")?, sum / count as f64);
    Ok(vec![
        scores.within(TOLERANCE),
        words.within(0.0),
        cleaned.within(0.0),
    ])
}

fn trigrams(
    folder: &Path,
    expected: &Golden,
    word_pieces: Option<WordPieces<'_>>,
) -> Result<Vec<Check>, EvaluationError> {
    let file = Golden::read(folder, "arn_texts.json")?;
    let count = file.list("")?.len();
    let texts: Vec<&str> = (0..count)
        .map(|at| file.text(&format!("/{at}/text")))
        .collect::<Result<_, _>>()?;
    let compare = |name: &str, scores: &[(usize, f64)]| {
        let mut check = Largest::new(format!("temporal: trigram variety, {name}"));
        let mut single = Largest::new(format!("temporal: trigram variety in f32, {name}"));
        check.equal(expected.list("/arn/texts")?.len(), count);
        for (at, (tokens, score)) in scores.iter().enumerate() {
            let place = |key: &str| format!("/arn/texts/{at}/{key}");
            check.number(
                expected.number(&place(&format!("n_{name}")))?,
                *tokens as f64,
            );
            check.number(expected.number(&place(name))?, *score);
            single.number(expected.number(&place(&format!("{name}_f32")))?, *score);
        }
        let sum: f64 = scores.iter().map(|(_, score)| score).sum();
        check.number(
            expected.number(&format!("/arn/mean_{name}"))?,
            sum / count as f64,
        );
        Ok::<_, EvaluationError>([check.within(TOLERANCE), single.within(SINGLE)])
    };
    let words: Vec<(usize, f64)> = texts
        .iter()
        .map(|text| {
            let words: Vec<&str> = text.split_whitespace().collect();
            (words.len(), trigram_variety(&words))
        })
        .collect();
    let mut checks = compare("ws", &words)?.to_vec();
    if let Some(word_pieces) = word_pieces {
        let pieces: Vec<(usize, f64)> = texts
            .iter()
            .map(|text| {
                let pieces = word_pieces(text);
                (pieces.len(), trigram_variety(&pieces))
            })
            .collect();
        checks.extend(compare("wordpiece", &pieces)?);
    }
    Ok(checks)
}
