use burn::config::Config;
use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear};
use burn::tensor::activation::softmax;
use burn::tensor::{Bool, Device, Tensor, assert_shape};
use ithn_generator::config::Probability;
use ithn_kernels::{linear, product};
use serde::{Deserialize, Serialize};

use crate::cache::KeyValues;
use crate::linear::xavier_linear;

/// Score of a masked position.
const MASKED_SCORE: f64 = -1e9;

/// Configuration of [`MultiHeadAttention`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct MultiHeadAttentionConfig {
    /// Width of queries, keys and values.
    pub d_model: usize,
    /// Heads; must divide `d_model`.
    pub heads: usize,
    /// Dropout on attention weights.
    pub dropout: Probability,
}

impl Config for MultiHeadAttentionConfig {}

/// Scaled dot-product attention in several heads (Vaswani et al., 2017).
///
/// Keys and values are projected separately from the queries, so that a cache can hold them.
#[derive(Module, Debug)]
pub struct MultiHeadAttention {
    /// Query projection.
    pub query: Linear,
    /// Key projection.
    pub key: Linear,
    /// Value projection.
    pub value: Linear,
    /// Projection of the joined heads.
    pub output: Linear,
    dropout: Dropout,
    heads: usize,
}

impl MultiHeadAttentionConfig {
    /// These sizes, with dropout 0.1.
    pub fn new(d_model: usize, heads: usize) -> Self {
        MultiHeadAttentionConfig {
            d_model,
            heads,
            dropout: Probability::literal(0.1),
        }
    }

    /// Sets [`dropout`](Self::dropout).
    ///
    /// # Panics
    ///
    /// If it lies outside `[0, 1)`.
    pub fn with_dropout(mut self, dropout: f64) -> Self {
        self.dropout = Probability::literal(dropout);
        self
    }

    /// Creates the module with Xavier-uniform projections.
    ///
    /// # Panics
    ///
    /// If `heads` does not divide `d_model`.
    pub fn init(&self, device: &Device) -> MultiHeadAttention {
        assert!(
            self.heads > 0 && self.d_model.is_multiple_of(self.heads),
            "heads ({}) must divide d_model ({})",
            self.heads,
            self.d_model
        );
        let projection = || xavier_linear(self.d_model, self.d_model, device);
        MultiHeadAttention {
            query: projection(),
            key: projection(),
            value: projection(),
            output: projection(),
            dropout: DropoutConfig::new(self.dropout.get()).init(),
            heads: self.heads,
        }
    }
}

impl MultiHeadAttention {
    /// Keys and values of `input`, `[batch, length, d_model]`.
    pub fn project(&self, input: Tensor<3>) -> KeyValues {
        KeyValues {
            keys: self.split(linear(&self.key, input.clone())),
            values: self.split(linear(&self.value, input)),
        }
    }

    /// Attention of `queries` over `attended`: `softmax(q kᵀ / √d_head) v` per head, then the output
    /// projection.
    ///
    /// # Shapes
    ///
    /// - queries: `[batch, length, d_model]`
    /// - mask: `[batch, length, attended length]`, true where attention is masked out; its length may
    ///   be 1, a mask for all queries
    /// - output: `[batch, length, d_model]`
    ///
    /// # Panics
    ///
    /// If the batch of `queries` or of `mask` is not that of `attended`.
    pub fn forward(
        &self,
        queries: Tensor<3>,
        attended: &KeyValues,
        mask: Option<&Tensor<3, Bool>>,
    ) -> Tensor<3> {
        let dims = queries.dims();
        let weights = self.dropout.forward(self.weights(queries, attended, mask));
        let joined = product(weights, attended.values.clone())
            .swap_dims(1, 2)
            .reshape(dims);
        linear(&self.output, joined)
    }

