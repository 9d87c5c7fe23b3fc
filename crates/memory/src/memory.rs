use burn::config::Config;
use burn::module::{Initializer, Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Int, Tensor, assert_shape};
use ithn_generator::config::{ConfigError, check_count, check_dropout, check_heads};
use ithn_kernels::{TopKAttention, laid_by_column, linear};
use serde::{Deserialize, Serialize};

/// Most rows of a memory matrix.
const MOST_ROWS: usize = 1_000_000;

/// Configuration of a [`CrossModalMemory`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct CrossModalMemoryConfig {
    /// Rows of the memory matrix, 1 to 1,000,000 (2048 as published).
    pub rows: usize,
    /// Width of the matrix, of the queries and of the response, at most 65,536 (512 as published).
    pub d_model: usize,
    /// Attention heads; must divide `d_model` (8 as published).
    pub heads: usize,
    /// Rows that each head of each query keeps, at most `rows` (32 as published).
    pub top_k: usize,
    /// Dropout on the attention over the kept rows, in [0, 1).
    pub dropout: f64,
}

impl Config for CrossModalMemoryConfig {}

/// A learned matrix that both modalities query by multi-head attention over its best rows.
///
/// Per head, with `q = W_q x`, `k = W_k M`, `v = W_v M`: keep the rows with the `top_k` largest scores
/// `q·k/√d_head`, take the softmax over those scores alone and sum the rows' values, weighted by it. `W_o`
/// then projects the concatenated heads.
#[derive(Module, Debug)]
pub struct CrossModalMemory {
    /// The memory matrix, `[rows, d_model]`.
    pub matrix: Param<Tensor<2>>,
    /// Query projection of patches and words.
    pub query: Linear,
    /// Key projection of the matrix.
    pub key: Linear,
    /// Value projection of the matrix.
    pub value: Linear,
    /// Output projection `W_o` of the concatenated heads.
    pub output: Linear,
    dropout: f64,
    heads: usize,
    top_k: usize,
}

/// Keys and values of the memory rows, shared by any number of queries.
#[derive(Debug, Clone)]
pub struct MemoryKeyValues {
    /// `[rows, d_model]`, the heads side by side.
    keys: Tensor<2>,
    /// `[rows, d_model]`.
    values: Tensor<2>,
}

/// The rows, scores and weights of a query's attention, for inspection and attention maps.
#[derive(Debug, Clone)]
pub struct MemoryLookup {
    /// Response, `[batch, length, d_model]`.
    pub response: Tensor<3>,
    /// Indices of the kept rows, best first, `[batch, heads, length, top_k]`.
    pub rows: Tensor<4, Int>,
    /// Their scores `q·k/√d_head`, largest first, `[batch, heads, length, top_k]`.
    pub scores: Tensor<4>,
    /// Softmax over the kept rows, `[batch, heads, length, top_k]`.
    pub weights: Tensor<4>,
}

impl CrossModalMemoryConfig {
    /// These sizes, with dropout 0.1.
    pub fn new(rows: usize, d_model: usize, heads: usize, top_k: usize) -> Self {
        CrossModalMemoryConfig {
            rows,
            d_model,
            heads,
            top_k,
            dropout: 0.1,
        }
    }

    /// Sets [`dropout`](Self::dropout).
    pub fn with_dropout(mut self, dropout: f64) -> Self {
        self.dropout = dropout;
        self
    }

