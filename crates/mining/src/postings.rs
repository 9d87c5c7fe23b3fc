use super::embedding::SparseVector;
use super::terms::Terms;

/// The texts that have each rare term.
pub(super) struct Postings {
    /// `postings[starts[t]..starts[t + 1]]`: those with term `t`, by place.
    starts: Vec<usize>,
    postings: Vec<Posting>,
}

/// A term's weight in a text.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Posting {
    /// Place of the text in the order of the index.
    pub(super) place: u32,
    pub(super) weight: f32,
}

impl Postings {
    /// From texts in their order, with terms below `dimensions`.
    pub(super) fn new<'a>(
        texts: impl Iterator<Item = &'a SparseVector> + Clone,
        terms: &Terms,
        dimensions: usize,
    ) -> Self {
        let mut starts = vec![0; dimensions + 1];
        for (term, _) in texts.clone().flat_map(|text| terms.rare(text)) {
            starts[term as usize + 1] += 1;
        }
        for term in 0..dimensions {
            starts[term + 1] += starts[term];
        }
        let mut next = starts.clone();
        let mut postings = vec![Posting::default(); starts[dimensions]];
        for (text, place) in texts.zip(0..) {
            for (term, weight) in terms.rare(text) {
                postings[next[term as usize]] = Posting { place, weight };
                next[term as usize] += 1;
            }
        }
        Postings { starts, postings }
    }

    /// The texts with a rare term.
    pub(super) fn of(&self, term: u32) -> &[Posting] {
        let term = term as usize;
        &self.postings[self.starts[term]..self.starts[term + 1]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rare_term_lists_its_texts() {
        let mut texts = vec![SparseVector::new(vec![(1, 1.0)]); 20];
        texts[3] = SparseVector::new(vec![(0, 0.6), (2, 0.8)]);
        texts[5] = SparseVector::new(vec![(2, 1.0)]);
        let terms = Terms::divide(&texts, 3);
        let postings = Postings::new(texts.iter(), &terms, 3);
        let of = |term| -> Vec<(u32, f32)> {
            let postings = postings.of(term).iter();
            postings
                .map(|posting| (posting.place, posting.weight))
                .collect()
        };
        assert_eq!(of(0), [(3, 0.6)]);
        assert!(of(1).is_empty(), "it is common");
        assert_eq!(of(2), [(3, 0.8), (5, 1.0)]);
    }
}
