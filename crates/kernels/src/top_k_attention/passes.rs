//! Top-k attention on GPUs: Burn's operations, with a gradient that keeps the kept rows and their weights
//! alone. Nothing of size positions × rows outlives the forward pass.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::ops::{ActivationOps, FloatTensorOps};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Cube, Dispatch, TensorMetadata, backend_extension};
use burn::tensor::{Distribution, FloatDType, IndexingUpdateOp, IntDType, Shape};

use super::{Tensor, TopKAttention};

#[backend_extension(Cube, Autodiff)]
trait TopKPasses: Backend {
    fn attend(
        queries: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        values: FloatTensor<Self>,
        attention: Attention,
    ) -> FloatTensor<Self>;
}

/// What an attention does besides its tensors.
#[derive(Debug, Clone, Copy)]
struct Attention {
    heads: usize,
    top_k: usize,
    /// Dropout probability in training.
    dropout: Option<f64>,
    /// Whether products round their factors to bfloat16.
    rounds: bool,
}

pub(super) fn forward(
    attention: TopKAttention,
    [queries, keys, values]: [Tensor<2>; 3],
    dropout: Option<f64>,
    rounds: bool,
) -> Tensor<2> {
    let attention = Attention {
        heads: attention.heads,
        top_k: attention.top_k,
        dropout,
        rounds,
    };
    Tensor::from_dispatch(Dispatch::attend(
        queries.into_dispatch(),
        keys.into_dispatch(),
        values.into_dispatch(),
        attention,
    ))
}

impl TopKPasses for Cube {
    fn attend(
        queries: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        values: FloatTensor<Self>,
        attention: Attention,
    ) -> FloatTensor<Self> {
        attention.run([queries, keys, values]).0
    }
}

impl<C: CheckpointStrategy> TopKPasses for Autodiff<Cube, C> {
    fn attend(
        queries: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        values: FloatTensor<Self>,
        attention: Attention,
    ) -> FloatTensor<Self> {
        let ((queries, queries_node), (keys, keys_node), (values, values_node)) =
            (queries.into_parts(), keys.into_parts(), values.into_parts());
        let (output, pass) = attention.run([queries, keys, values]);
        match Gradient
            .prepare::<C>([queries_node, keys_node, values_node])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => prep.finish(pass, output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }
}

/// What the backward pass needs; `[heads, .., ..]` throughout.
#[derive(Debug, Clone)]
struct Pass {
    attention: Attention,
    /// `[heads, positions, d_head]`.
    queries: FloatTensor<Cube>,
    /// `[heads, rows, d_head]`.
    keys: FloatTensor<Cube>,
    /// `[heads, rows, d_head]`.
    values: FloatTensor<Cube>,
    /// `[heads, positions, top_k]`.
    kept: IntTensor<Cube>,
    /// Softmax over the kept rows, `[heads, positions, top_k]`.
    weights: FloatTensor<Cube>,
    /// Factors of dropout, likewise.
    factors: Option<FloatTensor<Cube>>,
}

impl Attention {
    /// Output `[positions, d_model]` of queries `[positions, d_model]` and keys and values
    /// `[rows, d_model]`.
    fn run(self, parts: [FloatTensor<Cube>; 3]) -> (FloatTensor<Cube>, Pass) {
        let [queries, keys, values] = parts.map(|part| self.split(part));
        let scores = self.product(queries.clone(), Cube::float_swap_dims(keys.clone(), 1, 2));
        let kept = Cube::float_argtopk(scores.clone(), 2, self.top_k, IntDType::I32);
        let best = Cube::float_gather(2, scores, kept.clone());
        let weights = Cube::softmax(best, 2);
        let factors = self.dropout.map(|probability| {
            let keeps = Distribution::Bernoulli(1.0 - probability);
            let (shape, device) = (weights.shape(), weights.device());
            let keeps = Cube::float_random(shape, keeps, &device, FloatDType::F32);
            Cube::float_div_scalar(keeps, (1.0 - probability).into())
        });
        let pass = Pass {
            attention: self,
            queries,
            keys,
            values,
            kept,
            weights,
            factors,
        };
        let output = self.product(pass.dense(pass.dropped()), pass.values.clone());
        (join(output), pass)
    }

