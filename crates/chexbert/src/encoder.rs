use burn::module::{Param, ParamId};
use burn::nn::Linear;
use burn::tensor::module::{attention, embedding, layer_norm};
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Device, Int, Tensor, TensorData};
use ithn_kernels::{gelu, linear, padding_mask, self_attention};

use crate::checkpoint::Checkpoint;
use crate::error::CheXbertError;
use crate::labels::OBSERVATIONS;
use crate::sizes::{Sizes, head_outputs};

/// What BERT adds to a variance.
const EPSILON: f64 = 1e-12;

/// BERT without its pooler, and a linear head for each observation on the state of `[CLS]`
/// (Devlin et al., 2019; Smit et al., 2020).
///
/// Of the last layer only the state of `[CLS]` is computed, since nothing else is read.
#[derive(Debug)]
pub(crate) struct Encoder {
    sizes: Sizes,
    words: Tensor<2>,
    /// Position embeddings, with the embedding of the first segment added.
    positions: Tensor<2>,
    norm: Norm,
    layers: Vec<Layer>,
    last: LastLayer,
    heads: Linear,
}

/// The encoder's output for a batch.
pub(crate) struct Encoded {
    /// States of `[CLS]` after the last layer, `[batch, hidden]`.
    pub(crate) cls: Tensor<2>,
    /// `[batch, 54]`: four for each observation, two for No Finding.
    pub(crate) logits: Tensor<2>,
}

/// Layer normalisation over the width.
#[derive(Debug)]
struct Norm {
    scale: Tensor<1>,
    shift: Tensor<1>,
}

/// An encoder layer whose queries, keys and values come out of one projection.
#[derive(Debug)]
struct Layer {
    projection: Linear,
    block: Block,
}

/// The last layer: queries of `[CLS]`, keys and values of every position.
#[derive(Debug)]
struct LastLayer {
    queries: Linear,
    keys_and_values: Linear,
    block: Block,
}

/// What follows attention, at every position on its own.
#[derive(Debug)]
struct Block {
    attention_output: Linear,
    attention_norm: Norm,
    intermediate: Linear,
    output: Linear,
    output_norm: Norm,
}

impl Encoder {
    /// Reads the weights. [`Sizes::of`] has checked names and shapes.
    pub(crate) fn read(
        checkpoint: &Checkpoint,
        sizes: Sizes,
        device: &Device,
    ) -> Result<Self, CheXbertError> {
        let weights = Weights { checkpoint, device };
        let Sizes { hidden, layers, .. } = sizes;
        let words = weights.matrix("bert.embeddings.word_embeddings.weight", hidden)?;
        let mut positions = checkpoint.read("bert.embeddings.position_embeddings.weight")?;
        let segments = checkpoint.read("bert.embeddings.token_type_embeddings.weight")?;
        for row in positions.chunks_exact_mut(hidden) {
            for (position, segment) in row.iter_mut().zip(&segments) {
                *position += segment;
            }
        }
        let norm = weights.norm("bert.embeddings.LayerNorm")?;
        let layer = |layer: usize, part: &str| format!("bert.encoder.layer.{layer}.{part}");
        let projections = |index: usize, parts: &[&str]| {
            let names: Vec<String> = parts
                .iter()
                .map(|part| layer(index, &format!("attention.self.{part}")))
                .collect();
            weights.joined(&names, hidden)
        };
        let block = |index: usize| -> Result<Block, CheXbertError> {
            let part = |part: &str| layer(index, part);
            Ok(Block {
                attention_output: weights.linear(part("attention.output.dense"), hidden)?,
                attention_norm: weights.norm(&part("attention.output.LayerNorm"))?,
                intermediate: weights.linear(part("intermediate.dense"), hidden)?,
                output: weights.linear(part("output.dense"), sizes.intermediate)?,
                output_norm: weights.norm(&part("output.LayerNorm"))?,
            })
        };
        let last = layers - 1;
        let heads: Vec<String> = (0..OBSERVATIONS.len())
            .map(|observation| format!("linear_heads.{observation}"))
            .collect();
        Ok(Self {
            sizes,
            words,
            positions: weights.tensor(positions, hidden),
            norm,
            layers: (0..last)
                .map(|index| {
                    Ok(Layer {
                        projection: projections(index, &["query", "key", "value"])?,
                        block: block(index)?,
                    })
                })
                .collect::<Result<_, CheXbertError>>()?,
            last: LastLayer {
                queries: projections(last, &["query"])?,
                keys_and_values: projections(last, &["key", "value"])?,
                block: block(last)?,
            },
            heads: weights.joined(&heads, hidden)?,
        })
    }

