use std::fs;
use std::path::Path;

use burn::tensor::Device;

use crate::batches::batches;
use crate::checkpoint::Checkpoint;
use crate::cleaning::Cleaning;
use crate::encoder::{Encoded, Encoder, logits_of};
use crate::error::CheXbertError;
use crate::labels::{Label, Labels};
use crate::sizes::Sizes;
use crate::tokenizer::Tokenizer;

/// Predicts the labels and the embedding of a radiology report from its text (Smit et al., 2020).
///
/// Reports of similar length share a batch, with the padding masked. Apart from the results, memory
/// use does not grow with the number of reports. The results for a report do not depend on its
/// batch, up to rounding (1e-5).
#[derive(Debug)]
pub struct CheXbert {
    tokenizer: Tokenizer,
    encoder: Encoder,
    sizes: Sizes,
    cleaning: Cleaning,
}

/// CheXbert's output for one report.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Labels, in the order of [`OBSERVATIONS`](crate::OBSERVATIONS): the class of the largest logit, the first of equals.
    pub labels: Labels,
    /// State of `[CLS]` after the last layer, `hidden` values.
    pub embedding: Vec<f32>,
    /// 54 logits: blank, positive, negative and uncertain of each observation, blank and positive of
    /// No Finding.
    pub logits: Vec<f32>,
}

impl CheXbert {
    /// Reads `chexbert.pth` as published, in either format of `torch.save`, and BERT's `vocab.txt`.
    ///
    /// Sizes are inferred from the weights; a hidden size of 768 implies 12 attention heads. The
    /// `module.` before every name is optional; optimizer state, pooler and `position_ids` are left
    /// alone. Nothing that a pickle asks for is executed, and no more memory is taken than a few
    /// times the file's size.
    ///
    /// # Errors
    ///
    /// [`CheXbertError`] if a file cannot be read, is truncated, is not a CheXbert checkpoint, or
    /// the vocabulary has another number of tokens than the word embeddings.
    pub fn load(weights: &Path, vocabulary: &Path, device: &Device) -> Result<Self, CheXbertError> {
        Self::load_with_heads(weights, vocabulary, None, device)
    }

    /// Like [`load`](Self::load) for a model of another size. The number of attention heads cannot
    /// be inferred from the weights; [`heads_of_config`] reads it from a `config.json`.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load), and if `heads` do not divide the hidden size.
    pub fn load_with_heads(
        weights: &Path,
        vocabulary: &Path,
        heads: Option<usize>,
        device: &Device,
    ) -> Result<Self, CheXbertError> {
        let tokenizer = Tokenizer::read(vocabulary)?;
        let checkpoint = Checkpoint::open(weights)?;
        let sizes = Sizes::of(&checkpoint, heads)?;
        if tokenizer.vocabulary() != sizes.vocabulary {
            return Err(CheXbertError::OtherVocabulary {
                vocabulary: vocabulary.to_owned(),
                tokens: tokenizer.vocabulary(),
                weights: weights.to_owned(),
                rows: sizes.vocabulary,
            });
        }
        Ok(Self {
            encoder: Encoder::read(&checkpoint, sizes, device)?,
            tokenizer,
            sizes,
            cleaning: Cleaning::default(),
        })
    }

    /// Cleans reports as another tool does.
    pub fn with_cleaning(self, cleaning: Cleaning) -> Self {
        Self { cleaning, ..self }
    }

