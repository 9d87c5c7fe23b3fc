use ithn_generator::config::no_options;
use serde::{Deserialize, Serialize};

use crate::SearchError;
use crate::config::in_range;

/// Score of a hypothesis of `n` tokens (the ending one included), given the sum of its
/// log-probabilities.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum LengthPenalty {
    /// The sum itself; favours short reports.
    #[default]
    #[serde(deserialize_with = "no_options")]
    None,
    /// `sum / ((5 + n) / 6)^exponent` (Wu et al. 2016, GNMT).
    Wu {
        /// 0 is no penalty; in [−16, 16].
        exponent: f64,
    },
    /// `sum / n`.
    #[serde(deserialize_with = "no_options")]
    Average,
}

impl LengthPenalty {
    /// Checks the exponent. Beyond its range the divisor overflows, and 0 / 0 is NaN.
    pub(crate) fn validate(&self) -> Result<(), SearchError> {
        match *self {
            LengthPenalty::None | LengthPenalty::Average => Ok(()),
            LengthPenalty::Wu { exponent } => in_range(
                "strategy.length_penalty.exponent",
                exponent,
                exponent.abs() <= 16.0,
                "from -16 to 16",
            ),
        }
    }

    /// Score of `tokens` tokens whose log-probabilities add up to `sum`.
    pub fn score(&self, tokens: usize, sum: f64) -> f64 {
        match self {
            LengthPenalty::None => sum,
            LengthPenalty::Wu { exponent } => sum / ((5.0 + tokens as f64) / 6.0).powf(*exponent),
            LengthPenalty::Average => sum / tokens as f64,
        }
    }

    /// Upper bound on the score of an unfinished report that ends with `shortest` to `longest`
    /// tokens. Its sum can only fall, and each divisor is monotone in length.
    pub(crate) fn ceiling(&self, shortest: usize, longest: usize, sum: f64) -> f64 {
        self.score(shortest, sum).max(self.score(longest, sum))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn penalties_are_the_formulas() {
        assert_eq!(LengthPenalty::None.score(7, -3.0), -3.0);
        assert_eq!(LengthPenalty::Average.score(4, -3.0), -0.75);
        let wu = LengthPenalty::Wu { exponent: 0.9 };
        assert!((wu.score(13, -6.0) + 6.0 / 3.0_f64.powf(0.9)).abs() < 1e-12);
        assert_eq!(wu.score(1, -6.0), -6.0);
    }

    #[test]
    fn the_ceiling_is_above_every_reachable_score() {
        let penalties = [
            LengthPenalty::None,
            LengthPenalty::Average,
            LengthPenalty::Wu { exponent: 0.9 },
            LengthPenalty::Wu { exponent: -1.5 },
        ];
        for penalty in penalties {
            let ceiling = penalty.ceiling(4, 9, -2.5);
            for tokens in 4..=9 {
                for loss in [0.0, 0.1, 3.0] {
                    assert!(penalty.score(tokens, -2.5 - loss) <= ceiling);
                }
            }
        }
    }
}
