use crate::draft::Draft;
use crate::rules::TokenRules;
use crate::selection::Selection;
use crate::stepper::{Feed, LogProbs};
use crate::{EndedGroups, Hypothesis, LengthPenalty};

/// What all beams of a search have in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BeamRules<'a> {
    pub(crate) width: usize,
    pub(crate) returned: usize,
    pub(crate) max_tokens: usize,
    pub(crate) diversity: f64,
    pub(crate) ended_groups: EndedGroups,
    pub(crate) length_penalty: LengthPenalty,
    pub(crate) tokens: TokenRules<'a>,
}

/// The beams of one study, or of one of its groups.
///
/// At every step all continuations of all beams compete, and the best `width` become the new beams.
/// Beams that ended, or reached the maximum length, are recorded and not continued. (The official
/// code lowers their sums by 1000 instead. The result is the same: some open beam offers `width`
/// better continuations.)
#[derive(Debug)]
pub(crate) struct Beams {
    drafts: Vec<Draft>,
    /// The best `returned` reports recorded, best first.
    recorded: Vec<Hypothesis>,
    phase: Phase,
    /// Whether unused log-probabilities are available.
    pending: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// Every report is recorded; further tokens only affect later groups.
    Recorded,
}

impl Beams {
    /// One empty beam in `row`, whose log-probabilities are available.
    pub(crate) fn empty(row: usize) -> Self {
        Beams {
            drafts: vec![Draft::empty(row)],
            recorded: Vec::new(),
            phase: Phase::Open,
            pending: true,
        }
    }

    /// Tokens that the current beams hold at `position`.
    pub(crate) fn tokens_at(&self, position: usize) -> impl Iterator<Item = u32> {
        self.drafts
            .iter()
            .filter_map(move |draft| draft.tokens.get(position).copied())
    }

    /// Extends the beams by one token if log-probabilities are pending. Each occurrence of a token in
    /// `taken` costs `diversity`.
    pub(crate) fn advance(&mut self, log_probs: &LogProbs, taken: &[u32], rules: &BeamRules<'_>) {
        if !std::mem::take(&mut self.pending) {
            return;
        }
        let best = self.select(log_probs, taken, rules);
        let extended = |(sum, (parent, token)): (f64, (usize, u32))| {
            let mut draft = self.drafts[parent].clone();
            let log_prob = log_probs.row(draft.row)[token as usize];
            draft.push(token, log_prob, sum);
            draft
        };
        self.drafts = best.into_iter().map(extended).collect();
        self.record_ends(rules);
    }

    /// The best `width` continuations: sum of scores, index of the beam, token.
    fn select(
        &mut self,
        log_probs: &LogProbs,
        taken: &[u32],
        rules: &BeamRules<'_>,
    ) -> Vec<(f64, (usize, u32))> {
        let mut best = Selection::new(rules.width);
        let mut scores = Vec::new();
        for parent in self.continued() {
            let draft = &self.drafts[parent];
            rules.score(draft, log_probs, taken, &mut scores);
            if scores.iter().all(|score| *score == f32::NEG_INFINITY) {
                self.record(parent, rules);
                continue;
            }
            for (token, &score) in (0..).zip(&scores) {
                best.offer(draft.sum + f64::from(score), (parent, token));
            }
        }
        best.into_best()
    }

    /// Indices of the beams that are continued.
    fn continued(&self) -> Vec<usize> {
        let ended = |index: &usize| self.drafts[*index].has_ended();
        let mut indices: Vec<usize> = (0..self.drafts.len()).collect();
        // In an echo, beams that end again also rank below those that do not.
        if self.phase == Phase::Open || !indices.iter().all(ended) {
            indices.retain(|index| !ended(index));
        }
        indices
    }

    fn record_ends(&mut self, rules: &BeamRules<'_>) {
        if self.phase == Phase::Recorded {
            return;
        }
        for index in 0..self.drafts.len() {
            let draft = &self.drafts[index];
            if draft.has_ended() || draft.tokens.len() == rules.max_tokens {
                self.record(index, rules);
            }
        }
        let open = |draft: &Draft| !draft.has_ended() && draft.tokens.len() < rules.max_tokens;
        if !self.drafts.iter().any(open) {
            self.phase = Phase::Recorded;
        }
    }

    /// Inserts a beam among the recorded reports.
    fn record(&mut self, draft: usize, rules: &BeamRules<'_>) {
        if self.phase == Phase::Recorded {
            return;
        }
        let hypothesis = self.drafts[draft].hypothesis(rules.length_penalty);
        let not_worse = |other: &Hypothesis| other.score >= hypothesis.score;
        let place = self.recorded.partition_point(not_worse);
        self.recorded.insert(place, hypothesis);
        self.recorded.truncate(rules.returned);
    }

    /// Whether no continuation can change the returned hypotheses.
    pub(crate) fn settled(&self, rules: &BeamRules<'_>) -> bool {
        if self.phase == Phase::Recorded {
            return true;
        }
        let Some(last) = self.recorded.get(rules.returned - 1) else {
            return false;
        };
        let beaten = |index: &usize| last.score >= rules.ceiling(&self.drafts[*index]);
        self.continued().iter().all(beaten)
    }

    /// Adds the last tokens of the beams to `feeds`; none if no beam is continued.
    pub(crate) fn feed(&mut self, study: usize, rules: &BeamRules<'_>, feeds: &mut Vec<Feed>) {
        if self.phase == Phase::Recorded && rules.ended_groups == EndedGroups::Silent {
            return;
        }
        for index in self.continued() {
            self.drafts[index].feed(study, feeds);
            self.pending = true;
        }
    }

    /// The best reports, best first.
    pub(crate) fn into_hypotheses(self) -> Vec<Hypothesis> {
        self.recorded
    }
}

impl BeamRules<'_> {
    /// The scores that search compares: log-probabilities of the tokens after `draft` minus all
    /// costs.
    fn score(&self, draft: &Draft, log_probs: &LogProbs, taken: &[u32], scores: &mut Vec<f32>) {
        scores.clear();
        scores.extend_from_slice(log_probs.row(draft.row));
        self.tokens.apply(&draft.tokens, scores);
        for &token in taken {
            scores[token as usize] -= self.diversity as f32;
        }
    }

    /// Upper bound on the final score of `draft` if it is continued.
    fn ceiling(&self, draft: &Draft) -> f64 {
        let shortest = draft.tokens.len() + 1;
        self.length_penalty
            .ceiling(shortest, self.max_tokens, draft.sum)
    }
}
