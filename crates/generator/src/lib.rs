//! The two traits at which everything meets.
//!
//! [`ReportGenerator`] is what *training* needs of a report generator: a teacher-forced pass, cut
//! into three so that the hidden states of a negative report can be had without its logits.
//! [`StepDecoder`] is what *search* needs: start, step, reorder. Losses, hard negatives, the
//! training loop, evaluation and checkpoints work for any type that implements them.
//!
//! Token 0 is beginning, end and padding at once; words are `1..vocabulary`.

mod evidence;

use burn::tensor::{Device, Int, Tensor, TensorData};

pub use evidence::{MemoryEvidence, ReportEvidence};

/// The token that begins a report, ends it and pads it.
pub const BOUNDARY_TOKEN: u32 = 0;

/// An image as a generator sees it: what its decoder attends to, and one vector for alignment.
#[derive(Debug, Clone)]
pub struct EncodedImages<Context> {
    /// What [`ReportGenerator::hidden_states`] attends to; opaque to the plug-in.
    pub context: Context,
    /// Pooled image feature, `[batch, pooled_width]`.
    pub pooled: Tensor<2>,
}

/// A teacher-forced pass over a batch of reports.
#[derive(Debug, Clone)]
pub struct ForcedReports {
    /// As [`ReportGenerator::hidden_states`] returns them, `[batch, tokens, hidden_width]`.
    pub hidden: Tensor<3>,
    /// What the generator itself adds to its language loss, `[1]`, already weighted.
    pub penalty: Option<Tensor<1>>,
}

/// A report generator that can be trained by teacher forcing.
///
/// The whole pass is `log_probs(hidden_states(encode(images).context, tokens))`.
pub trait ReportGenerator {
    /// What the decoder attends to: encoded patches, with whatever the generator keeps beside them.
    type Context: Clone;

    /// Encodes a batch of studies. `images` is `[batch, views, 3, height, width]`, normalised as
    /// the backbone expects.
    fn encode(&self, images: Tensor<5>) -> EncodedImages<Self::Context>;

    /// Encodes two batches of as many studies, as [`encode`](Self::encode) does one after the other:
    /// neither sees the other, nor does its batch norm. To be overridden where both together cost less,
    /// as a backbone that takes them in one pass does.
    fn encode_both(&self, images: [Tensor<5>; 2]) -> [EncodedImages<Self::Context>; 2] {
        images.map(|images| self.encode(images))
    }

    /// The pooled image features of [`encode`](Self::encode) alone. To be overridden where the
    /// context costs something.
    fn pooled(&self, images: Tensor<5>) -> Tensor<2> {
        self.encode(images).pooled
    }

    /// A context of `batch` rows that tells nothing of any image, the same for every row: hidden
    /// states in it depend on the report alone.
    fn imageless_context(&self, batch: usize) -> Self::Context;

    /// Hidden states of teacher-forced reports, `[batch, tokens, hidden_width]`.
    ///
    /// `tokens` is `[batch, tokens]`: position 0 holds [`BOUNDARY_TOKEN`], later zeros are padding.
    fn hidden_states(&self, context: &Self::Context, tokens: Tensor<2, Int>) -> Tensor<3>;

    /// [`hidden_states`](Self::hidden_states) of the reports to be learnt, with the generator's own
    /// penalty on them, such as doubly stochastic attention. To be overridden where there is one.
    fn force(&self, context: &Self::Context, tokens: Tensor<2, Int>) -> ForcedReports {
        ForcedReports {
            hidden: self.hidden_states(context, tokens),
            penalty: None,
        }
    }

    /// Log-probabilities of the next word, `[batch, tokens, vocabulary]`, from hidden states
    /// `[batch, tokens, hidden_width]`.
    fn log_probs(&self, hidden: Tensor<3>) -> Tensor<3>;

    /// Width of [`EncodedImages::pooled`].
    fn pooled_width(&self) -> usize;

    /// Width of the hidden states.
    fn hidden_width(&self) -> usize;
}

/// A report generator that can write word by word.
///
/// A *row* is one report in the making. Search starts with one row per study and reorders rows as
/// its beams do: rows may be repeated, permuted or dropped. It may do so on another thread than the
/// one that asked for it, hence `Sync` and `Send`.
pub trait StepDecoder: Sync {
    /// Everything that a step needs of the steps before it, row by row.
    type State: Clone + Send;

    /// Encodes `images` (`[batch, views, 3, height, width]`) and returns the state of `batch` rows
    /// that have no word yet.
    fn start(&self, images: Tensor<5>) -> Self::State;

    /// Feeds one token to each row, in order, and returns the log-probabilities of the next word,
    /// `[rows, vocabulary]`.
    ///
    /// # Panics
    ///
    /// If `tokens` does not hold one token per row of `state`.
    fn step(&self, tokens: &[u32], state: &mut Self::State) -> Tensor<2>;

    /// The state whose row `i` is row `rows[i]` of `state`; `rows` may be longer or shorter than
    /// the present rows.
    fn reorder(&self, state: Self::State, rows: &[usize]) -> Self::State;

    /// What stands behind the words of finished reports, however they were found, in a pass of its
    /// own on a device without autodiff: writing costs nothing more. `None` unless overridden:
    /// pages then say that the generator shows nothing.
    ///
    /// # Shapes
    ///
    /// - images: `[batch, views, 3, height, width]`
    /// - tokens: `[batch, length]`: 0, the words, padding
    fn explain(&self, images: Tensor<5>, tokens: Tensor<2, Int>) -> Option<ReportEvidence> {
        let _ = (images, tokens);
        None
    }
}

/// One token per row as [`StepDecoder::step`] gets them, `[rows, 1]`, for an embedding.
pub fn token_column(tokens: &[u32], device: &Device) -> Tensor<2, Int> {
    let ids: Vec<i64> = tokens.iter().map(|&token| i64::from(token)).collect();
    Tensor::from_data(TensorData::new(ids, [tokens.len(), 1]), device)
}

/// Rows as [`StepDecoder::reorder`] gets them, `[rows]`, for `Tensor::select`.
pub fn row_indices(rows: &[usize], device: &Device) -> Tensor<1, Int> {
    let indices: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
    Tensor::from_data(TensorData::new(indices, [rows.len()]), device)
}
