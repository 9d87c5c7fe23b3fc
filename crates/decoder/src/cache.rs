use burn::tensor::{Int, Tensor};
use ithn_generator::row_indices;

/// Projected keys and values, split by head.
#[derive(Debug, Clone)]
pub struct KeyValues {
    /// `[batch, heads, length, d_head]`.
    pub keys: Tensor<4>,
    /// `[batch, heads, length, d_head]`.
    pub values: Tensor<4>,
}

impl KeyValues {
    /// These positions followed by `later` ones.
    pub fn append(self, later: KeyValues) -> Self {
        KeyValues {
            keys: Tensor::cat(vec![self.keys, later.keys], 2),
            values: Tensor::cat(vec![self.values, later.values], 2),
        }
    }

    /// The rows named by `rows` (`[new_batch]`), in that order.
    pub fn select(self, rows: Tensor<1, Int>) -> Self {
        KeyValues {
            keys: self.keys.select(0, rows.clone()),
            values: self.values.select(0, rows),
        }
    }
}

/// What earlier words and the image left behind in one decoder layer; rows are reports in the making.
#[derive(Debug, Clone)]
pub struct LayerCache {
    words: Option<KeyValues>,
    patches: KeyValues,
    /// Which of the encoded studies each row belongs to. Reports of one study look at the same
    /// patches, so that permuting them moves nothing.
    studies: Vec<usize>,
}

impl LayerCache {
    /// A cache that has seen the patches of some studies, one row each, and no word.
    pub fn new(patches: KeyValues) -> Self {
        let [studies, _, _, _] = patches.keys.dims();
        LayerCache {
            words: None,
            patches,
            studies: (0..studies).collect(),
        }
    }

    /// Adds the next words, which attend to all that this returns.
    pub fn append(&mut self, newest: KeyValues) -> &KeyValues {
        let words = match self.words.take() {
            Some(earlier) => earlier.append(newest),
            None => newest,
        };
        self.words.insert(words)
    }

    /// Keys and values of the patches.
    pub fn patches(&self) -> &KeyValues {
        &self.patches
    }

    /// The cache whose row `i` is row `rows[i]` of this one.
    ///
    /// # Panics
    ///
    /// If there is no such row.
    pub fn select(self, rows: &[usize]) -> Self {
        let studies: Vec<usize> = rows.iter().map(|&row| self.studies[row]).collect();
        let indices = row_indices(rows, &self.patches.keys.device());
        LayerCache {
            words: self.words.map(|words| words.select(indices.clone())),
            patches: match studies == self.studies {
                true => self.patches,
                false => self.patches.select(indices),
            },
            studies,
        }
    }
}
