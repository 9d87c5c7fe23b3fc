#![doc = include_str!("../README.md")]

pub mod config;
mod context;
mod evidence;
pub mod laws;
pub mod seeded;
mod study_batch;
mod token_batch;
mod views;

use burn::module::{Module, ModuleDisplay};
use burn::tensor::{Device, Int, Tensor, TensorData};

pub use context::{ContextBatch, PriorFilms, PriorStudy, Projection};
pub use evidence::{MemoryEvidence, ReportEvidence};
pub use study_batch::StudyBatch;
pub use token_batch::TokenBatch;
pub use views::ViewMask;

/// Token id of BOS, EOS and PAD; words are `1..vocabulary`.
pub const BOUNDARY_TOKEN: u32 = 0;

/// An encoded batch of studies: the decoder's context, and one feature per study for alignment.
#[derive(Debug, Clone)]
pub struct EncodedStudies<Context> {
    /// Input of [`ReportGenerator::hidden_states`]; opaque to the plug-in.
    pub context: Context,
    /// Pooled image feature, `[batch, pooled_width]`.
    pub pooled: Tensor<2>,
}

/// Result of a teacher-forced pass over a batch of reports.
#[derive(Debug, Clone)]
pub struct ForcedReports {
    /// As [`ReportGenerator::hidden_states`] returns them, `[batch, length, hidden_width]`.
    pub hidden: Tensor<3>,
    /// Penalty that the generator adds to the language loss, `[1]`, already weighted.
    pub penalty: Option<Tensor<1>>,
}

/// A report generator that can be trained by teacher forcing.
///
/// The forward pass is `log_probs(hidden_states(encode(studies).context, reports))`. It is cut in
/// three so that the plug-in gets hidden states of negative reports without their log-probabilities.
///
/// [`laws::check`] tests an implementation.
pub trait ReportGenerator {
    /// Encoded studies, the input of the decoder: patch features and, for example, their mask.
    type Context: Clone;

    /// Encodes a batch of studies. A generator that takes several views excludes the views that are
    /// missing in [`StudyBatch::present`] from batch statistics, attention and pooling. One that reads
    /// [`StudyBatch::context`] masks what a study lacks of it; one that does not ignores it.
    fn encode(&self, studies: StudyBatch) -> EncodedStudies<Self::Context>;

    /// Encodes two batches of the same number of studies; equal to [`encode`](Self::encode) of each in
    /// turn, batch statistics included. Override it if one pass over both is faster.
    fn encode_both(&self, batches: [StudyBatch; 2]) -> [EncodedStudies<Self::Context>; 2] {
        batches.map(|studies| self.encode(studies))
    }

    /// [`EncodedStudies::pooled`] of [`encode`](Self::encode). Override it if the context costs more
    /// than the pooled feature.
    fn pooled(&self, studies: StudyBatch) -> Tensor<2> {
        self.encode(studies).pooled
    }

    /// A context of `batch` equal rows without image content: its hidden states depend on the report
    /// alone.
    fn imageless_context(&self, batch: usize) -> Self::Context;

    /// Hidden states of teacher-forced reports, `[batch, length, hidden_width]`.
    fn hidden_states(&self, context: &Self::Context, reports: &TokenBatch) -> Tensor<3>;

    /// [`hidden_states`](Self::hidden_states) of the reports to be learnt, and the generator's penalty
    /// on them. Override it if there is one, such as doubly stochastic attention.
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

/// A report generator that can decode token by token.
///
/// A *row* is a partial report. Search starts with one row per study; it repeats, permutes and drops
/// rows. It may run on another thread than the caller, hence `Sync` and `Send`.
pub trait StepDecoder: Sync {
    /// Everything that a step needs of the studies and of earlier steps, row by row.
    type State: Clone + Send;

    /// Encodes `studies`; the state has one row per study, without tokens.
    fn start(&self, studies: StudyBatch) -> Self::State;

    /// Feeds one token to each row, in order, and returns the log-probabilities of the next word,
    /// `[rows, vocabulary]`.
    ///
    /// # Panics
    ///
    /// If `tokens` does not hold one token per row of `state`.
    fn step(&self, tokens: &[u32], state: &mut Self::State) -> Tensor<2>;

    /// The state whose row `i` is row `rows[i]` of `state`; `rows` may be longer or shorter than
    /// `state`.
    fn reorder(&self, state: Self::State, rows: &[usize]) -> Self::State;

    /// Cross-attention and memory rows of finished reports. Computes them in a separate
    /// teacher-forced pass on a device without autodiff, so generation costs nothing more. Returns
    /// `None` unless overridden; run pages then show no attention.
    fn explain(&self, studies: StudyBatch, reports: &TokenBatch) -> Option<ReportEvidence> {
        let _ = (studies, reports);
        None
    }
}

/// A generator that can be trained and searched: every Burn module that implements both traits.
///
/// Parameters below a field named `backbone` are trained at the backbone's learning rate.
pub trait TrainableGenerator: Module + ModuleDisplay + ReportGenerator + StepDecoder {}

impl<G: Module + ModuleDisplay + ReportGenerator + StepDecoder> TrainableGenerator for G {}

/// Tokens of [`StepDecoder::step`], one per row, as input of an embedding, `[rows, 1]`.
pub fn token_column(tokens: &[u32], device: &Device) -> Tensor<2, Int> {
    let ids: Vec<i64> = tokens.iter().map(|&token| i64::from(token)).collect();
    Tensor::from_data(TensorData::new(ids, [tokens.len(), 1]), device)
}

/// Row indices of [`StepDecoder::reorder`] as input of `Tensor::select`, `[rows]`.
pub fn row_indices(rows: &[usize], device: &Device) -> Tensor<1, Int> {
    let indices: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
    Tensor::from_data(TensorData::new(indices, [rows.len()]), device)
}
