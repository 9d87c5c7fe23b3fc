use std::ops::Range;

use ithn_generator::StepDecoder;

use super::beam::{BeamRules, Beams};
use super::stepper::{LogProbs, Stepper};
use super::{BeamTemperature, Hypothesis, SearchError, TemperatureScope};

/// Groups of beams for a batch of studies; one group is ordinary beam search.
///
/// Group `g` is `g` steps behind the first, so that it sees how earlier groups went on. Its rows
/// are therefore shorter, and the generator is asked once per group and step.
pub(super) struct GroupSearch {
    pub(super) groups: usize,
    pub(super) rules: BeamRules,
    pub(super) temperature: BeamTemperature,
}

/// One group of all studies.
struct Lane<'a, D: StepDecoder> {
    stepper: Stepper<'a, D>,
    log_probs: LogProbs,
    beams: Vec<Beams>,
}

impl GroupSearch {
    /// Hypotheses per study: those of the first group, best first, then those of the second, …
    pub(super) fn run<D: StepDecoder>(
        &self,
        decoder: &D,
        state: D::State,
        studies: Range<usize>,
    ) -> Result<Vec<Vec<Hypothesis>>, SearchError> {
        let mut lanes = self.start(decoder, state, studies.clone())?;
        let max_tokens = self.rules.max_tokens;
        for time in 0..max_tokens + self.groups - 1 {
            for group in self.groups_at(time) {
                self.extend(&mut lanes, group, time - group);
            }
            for group in self.groups_at(time) {
                if time - group + 1 < max_tokens {
                    self.ask(&mut lanes, group, studies.start)?;
                }
            }
        }
        Ok(collect(lanes, studies.len()))
    }

    fn start<'a, D: StepDecoder>(
        &self,
        decoder: &'a D,
        state: D::State,
        studies: Range<usize>,
    ) -> Result<Vec<Lane<'a, D>>, SearchError> {
        let (stepper, mut log_probs) = Stepper::start(decoder, state, studies.clone())?;
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

    /// Writes the token at `position` in every beam of `group`.
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

    /// Asks the generator for the next log-probabilities of `group`, for the studies in which it or
    /// a later group is not settled. The others leave the batch.
    fn ask<D: StepDecoder>(
        &self,
        lanes: &mut [Lane<'_, D>],
        group: usize,
        first_study: usize,
    ) -> Result<(), SearchError> {
        let mut feeds = Vec::new();
        for study in 0..lanes[group].beams.len() {
            let settled = |lane: &Lane<'_, D>| lane.beams[study].settled(&self.rules);
            if !lanes[group..].iter().all(settled) {
                lanes[group].beams[study].feed(first_study + study, &self.rules, &mut feeds);
            }
        }
        if feeds.is_empty() {
            return Ok(());
        }
        let lane = &mut lanes[group];
        lane.log_probs = lane.stepper.advance(&feeds)?;
        lane.log_probs.temper(self.temperature.value);
        Ok(())
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
