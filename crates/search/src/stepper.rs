use burn::tensor::Tensor;
use ithn_generator::{BOUNDARY_TOKEN, StepDecoder};

use crate::SearchError;

/// Rounding error by which a log-probability may exceed 0.
const SLACK: f32 = 1e-2;

/// A row of the next step: the current row that it continues, and the token fed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Feed {
    pub(crate) row: usize,
    pub(crate) token: u32,
    /// Index of the study in the batch, for error messages.
    pub(crate) study: usize,
}

/// A generator during a search: its state and the number of steps taken.
#[derive(Debug)]
pub(crate) struct Stepper<'a, D: StepDecoder> {
    decoder: &'a D,
    studies: &'a [&'a str],
    /// `None` only during a step: reordering takes it by value so that it can reuse its buffers.
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
    /// Feeds the boundary token to `state`, which has one row per study.
    pub(crate) fn start(
        decoder: &'a D,
        state: D::State,
        studies: &'a [&'a str],
    ) -> Result<(Self, LogProbs), SearchError> {
        let mut stepper = Stepper {
            decoder,
            studies,
            state: Some(state),
            rows: studies.len(),
            step: 0,
        };
        let begin = |study| Feed {
            row: study,
            token: BOUNDARY_TOKEN,
            study,
        };
        let feeds: Vec<Feed> = (0..studies.len()).map(begin).collect();
        let log_probs = stepper.advance(&feeds)?;
        Ok((stepper, log_probs))
    }

    /// Takes one step with the rows of `feeds`, in that order; other rows are dropped.
    pub(crate) fn advance(&mut self, feeds: &[Feed]) -> Result<LogProbs, SearchError> {
        let rows: Vec<usize> = feeds.iter().map(|feed| feed.row).collect();
        let tokens: Vec<u32> = feeds.iter().map(|feed| feed.token).collect();
        let state = self.state.take().expect("every step puts the state back");
        let mut state = match rows.iter().copied().eq(0..self.rows) {
            true => state,
            false => self.decoder.reorder(state, &rows),
        };
        let log_probs = LogProbs::read(self.decoder.step(&tokens, &mut state), rows.len());
        self.check(&log_probs, feeds)?;
        self.state = Some(state);
        self.rows = rows.len();
        self.step += 1;
        Ok(log_probs)
    }

    /// Rejects NaN, values above 0 and rows without a finite entry.
    fn check(&self, log_probs: &LogProbs, feeds: &[Feed]) -> Result<(), SearchError> {
        for (row, feed) in feeds.iter().enumerate() {
            if let Some(value) = offending_value(log_probs.row(row)) {
                return Err(SearchError::NotLogProbabilities {
                    study: self.studies[feed.study].to_owned(),
                    step: self.step,
                    value,
                });
            }
        }
        Ok(())
    }
}

/// What makes `row` no row of log-probabilities, if anything.
fn offending_value(row: &[f32]) -> Option<f32> {
    if let Some(nan) = row.iter().find(|value| value.is_nan()) {
        return Some(*nan);
    }
    let highest = highest(row);
    (!highest.is_finite() || highest > SLACK).then_some(highest)
}

/// Log-probabilities of the next token on the host, `[rows, vocabulary]`.
#[derive(Debug, Clone)]
pub(crate) struct LogProbs {
    values: Vec<f32>,
    vocabulary: usize,
}

impl LogProbs {
    /// Copies the tensor to the host.
    ///
    /// # Panics
    ///
    /// If the generator returned another number of rows than tokens `fed`.
    fn read(tensor: Tensor<2>, fed: usize) -> Self {
        let [rows, vocabulary] = tensor.dims();
        assert_eq!(rows, fed, "StepDecoder::step returns one row per token fed");
        let values = tensor.into_data_as::<f32>().try_into_vec();
        LogProbs {
            values: values.expect("the data was read as f32"),
            vocabulary,
        }
    }

    pub(crate) fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.vocabulary..][..self.vocabulary]
    }

    /// Size of the vocabulary, token 0 included.
    pub(crate) fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    /// Replaces every row by `log_softmax(row / temperature)`.
    ///
    /// The highest entry is subtracted first and everything is computed in f64. Dividing first
    /// overflows to −∞ at small temperatures, and −∞ − (−∞) is NaN.
    pub(crate) fn temper(&mut self, temperature: f64) {
        if temperature == 1.0 {
            return;
        }
        for row in self.values.chunks_exact_mut(self.vocabulary) {
            let highest = highest(row);
            let scaled = |value: f32| (f64::from(value) - f64::from(highest)) / temperature;
            // The highest entry adds 1, so the logarithm is finite.
            let total: f64 = row.iter().map(|&value| scaled(value).exp()).sum();
            let log_total = total.ln();
            row.iter_mut()
                .for_each(|value| *value = (scaled(*value) - log_total) as f32);
        }
    }
}

fn highest(row: &[f32]) -> f32 {
    row.iter().copied().fold(f32::NEG_INFINITY, f32::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tempered(row: [f32; 4], temperature: f64) -> Vec<f32> {
        let mut log_probs = LogProbs {
            values: row.to_vec(),
            vocabulary: 4,
        };
        log_probs.temper(temperature);
        log_probs.values
    }

    #[test]
    fn temperature_gives_the_softmax_of_scaled_log_probabilities() {
        let row = [0.5, 0.25, 0.25, 0.0].map(f32::ln);
        let probs: Vec<f32> = tempered(row, 0.5).iter().map(|value| value.exp()).collect();
        // Squares, renormalised: 4/6, 1/6, 1/6, 0.
        for (got, expected) in probs.iter().zip([4.0 / 6.0, 1.0 / 6.0, 1.0 / 6.0, 0.0]) {
            assert!((got - expected).abs() < 1e-6, "{probs:?}");
        }
    }

    #[test]
    fn a_temperature_near_zero_tends_to_the_argmax() {
        let certain = [f32::NEG_INFINITY, 0.0, -80.0, f32::NEG_INFINITY];
        let likely = [0.2, 0.5, 0.3, 0.0].map(f32::ln);
        for temperature in [1e-3, 1e-30, 1e-46, 1e-300, f64::MIN_POSITIVE, 5e-324] {
            for row in [certain, likely] {
                let tempered = tempered(row, temperature);
                assert_eq!(tempered[1], 0.0, "{temperature}: {tempered:?}");
                let others = [0, 2, 3].map(|token| tempered[token]);
                assert!(others.iter().all(|other| *other < -50.0), "{tempered:?}");
            }
        }
        let ties = tempered([0.4, 0.1, 0.4, 0.1].map(f32::ln), 1e-300);
        let half = 0.5_f32.ln();
        assert_eq!([ties[0], ties[2]], [half, half]);
    }

    #[test]
    fn values_that_are_no_log_probabilities_are_found() {
        let bad = f32::NEG_INFINITY;
        assert!(offending_value(&[-1.0, f32::NAN]).is_some_and(f32::is_nan));
        assert_eq!(offending_value(&[f32::INFINITY, -1.0]), Some(f32::INFINITY));
        assert_eq!(offending_value(&[-1.0, 3.0]), Some(3.0));
        assert_eq!(offending_value(&[bad, bad]), Some(bad));
        assert_eq!(offending_value(&[bad, -0.1]), None);
        assert_eq!(offending_value(&[1e-3, -9.0]), None);
    }
}
