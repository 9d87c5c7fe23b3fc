//! A random number generator, kept here so that p-values do not change when a dependency changes its algorithm.

/// SplitMix64 (Steele, Lea and Flood, 2014).
#[derive(Debug, Clone)]
pub(crate) struct SplitMix64 {
    state: u64,
}

impl SplitMix64 {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Goes on as after `count` numbers.
    pub(crate) fn skip(&mut self, count: u64) {
        self.state = self
            .state
            .wrapping_add(count.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    }

    /// An index below `len`, by Lemire's multiplication; its bias, below len / 2^64, is ignored.
    pub(crate) fn index(&mut self, len: usize) -> usize {
        ((u128::from(self.next()) * len as u128) >> 64) as usize
    }

    /// Fair coins, 64 per random number.
    pub(crate) fn coins(&mut self) -> impl FnMut() -> bool {
        let (mut bits, mut left) = (0u64, 0u32);
        move || {
            if left == 0 {
                (bits, left) = (self.next(), 64);
            }
            let coin = bits & 1 == 1;
            bits >>= 1;
            left -= 1;
            coin
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        // First outputs for seed 1234567 in the reference implementation.
        let mut rng = SplitMix64::new(1234567);
        assert_eq!(rng.next(), 6457827717110365317);
        assert_eq!(rng.next(), 3203168211198807973);
    }

    #[test]
    fn what_is_skipped_is_not_drawn() {
        let (mut all, mut later) = (SplitMix64::new(7), SplitMix64::new(7));
        (0..1000).for_each(|_| _ = all.next());
        later.skip(1000);
        assert_eq!(all.next(), later.next());
    }

    #[test]
    fn indices_cover_their_range_evenly() {
        let mut rng = SplitMix64::new(1);
        let mut seen = [0u32; 5];
        (0..5000).for_each(|_| seen[rng.index(5)] += 1);
        assert!(
            seen.iter().all(|&count| (900..1100).contains(&count)),
            "{seen:?}"
        );
    }
}
