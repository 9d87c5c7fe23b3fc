use burn::tensor::{Int, Tensor};

/// What stands behind the words of reports.
///
/// Position `i` belongs to the token that comes after the `i`-th fed: with 0 fed first, row 0 is
/// that of the first word.
#[derive(Debug, Clone)]
pub struct ReportEvidence {
    /// Attention to patches of every layer, first to last, each
    /// `[batch, heads, length, views · patches]`; a row sums to 1, patches run line by line.
    pub attention: Vec<Tensor<4>>,
    /// Memory rows that each fed token looked up, if the generator has a memory.
    pub memory: Option<MemoryEvidence>,
}

/// Memory rows that tokens looked up, and how much each counted.
#[derive(Debug, Clone)]
pub struct MemoryEvidence {
    /// Indices into the memory matrix, `[batch, heads, length, kept]`.
    pub rows: Tensor<4, Int>,
    /// Weights of these rows, `[batch, heads, length, kept]`; they sum to 1 over the kept rows.
    pub weights: Tensor<4>,
}
