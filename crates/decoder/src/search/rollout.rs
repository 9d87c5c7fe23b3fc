use std::ops::Range;

use ithn_generator::StepDecoder;

use super::draft::Draft;
use super::repetition::RepeatRules;
use super::stepper::{Feed, LogProbs, Stepper};
use super::{Hypothesis, LengthPenalty, SearchError};

/// Reports that are written word by word, each on its own; greedy search and sampling differ only
/// in the word they choose.
pub(super) struct Rollout {
    pub(super) max_tokens: usize,
    pub(super) repeats: RepeatRules,
    /// Reports per study.
    pub(super) reports: usize,
}

/// One of a study's reports.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReportId {
    pub(super) study: usize,
    /// From 0 to the number of reports per study.
    pub(super) report: usize,
}

impl Rollout {
    /// Hypotheses per study, in the order of their reports.
    ///
    /// `choose` picks a token by the scores of all tokens: log-probabilities less the cost of
    /// repeats. If it returns none, the report stops where it is.
    pub(super) fn run<D: StepDecoder>(
        &self,
        decoder: &D,
        state: D::State,
        studies: Range<usize>,
        mut choose: impl FnMut(ReportId, &[f32]) -> Option<u32>,
    ) -> Result<Vec<Vec<Hypothesis>>, SearchError> {
        let (mut stepper, mut log_probs) = Stepper::start(decoder, state, studies.clone())?;
        let mut written = self.empty_reports(studies.clone());
        let mut writing: Vec<usize> = (0..written.len()).collect();
        for step in 1..=self.max_tokens {
            writing.retain(|&index| {
                let (id, draft) = &mut written[index];
                self.write_word(draft, &log_probs, |scores| choose(*id, scores))
            });
            if writing.is_empty() || step == self.max_tokens {
                break;
            }
            let mut feeds: Vec<Feed> = Vec::with_capacity(writing.len());
            for &index in &writing {
                let (id, draft) = &mut written[index];
                draft.feed(id.study, &mut feeds);
            }
            log_probs = stepper.advance(&feeds)?;
        }
        Ok(self.collect(&written, studies.len()))
    }

    fn empty_reports(&self, studies: Range<usize>) -> Vec<(ReportId, Draft)> {
        let of_study = |(row, study)| {
            (0..self.reports).map(move |report| (ReportId { study, report }, Draft::empty(row)))
        };
        studies.enumerate().flat_map(of_study).collect()
    }

    /// Whether the report goes on after the word.
    fn write_word(
        &self,
        draft: &mut Draft,
        log_probs: &LogProbs,
        choose: impl FnOnce(&[f32]) -> Option<u32>,
    ) -> bool {
        let row = log_probs.row(draft.row);
        let mut scores = row.to_vec();
        self.repeats.apply(&draft.tokens, &mut scores);
        let Some(token) = choose(&scores) else {
            return false;
        };
        let sum = draft.sum + f64::from(scores[token as usize]);
        draft.write(token, row[token as usize], sum);
        !draft.has_ended()
    }

    fn collect(&self, written: &[(ReportId, Draft)], studies: usize) -> Vec<Vec<Hypothesis>> {
        let mut collected = vec![Vec::with_capacity(self.reports); studies];
        for (study, reports) in collected.iter_mut().zip(written.chunks(self.reports)) {
            study.extend(
                reports
                    .iter()
                    .map(|(_, draft)| draft.hypothesis(LengthPenalty::None)),
            );
        }
        collected
    }
}