    /// Checks all sizes and the rate.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming the key, such as `top_k`.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check_count("rows", self.rows, MOST_ROWS)?;
        check_heads(self.d_model, self.heads)?;
        if !(1..=self.rows).contains(&self.top_k) {
            return Err(ConfigError::new(
                "top_k",
                format!(
                    "must lie in 1..={} (the memory's rows), got {}",
                    self.rows, self.top_k
                ),
            ));
        }
        check_dropout("dropout", self.dropout)
    }

    /// Creates the module: Xavier-uniform projections, matrix rows normal with mean 0 and standard
    /// deviation `1/d_model`.
    ///
    /// # Panics
    ///
    /// If `heads` does not divide `d_model`, or `top_k` is 0 or larger than `rows`.
    pub fn init(&self, device: &Device) -> CrossModalMemory {
        assert!(
            self.heads > 0 && self.d_model.is_multiple_of(self.heads),
            "heads ({}) must divide d_model ({})",
            self.heads,
            self.d_model
        );
        assert!(
            (1..=self.rows).contains(&self.top_k),
            "top_k ({}) must lie in 1..={} (the memory rows)",
            self.top_k,
            self.rows
        );
        let projection = || xavier_linear(self.d_model, device);
        CrossModalMemory {
            matrix: Initializer::Normal {
                mean: 0.0,
                std: 1.0 / self.d_model as f64,
            }
            .init([self.rows, self.d_model], device),
            query: projection(),
            key: projection(),
            value: projection(),
            output: projection(),
            dropout: self.dropout,
            heads: self.heads,
            top_k: self.top_k,
        }
    }
}

/// A square linear layer with Xavier-uniform weights and Burn's default biases.
fn xavier_linear(width: usize, device: &Device) -> Linear {
    let mut linear = LinearConfig::new(width, width).init(device);
    linear.weight = Initializer::XavierUniform { gain: 1.0 }.init_with(
        [width, width],
        Some(width),
        Some(width),
        device,
    );
    linear
}

impl CrossModalMemory {
    /// Projects the matrix into keys and values: once per forward pass in training, once per
    /// generation in inference.
    pub fn key_values(&self) -> MemoryKeyValues {
        let matrix = self.matrix.val();
        MemoryKeyValues {
            keys: laid_by_column(linear(&self.key, matrix.clone())),
            values: linear(&self.value, matrix),
        }
    }

    /// The memory's response to `queries`.
    ///
    /// # Shapes
    ///
    /// - queries: `[batch, length, d_model]`
    /// - output: `[batch, length, d_model]`
    pub fn respond(&self, queries: Tensor<3>, key_values: &MemoryKeyValues) -> Tensor<3> {
        let dims = queries.dims();
        let attention = TopKAttention {
            heads: self.heads,
            top_k: self.top_k,
            dropout: self.dropout,
        };
        let queries = self.scaled_queries(queries, key_values);
        let joined = attention.forward(queries, key_values.keys.clone(), key_values.values.clone());
        linear(&self.output, joined).reshape(dims)
    }

    /// Like [`respond`](Self::respond), keeping which rows were used and how much.
    pub fn lookup(&self, queries: Tensor<3>, key_values: &MemoryKeyValues) -> MemoryLookup {
        let [batch, length, _] = queries.dims();
        let scores = self.scores(queries.clone(), key_values);
        let (scores, rows) = scores.sort_descending_with_indices(2);
        let kept = [self.heads, batch, length, self.top_k];
        let scores = scores
            .narrow(2, 0, self.top_k)
            .reshape(kept)
            .swap_dims(0, 1);
        MemoryLookup {
            response: self.respond(queries, key_values),
            weights: softmax(scores.clone(), 3),
            scores,
            rows: rows.narrow(2, 0, self.top_k).reshape(kept).swap_dims(0, 1),
        }
    }

    /// `W_q x / √d_head`, `[batch · length, d_model]`. Batch and length are one axis because all positions of
    /// the batch attend to the same keys.
    fn scaled_queries(&self, queries: Tensor<3>, key_values: &MemoryKeyValues) -> Tensor<2> {
        let [batch, length, d_model] = queries.dims();
        let [_, width] = key_values.keys.dims();
        assert_shape!(queries, [_, _, width]);
        let scale = ((d_model / self.heads) as f64).sqrt();
        linear(&self.query, queries.reshape([batch * length, d_model])) / scale
    }

