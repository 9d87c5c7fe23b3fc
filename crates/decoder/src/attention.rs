use burn::config::Config;
use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear};
use burn::tensor::activation::softmax;
use burn::tensor::{Bool, Device, Tensor, assert_shape};
use ithn_kernels::linear;

use crate::cache::KeyValues;
use crate::linear::xavier_linear;

/// Score of a position that must not be seen.
const MASKED_SCORE: f64 = -1e9;

/// Configuration of [`MultiHeadAttention`].
#[derive(Config, Debug, PartialEq)]
pub struct MultiHeadAttentionConfig {
    /// Width of queries, keys and values.
    pub d_model: usize,
    /// Heads; must divide `d_model`.
    pub heads: usize,
    /// Dropout on attention weights.
    #[config(default = 0.1)]
    pub dropout: f64,
}

/// Scaled dot-product attention in several heads (Vaswani et al., 2017).
///
/// Keys and values are projected apart from the queries, so that a cache can hold them.
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
            dropout: DropoutConfig::new(self.dropout).init(),
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

    /// Attends from `queries` to `attended`.
    ///
    /// # Shapes
    ///
    /// - queries: `[batch, length, d_model]`
    /// - hidden: `[batch, length, attended length]`, true where a position must not be seen
    /// - output: `[batch, length, d_model]`
    pub fn attend(
        &self,
        queries: Tensor<3>,
        attended: &KeyValues,
        hidden: Option<&Tensor<3, Bool>>,
    ) -> Tensor<3> {
        let dims = queries.dims();
        let weights = self
            .dropout
            .forward(self.weights(queries, attended, hidden));
        let joined = weights
            .matmul(attended.values.clone())
            .swap_dims(1, 2)
            .reshape(dims);
        linear(&self.output, joined)
    }

    /// Attention weights, `[batch, heads, length, attended length]`; arguments as for
    /// [`attend`](Self::attend).
    pub fn weights(
        &self,
        queries: Tensor<3>,
        attended: &KeyValues,
        hidden: Option<&Tensor<3, Bool>>,
    ) -> Tensor<4> {
        let [batch, length, _] = queries.dims();
        let [_, _, attended_length, d_head] = attended.keys.dims();
        assert_shape!(attended.keys, [batch, self.heads, _, _]);
        let queries = self.split(linear(&self.query, queries) / (d_head as f64).sqrt());
        let scores = queries.matmul(attended.keys.clone().swap_dims(2, 3));
        let scores = match hidden {
            Some(hidden) => scores.mask_fill(
                hidden.clone().unsqueeze_dim::<4>(1).expand([
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
