use ithn_generator::config::no_options;
use serde::{Deserialize, Serialize};

use crate::config::{count, finite_cost};
use crate::{SearchConfig, SearchError};

/// Rule about n-grams that the report already contains.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Repetition {
    /// N-grams may repeat.
    #[default]
    #[serde(deserialize_with = "no_options")]
    Allow,
    /// N-grams never repeat: a token that would complete a repetition scores −∞.
    BlockNgrams {
        /// Tokens of an n-gram; in 1..=65536.
        n: usize,
    },
    /// Subtracts `cost` nats from the score of an n-gram's last token for each earlier occurrence
    /// of the n-gram.
    PenaliseNgrams {
        /// Tokens of an n-gram; in 1..=65536.
        n: usize,
        /// Nats per occurrence; finite, at least 0.
        cost: f64,
    },
}

/// Whether a token may directly follow itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ImmediateRepeat {
    /// Allowed.
    #[default]
    Allow,
    /// Never (`decoding_constraint` of the official code).
    Forbid,
}

impl Repetition {
    /// `block_trigrams` of the official code: 2.0 · 0.693 nats per repeat, which discourages but does
    /// not block.
    pub const OFFICIAL_TRIGRAMS: Repetition = Repetition::PenaliseNgrams {
        n: 3,
        cost: 2.0 * 0.693,
    };

    pub(crate) fn validate(&self) -> Result<(), SearchError> {
        match *self {
            Repetition::Allow => Ok(()),
            Repetition::BlockNgrams { n } => count("repetition.n", n),
            Repetition::PenaliseNgrams { n, cost } => {
                count("repetition.n", n)?;
                finite_cost("repetition.cost", cost)
            }
        }
    }

    /// Applies the rule to the scores of the tokens that may follow `report`.
    fn apply(&self, report: &[u32], scores: &mut [f32]) {
        match *self {
            Repetition::Allow => {}
            Repetition::BlockNgrams { n } => {
                completions(report, n).for_each(|last| scores[last as usize] = f32::NEG_INFINITY);
            }
            Repetition::PenaliseNgrams { n, cost } => {
                completions(report, n).for_each(|last| scores[last as usize] -= cost as f32);
            }
        }
    }
}

/// The last tokens of all n-grams of `report` that begin with its last `n − 1` tokens, once per
/// occurrence.
fn completions(report: &[u32], n: usize) -> impl Iterator<Item = u32> {
    let suffix = &report[(report.len() + 1).saturating_sub(n)..];
    report
        .windows(n)
        .filter(move |ngram| &ngram[..n - 1] == suffix)
        .map(move |ngram| ngram[n - 1])
}

/// The rules about tokens, as every strategy applies them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TokenRules<'a> {
    pub(crate) repetition: Repetition,
    pub(crate) immediate: ImmediateRepeat,
    pub(crate) forbidden: &'a [u32],
}

impl<'a> TokenRules<'a> {
    pub(crate) fn of(config: &'a SearchConfig) -> Self {
        TokenRules {
            repetition: config.repetition,
            immediate: config.immediate_repeat,
            forbidden: &config.forbidden,
        }
    }

    /// Rejects forbidden tokens outside the vocabulary.
    pub(crate) fn check(&self, vocabulary: usize) -> Result<(), SearchError> {
        let unknown = |token: &&u32| **token as usize >= vocabulary;
        match self.forbidden.iter().find(unknown) {
            Some(&token) => Err(SearchError::UnknownToken { token, vocabulary }),
            None => Ok(()),
        }
    }

    /// Turns log-probabilities of the tokens after `report` into the scores that search compares.
    pub(crate) fn apply(&self, report: &[u32], scores: &mut [f32]) {
        for &token in self.forbidden {
            scores[token as usize] = f32::NEG_INFINITY;
        }
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
    fn completions_are_the_tokens_that_would_repeat() {
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
    fn rules_change_only_their_own_tokens() {
        let rules = TokenRules {
            repetition: Repetition::PenaliseNgrams { n: 2, cost: 0.5 },
            immediate: ImmediateRepeat::Forbid,
            forbidden: &[4],
        };
        let blocked = f32::NEG_INFINITY;
        let mut scores = [0.0; 5];
        rules.apply(&[1, 2, 1, 2, 1], &mut scores);
        assert_eq!(scores, [0.0, blocked, -1.0, 0.0, blocked]);

        let block = Repetition::BlockNgrams { n: 2 };
        let mut scores = [0.0; 5];
        block.apply(&[1, 2, 1], &mut scores);
        assert_eq!(scores, [0.0, 0.0, f32::NEG_INFINITY, 0.0, 0.0]);
    }
}