    /// Encodes reports of at least two and at most [`Sizes::positions`] token ids each.
    pub(crate) fn forward(&self, reports: &[&[u32]]) -> Encoded {
        let lengths: Vec<usize> = reports.iter().map(|ids| ids.len()).collect();
        let mut states = self.embed(reports, &lengths);
        for layer in &self.layers {
            let projected = linear(&layer.projection, states.clone());
            let attended = self_attention(projected, self.sizes.heads, &lengths);
            states = layer.block.forward(states, attended);
        }
        let [batch, _, hidden] = states.dims();
        let cls = states.clone().slice_dim(1, 0..1);
        let attended = self.attend_from_cls(cls.clone(), states, &lengths);
        let cls = self.last.block.forward(cls, attended);
        let cls = cls.reshape([batch, hidden]);
        Encoded {
            logits: linear(&self.heads, cls.clone()),
            cls,
        }
    }

    /// `[batch, positions, hidden]`, as many positions as the longest report has tokens.
    fn embed(&self, reports: &[&[u32]], lengths: &[usize]) -> Tensor<3> {
        let (batch, longest) = (reports.len(), lengths.iter().copied().max().unwrap_or(0));
        // Any id serves as padding: no other position attends to it.
        let mut ids = vec![0; batch * longest];
        for (row, report) in ids.chunks_exact_mut(longest).zip(reports) {
            for (id, token) in row.iter_mut().zip(*report) {
                *id = i64::from(*token);
            }
        }
        let device = self.words.device();
        let ids = TensorData::new(ids, [batch, longest]);
        let ids = Tensor::<2, Int>::from_data(ids, &device);
        let words = embedding(self.words.clone(), ids);
        let positions = self.positions.clone().slice_dim(0, 0..longest);
        self.norm.forward(words + positions.unsqueeze())
    }

    /// What `[CLS]` gathers in the last layer, `[batch, 1, hidden]`.
    fn attend_from_cls(&self, cls: Tensor<3>, states: Tensor<3>, lengths: &[usize]) -> Tensor<3> {
        let Sizes { heads, hidden, .. } = self.sizes;
        let [batch, positions, _] = states.dims();
        let by_head = |part: Tensor<3>| {
            let [batch, positions, _] = part.dims();
            part.reshape([batch, positions, heads, hidden / heads])
                .swap_dims(1, 2)
        };
        let mask = padding_mask(lengths, positions, &states.device())
            .map(|mask| mask.expand([batch, heads, 1, positions]));
        let queries = linear(&self.last.queries, cls);
        let both = linear(&self.last.keys_and_values, states);
        let keys = both.clone().slice_dim(2, 0..hidden);
        let values = both.slice_dim(2, hidden..2 * hidden);
        let options = AttentionModuleOptions::default();
        let (queries, keys, values) = (by_head(queries), by_head(keys), by_head(values));
        attention(queries, keys, values, mask, None, options)
            .swap_dims(1, 2)
            .reshape([batch, 1, hidden])
    }
}

impl Norm {
    fn forward(&self, states: Tensor<3>) -> Tensor<3> {
        let (scale, shift) = (self.scale.clone(), self.shift.clone());
        layer_norm(states, scale, Some(shift), EPSILON)
    }
}

impl Block {
    /// `[batch, positions, hidden]`, from the states before attention and what was attended to.
    fn forward(&self, states: Tensor<3>, attended: Tensor<3>) -> Tensor<3> {
        let attended = linear(&self.attention_output, attended);
        let states = self.attention_norm.forward(attended + states);
        let inner = gelu(linear(&self.intermediate, states.clone()));
        let output = linear(&self.output, inner);
        self.output_norm.forward(output + states)
    }
}

