use std::ops::Range;

use burn::tensor::Tensor;
use ithn_generator::{BOUNDARY_TOKEN, StepDecoder};

use super::SearchError;

/// Rounding that a log-probability may be above 0 by.
const SLACK: f32 = 1e-2;

/// A row of the next step: which present row it continues, and with what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Feed {
    pub(super) row: usize,
    pub(super) token: u32,
    /// Number of the study, for error messages.
    pub(super) study: usize,
}

/// A generator in the middle of a search: its state, and how far it has come.
#[derive(Debug)]
pub(super) struct Stepper<'a, D: StepDecoder> {
    decoder: &'a D,
    /// There between calls; taken out so that reordering can reuse its buffers.
    state: Option<D::State>,
    rows: usize,
    step: usize,
}

impl<D: StepDecoder> Clone for Stepper<'_, D> {
    fn clone(&self) -> Self {
        Stepper {
            state: self.state.clone(),
            ..*self
        }
    }
}

impl<'a, D: StepDecoder> Stepper<'a, D> {
    /// Feeds the beginning of a report to the one row that `state` has per study.
    pub(super) fn start(
        decoder: &'a D,
        state: D::State,
        studies: Range<usize>,
    ) -> Result<(Self, LogProbs), SearchError> {
        let begin = |(row, study)| Feed {
            row,
            token: BOUNDARY_TOKEN,
            study,
        };
        let mut stepper = Stepper {
            decoder,
            state: Some(state),
            rows: studies.len(),
            step: 0,
        };
        let feeds: Vec<Feed> = studies.enumerate().map(begin).collect();
        let log_probs = stepper.advance(&feeds)?;
        Ok((stepper, log_probs))
    }

    /// Goes on with the rows of `feeds`, in that order; other rows are dropped.
    pub(super) fn advance(&mut self, feeds: &[Feed]) -> Result<LogProbs, SearchError> {
        let rows: Vec<usize> = feeds.iter().map(|feed| feed.row).collect();
        let tokens: Vec<u32> = feeds.iter().map(|feed| feed.token).collect();
        let state = self.state.take().expect("every step puts the state back");
        let mut state = match rows.iter().copied().eq(0..self.rows) {
            true => state,
            false => self.decoder.reorder(state, &rows),
        };
        let log_probs = LogProbs::read(self.decoder.step(&tokens, &mut state), rows.len());
        log_probs.check(self.step, feeds)?;
        self.state = Some(state);
        self.rows = rows.len();
        self.step += 1;
        Ok(log_probs)
    }
}

/// Log-probabilities of the next word on the host, `[rows, vocabulary]`.
#[derive(Debug, Clone)]
pub(super) struct LogProbs {
    values: Vec<f32>,
    vocabulary: usize,
}

impl LogProbs {
    /// # Panics
    ///
    /// If the generator returned another number of rows than it was fed.
    fn read(tensor: Tensor<2>, fed: usize) -> Self {
        let [rows, vocabulary] = tensor.dims();
        assert_eq!(rows, fed, "StepDecoder::step returns one row per token fed");
        let values = tensor.into_data_as::<f32>().try_into_vec();
        LogProbs {
            values: values.expect("the data was read as f32"),
            vocabulary,
        }
    }

    pub(super) fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.vocabulary..][..self.vocabulary]
    }

    /// Replaces every row by `log_softmax(row / temperature)`.
    pub(super) fn temper(&mut self, temperature: f64) {
        if temperature == 1.0 {
            return;
        }
        for row in self.values.chunks_exact_mut(self.vocabulary) {
            row.iter_mut()
                .for_each(|value| *value /= temperature as f32);
            let highest = highest(row);
            let total: f32 = row.iter().map(|value| (value - highest).exp()).sum();
            let log_total = highest + total.ln();
            row.iter_mut().for_each(|value| *value -= log_total);
        }
    }

    fn check(&self, step: usize, feeds: &[Feed]) -> Result<(), SearchError> {
        for (row, feed) in feeds.iter().enumerate() {
            let row = self.row(row);
            let highest = highest(row);
            let value = match row.iter().find(|value| value.is_nan()) {
                Some(nan) => *nan,
                None if highest.is_finite() && highest <= SLACK => continue,
                None => highest,
            };
            return Err(SearchError::NotLogProbabilities {
                step,
                study: feed.study,
                value,
            });
        }
        Ok(())
    }
}

fn highest(row: &[f32]) -> f32 {
    row.iter().copied().fold(f32::NEG_INFINITY, f32::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temperature_sharpens_a_distribution_and_keeps_it_one() {
        let row = [
            0.5_f32.ln(),
            0.25_f32.ln(),
            0.25_f32.ln(),
            f32::NEG_INFINITY,
        ];
        let mut log_probs = LogProbs {
            values: row.to_vec(),
            vocabulary: 4,
        };
        log_probs.temper(0.5);
        let probs: Vec<f32> = log_probs.row(0).iter().map(|value| value.exp()).collect();
        // Squares, renormalised: 4/6, 1/6, 1/6, 0.
        for (got, expected) in probs.iter().zip([4.0 / 6.0, 1.0 / 6.0, 1.0 / 6.0, 0.0]) {
            assert!((got - expected).abs() < 1e-6, "{probs:?}");
        }
    }

    #[test]
    fn what_is_no_log_probability_is_found() {
        let feeds = [0, 1].map(|row| Feed {
            row,
            token: 0,
            study: 40 + row,
        });
        for (bad, good) in [(f32::NAN, -1.0), (f32::INFINITY, -1.0), (3.0, -1.0)] {
            let log_probs = LogProbs {
                values: vec![-0.1, good, good, bad],
                vocabulary: 2,
            };
            match log_probs.check(5, &feeds) {
                Err(SearchError::NotLogProbabilities { step, study, .. }) => {
                    assert_eq!((step, study), (5, 41));
                }
                Ok(()) | Err(_) => panic!("{bad} passed"),
            }
        }
    }
}
