use burn::tensor::{Bool, Int, Tensor};
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
    /// Row `i` of the result is row `rows[i]` of `self`, followed along the length by row `i` of
    /// `later`.
    ///
    /// # Panics
    ///
    /// If an index is out of range, or `rows` and `later` differ in number of rows.
    pub fn select_append(self, rows: &[usize], later: KeyValues) -> Self {
        KeyValues {
            keys: select_append(self.keys, rows, later.keys),
            values: select_append(self.values, rows, later.values),
        }
    }

    /// The rows of the indices `rows` (`[new_batch]`), in that order.
    pub fn select(self, rows: Tensor<1, Int>) -> Self {
        KeyValues {
            keys: self.keys.select(0, rows.clone()),
            values: self.values.select(0, rows),
        }
    }
}

/// Keys and values of one decoder layer: of earlier tokens and of the patches. A row is a partial
/// report.
#[derive(Debug, Clone)]
pub struct LayerCache {
    words: Option<KeyValues>,
    /// Row of `words` that each row continues. Reordering changes only these indices; keys and values
    /// are copied once, when the next tokens are appended.
    origins: Vec<usize>,
    patches: KeyValues,
    /// `[rows, 1, patches]`, true at patches of missing views.
    patch_mask: Option<Tensor<3, Bool>>,
    /// Study of each row. Rows of one study share its patches, so permuting rows copies no patches.
    studies: Vec<usize>,
}

impl LayerCache {
    /// A cache without tokens over the projected patches of a batch of studies, one row each.
    ///
    /// `patch_mask`, `[batch, 1, patches]`, is true at patches of missing views.
    pub fn new(patches: KeyValues, patch_mask: Option<Tensor<3, Bool>>) -> Self {
        let [studies, _, _, _] = patches.keys.dims();
        LayerCache {
            words: None,
            origins: (0..studies).collect(),
            patches,
            patch_mask,
            studies: (0..studies).collect(),
        }
    }

    /// Appends keys and values of the next tokens; returns those of all tokens.
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

    /// Mask of cross-attention, `[rows, 1, patches]`, true at patches of missing views; `None` if no
    /// view is missing.
    pub fn patch_mask(&self) -> Option<&Tensor<3, Bool>> {
        self.patch_mask.as_ref()
    }

    /// The cache whose row `i` is row `rows[i]` of this one.
    ///
    /// # Panics
    ///
    /// If an index is out of range.
    pub fn select(self, rows: &[usize]) -> Self {
        let selected = |of: &[usize]| -> Vec<usize> { rows.iter().map(|&row| of[row]).collect() };
        let studies = selected(&self.studies);
        let (patches, patch_mask) = match studies == self.studies {
            true => (self.patches, self.patch_mask),
            false => {
                let indices = row_indices(rows, &self.patches.keys.device());
                let mask = self.patch_mask.map(|mask| mask.select(0, indices.clone()));
                (self.patches.select(indices), mask)
            }
        };
        LayerCache {
            origins: selected(&self.origins),
            words: self.words,
            patches,
            patch_mask,
            studies,
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use ithn_generator::seeded::values;

    fn key_values(rows: usize, length: usize, seed: u64) -> KeyValues {
        let tensor = |seed| values([rows, 2, length, 3], seed, &Device::default());
        KeyValues {
            keys: tensor(seed),
            values: tensor(seed + 1),
        }
    }

    /// Rows may be reordered more than once, and dropped, before their next tokens are appended.
    #[test]
    fn tokens_follow_their_rows_through_every_reordering() {
        let mut cache = LayerCache::new(key_values(2, 4, 1), None);
        let (first, second) = (key_values(3, 1, 3), key_values(2, 1, 5));
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
        let again = cache.append(key_values(2, 1, 7));
        assert_eq!(again.keys.dims(), [2, 2, 3, 3]);
    }

    #[test]
    fn the_patch_mask_follows_its_study() {
        let mask = |rows: &[[bool; 2]]| {
            let rows: Vec<bool> = rows.concat();
            let dims = [rows.len() / 2, 1, 2];
            let data = burn::tensor::TensorData::new(rows, dims);
            Tensor::<3, Bool>::from_data(data, &Device::default())
        };
        let (one, two) = ([false, true], [false, false]);
        let cache = LayerCache::new(key_values(2, 2, 1), Some(mask(&[one, two])));
        let cache = cache.select(&[1, 0, 1]).select(&[0, 1]);
        let selected = cache.patch_mask().expect("it has one").to_data();
        selected.assert_eq(&mask(&[two, one]).into_data(), false);
    }
}
