use burn::tensor::{Int, Tensor};
use ithn_generator::row_indices;
use ithn_kernels::select_append;

/// Projected keys and values, split by head.
#[derive(Debug, Clone)]
pub struct KeyValues {
    /// `[batch, heads, length, d_head]`.
    pub keys: Tensor<4>,
    /// `[batch, heads, length, d_head]`.
    pub values: Tensor<4>,
}

impl KeyValues {
    /// The positions of the rows named by `rows`, followed by `later` ones.
    ///
    /// # Panics
    ///
    /// If there is no such row, or not one for each of `later`.
    pub fn select_append(self, rows: &[usize], later: KeyValues) -> Self {
        KeyValues {
            keys: select_append(self.keys, rows, later.keys),
            values: select_append(self.values, rows, later.values),
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
    /// Which of the rows of `words` each row goes on from: they move when the next words come.
    origins: Vec<usize>,
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
            origins: (0..studies).collect(),
            patches,
            studies: (0..studies).collect(),
        }
    }

    /// Adds the next words, which attend to all that this returns.
    pub fn append(&mut self, newest: KeyValues) -> &KeyValues {
        let words = match self.words.take() {
            Some(earlier) => earlier.select_append(&self.origins, newest),
            None => newest,
        };
        self.origins = (0..self.origins.len()).collect();
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
        let named = |of: &[usize]| -> Vec<usize> { rows.iter().map(|&row| of[row]).collect() };
        let studies = named(&self.studies);
        LayerCache {
            origins: named(&self.origins),
            words: self.words,
            patches: match studies == self.studies {
                true => self.patches,
                false => {
                    let indices = row_indices(rows, &self.patches.keys.device());
                    self.patches.select(indices)
                }
            },
            studies,
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution};

    use super::*;

    fn random(rows: usize, length: usize) -> KeyValues {
        let device = Device::default();
        let tensor = || Tensor::random([rows, 2, length, 3], Distribution::Default, &device);
        KeyValues {
            keys: tensor(),
            values: tensor(),
        }
    }

    /// Rows may change places more than once, and leave, before their next words come.
    #[test]
    fn words_follow_their_rows_through_every_change() {
        let mut cache = LayerCache::new(random(2, 4));
        let (first, second) = (random(3, 1), random(2, 1));
        cache = cache.select(&[0, 0, 1]);
        cache.append(first.clone());
        cache = cache.select(&[2, 0, 1]).select(&[1, 0]);
        let words = cache.append(second.clone()).clone();
        for (row, origin) in [(0, 0), (1, 2)] {
            let of = |tensor: &Tensor<4>, row: usize| tensor.clone().narrow(0, row, 1);
            for (found, [earlier, later]) in [
                (&words.keys, [&first.keys, &second.keys]),
                (&words.values, [&first.values, &second.values]),
            ] {
                let expected = Tensor::cat(vec![of(earlier, origin), of(later, row)], 2);
                of(found, row)
                    .into_data()
                    .assert_eq(&expected.into_data(), true);
            }
        }
        let again = cache.append(random(2, 1));
        assert_eq!(again.keys.dims(), [2, 2, 3, 3]);
    }
}
