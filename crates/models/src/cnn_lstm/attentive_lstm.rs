use burn::config::Config;
use burn::module::{Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::{sigmoid, softmax};
use burn::tensor::{Device, Int, Tensor, assert_shape};
use ithn_decoder::PatchFeatures;
use ithn_generator::config::{ConfigError, LARGEST_WIDTH, NonNegative, Probability, check_count};
use serde::{Deserialize, Serialize};

/// Energy of a masked patch.
const MASKED_ENERGY: f64 = -1e9;

/// Sizes of a [`CnnLstm`](super::CnnLstm)'s language side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct AttentiveLstmConfig {
    /// Width of word embeddings and of the deep output before the vocabulary, at most 65,536 (512 as
    /// published).
    pub embedding_width: usize,
    /// Width of the LSTM's state, at most 65,536.
    pub hidden_width: usize,
    /// Width of the hidden layer of the attention, at most 65,536.
    pub attention_width: usize,
    /// Whether a gate `β` scales the context vector, as published.
    pub gated: bool,
    /// Weight of the doubly stochastic penalty `mean_i (1 − Σ_t α_ti)²` in the loss; 0
    /// switches it off. The paper sums over patches; a mean does not grow with the image.
    pub doubly_stochastic: NonNegative,
    /// Dropout before the logits.
    pub dropout: Probability,
}

impl Config for AttentiveLstmConfig {}

/// Soft attention and an LSTM (Xu et al., ICML 2015, §3.1 and §4.2).
///
/// For annotation vectors `a_i` and the state `h` before a word `y`:
///
/// ```text
/// e_i = w · tanh(W_a a_i + W_h h),   α = softmax(e)
/// ẑ = β Σ_i α_i a_i,                 β = σ(f_β(h))
/// i, f, o, g = W [y; ẑ; h] + b
/// c' = σ(f) ⊙ c + σ(i) ⊙ tanh(g),    h' = σ(o) ⊙ tanh(c')
/// ```
#[derive(Module, Debug)]
pub struct AttentiveLstm {
    /// `W_a`.
    pub annotation_key: Linear,
    /// `W_h`.
    pub state_key: Linear,
    /// `w`.
    pub energy: Linear,
    /// `f_β`.
    pub gate: Option<Linear>,
    /// `W`, to input, forget, output and candidate, in that order.
    pub gates: Linear,
    /// Linear map of the mean annotation vector to the initial state `h`.
    pub first_hidden: Linear,
    /// Linear map of the mean annotation vector to the initial cell `c`.
    pub first_cell: Linear,
}

/// Annotation vectors, prepared for attention.
#[derive(Debug, Clone)]
pub struct AnnotationVectors {
    /// `a_i`, `[rows, patches, channels]`, and the mask of what is missing: patches of the films, then what the
    /// studies carry beside them.
    pub vectors: PatchFeatures,
    /// Patches of the films.
    films: usize,
    /// `W_a a_i`, computed once per image, `[rows, patches, attention_width]`.
    keys: Tensor<3>,
}

/// Decoding state of partial reports.
#[derive(Debug, Clone)]
pub struct AttentiveLstmState {
    annotations: AnnotationVectors,
    /// `[rows, hidden_width]`.
    hidden: Tensor<2>,
    /// `[rows, hidden_width]`.
    cell: Tensor<2>,
}

/// Result of one step.
pub(super) struct AttentiveStep {
    /// The new `h`, `[rows, hidden_width]`.
    pub(super) hidden: Tensor<2>,
    /// `ẑ`, `[rows, channels]`.
    pub(super) context: Tensor<2>,
    /// `α`, `[rows, patches]`.
    pub(super) weights: Tensor<2>,
}

impl AnnotationVectors {
    /// Says how many patches, the first, are those of the studies' own films.
    pub(super) fn of_films(mut self, films: usize) -> Self {
        self.films = films;
        self
    }

    /// Patches of the studies' own films.
    pub(super) fn films(&self) -> usize {
        self.films
    }

