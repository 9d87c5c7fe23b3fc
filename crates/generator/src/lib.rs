//! The two traits at which everything meets.
//!
//! [`ReportGenerator`] is what *training* needs of a report generator: a teacher-forced pass, cut
//! into three so that the hidden states of a negative report can be had without its logits.
//! [`StepDecoder`] is what *search* needs: start, step, reorder. Losses, hard negatives, the
//! training loop, evaluation and checkpoints work for any type that implements them.
//!
//! Token 0 is beginning, end and padding at once; words are `1..vocabulary`.

mod batch;
pub mod config;
mod evidence;

use burn::module::{Module, ModuleDisplay};
use burn::tensor::{Device, Int, Tensor, TensorData};

pub use batch::{StudyBatch, TokenBatch, ViewMask};
pub use evidence::{MemoryEvidence, ReportEvidence};

/// The token that begins a report, ends it and pads it.
pub const BOUNDARY_TOKEN: u32 = 0;

/// Studies as a generator sees them: what its decoder attends to, and one vector for alignment.
#[derive(Debug, Clone)]
pub struct EncodedStudies<Context> {
    /// What [`ReportGenerator::hidden_states`] attends to; opaque to the plug-in.
    pub context: Context,
    /// Pooled image feature, `[batch, pooled_width]`.
    pub pooled: Tensor<2>,
}

/// A teacher-forced pass over a batch of reports.
#[derive(Debug, Clone)]
pub struct ForcedReports {
    /// As [`ReportGenerator::hidden_states`] returns them, `[batch, length, hidden_width]`.
    pub hidden: Tensor<3>,
    /// What the generator itself adds to its language loss, `[1]`, already weighted.
    pub penalty: Option<Tensor<1>>,
}

/// A report generator that can be trained by teacher forcing.
///
/// The whole pass is `log_probs(hidden_states(encode(studies).context, reports))`.
pub trait ReportGenerator {
    /// What the decoder attends to: encoded patches, with whatever the generator keeps beside them.
    type Context: Clone;

    /// Encodes a batch of studies.
    fn encode(&self, studies: StudyBatch) -> EncodedStudies<Self::Context>;

    /// Encodes two batches of as many studies, as [`encode`](Self::encode) does one after the other:
    /// neither sees the other, nor does its batch norm. To be overridden where both together cost less,
    /// as a backbone that takes them in one pass does.
    fn encode_both(&self, batches: [StudyBatch; 2]) -> [EncodedStudies<Self::Context>; 2] {
        batches.map(|studies| self.encode(studies))
    }

    /// The pooled image features of [`encode`](Self::encode) alone. To be overridden where the
    /// context costs something.
    fn pooled(&self, studies: StudyBatch) -> Tensor<2> {
        self.encode(studies).pooled
    }

    /// A context of `batch` rows that tells nothing of any image, the same for every row: hidden
    /// states in it depend on the report alone.
    fn imageless_context(&self, batch: usize) -> Self::Context;

    /// Hidden states of teacher-forced reports, `[batch, length, hidden_width]`.
    fn hidden_states(&self, context: &Self::Context, reports: &TokenBatch) -> Tensor<3>;

    /// [`hidden_states`](Self::hidden_states) of the reports to be learnt, with the generator's own
    /// penalty on them, such as doubly stochastic attention. To be overridden where there is one.
    fn force(&self, context: &Self::Context, reports: &TokenBatch) -> ForcedReports {
        ForcedReports {
            hidden: self.hidden_states(context, reports),
            penalty: None,
        }
    }

    /// Log-probabilities of the next word, `[batch, length, vocabulary]`, from hidden states
    /// `[batch, length, hidden_width]`.
    fn log_probs(&self, hidden: Tensor<3>) -> Tensor<3>;

    /// Width of [`EncodedStudies::pooled`].
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

    /// Encodes `studies` and returns the state of as many rows, none of which has a word yet.
    fn start(&self, studies: StudyBatch) -> Self::State;

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
    fn explain(&self, studies: StudyBatch, reports: &TokenBatch) -> Option<ReportEvidence> {
        let _ = (studies, reports);
        None
    }
}

/// A generator that can be trained and searched: whatever implements both traits as a Burn module.
pub trait TrainableGenerator: Module + ModuleDisplay + ReportGenerator + StepDecoder {}

impl<G: Module + ModuleDisplay + ReportGenerator + StepDecoder> TrainableGenerator for G {}

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
