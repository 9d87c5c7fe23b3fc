use super::embedding::SparseVector;

/// Texts in a shard. The search state of a shard, eight bytes per text, fits a core's cache.
pub(super) const SHARD_TEXTS: usize = 1 << 15;

/// The texts of a shard that have each term.
pub(super) struct Postings {
    /// `postings[starts[t]..starts[t + 1]]`: those with term `t`, by number.
    starts: Vec<u32>,
    postings: Vec<Posting>,
}

/// A term's weight in a text.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Posting {
    /// Number of the text within the shard.
    pub(super) text: u32,
    pub(super) weight: f32,
}

impl Postings {
    /// From the texts of a shard, with terms below `dimensions`.
    pub(super) fn new(texts: &[SparseVector], dimensions: usize) -> Self {
        let mut starts = vec![0; dimensions + 1];
        for (term, _) in texts.iter().flat_map(SparseVector::components) {
            starts[*term as usize + 1] += 1;
        }
        for term in 0..dimensions {
            starts[term + 1] += starts[term];
        }
        let mut next = starts.clone();
        let mut postings = vec![Posting::default(); starts[dimensions] as usize];
        for (vector, text) in texts.iter().zip(0..) {
            for &(term, weight) in vector.components() {
                postings[next[term as usize] as usize] = Posting { text, weight };
                next[term as usize] += 1;
            }
        }
        Postings { starts, postings }
    }

    /// The texts with a term.
    pub(super) fn of(&self, term: u32) -> &[Posting] {
        let term = term as usize;
        &self.postings[self.starts[term] as usize..self.starts[term + 1] as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_component_is_listed_under_its_term() {
        let texts = [vec![(0, 0.6), (2, 0.8)], vec![(2, 1.0)]].map(SparseVector::new);
        let postings = Postings::new(&texts, 3);
        let of = |term| -> Vec<(u32, f32)> {
            postings
                .of(term)
                .iter()
                .map(|posting| (posting.text, posting.weight))
                .collect()
        };
        assert_eq!(of(0), [(0, 0.6)]);
        assert!(of(1).is_empty());
        assert_eq!(of(2), [(0, 0.8), (1, 1.0)]);
    }
}