    /// Attention weights before dropout, `[batch, heads, length, attended length]`; arguments as for
    /// [`forward`](Self::forward).
    pub fn weights(
        &self,
        queries: Tensor<3>,
        attended: &KeyValues,
        mask: Option<&Tensor<3, Bool>>,
    ) -> Tensor<4> {
        let [batch, length, _] = queries.dims();
        let [_, _, attended_length, d_head] = attended.keys.dims();
        assert_shape!(attended.keys, [batch, self.heads, _, _]);
        let queries = self.split(linear(&self.query, queries) / (d_head as f64).sqrt());
        let scores = product(queries, attended.keys.clone().swap_dims(2, 3));
        let scores = match mask {
            Some(mask) => scores.mask_fill(
                mask.clone().unsqueeze_dim::<4>(1).expand([
                    batch,
                    self.heads,
                    length,
                    attended_length,
                ]),
                MASKED_SCORE,
            ),
            None => scores,
        };
        softmax(scores, 3)
    }

    fn split(&self, projected: Tensor<3>) -> Tensor<4> {
        let [batch, length, d_model] = projected.dims();
        projected
            .reshape([batch, length, self.heads, d_model / self.heads])
            .swap_dims(1, 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Tolerance;
    use ithn_generator::seeded::{seeded, values};

    fn attention(heads: usize, device: &Device) -> MultiHeadAttention {
        seeded(MultiHeadAttentionConfig::new(4, heads).init(device), 1)
    }

    /// Linear layer on the host; `weight` is `[input, output]`.
    fn project(layer: &Linear, rows: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let host = |data: burn::tensor::TensorData| data.iter::<f64>().collect::<Vec<f64>>();
        let weight = host(layer.weight.val().into_data());
        let bias = host(layer.bias.as_ref().expect("a bias").val().into_data());
        let output = |row: &Vec<f64>, o: usize| -> f64 {
            bias[o]
                + row
                    .iter()
                    .enumerate()
                    .map(|(i, x)| x * weight[i * 4 + o])
                    .sum::<f64>()
        };
        rows.iter()
            .map(|row| (0..4).map(|o| output(row, o)).collect())
            .collect()
    }

    /// The textbook formula, head by head, in double precision.
    #[test]
    fn attention_is_the_formula() {
        let device = Device::default();
        let attention = attention(2, &device);
        let rows = |tensor: &Tensor<3>| -> Vec<Vec<f64>> {
            let flat: Vec<f64> = tensor.to_data().iter::<f64>().collect();
            flat.chunks(4).map(<[f64]>::to_vec).collect()
        };
        let (queries, attended) = (values([1, 2, 4], 2, &device), values([1, 3, 4], 3, &device));
        let q = project(&attention.query, &rows(&queries));
        let k = project(&attention.key, &rows(&attended));
        let v = project(&attention.value, &rows(&attended));
        let mut joined = vec![vec![0.0; 4]; 2];
        for (query, joined) in q.iter().zip(&mut joined) {
            for head in [0..2, 2..4] {
                let score = |key: &Vec<f64>| -> f64 {
                    let dot: f64 = head.clone().map(|c| query[c] * key[c]).sum();
                    (dot / 2.0_f64.sqrt()).exp()
                };
                let total: f64 = k.iter().map(score).sum();
                for channel in head.clone() {
                    let weighted = k.iter().zip(&v).map(|(k, v)| score(k) * v[channel]);
                    joined[channel] = weighted.sum::<f64>() / total;
                }
            }
        }
        let expected = project(&attention.output, &joined).concat();
        let got = attention.forward(queries, &attention.project(attended), None);
        for (got, expected) in got.into_data().iter::<f64>().zip(expected) {
            assert!((got - expected).abs() < 1e-5, "{got} {expected}");
        }
    }

    #[test]
    fn masked_positions_have_no_effect() {
        let device = Device::default();
        let attention = attention(2, &device);
        let queries = values([1, 2, 4], 2, &device);
        let attended = values([1, 3, 4], 3, &device);
        let mask = Tensor::<3, Bool>::from_data([[[false, true, false]; 2]], &device);
        let masked = attention.project(attended.clone());
        let masked = attention.forward(queries.clone(), &masked, Some(&mask));
        let kept = Tensor::cat(
            vec![attended.clone().narrow(1, 0, 1), attended.narrow(1, 2, 1)],
            1,
        );
        let removed = attention.forward(queries, &attention.project(kept), None);
        masked
            .into_data()
            .assert_approx_eq::<f32>(&removed.into_data(), Tolerance::absolute(1e-6));
    }
}