/// Makes modules of tensors in a file.
struct Weights<'a> {
    checkpoint: &'a Checkpoint,
    device: &'a Device,
}

impl Weights<'_> {
    /// Contiguous rows of `columns` values.
    fn tensor(&self, values: Vec<f32>, columns: usize) -> Tensor<2> {
        let rows = values.len() / columns;
        Tensor::from_data(TensorData::new(values, [rows, columns]), self.device)
    }

    fn matrix(&self, name: &str, columns: usize) -> Result<Tensor<2>, CheXbertError> {
        Ok(self.tensor(self.checkpoint.read(name)?, columns))
    }

    fn vector(&self, values: Vec<f32>) -> Tensor<1> {
        let length = values.len();
        Tensor::from_data(TensorData::new(values, [length]), self.device)
    }

    fn norm(&self, name: &str) -> Result<Norm, CheXbertError> {
        Ok(Norm {
            scale: self.vector(self.checkpoint.read(&format!("{name}.weight"))?),
            shift: self.vector(self.checkpoint.read(&format!("{name}.bias"))?),
        })
    }

    fn linear(&self, name: String, inputs: usize) -> Result<Linear, CheXbertError> {
        self.joined(&[name], inputs)
    }

    /// One layer with the outputs of several side by side. PyTorch stores `[outputs, inputs]`, Burn
    /// `[inputs, outputs]`.
    fn joined(&self, names: &[String], inputs: usize) -> Result<Linear, CheXbertError> {
        let shape = |name: &String| self.checkpoint.shape(&format!("{name}.weight"));
        let outputs: usize = names.iter().filter_map(shape).map(|shape| shape[0]).sum();
        let mut weight = vec![0.0; inputs * outputs];
        let mut bias = Vec::with_capacity(outputs);
        for name in names {
            let rows = self.checkpoint.read(&format!("{name}.weight"))?;
            copy_transposed(&rows, inputs, &mut weight[bias.len()..], outputs);
            bias.append(&mut self.checkpoint.read(&format!("{name}.bias"))?);
        }
        let weight = self.tensor(weight, outputs);
        let bias = self.vector(bias);
        Ok(Linear {
            weight: Param::initialized(ParamId::new(), weight),
            bias: Some(Param::initialized(ParamId::new(), bias)),
        })
    }
}

/// Writes rows of `width` values as columns of a matrix whose rows are `stride` apart.
fn copy_transposed(rows: &[f32], width: usize, out: &mut [f32], stride: usize) {
    /// Rows at a time, so that both sides stay in the cache.
    const TILE: usize = 32;
    for (tile, rows) in rows.chunks(TILE * width).enumerate() {
        for input in 0..width {
            let out = &mut out[input * stride + tile * TILE..];
            for (value, row) in out.iter_mut().zip(rows.chunks_exact(width)) {
                *value = row[input];
            }
        }
    }
}

/// First and last logit of an observation.
pub(crate) fn logits_of(observation: usize) -> std::ops::Range<usize> {
    let first: usize = (0..observation).map(head_outputs).sum();
    first..first + head_outputs(observation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_layers_are_transposed_side_by_side() {
        // Two layers of two inputs: three outputs and one.
        let mut out = vec![0.0; 2 * 4];
        copy_transposed(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 2, &mut out, 4);
        copy_transposed(&[7.0, 8.0], 2, &mut out[3..], 4);
        assert_eq!(out, [1.0, 3.0, 5.0, 7.0, 2.0, 4.0, 6.0, 8.0]);
    }

    #[test]
    fn tall_matrices_are_transposed_tile_by_tile() {
        let rows: Vec<f32> = (0..70 * 3).map(|value| value as f32).collect();
        let mut out = vec![0.0; 3 * 70];
        copy_transposed(&rows, 3, &mut out, 70);
        for (at, value) in out.iter().enumerate() {
            assert_eq!(*value, rows[(at % 70) * 3 + at / 70]);
        }
    }

    #[test]
    fn heads_lie_side_by_side() {
        assert_eq!(logits_of(0), 0..4);
        assert_eq!(logits_of(13), 52..54);
    }
}