    /// Scores of every row, `[heads, batch · length, rows]`.
    fn scores(&self, queries: Tensor<3>, key_values: &MemoryKeyValues) -> Tensor<3> {
        let queries = self.split(self.scaled_queries(queries, key_values));
        queries.matmul(self.split(key_values.keys.clone()).swap_dims(1, 2))
    }

    /// `[length, d_model]` to `[heads, length, d_head]`.
    fn split(&self, joined: Tensor<2>) -> Tensor<3> {
        let [length, d_model] = joined.dims();
        joined
            .reshape([length, self.heads, d_model / self.heads])
            .swap_dims(0, 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{TensorData, Tolerance};

    /// Two batches of five queries, the same in every process.
    fn queries(device: &Device) -> Tensor<3> {
        let values: Vec<f32> = (0..80)
            .map(|at| 3.0 * (at as f32 * 12.9898).sin())
            .collect();
        Tensor::from_data(TensorData::new(values, [2, 5, 8]), device)
    }

    #[test]
    fn keeping_every_row_is_dense_attention() {
        let device = Device::default();
        let memory = CrossModalMemoryConfig::new(6, 8, 2, 6).init(&device);
        let x = queries(&device);
        let key_values = memory.key_values();
        let scores = memory.scores(x.clone(), &key_values);
        let heads = softmax(scores, 2).matmul(memory.split(key_values.values.clone()));
        let dense = memory
            .output
            .forward(heads.swap_dims(0, 1).reshape([2, 5, 8]));
        memory
            .respond(x, &key_values)
            .into_data()
            .assert_approx_eq::<f32>(&dense.into_data(), Tolerance::absolute(1e-6));
    }

    #[test]
    fn only_the_kept_rows_count() {
        let device = Device::default();
        let memory = CrossModalMemoryConfig::new(6, 8, 2, 2).init(&device);
        let x = queries(&device);
        let key_values = memory.key_values();
        let lookup = memory.lookup(x, &key_values);
        assert_eq!(lookup.rows.dims(), [2, 2, 5, 2]);
        let sums = lookup.weights.sum_dim(3);
        sums.into_data().assert_approx_eq::<f32>(
            &Tensor::<4>::ones([2, 2, 5, 1], &device).into_data(),
            Tolerance::absolute(1e-6),
        );
    }

    #[test]
    fn a_query_does_not_see_its_neighbours() {
        let device = Device::default();
        let memory = CrossModalMemoryConfig::new(16, 8, 2, 4).init(&device);
        let key_values = memory.key_values();
        let x = queries(&device);
        let alone = memory.respond(x.clone().narrow(0, 1, 1).narrow(1, 3, 1), &key_values);
        let together = memory
            .respond(x, &key_values)
            .narrow(0, 1, 1)
            .narrow(1, 3, 1);
        alone
            .into_data()
            .assert_approx_eq::<f32>(&together.into_data(), Tolerance::absolute(1e-6));
    }

    #[test]
    fn gradients_reach_the_matrix_only_through_kept_rows() {
        let device = Device::default().autodiff();
        // Dropout would take the only kept row's gradient away, one time in ten.
        let memory = CrossModalMemoryConfig::new(12, 8, 1, 1)
            .with_dropout(0.0)
            .init(&device);
        let x = queries(&device).narrow(0, 0, 1).narrow(1, 0, 1);
        let key_values = memory.key_values();
        let row: i64 = memory.lookup(x.clone(), &key_values).rows.into_scalar();
        let gradients = memory.respond(x, &key_values).sum().backward();
        let gradient = memory
            .matrix
            .grad(&gradients)
            .expect("the matrix is trained");
        let norms = gradient.square().sum_dim(1).into_data();
        for (index, norm) in norms.iter::<f32>().enumerate() {
            assert_eq!(norm > 0.0, index as i64 == row, "row {index}");
        }
    }

    #[test]
    #[should_panic(expected = "top_k (7) must lie in 1..=6")]
    fn more_kept_rows_than_rows_are_refused() {
        CrossModalMemoryConfig::new(6, 8, 2, 7).init(&Device::default());
    }
}
