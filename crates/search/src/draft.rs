use ithn_generator::BOUNDARY_TOKEN;

use crate::stepper::Feed;
use crate::{Hypothesis, LengthPenalty};

/// A partial report.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    /// The generator's row that it continues.
    pub(crate) row: usize,
    /// Tokens generated so far, an ending boundary token included.
    pub(crate) tokens: Vec<u32>,
    log_probs: Vec<f32>,
    /// Sum of the scores that search compared.
    pub(crate) sum: f64,
}

impl Draft {
    /// The empty report in `row`.
    pub(crate) fn empty(row: usize) -> Self {
        Draft {
            row,
            tokens: Vec::new(),
            log_probs: Vec::new(),
            sum: 0.0,
        }
    }

    /// Appends `token` of log-probability `log_prob`; `sum` is the new sum of scores.
    pub(crate) fn push(&mut self, token: u32, log_prob: f32, sum: f64) {
        self.tokens.push(token);
        self.log_probs.push(log_prob);
        self.sum = sum;
    }

    /// Whether its last token ended it.
    pub(crate) fn has_ended(&self) -> bool {
        self.tokens.last() == Some(&BOUNDARY_TOKEN)
    }

    /// Adds its last token to `feeds` and moves to the row that it gets there.
    pub(crate) fn feed(&mut self, study: usize, feeds: &mut Vec<Feed>) {
        let row = feeds.len();
        feeds.push(Feed {
            row: self.row,
            token: self.tokens.last().copied().unwrap_or(BOUNDARY_TOKEN),
            study,
        });
        self.row = row;
    }

    /// The hypothesis that it amounts to.
    pub(crate) fn hypothesis(&self, length_penalty: LengthPenalty) -> Hypothesis {
        let finished = self.has_ended();
        let words = self.tokens.len() - usize::from(finished);
        Hypothesis {
            tokens: self.tokens[..words].to_vec(),
            log_probs: self.log_probs.clone(),
            score: length_penalty.score(self.tokens.len(), self.sum),
            finished,
        }
    }
}
