#[cfg(feature = "cube")]
use burn::tensor::DType;
use burn::tensor::activation::softmax;
use burn::tensor::{Distribution, IndexingUpdateOp, Tensor, assert_shape};

use crate::precision;

/// Attention of every query, head by head, to its `top_k` best keys alone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TopKAttention {
    /// Heads; each takes its own columns of queries, keys and values.
    pub heads: usize,
    /// Keys that each head of each query keeps.
    pub top_k: usize,
    /// Dropout probability of a weight in training, in `[0, 1)`; kept weights are scaled by
    /// `1 / (1 − dropout)`.
    pub dropout: f64,
}

impl TopKAttention {
    /// `Σ_{m ∈ best K} softmax(q · k_m)_m v_m` in every head; queries are already scaled.
    ///
    /// On the CPU one fused pass selects, weighs and sums. There and on GPUs only the kept rows and their
    /// weights are saved for the gradient.
    ///
    /// # Shapes
    ///
    /// - queries: `[positions, d_model]`
    /// - keys, values: `[rows, d_model]`
    /// - output: `[positions, d_model]`
    ///
    /// # Panics
    ///
    /// If widths differ or are no multiple of the heads, or there are fewer rows than `top_k`.
    pub fn forward(&self, queries: Tensor<2>, keys: Tensor<2>, values: Tensor<2>) -> Tensor<2> {
        let [_, d_model] = queries.dims();
        let [rows, _] = keys.dims();
        assert_shape!(keys, [rows, d_model]);
        assert_shape!(values, [rows, d_model]);
        assert!(d_model.is_multiple_of(self.heads) && (1..=rows).contains(&self.top_k));
        #[cfg(feature = "flex")]
        if !precision::rounds(&queries)
            && [&queries, &keys, &values]
                .into_iter()
                .all(crate::cpu::is_ours)
        {
            let dropout = self.active_dropout(&queries).map(|probability| {
                let range = Distribution::Uniform(0.0, f64::from(i32::MAX));
                let seed = Tensor::<1>::random([2], range, &queries.device().inner());
                let seed: Vec<f32> = seed.into_data().iter::<f32>().collect();
                (probability, [seed[0].to_bits(), seed[1].to_bits()])
            });
            return fused::forward(*self, dropout, queries, keys, values);
        }
        #[cfg(feature = "cube")]
        if crate::cube::is_ours(&queries) && queries.dtype() == DType::F32 && self.top_k < rows {
            let dropout = self.active_dropout(&queries);
            let rounds = precision::rounds(&queries);
            return passes::forward(*self, [queries, keys, values], dropout, rounds);
        }
        self.composed(queries, keys, values)
    }

    fn active_dropout(&self, queries: &Tensor<2>) -> Option<f64> {
        (self.dropout > 0.0 && queries.is_autodiff()).then_some(self.dropout)
    }

    /// [`forward`](Self::forward) composed of Burn's public operations.
    fn composed(&self, queries: Tensor<2>, keys: Tensor<2>, values: Tensor<2>) -> Tensor<2> {
        let dims = queries.dims();
        let dropout = self.active_dropout(&queries);
        let split = |x: Tensor<2>| {
            let [length, d_model] = x.dims();
            x.reshape([length, self.heads, d_model / self.heads])
                .swap_dims(0, 1)
        };
        let scores = precision::product(split(queries), split(keys).swap_dims(1, 2));
        let drop = |weights: Tensor<3>| match dropout {
            None => weights,
            Some(probability) => {
                let kept = Distribution::Bernoulli(1.0 - probability);
                weights.clone() * weights.random_like(kept) / (1.0 - probability)
            }
        };
        let [_, _, rows] = scores.dims();
        let weights = if self.top_k == rows {
            drop(softmax(scores, 2))
        } else {
            let kept = scores.clone().argtopk(self.top_k, 2);
            let weights = drop(softmax(scores.clone().gather(2, kept.clone()), 2));
            // Dense weights turn the weighted sum of gathered values into one matrix product.
            scores
                .detach()
                .zeros_like()
                .scatter(2, kept, weights, IndexingUpdateOp::Add)
        };
        precision::product(weights, split(values))
            .swap_dims(0, 1)
            .reshape(dims)
    }
}

