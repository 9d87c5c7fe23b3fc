/// A vector given by its components that are not zero.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SparseVector {
    components: Vec<(u32, f32)>,
}

impl SparseVector {
    /// From pairs of dimension and value, in any order; values of one dimension are added up.
    pub fn new(mut components: Vec<(u32, f32)>) -> Self {
        components.sort_by_key(|component| component.0);
        components.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 += next.1;
            }
            same
        });
        components.retain(|component| component.1 != 0.0);
        SparseVector { components }
    }

    /// Pairs of dimension and value, by growing dimension.
    pub fn components(&self) -> &[(u32, f32)] {
        &self.components
    }

    pub(super) fn components_mut(&mut self) -> &mut Vec<(u32, f32)> {
        &mut self.components
    }
}

/// The vector of a report. Reports are compared by cosine, so its norm does not matter.
#[derive(Debug, Clone, PartialEq)]
pub enum Embedding {
    /// Few components out of many, such as [`TfIdf`](super::TfIdf)'s.
    Sparse(SparseVector),
    /// All components, such as a sentence encoder's; as many for every report.
    Dense(Vec<f32>),
}

/// Anything that turns a report into a vector whose cosine to another means similarity.
///
/// Called once per distinct text, from several threads. If a model prefers batches, run it first
/// and implement this trait as a lookup of its vectors. Closures are embeddings too.
pub trait ReportEmbedding: Sync {
    /// The vector of `report`: sparse for all reports or dense for all. A zero vector means that
    /// the report has nothing to compare.
    fn embed(&self, report: &str) -> Embedding;
}

impl<F: Fn(&str) -> Embedding + Sync> ReportEmbedding for F {
    fn embed(&self, report: &str) -> Embedding {
        self(report)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_are_sorted_added_up_and_without_zeros() {
        let vector = SparseVector::new(vec![(7, 1.0), (2, 3.0), (7, 0.5), (4, 1.0), (4, -1.0)]);
        assert_eq!(vector.components(), [(2, 3.0), (7, 1.5)]);
    }
}
