use super::Ranks;
use super::communicator::slice_of;

/// Values that travel at a time, 8 MiB: they stay in a processor's cache until they are added.
const BUCKET: usize = 1 << 21;

/// The sum of vectors that arrive one per rank and round, added in the order of rounds and, within a round, of
/// ranks: `((v₀ + v₁) + v₂) + …`, as one process adds them.
///
/// Every rank adds its slice of all vectors, then the slices are joined. A reduction by the engine
/// would promise no order beyond two ranks.
pub(crate) struct OrderedSum<'a> {
    ranks: &'a Ranks,
    bucket: usize,
    /// This rank's slice of each bucket.
    slices: Vec<Vec<f32>>,
    /// The slices of one bucket that arrived last.
    received: Vec<f32>,
    /// The values of the last round, whose memory the sum takes over.
    newest: Vec<f32>,
}

/// What a rank adds that has nothing to add: `x + (−0)` is `x` for every `x`, `−0` included.
pub(crate) const NOTHING: f32 = -0.0;

impl<'a> OrderedSum<'a> {
    pub(crate) fn new(ranks: &'a Ranks) -> Self {
        OrderedSum {
            ranks,
            bucket: BUCKET,
            slices: Vec::new(),
            received: Vec::new(),
            newest: Vec::new(),
        }
    }

    /// Adds one round. `values` are as many at every rank and in every round.
    pub(crate) fn add(&mut self, values: Vec<f32>) {
        let is_first = self.slices.is_empty();
        for (number, bucket) in values.chunks(self.bucket).enumerate() {
            let received = &mut self.received;
            self.ranks
                .together(|ranks| ranks.exchange(bucket, received));
            let own = slice_of(bucket.len(), self.ranks.rank(), self.ranks.size()).len();
            // An empty slice has no parts to add.
            let mut parts = self.received.chunks_exact(own.max(1));
            if is_first {
                self.slices
                    .push(parts.next().map_or_else(Vec::new, <[f32]>::to_vec));
            }
            let sums = &mut self.slices[number];
            for part in parts {
                for (sum, value) in sums.iter_mut().zip(part) {
                    *sum += value;
                }
            }
        }
        self.newest = values;
    }

    /// The sum, at every rank.
    pub(crate) fn finish(self) -> Vec<f32> {
        let mut sum = self.newest;
        for (joined, slice) in sum.chunks_mut(self.bucket).zip(&self.slices) {
            self.ranks.together(|ranks| ranks.join(slice, joined));
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::threads::TestRanks;
    use super::*;

    fn values(rank: usize, round: usize, length: usize) -> Vec<f32> {
        (0..length)
            .map(|index| ((index * 31 + rank * 7 + round * 3) as f32 * 0.377).sin() * 1e3)
            .collect()
    }

    #[test]
    fn every_rank_gets_the_sum_in_the_order_of_one_process() {
        for (size, length) in [(1, 5), (2, 9), (3, 10), (4, 2)] {
            let mut expected: Option<Vec<f32>> = None;
            for round in 0..2 {
                for rank in 0..size {
                    let next = values(rank, round, length);
                    expected = Some(match expected {
                        None => next,
                        Some(sum) => sum.iter().zip(&next).map(|(a, b)| a + b).collect(),
                    });
                }
            }
            let sums = TestRanks::run(size, move |communicator| {
                let ranks = Ranks::new(Arc::new(communicator));
                let mut sum = OrderedSum {
                    bucket: 4,
                    ..OrderedSum::new(&ranks)
                };
                for round in 0..2 {
                    sum.add(values(ranks.rank(), round, length));
                }
                sum.finish()
            });
            for sum in sums {
                assert_eq!(Some(sum), expected, "{size} ranks");
            }
        }
    }

    #[test]
    fn nothing_changes_no_bit() {
        for value in [0.0_f32, -0.0, 1.5, f32::INFINITY, f32::MIN_POSITIVE] {
            assert_eq!((value + NOTHING).to_bits(), value.to_bits());
            assert_eq!((NOTHING + value).to_bits(), value.to_bits());
        }
    }
}
