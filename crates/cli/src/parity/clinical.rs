//! `clinical/`: CheXbert, and the clinical metrics and formats of other tools.

use std::path::Path;

use burn::tensor::Device;
use ithn_chexbert::{CheXbertError, Tokenizer};
use ithn_metrics::clinical::parity::{WordPieces, parity};

use super::check::{Check, Tolerance};
use super::fixture::FixtureError;

/// Folder of these families within the fixtures.
pub const FOLDER: Option<&str> = Some("clinical");

/// CheXbert's weights of both formats, token ids, embeddings, logits, labels and label files.
pub fn chexbert(fixtures: &Path) -> Result<Vec<Check>, FixtureError> {
    let folder = fixtures.join("chexbert");
    let found = ithn_chexbert::parity::parity(&folder, &Device::default());
    let found = found.map_err(|error| layout(&folder, &error))?;
    let line = |check: ithn_chexbert::parity::Check| {
        compared("chexbert", check.name, check.difference, check.tolerance)
    };
    Ok(found.into_iter().map(line).collect())
}

/// A family of `ithn_metrics`. CheXbert's vocabulary, if it lies beside the family, splits the texts
/// whose trigrams of word pieces are counted.
pub fn metrics(fixtures: &Path, family: &'static str) -> Result<Vec<Check>, FixtureError> {
    let vocabulary = fixtures.join("chexbert/vocab.txt");
    let tokenizer = match vocabulary.is_file() {
        true => Some(Tokenizer::read(&vocabulary).map_err(|error| layout(&vocabulary, &error))?),
        false => None,
    };
    let pieces = tokenizer.map(|tokenizer| move |text: &str| tokenizer.word_pieces(text));
    let pieces = pieces.as_ref().map(|pieces| pieces as WordPieces<'_>);
    let found = parity(fixtures, family, pieces).map_err(|error| FixtureError::Layout {
        path: fixtures.join(family),
        reason: error.to_string(),
    })?;
    // Names begin with the family, which the line names already.
    let line = |check: ithn_metrics::clinical::parity::Check| {
        let name = check.name.strip_prefix(family).unwrap_or(&check.name);
        let name = name.trim_start_matches([':', '/', ' ']).to_owned();
        compared(family, name, check.difference, check.tolerance)
    };
    Ok(found.into_iter().map(line).collect())
}

fn compared(family: &'static str, quantity: String, difference: f64, tolerance: f64) -> Check {
    let tolerance = match tolerance {
        0.0 => Tolerance::Exact,
        most => Tolerance::Absolute(most),
    };
    Check::difference(family, quantity, difference, tolerance)
}

fn layout(path: &Path, error: &CheXbertError) -> FixtureError {
    FixtureError::Layout {
        path: path.to_owned(),
        reason: error.to_string(),
    }
}