    /// The rows of the indices `rows`, in that order.
    fn select(self, rows: &Tensor<1, Int>) -> Self {
        AnnotationVectors {
            vectors: PatchFeatures {
                values: self.vectors.values.select(0, rows.clone()),
                mask: self.vectors.mask.map(|mask| mask.select(0, rows.clone())),
            },
            keys: self.keys.select(0, rows.clone()),
            films: self.films,
        }
    }
}

impl AttentiveLstmState {
    /// The state whose row `i` is row `rows[i]` of this one.
    pub(super) fn select(self, rows: &Tensor<1, Int>) -> Self {
        AttentiveLstmState {
            annotations: self.annotations.select(rows),
            hidden: self.hidden.select(0, rows.clone()),
            cell: self.cell.select(0, rows.clone()),
        }
    }
}

impl AttentiveLstmConfig {
    /// These widths, gated, with a doubly stochastic weight of 1 and dropout 0.5.
    pub fn new(embedding_width: usize, hidden_width: usize, attention_width: usize) -> Self {
        AttentiveLstmConfig {
            embedding_width,
            hidden_width,
            attention_width,
            gated: true,
            doubly_stochastic: NonNegative::literal(1.0),
            dropout: Probability::literal(0.5),
        }
    }

    /// Sets [`gated`](Self::gated).
    pub fn with_gated(mut self, gated: bool) -> Self {
        self.gated = gated;
        self
    }

    /// Sets [`doubly_stochastic`](Self::doubly_stochastic).
    ///
    /// # Panics
    ///
    /// If it is negative or not finite.
    pub fn with_doubly_stochastic(mut self, doubly_stochastic: f64) -> Self {
        self.doubly_stochastic = NonNegative::literal(doubly_stochastic);
        self
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

    /// Checks all widths.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming the key, such as `hidden_width`.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check_count("embedding_width", self.embedding_width, LARGEST_WIDTH)?;
        check_count("hidden_width", self.hidden_width, LARGEST_WIDTH)?;
        check_count("attention_width", self.attention_width, LARGEST_WIDTH)
    }

    /// Creates the module for annotation vectors of `channels` channels; the forget gate's bias
    /// is 1.
    pub fn init(&self, channels: usize, device: &Device) -> AttentiveLstm {
        let linear = |from, to| LinearConfig::new(from, to).init(device);
        let hidden = self.hidden_width;
        let mut gates: Linear = linear(self.embedding_width + channels + hidden, 4 * hidden);
        let bias = Tensor::zeros([4 * hidden], device).slice_fill(hidden..2 * hidden, 1.0);
        gates.bias = Some(Param::from_tensor(bias));
        AttentiveLstm {
            annotation_key: LinearConfig::new(channels, self.attention_width)
                .with_bias(false)
                .init(device),
            state_key: linear(hidden, self.attention_width),
            energy: LinearConfig::new(self.attention_width, 1)
                .with_bias(false)
                .init(device),
            gate: self.gated.then(|| linear(hidden, 1)),
            gates,
            first_hidden: linear(channels, hidden),
            first_cell: linear(channels, hidden),
        }
    }
}

impl AttentiveLstm {
    /// Prepares patch features, `[rows, patches, channels]`, for attention.
    pub fn annotate(&self, vectors: impl Into<PatchFeatures>) -> AnnotationVectors {
        let vectors = vectors.into();
        AnnotationVectors {
            films: vectors.values.dims()[1],
            keys: self.annotation_key.forward(vectors.values.clone()),
            vectors,
        }
    }

    /// The state before the first word: `h` and `c` from the mean of the unmasked annotation vectors.
    pub fn start(&self, annotations: AnnotationVectors) -> AttentiveLstmState {
        let mean = annotations.vectors.mean();
        AttentiveLstmState {
            hidden: self.first_hidden.forward(mean.clone()).tanh(),
            cell: self.first_cell.forward(mean).tanh(),
            annotations,
        }
    }

