use burn::tensor::{Int, Tensor};
use ithn_memory::MemoryLookup;

/// What stands behind the words of reports.
///
/// Position `i` belongs to the token that comes after the `i`-th fed: with 0 fed first, row 0 is
/// that of the first word.
#[derive(Debug, Clone)]
pub struct ReportEvidence {
    /// Cross-attention of every layer, first to last, each
    /// `[batch, heads, length, views · patches]`; a row sums to 1, patches run line by line.
    pub attention: Vec<Tensor<4>>,
    /// Memory rows that each fed token looked up, if the generator has a memory.
    pub memory: Option<MemoryLookup>,
}

/// A generator that can show where it looked.
///
/// It is asked about finished reports, whatever search found them, in a pass of its own: writing
/// costs nothing more. Without an implementation of [`explain`](Self::explain) there is nothing to
/// show, which every page says.
pub trait ExplainReports {
    /// Evidence for reports already written, on a device without autodiff; none if the generator
    /// attends to nothing.
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
