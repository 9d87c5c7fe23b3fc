use serde::{Deserialize, Serialize};

use super::SearchError;
use super::config::{at_least_one, finite_cost};

/// What becomes of n-grams that the report already holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "snake_case", deny_unknown_fields)]
pub enum Repetition {
    /// They may come again.
    #[default]
    Allow,
    /// They never come again: their last word gets −∞.
    BlockNgrams {
        /// Words of an n-gram; at least 1.
        n: usize,
    },
    /// Their last word pays `cost` nats for each earlier occurrence.
    PenaliseNgrams {
        /// Words of an n-gram; at least 1.
        n: usize,
        /// Nats per occurrence; finite, at least 0.
        cost: f64,
    },
}

/// Whether a word may follow itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImmediateRepeat {
    /// It may.
    #[default]
    Allow,
    /// Never (`decoding_constraint` of the release).
    Forbid,
}

impl Repetition {
    /// `block_trigrams` as released: 2.0 · 0.693 nats per repeat, which discourages but does not
    /// block.
    pub const RELEASED_TRIGRAMS: Repetition = Repetition::PenaliseNgrams {
        n: 3,
        cost: 2.0 * 0.693,
    };

    pub(super) fn validate(&self) -> Result<(), SearchError> {
        match *self {
            Repetition::Allow => Ok(()),
            Repetition::BlockNgrams { n } => at_least_one("n", n),
            Repetition::PenaliseNgrams { n, cost } => {
                at_least_one("n", n)?;
                finite_cost("cost", cost)
            }
        }
    }

    /// Applies the rule to the scores of the words that may follow `report`.
    fn apply(&self, report: &[u32], scores: &mut [f32]) {
        match *self {
            Repetition::Allow => {}
            Repetition::BlockNgrams { n } => {
                completions(report, n).for_each(|word| scores[word as usize] = f32::NEG_INFINITY);
            }
            Repetition::PenaliseNgrams { n, cost } => {
                completions(report, n).for_each(|word| scores[word as usize] -= cost as f32);
            }
        }
    }
}

/// The last words of all n-grams of `report` that begin with its present last `n − 1` words, once
/// per occurrence.
fn completions(report: &[u32], n: usize) -> impl Iterator<Item = u32> {
    let suffix = &report[(report.len() + 1).saturating_sub(n)..];
    report
        .windows(n)
        .filter(move |ngram| &ngram[..n - 1] == suffix)
        .map(move |ngram| ngram[n - 1])
}

/// Both rules about repeats, as every strategy applies them.
#[derive(Debug, Clone, Copy)]
pub(super) struct RepeatRules {
    pub(super) repetition: Repetition,
    pub(super) immediate: ImmediateRepeat,
}

impl RepeatRules {
    /// Turns log-probabilities of the words after `report` into the scores that search compares.
    pub(super) fn apply(&self, report: &[u32], scores: &mut [f32]) {
        if let (ImmediateRepeat::Forbid, Some(&last)) = (self.immediate, report.last()) {
            scores[last as usize] = f32::NEG_INFINITY;
        }
        self.repetition.apply(report, scores);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn completions_are_the_words_that_would_repeat() {
        let found = |report: &[u32], n| completions(report, n).collect::<Vec<_>>();
        assert_eq!(found(&[1, 2, 3, 1, 2, 4, 1, 2], 3), [3, 4]);
        assert_eq!(found(&[5, 5, 5], 3), [5]);
        assert_eq!(found(&[5, 5, 5, 5], 3), [5, 5]);
        assert_eq!(found(&[5, 5], 3), [0_u32; 0]);
        assert_eq!(found(&[], 3), [0_u32; 0]);
        assert_eq!(found(&[4, 6], 1), [4, 6]);
        assert_eq!(found(&[], 1), [0_u32; 0]);
    }

    #[test]
    fn rules_change_only_the_repeated_words() {
        let rules = RepeatRules {
            repetition: Repetition::PenaliseNgrams { n: 2, cost: 0.5 },
            immediate: ImmediateRepeat::Forbid,
        };
        let mut scores = [0.0; 5];
        rules.apply(&[1, 2, 1, 2, 1], &mut scores);
        assert_eq!(scores, [0.0, f32::NEG_INFINITY, -1.0, 0.0, 0.0]);

        let block = Repetition::BlockNgrams { n: 2 };
        let mut scores = [0.0; 5];
        block.apply(&[1, 2, 1], &mut scores);
        assert_eq!(scores, [0.0, 0.0, f32::NEG_INFINITY, 0.0, 0.0]);
    }
}
