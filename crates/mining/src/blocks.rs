use pulp::{Arch, Simd, WithSimd};

/// Texts in a block.
pub(super) const BLOCK: usize = 32;

/// Rows that are multiplied with a block at a time.
const AT_A_TIME: usize = 4;

/// Vectors of texts that are added up at a time: with the rows, as many sums as a processor adds to at once.
const VECTORS: usize = 2;

/// Rows of texts in blocks, value by value.
pub(super) struct Blocks {
    width: usize,
    values: Vec<[f32; BLOCK]>,
    /// The length of the longest row of each block.
    longest: Vec<f32>,
}

/// A text that is looked for.
#[derive(Debug, Clone)]
pub(super) struct Sought {
    /// Its row.
    pub(super) row: Vec<f32>,
    /// The length of its row.
    pub(super) length: f32,
    /// Sums below this are of no use.
    pub(super) floor: f32,
    /// Sums of a block that reaches the floor.
    pub(super) sums: [f32; BLOCK],
}

impl Blocks {
    /// Of rows of `width` values each. The last block is filled up with zeros.
    pub(super) fn new<'a>(width: usize, rows: impl Iterator<Item = &'a Vec<f32>>) -> Self {
        let mut blocks = Blocks {
            width,
            values: Vec::new(),
            longest: Vec::new(),
        };
        for (place, row) in rows.enumerate() {
            let start = place / BLOCK * width;
            if place % BLOCK == 0 {
                blocks.values.resize(start + width, [0.0; BLOCK]);
                blocks.longest.push(0.0);
            }
            for (values, value) in blocks.values[start..].iter_mut().zip(row) {
                values[place % BLOCK] = *value;
            }
            let longest = &mut blocks.longest[place / BLOCK];
            *longest = longest.max(length(row));
        }
        blocks
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.longest.len()
    }

    /// Adds to the `rest` of each text that is sought, `BLOCK` numbers from `from` on, the products of its row with
    /// those of a block. Where one of the sums reaches its floor, they are written, and the text is added to `reached`.
    ///
    /// Products are skipped where the lengths of the rows leave no sum that reaches the floor.
    pub(super) fn add<'a>(
        &self,
        block: usize,
        sought: &mut [Sought],
        rest: impl Fn(usize) -> &'a [f32; BLOCK],
        reached: &mut Vec<usize>,
    ) {
        reached.clear();
        Arch::new().dispatch(Add {
            texts: &self.values[block * self.width..][..self.width],
            longest: self.longest[block],
            sought,
            rest,
            reached,
        });
    }
}

/// The length of a row, or a little more.
pub(super) fn length(row: &[f32]) -> f32 {
    let square: f64 = row.iter().map(|value| f64::from(*value).powi(2)).sum();
    square.sqrt() as f32 * (1.0 + 4.0 * f32::EPSILON)
}

struct Add<'b, R> {
    texts: &'b [[f32; BLOCK]],
    longest: f32,
    sought: &'b mut [Sought],
    rest: R,
    reached: &'b mut Vec<usize>,
}

impl<'a, R: Fn(usize) -> &'a [f32; BLOCK]> WithSimd for Add<'_, R> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let mut waiting = [0; AT_A_TIME];
        let mut count = 0;
        for number in 0..self.sought.len() {
            let sought = &self.sought[number];
            let least = sought.floor - sought.length * self.longest;
            if !reaches((self.rest)(number), least) {
                continue;
            }
            waiting[count] = number;
            count += 1;
            if count == AT_A_TIME {
                count = 0;
                let rows = waiting.map(|number| self.sought[number].row.as_slice());
                let products = products(simd, self.texts, rows);
                for (number, products) in waiting.into_iter().zip(products) {
                    let sought = &mut self.sought[number];
                    finish(sought, number, products, (self.rest)(number), self.reached);
                }
            }
        }
        for &number in &waiting[..count] {
            let [products] = products(simd, self.texts, [self.sought[number].row.as_slice()]);
            let sought = &mut self.sought[number];
            finish(sought, number, products, (self.rest)(number), self.reached);
        }
    }
}

