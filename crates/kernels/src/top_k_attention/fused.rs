use std::sync::Arc;

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use rayon::prelude::*;

use super::loops::{HeadGradients, Respond};
use super::{Tensor, TopKAttention};
use crate::buffers::{Scratch, made_in_chunks};
use crate::cpu::{Contiguous, dims, tensor, vectorised};
use crate::few_rows::{AddProduct, FEW};
use crate::gemm::{Matrix, Target, Threads, multiply};

/// Dropout probability and seed.
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

/// Inputs of a forward pass.
#[derive(Debug, Clone)]
pub(super) struct Pass {
    pub(super) queries: FlexTensor,
    pub(super) keys: FlexTensor,
    pub(super) values: FlexTensor,
    pub(super) attention: TopKAttention,
    pub(super) dropout: Dropout,
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
pub(super) struct Kept {
    pub(super) rows: Arc<Vec<u32>>,
    pub(super) weights: Arc<Vec<f32>>,
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
                                Matrix::strided(&keys[column..], [rows, d_head], width).transposed()
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
                            multiply(queries, keys, scores, rows, Target::Replace, Threads::One);
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
