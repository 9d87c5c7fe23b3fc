//! Sizes of a BERT, inferred from the names and shapes of its tensors.

use std::collections::BTreeSet;

use crate::checkpoint::Checkpoint;
use crate::error::CheXbertError;
use crate::labels::OBSERVATIONS;

/// Width of BERT-base, and its attention heads.
const BASE: (usize, usize) = (768, 12);

/// Most positions that CheXbert gives to a report, `[CLS]` and `[SEP]` included.
const MOST_POSITIONS: usize = 512;

/// Tensors in the file that CheXbert does not use: the pooler, and positions that older versions of
/// `transformers` saved.
const UNUSED: [&str; 3] = [
    "bert.pooler.dense.weight",
    "bert.pooler.dense.bias",
    "bert.embeddings.position_ids",
];

/// Sizes of a CheXbert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Rows of the word embeddings (30,522 as published).
    pub vocabulary: usize,
    /// Width of the hidden states and of the embedding of a report (768).
    pub hidden: usize,
    /// Layers of the encoder (12).
    pub layers: usize,
    /// Attention heads (12).
    pub heads: usize,
    /// Width inside the feed-forward layers (3072).
    pub intermediate: usize,
    /// Most token ids of a report, `[CLS]` and `[SEP]` included (512).
    pub positions: usize,
}

/// Outputs of the linear head of an observation: No Finding is blank or positive.
pub(crate) fn head_outputs(observation: usize) -> usize {
    if observation + 1 == OBSERVATIONS.len() {
        2
    } else {
        4
    }
}

/// The number of the layer that a tensor belongs to.
fn layer_of(name: &str) -> Option<usize> {
    let (number, _) = name.strip_prefix("bert.encoder.layer.")?.split_once('.')?;
    number.parse().ok()
}

impl Sizes {
    /// Reads the sizes and checks every tensor of the model against them.
    pub(crate) fn of(checkpoint: &Checkpoint, heads: Option<usize>) -> Result<Self, CheXbertError> {
        let unrecognised = |reason: String| CheXbertError::Unrecognised {
            path: checkpoint.path().to_owned(),
            reason,
        };
        let matrix = |name: &str| match checkpoint.shape(name) {
            Some(&[rows, columns]) if rows > 0 && columns > 0 => Ok([rows, columns]),
            Some(shape) => Err(unrecognised(format!("{name} has the shape {shape:?}"))),
            None => Err(unrecognised(format!("no tensor {name}"))),
        };
        let [vocabulary, hidden] = matrix("bert.embeddings.word_embeddings.weight")?;
        let [rows, _] = matrix("bert.embeddings.position_embeddings.weight")?;
        let [intermediate, _] = matrix("bert.encoder.layer.0.intermediate.dense.weight")?;
        if rows < 2 {
            return Err(unrecognised(format!("positions for {rows} token ids only")));
        }
        let numbers: BTreeSet<usize> = checkpoint.names().filter_map(layer_of).collect();
        let layers = (0..).take_while(|layer| numbers.contains(layer)).count();
        let heads = match heads {
            Some(heads) => heads,
            None if hidden == BASE.0 => BASE.1,
            None => {
                return Err(CheXbertError::UnknownHeads {
                    path: checkpoint.path().to_owned(),
                    hidden,
                });
            }
        };
        if heads == 0 || !hidden.is_multiple_of(heads) {
            return Err(CheXbertError::Heads {
                path: checkpoint.path().to_owned(),
                hidden,
                heads,
            });
        }
        let sizes = Self {
            vocabulary,
            hidden,
            layers,
            heads,
            intermediate,
            positions: rows.min(MOST_POSITIONS),
        };
        sizes.check(checkpoint, rows)?;
        Ok(sizes)
    }

    /// Fails unless the checkpoint has every tensor of the model in its shape, and no other.
    fn check(&self, checkpoint: &Checkpoint, positions: usize) -> Result<(), CheXbertError> {
        let wanted = self.tensors(positions);
        let mut missing = Vec::new();
        let mut misshapen = Vec::new();
        for (name, shape) in &wanted {
            match checkpoint.shape(name) {
                None => missing.push(name.clone()),
                Some(found) if found != shape => {
                    misshapen.push(format!("{name}: {found:?}, not {shape:?}"));
                }
                Some(_) if !checkpoint.is_float(name) => {
                    misshapen.push(format!("{name}: no floating-point numbers"));
                }
                Some(_) => {}
            }
        }
        let known: BTreeSet<&str> = wanted
            .iter()
            .map(|(name, _)| name.as_str())
            .chain(UNUSED)
            .collect();
        let unknown: Vec<String> = checkpoint
            .names()
            .filter(|name| !known.contains(name))
            .map(str::to_owned)
            .collect();
        if missing.is_empty() && misshapen.is_empty() && unknown.is_empty() {
            return Ok(());
        }
        Err(CheXbertError::Mismatch {
            path: checkpoint.path().to_owned(),
            missing,
            misshapen,
            unknown,
        })
    }

    /// Every tensor that the model uses, with its shape in the file.
    fn tensors(&self, positions: usize) -> Vec<(String, Vec<usize>)> {
        let &Self {
            vocabulary,
            hidden,
            intermediate,
            ..
        } = self;
        let mut tensors = vec![
            (
                "bert.embeddings.word_embeddings.weight".to_owned(),
                vec![vocabulary, hidden],
            ),
            (
                "bert.embeddings.position_embeddings.weight".to_owned(),
                vec![positions, hidden],
            ),
            (
                "bert.embeddings.token_type_embeddings.weight".to_owned(),
                vec![2, hidden],
            ),
        ];
        let mut pair = |name: String, weight: Vec<usize>| {
            tensors.push((format!("{name}.bias"), vec![weight[0]]));
            tensors.push((format!("{name}.weight"), weight));
        };
        pair("bert.embeddings.LayerNorm".to_owned(), vec![hidden]);
        for layer in 0..self.layers {
            let layer = |part: &str| format!("bert.encoder.layer.{layer}.{part}");
            for part in ["query", "key", "value"] {
                pair(
                    layer(&format!("attention.self.{part}")),
                    vec![hidden, hidden],
                );
            }
            pair(layer("attention.output.dense"), vec![hidden, hidden]);
            pair(layer("attention.output.LayerNorm"), vec![hidden]);
            pair(layer("intermediate.dense"), vec![intermediate, hidden]);
            pair(layer("output.dense"), vec![hidden, intermediate]);
            pair(layer("output.LayerNorm"), vec![hidden]);
        }
        for observation in 0..OBSERVATIONS.len() {
            pair(
                format!("linear_heads.{observation}"),
                vec![head_outputs(observation), hidden],
            );
        }
        tensors
    }
}
