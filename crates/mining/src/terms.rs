use super::embedding::SparseVector;

/// Most common terms. More would make rows longer than they are worth.
const MOST_COMMON: usize = 64;

/// A term is common if at least one text in so many has it: then a place in every row costs less than a list.
const ONE_IN: usize = 8;

/// Mark of rare terms.
const RARE: u8 = u8::MAX;

/// Terms divided into common ones, which have a place in a row of every text, and rare ones.
pub(super) struct Terms {
    places: Vec<u8>,
    common: usize,
}

impl Terms {
    /// Divides terms below `dimensions` by how many of the texts have them.
    pub(super) fn divide(texts: &[SparseVector], dimensions: usize) -> Self {
        let mut counts = vec![0_usize; dimensions];
        for (term, _) in texts.iter().flat_map(SparseVector::components) {
            counts[*term as usize] += 1;
        }
        let is_common = |term: &usize| counts[*term] * ONE_IN >= texts.len();
        let mut common: Vec<usize> = (0..dimensions).filter(is_common).collect();
        common.sort_by_key(|&term| (usize::MAX - counts[term], term));
        common.truncate(MOST_COMMON);
        let mut places = vec![RARE; dimensions];
        for (&term, place) in common.iter().zip(0..) {
            places[term] = place;
        }
        Terms {
            places,
            common: common.len(),
        }
    }

    /// Values of a row.
    pub(super) fn common(&self) -> usize {
        self.common
    }

    /// The weights of a text's common terms, by place.
    pub(super) fn row(&self, text: &SparseVector) -> Vec<f32> {
        let mut row = vec![0.0; self.common];
        for &(term, weight) in text.components() {
            if let Some(value) = row.get_mut(usize::from(self.places[term as usize])) {
                *value = weight;
            }
        }
        row
    }

    /// The rare terms of a text, and their weights.
    pub(super) fn rare<'a>(
        &'a self,
        text: &'a SparseVector,
    ) -> impl Iterator<Item = (u32, f32)> + 'a {
        let components = text.components().iter().copied();
        components.filter(|(term, _)| self.places[*term as usize] == RARE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_weight_is_in_a_row_or_rare() {
        // Term 0 in all of 100 texts, term 1 in every tenth, 2 in every fifth, term 3 in one.
        let texts: Vec<SparseVector> = (0..100)
            .map(|text| {
                let has = [true, text % 10 == 0, text % 5 == 0, text == 7];
                let terms = (0..4).filter(|term| has[*term as usize]);
                SparseVector::new(terms.map(|term| (term, 1.0 + term as f32)).collect())
            })
            .collect();
        let terms = Terms::divide(&texts, 4);
        assert_eq!(terms.common(), 2);
        assert_eq!(terms.row(&texts[0]), [1.0, 3.0]);
        assert_eq!(terms.row(&texts[7]), [1.0, 0.0]);
        assert_eq!(terms.rare(&texts[0]).collect::<Vec<_>>(), [(1, 2.0)]);
        assert_eq!(terms.rare(&texts[7]).collect::<Vec<_>>(), [(3, 4.0)]);
    }

    #[test]
    fn rows_have_at_most_64_values() {
        let text = SparseVector::new((0..100).map(|term| (term, 1.0)).collect());
        let terms = Terms::divide(&[text.clone(), text.clone()], 100);
        assert_eq!(terms.common(), 64);
        assert_eq!(terms.rare(&text).count(), 36);
    }
}
