use ithn_generator::StepDecoder;

use crate::draft::Draft;
use crate::rules::TokenRules;
use crate::stepper::{Feed, LogProbs, Stepper};
use crate::{Hypothesis, LengthPenalty, SearchError};

/// Independent reports, extended token by token. Greedy search and sampling differ only in how they
/// choose a token.
pub(crate) struct Rollout<'a> {
    pub(crate) max_tokens: usize,
    pub(crate) rules: TokenRules<'a>,
    /// Reports per study.
    pub(crate) reports: usize,
}

impl Rollout<'_> {
    /// Hypotheses per study, in the order of their reports.
    ///
    /// `choose(report, scores)` picks a token by the scores of all tokens: log-probabilities minus
    /// the costs of repeats. `report` counts through the batch: `study · reports + number`. A report
    /// for which it returns `None` stops.
    pub(crate) fn run<D: StepDecoder>(
        &self,
        decoder: &D,
        state: D::State,
        studies: &[&str],
        mut choose: impl FnMut(usize, &[f32]) -> Option<u32>,
    ) -> Result<Vec<Vec<Hypothesis>>, SearchError> {
        let (mut stepper, mut log_probs) = Stepper::start(decoder, state, studies)?;
        self.rules.check(log_probs.vocabulary())?;
        let mut drafts: Vec<Draft> = (0..studies.len() * self.reports)
            .map(|report| Draft::empty(report / self.reports))
            .collect();
        let mut open: Vec<usize> = (0..drafts.len()).collect();
        let mut scores = Vec::new();
        for step in 1..=self.max_tokens {
            open.retain(|&report| {
                let choose = |scores: &[f32]| choose(report, scores);
                self.extend(&mut drafts[report], &log_probs, &mut scores, choose)
            });
            if open.is_empty() || step == self.max_tokens {
                break;
            }
            let mut feeds: Vec<Feed> = Vec::with_capacity(open.len());
            for &report in &open {
                drafts[report].feed(report / self.reports, &mut feeds);
            }
            log_probs = stepper.advance(&feeds)?;
        }
        Ok(self.collect(&drafts))
    }

    /// Appends one token; returns false if the report ended or no token was allowed.
    fn extend(
        &self,
        draft: &mut Draft,
        log_probs: &LogProbs,
        scores: &mut Vec<f32>,
        choose: impl FnOnce(&[f32]) -> Option<u32>,
    ) -> bool {
        let row = log_probs.row(draft.row);
        scores.clear();
        scores.extend_from_slice(row);
        self.rules.apply(&draft.tokens, scores);
        let Some(token) = choose(scores) else {
            return false;
        };
        let sum = draft.sum + f64::from(scores[token as usize]);
        draft.push(token, row[token as usize], sum);
        !draft.has_ended()
    }

    fn collect(&self, drafts: &[Draft]) -> Vec<Vec<Hypothesis>> {
        let hypothesis = |draft: &Draft| draft.hypothesis(LengthPenalty::None);
        drafts
            .chunks(self.reports)
            .map(|reports| reports.iter().map(hypothesis).collect())
            .collect()
    }
}