    /// Attends with the state, then updates it with a word, `[rows, embedding_width]`.
    pub(super) fn step(&self, word: Tensor<2>, state: &mut AttentiveLstmState) -> AttentiveStep {
        let [rows, _] = word.dims();
        assert_shape!(state.hidden, [rows, _]);
        let (context, weights) = self.attend(state);
        let input = Tensor::cat(vec![word, context.clone(), state.hidden.clone()], 1);
        let mut gates = self.gates.forward(input).chunk(4, 1).into_iter();
        let mut next = || gates.next().expect("four gates");
        let (input, forget, output, candidate) = (next(), next(), next(), next());
        state.cell = sigmoid(forget) * state.cell.clone() + sigmoid(input) * candidate.tanh();
        state.hidden = sigmoid(output) * state.cell.clone().tanh();
        AttentiveStep {
            hidden: state.hidden.clone(),
            context,
            weights,
        }
    }

    /// `ẑ`, `[rows, channels]`, and `α`, `[rows, patches]`, 0 at masked patches.
    fn attend(&self, state: &AttentiveLstmState) -> (Tensor<2>, Tensor<2>) {
        let annotations = &state.annotations;
        let query = self.state_key.forward(state.hidden.clone());
        let energies = self
            .energy
            .forward((annotations.keys.clone() + query.unsqueeze_dim(1)).tanh());
        let energies = energies.squeeze_dim::<2>(2);
        let energies = match &annotations.vectors.mask {
            Some(mask) => energies.mask_fill(mask.clone(), MASKED_ENERGY),
            None => energies,
        };
        let weights = softmax(energies, 1);
        let context: Tensor<2> = weights
            .clone()
            .unsqueeze_dim::<3>(1)
            .matmul(annotations.vectors.values.clone())
            .squeeze_dim(1);
        let context = match &self.gate {
            Some(gate) => context * sigmoid(gate.forward(state.hidden.clone())),
            None => context,
        };
        (context, weights)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Tolerance;

    use ithn_generator::seeded::{seeded, values};

    fn lstm(gated: bool, device: &Device) -> (AttentiveLstm, AttentiveLstmState) {
        let config = AttentiveLstmConfig::new(6, 5, 4).with_gated(gated);
        let lstm = seeded(config.init(3, device), 1);
        let vectors: Tensor<3> = values([2, 7, 3], 2, device);
        let state = lstm.start(lstm.annotate(vectors));
        (lstm, state)
    }

    #[test]
    fn attention_is_a_distribution_over_patches() {
        let device = Device::default();
        let (lstm, mut state) = lstm(true, &device);
        let step = lstm.step(Tensor::ones([2, 6], &device), &mut state);
        assert_eq!(step.weights.dims(), [2, 7]);
        step.weights
            .sum_dim(1)
            .into_data()
            .assert_approx_eq::<f32>(&[[1.0], [1.0]].into(), Tolerance::absolute(1e-6));
    }

    #[test]
    fn without_a_gate_the_context_of_one_patch_is_the_patch() {
        let device = Device::default();
        let (lstm, _) = lstm(false, &device);
        let only: Tensor<3> = values([2, 1, 3], 3, &device);
        let mut state = lstm.start(lstm.annotate(only.clone()));
        let step = lstm.step(Tensor::zeros([2, 6], &device), &mut state);
        step.context.into_data().assert_approx_eq::<f32>(
            &only.squeeze_dim::<2>(1).into_data(),
            Tolerance::absolute(1e-6),
        );
    }

    #[test]
    fn a_closed_gate_zeroes_the_context() {
        let device = Device::default();
        let (mut lstm, mut state) = lstm(true, &device);
        let gate = lstm.gate.as_mut().expect("it is gated");
        gate.bias = Some(Param::from_tensor(Tensor::full([1], -100.0, &device)));
        let step = lstm.step(Tensor::ones([2, 6], &device), &mut state);
        let largest: f32 = step.context.abs().max().into_scalar();
        assert!(largest < 1e-6, "{largest}");
    }

    #[test]
    fn the_forget_gate_starts_open() {
        let device = Device::default();
        let lstm = AttentiveLstmConfig::new(6, 5, 4).init(3, &device);
        let bias = lstm.gates.bias.expect("it has one").val();
        let forget: Vec<f32> = bias.narrow(0, 5, 5).into_data().iter().collect();
        assert_eq!(forget, [1.0; 5]);
    }
}
