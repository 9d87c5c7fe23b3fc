use burn::tensor::activation::softmax;
use burn::tensor::{Distribution, IndexingUpdateOp, Tensor, assert_shape};

/// Attention of every query, head by head, to its `top_k` best keys alone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TopKAttention {
    /// Heads; each takes its own columns of queries, keys and values.
    pub heads: usize,
    /// Keys that each head of each query keeps.
    pub top_k: usize,
    /// Probability with which a weight is dropped in training, in `[0, 1)`; the others grow by
    /// `1 / (1 − dropout)`.
    pub dropout: f64,
}

impl TopKAttention {
    /// `Σ_{m ∈ best K} softmax(q · k_m)_m v_m` in every head; queries are already scaled.
    ///
    /// On the CPU one fused pass selects, weighs and sums, and only the kept weights are saved for
    /// the gradient, which touches only kept rows.
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
        if [&queries, &keys, &values]
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
        self.composed(queries, keys, values)
    }

    fn active_dropout(&self, queries: &Tensor<2>) -> Option<f64> {
        (self.dropout > 0.0 && queries.is_autodiff()).then_some(self.dropout)
    }

    /// The same from public operations.
    fn composed(&self, queries: Tensor<2>, keys: Tensor<2>, values: Tensor<2>) -> Tensor<2> {
        let dims = queries.dims();
        let dropout = self.active_dropout(&queries);
        let split = |x: Tensor<2>| {
            let [length, d_model] = x.dims();
            x.reshape([length, self.heads, d_model / self.heads])
                .swap_dims(0, 1)
        };
        let scores = split(queries).matmul(split(keys).swap_dims(1, 2));
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
        weights.matmul(split(values)).swap_dims(0, 1).reshape(dims)
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
mod fused {
    use std::sync::Arc;

    use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
    use burn::backend::autodiff::grads::Gradients;
    use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
    use burn::backend::flex::FlexTensor;
    use burn::backend::tensor::FloatTensor;
    use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
    use rayon::prelude::*;

    use super::{Tensor, TopKAttention};
    use crate::buffers::{Scratch, made_in_chunks};
    use crate::cpu::{Contiguous, Kernel, dims, tensor, vectorised};
    use crate::few_rows::{AddProduct, FEW};
    use crate::gemm::{Matrix, Target, Threads, multiply};
    use crate::top_k::top_k;

    /// Probability and seed.
    type Dropout = Option<(f64, [u32; 2])>;

    #[backend_extension(Flex, Autodiff)]
    trait TopKAttentionOps: Backend {
        fn top_k_attention(
            queries: FloatTensor<Self>,
            keys: FloatTensor<Self>,
            values: FloatTensor<Self>,
            attention: TopKAttention,
            dropout: Dropout,
        ) -> FloatTensor<Self>;
    }

    #[backend_extension(Flex)]
    trait LayoutOps: Backend {
        fn laid_by_column(matrix: FloatTensor<Self>) -> FloatTensor<Self>;
    }

    impl LayoutOps for Flex {
        fn laid_by_column(matrix: FlexTensor) -> FlexTensor {
            matrix.transpose(0, 1).to_contiguous().transpose(0, 1)
        }
    }

    pub(super) fn laid_by_column(matrix: Tensor<2>) -> Tensor<2> {
        let matrix = <Dispatch as LayoutOps>::laid_by_column(matrix.into_dispatch());
        Tensor::from_dispatch(matrix)
    }

    pub(super) fn forward(
        attention: TopKAttention,
        dropout: Dropout,
        queries: Tensor<2>,
        keys: Tensor<2>,
        values: Tensor<2>,
    ) -> Tensor<2> {
        Tensor::from_dispatch(<Dispatch as TopKAttentionOps>::top_k_attention(
            queries.into_dispatch(),
            keys.into_dispatch(),
            values.into_dispatch(),
            attention,
            dropout,
        ))
    }

    impl TopKAttentionOps for Flex {
        fn top_k_attention(
            queries: FlexTensor,
            keys: FlexTensor,
            values: FlexTensor,
            attention: TopKAttention,
            dropout: Dropout,
        ) -> FlexTensor {
            let turned = keys.clone().transpose(0, 1);
            if turned.is_contiguous() && !keys.is_contiguous() {
                drop(keys);
                return Pass::new(queries, turned, values, attention, dropout)
                    .respond(KeyLayout::ByColumn)
                    .0;
            }
            Pass::new(queries, keys, values, attention, dropout)
                .respond(KeyLayout::ByRow)
                .0
        }
    }

    impl<C: CheckpointStrategy> TopKAttentionOps for Autodiff<Flex, C> {
        fn top_k_attention(
            queries: FloatTensor<Self>,
            keys: FloatTensor<Self>,
            values: FloatTensor<Self>,
            attention: TopKAttention,
            dropout: Dropout,
        ) -> FloatTensor<Self> {
            let ((queries, query_node), (keys, key_node), (values, value_node)) =
                (queries.into_parts(), keys.into_parts(), values.into_parts());
            let pass = Pass::new(queries, keys, values, attention, dropout);
            let (response, kept) = pass.respond(KeyLayout::ByRow);
            match Gradient
                .prepare::<C>([query_node, key_node, value_node])
                .compute_bound()
                .stateful()
            {
                OpsKind::Tracked(prep) => prep.finish((pass, kept), response),
                OpsKind::UnTracked(prep) => prep.finish(response),
            }
        }
    }

    /// What went in.
    #[derive(Debug, Clone)]
    struct Pass {
        queries: FlexTensor,
        keys: FlexTensor,
        values: FlexTensor,
        attention: TopKAttention,
        dropout: Dropout,
    }

    /// How a pass holds its keys.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum KeyLayout {
        /// `[rows, d_model]`.
        ByRow,
        /// `[d_model, rows]`.
        ByColumn,
    }

    /// The rows that each head of each query kept, and their softmax, `[positions, heads, top_k]`.
    #[derive(Debug, Clone)]
    struct Kept {
        rows: Arc<Vec<u32>>,
        weights: Arc<Vec<f32>>,
    }

    /// Queries whose scores are computed together: few enough for them to stay in cache.
    const BLOCK: usize = 32;

    impl Pass {
        fn new(
            queries: FlexTensor,
            keys: FlexTensor,
            values: FlexTensor,
            attention: TopKAttention,
            dropout: Dropout,
        ) -> Self {
            Pass {
                queries: queries.to_contiguous(),
                keys: keys.to_contiguous(),
                values: values.to_contiguous(),
                attention,
                dropout,
            }
        }

        fn respond(&self, layout: KeyLayout) -> (FlexTensor, Kept) {
            let [positions, width] = dims(&self.queries);
            let [rows, _] = dims(&self.values);
            let (queries, keys, values) = (
                Contiguous::new(self.queries.clone()),
                Contiguous::new(self.keys.clone()),
                Contiguous::new(self.values.clone()),
            );
            let (queries, keys, values) = (queries.values(), keys.values(), values.values());
            let TopKAttention {
                heads, top_k: k, ..
            } = self.attention;
            let d_head = width / heads;
            let shares = positions.div_ceil(rayon::current_num_threads().max(1));
            let block = shares.clamp(1, BLOCK);
            let mut response = vec![0.0; positions * width];
            let mut kept = vec![0; positions * heads * k];
            let mut weights = vec![0.0; positions * heads * k];
            response
                .par_chunks_mut(block * width)
                .zip(kept.par_chunks_mut(block * heads * k))
                .zip(weights.par_chunks_mut(block * heads * k))
                .enumerate()
                .for_each_init(
                    || (Scratch::take(block * rows), Vec::new()),
                    |(scores, candidates), (index, ((response, kept), weights))| {
                        let first = index * block;
                        let count = response.len() / width;
                        for head in 0..heads {
                            let column = head * d_head;
                            let queries = &queries[first * width + column..];
                            let queries = Matrix::strided(queries, [count, d_head], width);
                            let keys = match layout {
                                KeyLayout::ByRow => {
                                    Matrix::strided(&keys[column..], [rows, d_head], width)
                                        .transposed()
                                }
                                KeyLayout::ByColumn => {
                                    Matrix::rows(&keys[column * rows..], [d_head, rows])
                                }
                            };
                            let scores = &mut scores[..count * rows];
                            if count <= FEW && layout == KeyLayout::ByColumn {
                                scores.fill(0.0);
                                vectorised(AddProduct {
                                    input: queries,
                                    weight: keys,
                                    sums: scores,
                                });
                            } else {
                                multiply(
                                    queries,
                                    keys,
                                    scores,
                                    rows,
                                    Target::Replace,
                                    Threads::One,
                                );
                            }
                            for (row, scores) in scores.chunks_exact(rows).enumerate() {
                                let place = (row * heads + head) * k..(row * heads + head + 1) * k;
                                vectorised(Respond {
                                    pass: self,
                                    place: (first + row) * heads + head,
                                    scores,
                                    values: &values[column..],
                                    candidates,
                                    kept: &mut kept[place.clone()],
                                    weights: &mut weights[place],
                                    out: &mut response[row * width + column..][..d_head],
                                });
                            }
                        }
                    },
                );
            let kept = Kept {
                rows: Arc::new(kept),
                weights: Arc::new(weights),
            };
            (tensor(response, [positions, width]), kept)
        }

        /// What dropout makes of the weights of a head of a query, numbered by `place`.
        #[inline(always)]
        fn scales(&self, place: usize) -> Scales {
            let first = place * self.attention.top_k;
            let Some((probability, [low, high])) = self.dropout else {
                return Scales {
                    seed: 0,
                    first,
                    limit: 0,
                    scale: 1.0,
                };
            };
            Scales {
                seed: u64::from(low) | u64::from(high) << 32,
                first,
                limit: (probability * u32::MAX as f64) as u32,
                scale: (1.0 / (1.0 - probability)) as f32,
            }
        }

        /// Gradients of queries, keys and values. With `w` the softmax, `s` the dropout scales and
        /// `g` the gradient of the response: `∂w_m = s_m g·v_m`, `∂score_m = w_m (∂w_m − Σ w ∂w)`.
        fn gradients(&self, kept: &Kept, gradient: &FlexTensor) -> [FlexTensor; 3] {
            let [positions, width] = dims(&self.queries);
            let [rows, _] = dims(&self.keys);
            let heads = self.attention.heads;
            let gradient = Contiguous::new(gradient.clone());
            let parts: Vec<[Vec<f32>; 3]> = (0..heads)
                .into_par_iter()
                .map(|head| {
                    vectorised(HeadGradients {
                        pass: self,
                        head,
                        kept,
                        gradient: gradient.values(),
                    })
                })
                .collect();
            let join = |part: usize, length: usize| {
                let joined = made_in_chunks(length * width, width, |row, joined| {
                    let d_head = width / heads;
                    for (head, out) in joined.chunks_exact_mut(d_head).enumerate() {
                        out.copy_from_slice(&parts[head][part][row * d_head..][..d_head]);
                    }
                });
                tensor(joined, [length, width])
            };
            [join(0, positions), join(1, rows), join(2, rows)]
        }
    }

    /// Gradients of the queries, keys and values of one head.
    struct HeadGradients<'a> {
        pass: &'a Pass,
        head: usize,
        kept: &'a Kept,
        /// Of the response.
        gradient: &'a [f32],
    }

    impl Kernel for HeadGradients<'_> {
        type Output = [Vec<f32>; 3];

        #[inline(always)]
        fn run(self) -> [Vec<f32>; 3] {
            let HeadGradients {
                pass,
                head,
                kept,
                gradient,
            } = self;
            let [positions, width] = dims(&pass.queries);
            let [rows, _] = dims(&pass.keys);
            let TopKAttention {
                heads, top_k: k, ..
            } = pass.attention;
            let d_head = width / heads;
            let (queries, keys, values) = (
                Contiguous::new(pass.queries.clone()),
                Contiguous::new(pass.keys.clone()),
                Contiguous::new(pass.values.clone()),
            );
            let (queries, keys, values) = (queries.values(), keys.values(), values.values());
            let mut by_query = vec![0.0; positions * d_head];
            let mut by_key = vec![0.0; rows * d_head];
            let mut by_value = vec![0.0; rows * d_head];
            let mut by_weight = vec![0.0; k];
            let column = head * d_head;
            for position in 0..positions {
                let place = position * heads + head;
                let chosen = &kept.rows[place * k..][..k];
                let weights = &kept.weights[place * k..][..k];
                let gradient = part(gradient, position * width + column, d_head);
                let query = part(queries, position * width + column, d_head);
                let scales = pass.scales(place);
                let mut mean = 0.0;
                for slot in 0..k {
                    let row = chosen[slot] as usize;
                    let scale = scales.of(slot);
                    by_weight[slot] =
                        scale * dot(gradient, part(values, row * width + column, d_head));
                    mean += weights[slot] * by_weight[slot];
                    let by_value = &mut by_value[row * d_head..][..d_head];
                    add_scaled(by_value, weights[slot] * scale, gradient);
                }
                let by_query = &mut by_query[position * d_head..][..d_head];
                for slot in 0..k {
                    let row = chosen[slot] as usize;
                    let by_score = weights[slot] * (by_weight[slot] - mean);
                    add_scaled(by_query, by_score, part(keys, row * width + column, d_head));
                    let by_key = &mut by_key[row * d_head..][..d_head];
                    add_scaled(by_key, by_score, query);
                }
            }
            [by_query, by_key, by_value]
        }
    }

    #[derive(Debug)]
    struct Gradient;

    impl Backward<Flex, 3> for Gradient {
        type State = (Pass, Kept);

        fn backward(
            self,
            ops: Ops<Self::State, 3>,
            gradients: &mut Gradients,
            _checkpointer: &mut Checkpointer,
        ) {
            let (pass, kept) = ops.state;
            let gradient = gradients.consume::<Flex>(&ops.node);
            let found = pass.gradients(&kept, &gradient);
            for (parent, gradient) in ops.parents.into_iter().zip(found) {
                if let Some(node) = parent {
                    gradients.register::<Flex>(node.id, gradient);
                }
            }
        }
    }

    #[inline(always)]
    fn part(values: &[f32], start: usize, length: usize) -> &[f32] {
        &values[start..start + length]
    }

    #[inline(always)]
    fn add_scaled(out: &mut [f32], scale: f32, values: &[f32]) {
        for (out, value) in out.iter_mut().zip(values) {
            *out += scale * value;
        }
    }

    /// What one head of one query keeps and says.
    struct Respond<'a> {
        pass: &'a Pass,
        /// Number of the head of the query.
        place: usize,
        scores: &'a [f32],
        /// The head's first column of the values, and all after it.
        values: &'a [f32],
        candidates: &'a mut Vec<(f32, u32)>,
        kept: &'a mut [u32],
        weights: &'a mut [f32],
        out: &'a mut [f32],
    }

    impl Kernel for Respond<'_> {
        type Output = ();

        #[inline(always)]
        fn run(self) {
            let [_, width] = dims(&self.pass.queries);
            top_k(self.scores, self.candidates, self.kept, self.weights);
            softmax(self.weights);
            let scales = self.pass.scales(self.place);
            for (slot, (&kept, &weight)) in self.kept.iter().zip(&*self.weights).enumerate() {
                let value = part(self.values, kept as usize * width, self.out.len());
                add_scaled(self.out, weight * scales.of(slot), value);
            }
        }
    }

    /// Sixteen sums side by side, which vectors need and the order of a single sum forbids; joined by
    /// halves for the same reason.
    #[inline(always)]
    fn dot(a: &[f32], b: &[f32]) -> f32 {
        let mut sums = [0.0; 16];
        let (a_chunks, b_chunks) = (a.chunks_exact(16), b.chunks_exact(16));
        let rest = a_chunks.remainder().iter().zip(b_chunks.remainder());
        let rest: f32 = rest.map(|(a, b)| a * b).sum();
        for (a, b) in a_chunks.zip(b_chunks) {
            for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
                *sum += a * b;
            }
        }
        let sums: [f32; 8] = std::array::from_fn(|lane| sums[lane] + sums[lane + 8]);
        let sums: [f32; 4] = std::array::from_fn(|lane| sums[lane] + sums[lane + 4]);
        rest + (sums[0] + sums[2]) + (sums[1] + sums[3])
    }

    #[inline(always)]
    fn softmax(scores: &mut [f32]) {
        let highest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut total = 0.0;
        for score in &mut *scores {
            *score = (*score - highest).exp();
            total += *score;
        }
        for score in scores {
            *score /= total;
        }
    }

    /// Factors that dropout gives to weights, one after the other.
    struct Scales {
        seed: u64,
        first: usize,
        /// Draws below it are dropped.
        limit: u32,
        scale: f32,
    }

    impl Scales {
        #[inline(always)]
        fn of(&self, slot: usize) -> f32 {
            if self.limit > 0 && draw(self.seed, self.first + slot) < self.limit {
                0.0
            } else {
                self.scale
            }
        }
    }

    /// A value of the whole range for every seed and index (SplitMix64).
    #[inline(always)]
    fn draw(seed: u64, index: usize) -> u32 {
        let mut z = seed.wrapping_add((index as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 32) as u32
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;
    use crate::agreement::assert_agree;
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
        let normal =
            |dims: [usize; 2]| Tensor::<2>::random(dims, Distribution::Normal(0.0, 1.0), &device);
        let (keys, values) = (normal([50, 36]), normal([50, 36]));
        let by_column = laid_by_column(keys.clone());
        assert_eq!(by_column.to_data(), keys.to_data());
        // Few queries, and more than are scored without packing, on one thread and on several.
        for positions in [1, 5, 90] {
            let queries = normal([positions, 36]);
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
        let queries = Tensor::<2>::random([400, 8], Distribution::Normal(0.0, 1.0), &device);
        let keys = Tensor::<2>::random([20, 8], Distribution::Normal(0.0, 1.0), &device);
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