/// Whether a value is at least so much. Every value is looked at, which vectors do at once.
#[inline(always)]
fn reaches(values: &[f32; BLOCK], least: f32) -> bool {
    let mut reaches = false;
    for value in values {
        reaches |= *value >= least;
    }
    reaches
}

#[inline(always)]
fn finish(
    sought: &mut Sought,
    number: usize,
    mut sums: [f32; BLOCK],
    rest: &[f32; BLOCK],
    reached: &mut Vec<usize>,
) {
    for (sum, rest) in sums.iter_mut().zip(rest) {
        *sum += rest;
    }
    if reaches(&sums, sought.floor) {
        sought.sums = sums;
        reached.push(number);
    }
}

/// Products of `ROWS` rows with those of a block.
#[inline(always)]
fn products<S: Simd, const ROWS: usize>(
    simd: S,
    texts: &[[f32; BLOCK]],
    rows: [&[f32]; ROWS],
) -> [[f32; BLOCK]; ROWS] {
    let mut products = [[0.0; BLOCK]; ROWS];
    let rows = rows.map(|row| &row[..texts.len()]);
    for part in 0..BLOCK / (VECTORS * S::F32_LANES) {
        let mut sums = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
        for (place, texts) in texts.iter().enumerate() {
            let texts = &S::as_simd_f32s(texts).0[part * VECTORS..][..VECTORS];
            for (row, sums) in rows.iter().zip(&mut sums) {
                let value = simd.splat_f32s(row[place]);
                for (sum, texts) in sums.iter_mut().zip(texts) {
                    *sum = simd.mul_add_e_f32s(value, *texts, *sum);
                }
            }
        }
        for (products, sums) in products.iter_mut().zip(sums) {
            let products = S::as_mut_simd_f32s(products).0;
            products[part * VECTORS..][..VECTORS].copy_from_slice(&sums);
        }
    }
    products
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(count: usize, width: usize, seed: usize) -> Vec<Vec<f32>> {
        let value = |row, place| ((row * 7 + place * 3 + seed) % 11) as f32 - 4.0;
        (0..count)
            .map(|row| (0..width).map(|place| value(row, place)).collect())
            .collect()
    }

    #[test]
    fn sums_that_reach_the_floor_are_found_and_no_others() {
        for (width, texts, count) in [(0, 3, 2), (1, 1, 1), (5, 40, 7), (64, 64, 4), (3, 33, 9)] {
            let texts = rows(texts, width, 0);
            let blocks = Blocks::new(width, texts.iter());
            assert_eq!(blocks.count(), texts.len().div_ceil(BLOCK));
            let rest: Vec<[f32; BLOCK]> = (0..count)
                .map(|number| std::array::from_fn(|place| ((number + place) % 5) as f32 / 8.0))
                .collect();
            for floor in [f32::NEG_INFINITY, 0.25, 40.5, 1e6] {
                let mut sought: Vec<Sought> = (rows(count, width, 5).into_iter())
                    .map(|row| Sought {
                        length: length(&row),
                        row,
                        floor,
                        sums: [f32::NAN; BLOCK],
                    })
                    .collect();
                for block in 0..blocks.count() {
                    let mut reached = Vec::new();
                    blocks.add(block, &mut sought, |number| &rest[number], &mut reached);
                    reached.sort_unstable();
                    let sum = |number: usize, place: usize| {
                        let text = texts.get(block * BLOCK + place);
                        let product: f32 = text.map_or(0.0, |text: &Vec<f32>| {
                            sought[number]
                                .row
                                .iter()
                                .zip(text)
                                .map(|(a, b)| a * b)
                                .sum()
                        });
                        product + rest[number][place]
                    };
                    let expected: Vec<usize> = (0..count)
                        .filter(|&number| (0..BLOCK).any(|place| sum(number, place) >= floor))
                        .collect();
                    assert_eq!(reached, expected);
                    for number in reached {
                        let sums: Vec<f32> = (0..BLOCK).map(|place| sum(number, place)).collect();
                        assert_eq!(sought[number].sums.as_slice(), sums);
                    }
                }
            }
        }
    }
}
