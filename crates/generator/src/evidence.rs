use burn::tensor::{Int, Tensor};

/// Cross-attention weights and memory rows for every token of a batch of reports.
///
/// Position `i` belongs to the token predicted from the `i`-th input: position 0, whose input is BOS, to
/// the first word.
#[derive(Debug, Clone)]
pub struct ReportEvidence {
    /// Cross-attention weights of every layer, first to last, each
    /// `[batch, heads, length, views · patches]`. They sum to 1 over the patches and are 0 at a missing
    /// view's; patches run row by row of the map, view by view. Of a study with
    /// [context](crate::StudyBatch::context) they sum to less: the rest is attention to that.
    pub attention: Vec<Tensor<4>>,
    /// Of the rest, weights at the films of the previous study, for as many layers, each
    /// `[batch, heads, length, films · patches]` with the most films that a study of the batch has; 0 at a missing film.
    /// Empty if no study has a previous film that is read.
    pub prior: Vec<Tensor<4>>,
    /// Memory rows of each input token, if the generator has a memory.
    pub memory: Option<MemoryEvidence>,
}

/// Memory rows that input tokens attended to, and their attention weights.
#[derive(Debug, Clone)]
pub struct MemoryEvidence {
    /// Indices into the memory matrix, `[batch, heads, length, kept]`.
    pub rows: Tensor<4, Int>,
    /// Weights of these rows, `[batch, heads, length, kept]`; they sum to 1 over the kept rows.
    pub weights: Tensor<4>,
}
