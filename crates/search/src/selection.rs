/// The best `capacity` of the candidates offered, best first; of equals, the first offered.
///
/// Keeps a short sorted list: a row of the vocabulary costs one comparison per token and is never
/// sorted.
#[derive(Debug)]
pub(crate) struct Selection<T> {
    capacity: usize,
    kept: Vec<(f64, T)>,
}

impl<T> Selection<T> {
    pub(crate) fn new(capacity: usize) -> Self {
        Selection {
            capacity,
            kept: Vec::with_capacity(capacity + 1),
        }
    }

    /// Offers a candidate; a score of −∞ is never kept.
    pub(crate) fn offer(&mut self, score: f64, candidate: T) {
        if score <= self.threshold() {
            return;
        }
        let place = self.kept.partition_point(|(kept, _)| *kept >= score);
        self.kept.insert(place, (score, candidate));
        self.kept.truncate(self.capacity);
    }

    /// The candidates kept, with their scores, best first.
    pub(crate) fn into_best(self) -> Vec<(f64, T)> {
        self.kept
    }

    fn threshold(&self) -> f64 {
        match self.kept.last() {
            Some((worst, _)) if self.kept.len() == self.capacity => *worst,
            _ => f64::NEG_INFINITY,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_what_a_stable_sort_puts_first() {
        let scores = [3.0, 1.0, 4.0, 1.0, 5.0, f64::NEG_INFINITY, 4.0, 2.0];
        let mut sorted: Vec<(f64, usize)> = scores.iter().copied().zip(0..).collect();
        sorted.retain(|(score, _)| score.is_finite());
        sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
        for capacity in 1..=9 {
            let mut selection = Selection::new(capacity);
            scores
                .iter()
                .zip(0..)
                .for_each(|(score, i)| selection.offer(*score, i));
            assert_eq!(selection.into_best(), sorted[..capacity.min(sorted.len())]);
        }
    }
}
