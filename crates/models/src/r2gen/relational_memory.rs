use burn::config::Config;
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::activation::{relu, sigmoid};
use burn::tensor::{Device, Tensor, assert_shape};
use ithn_decoder::{MultiHeadAttention, MultiHeadAttentionConfig, xavier_linear};
use ithn_generator::config::{ConfigError, MOST_LAYERS, Probability, check_count, check_heads};
use ithn_kernels::linear;
use serde::{Deserialize, Serialize};

/// Configuration of a [`RelationalMemory`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RelationalMemoryConfig {
    /// Width of a slot and of the words, at most 65,536 (512 as published).
    pub d_model: usize,
    /// Attention heads; must divide `d_model` (8 as published).
    pub heads: usize,
    /// Slots, 1 to 1,000 (3 as published).
    pub slots: usize,
    /// Dropout on attention weights.
    pub dropout: Probability,
}

impl Config for RelationalMemoryConfig {}

/// A matrix of slots that every token updates, a memory of the report so far (R2Gen, §3.2).
///
/// For a word `y` and slots `M`: queries are `M`, keys and values `[M; y]`;
///
/// ```text
/// Z  = attention(M, [M; y]) + M
/// M̃  = MLP(Z) + Z
/// G_i, G_f = y W + tanh(M) U            input and forget gate, per slot
/// M' = σ(G_f) ⊙ M + σ(G_i) ⊙ tanh(M̃)
/// ```
#[derive(Module, Debug)]
pub struct RelationalMemory {
    /// Slots attending to slots and word.
    pub attention: MultiHeadAttention,
    /// First layer of the MLP.
    pub inner: Linear,
    /// Second layer of the MLP.
    pub outer: Linear,
    /// The word's part of both gates, `d_model` to `2 · d_model`.
    pub word_gates: Linear,
    /// The slots' part of both gates, `d_model` to `2 · d_model`.
    pub slot_gates: Linear,
    slots: usize,
}

impl RelationalMemoryConfig {
    /// These sizes, with 3 slots and dropout 0.1.
    pub fn new(d_model: usize, heads: usize) -> Self {
        RelationalMemoryConfig {
            d_model,
            heads,
            slots: 3,
            dropout: Probability::literal(0.1),
        }
    }

    /// Sets [`slots`](Self::slots).
    pub fn with_slots(mut self, slots: usize) -> Self {
        self.slots = slots;
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

    /// Checks all sizes.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming the key, such as `slots`.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check_heads(self.d_model, self.heads)?;
        check_count("slots", self.slots, MOST_LAYERS)
    }

    /// Creates the module with Xavier-uniform weights.
    ///
    /// # Panics
    ///
    /// If `heads` does not divide `d_model`.
    pub fn init(&self, device: &Device) -> RelationalMemory {
        let width = self.d_model;
        RelationalMemory {
            attention: MultiHeadAttentionConfig::new(width, self.heads)
                .with_dropout(self.dropout.get())
                .init(device),
            inner: xavier_linear(width, width, device),
            outer: xavier_linear(width, width, device),
            word_gates: xavier_linear(width, 2 * width, device),
            slot_gates: xavier_linear(width, 2 * width, device),
            slots: self.slots,
        }
    }
}

impl RelationalMemory {
    /// Slots before the first word, `[batch, slots, d_model]`: row `i` is the `i`-th unit vector,
    /// so that slots differ from the start.
    pub fn start(&self, batch: usize, device: &Device) -> Tensor<3> {
        let width = self.inner.weight.dims()[0];
        let shared = self.slots.min(width);
        let mut slots = Tensor::zeros([self.slots, width], device);
        slots = slots.slice_assign([0..shared, 0..shared], Tensor::eye(shared, device));
        slots.unsqueeze::<3>().expand([batch, self.slots, width])
    }

    /// Slots after a word.
    ///
    /// # Shapes
    ///
    /// - word: `[batch, 1, d_model]`
    /// - slots and output: `[batch, slots, d_model]`
    pub fn step(&self, word: Tensor<3>, slots: Tensor<3>) -> Tensor<3> {
        let [batch, _, width] = word.dims();
        assert_shape!(slots, [batch, self.slots, width]);
        let attended = Tensor::cat(vec![slots.clone(), word.clone()], 1);
        let attended = self.attention.project(attended);
        let related = slots.clone() + self.attention.forward(slots.clone(), &attended, None);
        let changed =
            related.clone() + relu(linear(&self.outer, relu(linear(&self.inner, related))));

        let gates = linear(&self.word_gates, word) + linear(&self.slot_gates, slots.clone().tanh());
        let input = sigmoid(gates.clone().narrow(2, 0, width));
        let forget = sigmoid(gates.narrow(2, width, width));
        input * changed.tanh() + forget * slots
    }

    /// Slots after each of several words: those after all of them, and, joined per word, those after
    /// each.
    ///
    /// # Shapes
    ///
    /// - words: `[batch, length, d_model]`
    /// - slots: `[batch, slots, d_model]`
    /// - output: slots, and `[batch, length, slots · d_model]`
    pub fn forward(&self, words: Tensor<3>, slots: Tensor<3>) -> (Tensor<3>, Tensor<3>) {
        let [batch, length, width] = words.dims();
        let mut slots = slots;
        let mut history = Vec::with_capacity(length);
        for position in 0..length {
            slots = self.step(words.clone().narrow(1, position, 1), slots);
            history.push(slots.clone().reshape([batch, 1, self.slots * width]));
        }
        (slots, Tensor::cat(history, 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Tolerance;

    use ithn_generator::seeded::{seeded, values};

    #[test]
    fn one_word_at_a_time_equals_all_at_once() {
        let device = Device::default();
        let memory = seeded(RelationalMemoryConfig::new(8, 2).init(&device), 1);
        let words = values([2, 4, 8], 2, &device);
        let (last, history) = memory.forward(words.clone(), memory.start(2, &device));
        assert_eq!(history.dims(), [2, 4, 24]);
        let mut slots = memory.start(2, &device);
        for position in 0..4 {
            slots = memory.step(words.clone().narrow(1, position, 1), slots);
        }
        slots
            .into_data()
            .assert_approx_eq::<f32>(&last.into_data(), Tolerance::absolute(1e-6));
    }

    #[test]
    fn slots_start_apart_and_stay_bounded() {
        let device = Device::default();
        let memory = seeded(RelationalMemoryConfig::new(4, 2).init(&device), 1);
        let start = memory.start(1, &device);
        start.clone().into_data().assert_approx_eq::<f32>(
            &[[[1., 0., 0., 0.], [0., 1., 0., 0.], [0., 0., 1., 0.]]].into(),
            Tolerance::absolute(0.0),
        );
        // Each step adds less than 1 to what the forget gate keeps of a slot.
        let words = values([1, 20, 4], 2, &device) * 100.0;
        let (last, _) = memory.forward(words, start);
        let largest: f32 = last.abs().max().into_scalar();
        assert!(largest <= 21.0, "{largest}");
    }

    #[test]
    fn more_slots_than_channels_is_possible() {
        let device = Device::default();
        let memory = RelationalMemoryConfig::new(2, 1)
            .with_slots(3)
            .init(&device);
        assert_eq!(memory.start(2, &device).dims(), [2, 3, 2]);
    }
}