    /// `[length, d_model]` to `[heads, length, d_head]`.
    fn split(self, joined: FloatTensor<Cube>) -> FloatTensor<Cube> {
        let [length, d_model] = joined.shape().dims();
        let shape = Shape::from([length, self.heads, d_model / self.heads]);
        Cube::float_swap_dims(Cube::float_reshape(joined, shape), 0, 1)
    }

    fn product(self, left: FloatTensor<Cube>, right: FloatTensor<Cube>) -> FloatTensor<Cube> {
        if !self.rounds {
            return Cube::float_matmul(left, right);
        }
        let [left, right] = [left, right].map(|x| Cube::float_cast(x, FloatDType::BF16));
        Cube::float_cast(Cube::float_matmul(left, right), FloatDType::F32)
    }
}

/// `[heads, length, d_head]` to `[length, d_model]`.
fn join(split: FloatTensor<Cube>) -> FloatTensor<Cube> {
    let [heads, length, width] = split.shape().dims();
    let joined = Cube::float_swap_dims(split, 0, 1);
    Cube::float_reshape(joined, Shape::from([length, heads * width]))
}

impl Pass {
    /// The weights as dropout left them.
    fn dropped(&self) -> FloatTensor<Cube> {
        match &self.factors {
            Some(factors) => Cube::float_mul(self.weights.clone(), factors.clone()),
            None => self.weights.clone(),
        }
    }

    /// Numbers of kept rows among zeros for all others, `[heads, positions, rows]`: sums over kept rows
    /// become matrix products.
    fn dense(&self, of_kept: FloatTensor<Cube>) -> FloatTensor<Cube> {
        let [heads, positions, _] = self.queries.shape().dims();
        let [_, rows, _] = self.keys.shape().dims();
        let shape = Shape::from([heads, positions, rows]);
        let zeros = Cube::float_zeros(shape, &of_kept.device(), FloatDType::F32);
        Cube::float_scatter(2, zeros, self.kept.clone(), of_kept, IndexingUpdateOp::Add)
    }

    /// Gradients of queries, keys and values.
    fn gradients(self, gradient: FloatTensor<Cube>) -> [FloatTensor<Cube>; 3] {
        let attention = self.attention;
        let transposed = |x: FloatTensor<Cube>| Cube::float_swap_dims(x, 1, 2);
        let gradient = attention.split(gradient);
        let dense = self.dense(self.dropped());
        let values = attention.product(transposed(dense), gradient.clone());
        let of_all = attention.product(gradient, transposed(self.values.clone()));
        let of_kept = Cube::float_gather(2, of_all, self.kept.clone());
        let of_weights = match &self.factors {
            Some(factors) => Cube::float_mul(of_kept, factors.clone()),
            None => of_kept,
        };
        // The softmax's: ∂s = w (∂w − Σ w ∂w).
        let along = Cube::float_mul(self.weights.clone(), of_weights.clone());
        let mean = Cube::float_sum_dim(along, 2);
        let of_scores = Cube::float_mul(self.weights.clone(), Cube::float_sub(of_weights, mean));
        let dense = self.dense(of_scores);
        let queries = attention.product(dense.clone(), self.keys.clone());
        let keys = attention.product(transposed(dense), self.queries.clone());
        [queries, keys, values].map(join)
    }
}

#[derive(Debug)]
struct Gradient;

impl Backward<Cube, 3> for Gradient {
    type State = Pass;

    fn backward(
        self,
        ops: Ops<Pass, 3>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let gradient = gradients.consume::<Cube>(&ops.node);
        let found = ops.state.gradients(gradient);
        for (parent, gradient) in ops.parents.into_iter().zip(found) {
            if let Some(node) = parent {
                gradients.register::<Cube>(node.id, gradient);
            }
        }
    }
}