    /// Sizes of the model.
    pub fn sizes(&self) -> Sizes {
        self.sizes
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Labels of each report, in the order given.
    pub fn label<S: AsRef<str>>(&self, reports: &[S]) -> Vec<Labels> {
        let readings = self.read(reports);
        readings.into_iter().map(|reading| reading.labels).collect()
    }

    /// Embedding of each report, in the order given: the state of `[CLS]`, [`Sizes::hidden`] values.
    pub fn embed<S: AsRef<str>>(&self, reports: &[S]) -> Vec<Vec<f32>> {
        let readings = self.read(reports);
        readings
            .into_iter()
            .map(|reading| reading.embedding)
            .collect()
    }

    /// Labels, embedding and logits of each report, in the order given.
    pub fn read<S: AsRef<str>>(&self, reports: &[S]) -> Vec<Reading> {
        let ids: Vec<Vec<u32>> = reports
            .iter()
            .map(|report| self.token_ids(report.as_ref()))
            .collect();
        self.read_ids(&ids)
    }

    /// The token ids that a report is encoded with: `[CLS]`, word pieces, `[SEP]`.
    pub fn token_ids(&self, report: &str) -> Vec<u32> {
        let cleaned = self.cleaning.apply(report);
        self.tokenizer.encode(&cleaned, self.sizes.positions)
    }

    /// Encodes token ids from [`token_ids`](Self::token_ids).
    fn read_ids(&self, reports: &[Vec<u32>]) -> Vec<Reading> {
        let lengths: Vec<usize> = reports.iter().map(Vec::len).collect();
        let mut readings: Vec<Option<Reading>> = vec![None; reports.len()];
        for batch in batches(&lengths) {
            let ids: Vec<&[u32]> = batch.iter().map(|&at| reports[at].as_slice()).collect();
            for (at, reading) in batch
                .into_iter()
                .zip(readings_of(self.encoder.forward(&ids)))
            {
                readings[at] = Some(reading);
            }
        }
        readings
            .into_iter()
            .map(|reading| reading.expect("batches hold every report"))
            .collect()
    }
}

/// The readings of a batch.
fn readings_of(encoded: Encoded) -> Vec<Reading> {
    let rows = |tensor: burn::tensor::Tensor<2>| -> Vec<Vec<f32>> {
        let [_, columns] = tensor.dims();
        let values: Vec<f32> = tensor
            .into_data()
            .convert::<f32>()
            .try_into_vec()
            .expect("values in single precision");
        values.chunks_exact(columns).map(<[f32]>::to_vec).collect()
    };
    let both = rows(encoded.cls).into_iter().zip(rows(encoded.logits));
    both.map(|(embedding, logits)| Reading {
        labels: std::array::from_fn(|observation| largest(&logits[logits_of(observation)])),
        embedding,
        logits,
    })
    .collect()
}

/// The label of the largest logit; the first of equals.
fn largest(logits: &[f32]) -> Label {
    let mut best = 0;
    for (class, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = class;
        }
    }
    Label::ALL[best]
}

/// Number of attention heads in a `config.json` of `transformers`.
///
/// # Errors
///
/// [`CheXbertError::Io`] or [`CheXbertError::Layout`].
pub fn heads_of_config(path: &Path) -> Result<usize, CheXbertError> {
    #[derive(serde::Deserialize)]
    struct Config {
        num_attention_heads: usize,
    }
    let text = fs::read_to_string(path).map_err(CheXbertError::io(path))?;
    let config: Config = serde_json::from_str(&text)
        .map_err(|error| CheXbertError::layout(path, error.to_string()))?;
    Ok(config.num_attention_heads)
}

/// Cosine of two embeddings, the s_emb of RadCliQ and SembScore (Yu et al., 2023); 0 if one of them
/// is all zeros, as in RadEval.
///
/// # Panics
///
/// If the embeddings differ in length.
pub fn cosine(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len(), "embeddings of one model");
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        let products = a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b));
        products.sum()
    };
    let norms = dot(a, a).sqrt() * dot(b, b).sqrt();
    if norms == 0.0 { 0.0 } else { dot(a, b) / norms }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_logits_give_the_first_class() {
        assert_eq!(largest(&[0.5, 1.0, 1.0, -1.0]), Label::Positive);
        assert_eq!(largest(&[0.0, 0.0]), Label::Blank);
    }

    #[test]
    fn cosines_by_hand() {
        assert_eq!(cosine(&[3.0, 4.0], &[4.0, 3.0]), 0.96);
        assert_eq!(cosine(&[0.0, 0.0], &[1.0, 0.0]), 0.0);
    }
}
