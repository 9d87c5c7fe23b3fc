use ithn_generator::BOUNDARY_TOKEN;

use super::stepper::Feed;
use super::{Hypothesis, LengthPenalty};

/// A report in the making.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    /// The generator's row that it continues.
    pub(super) row: usize,
    /// What was written so far, an ending boundary token included.
    pub(super) tokens: Vec<u32>,
    log_probs: Vec<f32>,
    /// Sum of the scores that search compared.
    pub(super) sum: f64,
}

impl Draft {
    /// The empty report in `row`.
    pub(super) fn empty(row: usize) -> Self {
        Draft {
            row,
            tokens: Vec::new(),
            log_probs: Vec::new(),
            sum: 0.0,
        }
    }

    /// Writes `token`, whose log-probability is `log_prob`; all scores now add up to `sum`.
    pub(super) fn write(&mut self, token: u32, log_prob: f32, sum: f64) {
        self.tokens.push(token);
        self.log_probs.push(log_prob);
        self.sum = sum;
    }

    /// Whether its last token ended it.
    pub(super) fn has_ended(&self) -> bool {
        self.tokens.last() == Some(&BOUNDARY_TOKEN)
    }

    /// Asks for the words after its last token: joins `feeds`, and moves to its row there.
    pub(super) fn feed(&mut self, study: usize, feeds: &mut Vec<Feed>) {
        let row = feeds.len();
        feeds.push(Feed {
            row: self.row,
            token: self.tokens.last().copied().unwrap_or(BOUNDARY_TOKEN),
            study,
        });
        self.row = row;
    }

    /// The report as it stands.
    pub(super) fn hypothesis(&self, length_penalty: LengthPenalty) -> Hypothesis {
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
