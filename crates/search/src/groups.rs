use std::ops::Range;

use ithn_generator::StepDecoder;

use crate::beam::{BeamRules, Beams};
use crate::rules::TokenRules;
use crate::stepper::{LogProbs, Stepper};
use crate::{
    BeamSearch, BeamTemperature, DiverseBeamSearch, EndedGroups, Hypothesis, SearchConfig,
    SearchError, TemperatureScope,
};

/// Groups of beams for a batch of studies; one group is ordinary beam search.
///
/// Group `g` runs `g` steps behind the first, so the tokens of earlier groups are known to it. Its
/// rows are shorter, so each group takes its own generator steps.
pub(crate) struct GroupSearch<'a> {
    groups: usize,
    rules: BeamRules<'a>,
    temperature: BeamTemperature,
}

/// One group of all studies.
struct Lane<'a, D: StepDecoder> {
    stepper: Stepper<'a, D>,
    log_probs: LogProbs,
    beams: Vec<Beams>,
}

impl<'a> GroupSearch<'a> {
    /// Ordinary beam search.
    pub(crate) fn single(beam: &BeamSearch, config: &'a SearchConfig) -> Self {
        GroupSearch {
            groups: 1,
            rules: BeamRules {
                width: beam.width,
                returned: beam.returned,
                max_tokens: config.max_tokens,
                diversity: 0.0,
                ended_groups: EndedGroups::Silent,
                length_penalty: beam.length_penalty,
                tokens: TokenRules::of(config),
            },
            temperature: beam.temperature,
        }
    }

    /// Diverse beam search.
    pub(crate) fn diverse(beams: &DiverseBeamSearch, config: &'a SearchConfig) -> Self {
        GroupSearch {
            groups: beams.groups,
            rules: BeamRules {
                width: beams.width_per_group,
                returned: beams.returned,
                max_tokens: config.max_tokens,
                diversity: beams.diversity,
                ended_groups: beams.ended_groups,
                length_penalty: beams.length_penalty,
                tokens: TokenRules::of(config),
            },
            temperature: beams.temperature,
        }
    }

    /// Hypotheses per study: those of the first group, best first, then those of the second, …
    pub(crate) fn run<D: StepDecoder>(
        &self,
        decoder: &D,
        state: D::State,
        studies: &[&str],
    ) -> Result<Vec<Vec<Hypothesis>>, SearchError> {
        let mut lanes = self.start(decoder, state, studies)?;
        let max_tokens = self.rules.max_tokens;
        for time in 0..max_tokens + self.groups - 1 {
            for group in self.groups_at(time) {
                self.extend(&mut lanes, group, time - group);
            }
            let mut stepped = false;
            for group in self.groups_at(time) {
                if time - group + 1 < max_tokens {
                    stepped |= self.step(&mut lanes, group)?;
                }
            }
            if !stepped && time + 1 >= self.groups {
                break;
            }
        }
        Ok(collect(lanes, studies.len()))
    }

    fn start<'d, D: StepDecoder>(
        &self,
        decoder: &'d D,
        state: D::State,
        studies: &'d [&'d str],
    ) -> Result<Vec<Lane<'d, D>>, SearchError> {
        let (stepper, mut log_probs) = Stepper::start(decoder, state, studies)?;
        self.rules.tokens.check(log_probs.vocabulary())?;
        if self.temperature.scope == TemperatureScope::EveryStep {
            log_probs.temper(self.temperature.value);
        }
        let lane = |_| Lane {
            stepper: stepper.clone(),
            log_probs: log_probs.clone(),
            beams: (0..studies.len()).map(Beams::empty).collect(),
        };
        Ok((0..self.groups).map(lane).collect())
    }

    /// The groups that take a step at `time`.
    fn groups_at(&self, time: usize) -> Range<usize> {
        let first = (time + 1).saturating_sub(self.rules.max_tokens);
        first..self.groups.min(time + 1)
    }

    /// Appends the token at `position` to every beam of `group`.
    fn extend<D: StepDecoder>(&self, lanes: &mut [Lane<'_, D>], group: usize, position: usize) {
        let (earlier, rest) = lanes.split_at_mut(group);
        let lane = &mut rest[0];
        for (study, beams) in lane.beams.iter_mut().enumerate() {
            let taken = earlier
                .iter()
                .flat_map(|lane| lane.beams[study].tokens_at(position));
            beams.advance(&lane.log_probs, &taken.collect::<Vec<_>>(), &self.rules);
        }
    }

    /// Takes a generator step for `group`, with the studies in which it or a later group is not
    /// settled. The others leave the batch. Returns false if no study is left.
    fn step<D: StepDecoder>(
        &self,
        lanes: &mut [Lane<'_, D>],
        group: usize,
    ) -> Result<bool, SearchError> {
        let mut feeds = Vec::new();
        for study in 0..lanes[group].beams.len() {
            let settled = |lane: &Lane<'_, D>| lane.beams[study].settled(&self.rules);
            if !lanes[group..].iter().all(settled) {
                lanes[group].beams[study].feed(study, &self.rules, &mut feeds);
            }
        }
        if feeds.is_empty() {
            return Ok(false);
        }
        let lane = &mut lanes[group];
        lane.log_probs = lane.stepper.advance(&feeds)?;
        lane.log_probs.temper(self.temperature.value);
        Ok(true)
    }
}

fn collect<D: StepDecoder>(lanes: Vec<Lane<'_, D>>, studies: usize) -> Vec<Vec<Hypothesis>> {
    let mut collected = vec![Vec::new(); studies];
    for lane in lanes {
        for (study, beams) in collected.iter_mut().zip(lane.beams) {
            study.extend(beams.into_hypotheses());
        }
    }
    collected
}