/// The same matrix, column after column in memory where [`TopKAttention`] can make use of it: keys
/// that many queries look up one after the other are scored faster so.
///
/// What gradients are recorded for, and what lies on other devices, is returned as it is.
pub fn laid_by_column(matrix: Tensor<2>) -> Tensor<2> {
    #[cfg(feature = "flex")]
    if crate::cpu::is_ours(&matrix) && !matrix.is_autodiff() {
        return fused::laid_by_column(matrix);
    }
    matrix
}

#[cfg(feature = "flex")]
mod fused;
#[cfg(feature = "flex")]
mod loops;
#[cfg(feature = "cube")]
mod passes;

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;
    use crate::agreement::{assert_agree, normal};
    use burn::tensor::Device;

    fn check(attention: TopKAttention, positions: usize, rows: usize, width: usize) {
        let shaped = |x: &[Tensor<1>]| {
            [
                x[0].clone().reshape([positions, width]),
                x[1].clone().reshape([rows, width]),
                x[2].clone().reshape([rows, width]),
            ]
        };
        assert_agree(
            &[positions * width, rows * width, rows * width],
            &|x| {
                let [queries, keys, values] = shaped(x);
                attention.forward(queries, keys, values).reshape([-1])
            },
            &|x| {
                let [queries, keys, values] = shaped(x);
                attention.composed(queries, keys, values).reshape([-1])
            },
        );
    }

    fn attention(heads: usize, top_k: usize, dropout: f64) -> TopKAttention {
        TopKAttention {
            heads,
            top_k,
            dropout,
        }
    }

    #[test]
    fn the_layout_of_the_keys_changes_nothing() {
        let device = Device::flex();
        let keys = normal([50, 36], 1, &device);
        let values = normal([50, 36], 2, &device);
        let by_column = laid_by_column(keys.clone());
        assert_eq!(by_column.to_data(), keys.to_data());
        // Few queries, and more than are scored without packing, on one thread and on several.
        for positions in [1, 5, 90] {
            let queries = normal([positions, 36], 3, &device);
            let respond = |keys: &Tensor<2>| {
                let response =
                    attention(2, 4, 0.0).forward(queries.clone(), keys.clone(), values.clone());
                response.into_data()
            };
            let tolerance = burn::tensor::Tolerance::absolute(1e-5);
            respond(&by_column).assert_approx_eq::<f32>(&respond(&keys), tolerance);
        }
        let recorded = keys.autodiff();
        assert_eq!(
            laid_by_column(recorded.clone()).to_data(),
            recorded.to_data()
        );
    }

    #[test]
    fn the_best_rows_are_weighed_alone() {
        check(attention(2, 4, 0.0), 37, 50, 12);
        check(attention(1, 1, 0.0), 3, 9, 20);
    }

    #[test]
    fn keeping_every_row_is_dense_attention() {
        check(attention(3, 7, 0.0), 5, 7, 6);
    }

    #[test]
    fn dropout_keeps_the_mean_and_acts_in_training_alone() {
        let device = Device::flex();
        let queries = normal::<2>([400, 8], 1, &device);
        let keys = normal::<2>([20, 8], 2, &device);
        let ones = Tensor::<2>::ones([20, 8], &device);
        let attention = attention(2, 5, 0.3);
        let mean = |queries: Tensor<2>| -> f32 {
            let response = attention.forward(queries, keys.clone(), ones.clone());
            response.mean().into_scalar()
        };
        assert!((mean(queries.clone()) - 1.0).abs() < 1e-5);
        let trained = mean(queries.clone().autodiff());
        assert!(
            (trained - 1.0).abs() > 1e-6 && (trained - 1.0).abs() < 0.05,
            "{trained}"
        );
        device.seed(7);
        let first = mean(queries.clone().autodiff());
        device.seed(7);
        assert_eq!(first, mean(queries.autodiff()));
    }
}
