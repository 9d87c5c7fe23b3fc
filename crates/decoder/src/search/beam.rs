use super::draft::Draft;
use super::repetition::RepeatRules;
use super::selection::Selection;
use super::stepper::{Feed, LogProbs};
use super::{EndedGroups, Hypothesis, LengthPenalty};

/// What all beams of a search go by.
#[derive(Debug, Clone, Copy)]
pub(super) struct BeamRules {
    pub(super) width: usize,
    pub(super) returned: usize,
    pub(super) max_tokens: usize,
    pub(super) diversity: f64,
    pub(super) ended_groups: EndedGroups,
    pub(super) length_penalty: LengthPenalty,
    pub(super) repeats: RepeatRules,
}

/// The beams of one study, or of one of its groups.
///
/// At every step all words after all beams compete, and the best `width` become the new beams.
/// Those that ended, or have no room left, are recorded and written on no more. (The release
/// lowers their sums by 1000 instead, which comes to the same: some beam that still writes offers
/// `width` better words.)
#[derive(Debug)]
pub(super) struct Beams {
    drafts: Vec<Draft>,
    /// The best `returned` reports recorded, best first.
    recorded: Vec<Hypothesis>,
    phase: Phase,
    /// Whether log-probabilities wait to be used.
    waiting: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Writing,
    /// Every report is recorded; what is written now only concerns later groups.
    Recorded,
}

impl Beams {
    /// One empty beam in `row`, whose log-probabilities are there.
    pub(super) fn empty(row: usize) -> Self {
        Beams {
            drafts: vec![Draft::empty(row)],
            recorded: Vec::new(),
            phase: Phase::Writing,
            waiting: true,
        }
    }

    /// Tokens that the present beams hold at `position`.
    pub(super) fn tokens_at(&self, position: usize) -> impl Iterator<Item = u32> {
        self.drafts
            .iter()
            .filter_map(move |draft| draft.tokens.get(position).copied())
    }

    /// Takes one step with the log-probabilities that it was waiting for, if it was. `taken` are
    /// the words that cost diversity, once per occurrence.
    pub(super) fn advance(&mut self, log_probs: &LogProbs, taken: &[u32], rules: &BeamRules) {
        if !std::mem::take(&mut self.waiting) {
            return;
        }
        let best = self.select(log_probs, taken, rules);
        let extended = |(sum, (parent, token)): (f64, (usize, u32))| {
            let mut draft = self.drafts[parent].clone();
            let log_prob = log_probs.row(draft.row)[token as usize];
            draft.write(token, log_prob, sum);
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
        rules: &BeamRules,
    ) -> Vec<(f64, (usize, u32))> {
        let mut best = Selection::new(rules.width);
        let mut scores = Vec::new();
        for parent in self.writing() {
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

    /// Indices of the beams that are written on.
    fn writing(&self) -> Vec<usize> {
        let ended = |index: &usize| self.drafts[*index].has_ended();
        let mut indices: Vec<usize> = (0..self.drafts.len()).collect();
        // In an echo, beams that end again also fall behind those that do not.
        if self.phase == Phase::Writing || !indices.iter().all(ended) {
            indices.retain(|index| !ended(index));
        }
        indices
    }

    fn record_ends(&mut self, rules: &BeamRules) {
        if self.phase == Phase::Recorded {
            return;
        }
        for index in 0..self.drafts.len() {
            let draft = &self.drafts[index];
            if draft.has_ended() || draft.tokens.len() == rules.max_tokens {
                self.record(index, rules);
            }
        }
        let room = |draft: &Draft| !draft.has_ended() && draft.tokens.len() < rules.max_tokens;
        if !self.drafts.iter().any(room) {
            self.phase = Phase::Recorded;
        }
    }

    /// Ranks a beam among the recorded reports.
    fn record(&mut self, draft: usize, rules: &BeamRules) {
        if self.phase == Phase::Recorded {
            return;
        }
        let hypothesis = self.drafts[draft].hypothesis(rules.length_penalty);
        let not_worse = |other: &Hypothesis| other.score >= hypothesis.score;
        let place = self.recorded.partition_point(not_worse);
        self.recorded.insert(place, hypothesis);
        self.recorded.truncate(rules.returned);
    }

    /// Whether nothing that may still be written can change what is returned.
    pub(super) fn settled(&self, rules: &BeamRules) -> bool {
        if self.phase == Phase::Recorded {
            return true;
        }
        let Some(last) = self.recorded.get(rules.returned - 1) else {
            return false;
        };
        let beaten = |index: &usize| last.score >= rules.ceiling(&self.drafts[*index]);
        self.writing().iter().all(beaten)
    }

    /// Asks for the words that may come next; nothing if no beam is to be written on.
    pub(super) fn feed(&mut self, study: usize, rules: &BeamRules, feeds: &mut Vec<Feed>) {
        if self.phase == Phase::Recorded && rules.ended_groups == EndedGroups::Silent {
            return;
        }
        for index in self.writing() {
            self.drafts[index].feed(study, feeds);
            self.waiting = true;
        }
    }

    /// The best reports, best first.
    pub(super) fn into_hypotheses(self) -> Vec<Hypothesis> {
        self.recorded
    }
}

impl BeamRules {
    /// What search compares: log-probabilities of the words after `draft`, less all costs.
    fn score(&self, draft: &Draft, log_probs: &LogProbs, taken: &[u32], scores: &mut Vec<f32>) {
        scores.clear();
        scores.extend_from_slice(log_probs.row(draft.row));
        self.repeats.apply(&draft.tokens, scores);
        for &token in taken {
            scores[token as usize] -= self.diversity as f32;
        }
    }

    /// The best final score that `draft` can reach if it is written on.
    fn ceiling(&self, draft: &Draft) -> f64 {
        let shortest = draft.tokens.len() + 1;
        self.length_penalty
            .ceiling(shortest, self.max_tokens, draft.sum)
    }
}
