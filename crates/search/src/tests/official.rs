//! The official search, written out literally: nothing stops early, nothing leaves the batch, and
//! finished beams lose 1000 instead of their place.

use super::script::Script;
use crate::{
    BeamSearch, BeamTemperature, DiverseBeamSearch, EndedGroups, ImmediateRepeat, LengthPenalty,
    SearchConfig, Strategy,
};

const MAX_TOKENS: usize = 11;
const WORDS: usize = 9;

#[derive(Clone)]
struct Beam {
    tokens: Vec<u32>,
    sum: f64,
}

struct Official<'a> {
    script: &'a Script,
    groups: usize,
    width: usize,
    diversity: f64,
    temperature: f64,
    constraint: ImmediateRepeat,
    penalty: LengthPenalty,
}

impl Official<'_> {
    /// `(tokens with the ending one, score)` per group.
    fn search(&self, study: usize) -> Vec<Vec<(Vec<u32>, f64)>> {
        let root = Beam {
            tokens: Vec::new(),
            sum: 0.0,
        };
        let mut table = vec![vec![root]; self.groups];
        let mut done = vec![Vec::new(); self.groups];
        for time in 0..MAX_TOKENS + self.groups - 1 {
            for group in 0..self.groups {
                if time >= group && time < MAX_TOKENS + group {
                    table[group] = self.step(study, &table, group, time - group);
                    let last = time == MAX_TOKENS + group - 1;
                    for beam in &mut table[group] {
                        if last || beam.tokens.last() == Some(&0) {
                            let score = self.penalty.score(time - group + 1, beam.sum);
                            done[group].push((beam.tokens.clone(), score));
                            beam.sum -= 1000.0;
                        }
                    }
                }
            }
        }
        for group in &mut done {
            group.sort_by(|a, b| b.1.total_cmp(&a.1));
            group.truncate(self.width);
        }
        done
    }

    fn step(&self, study: usize, table: &[Vec<Beam>], group: usize, local: usize) -> Vec<Beam> {
        let mut candidates = Vec::new();
        for beam in &table[group] {
            let mut scores = self.log_probs(study, beam);
            if let (ImmediateRepeat::Forbid, Some(&last)) = (self.constraint, beam.tokens.last()) {
                scores[last as usize] = f32::NEG_INFINITY;
            }
            for other in table[..group].iter().flatten() {
                scores[other.tokens[local] as usize] -= self.diversity as f32;
            }
            for (token, score) in (0..).zip(scores) {
                let mut tokens = beam.tokens.clone();
                tokens.push(token);
                let sum = beam.sum + f64::from(score);
                candidates.push(Beam { tokens, sum });
            }
        }
        candidates.sort_by(|a, b| b.sum.total_cmp(&a.sum));
        candidates.truncate(self.width);
        candidates
    }

    fn log_probs(&self, study: usize, beam: &Beam) -> Vec<f32> {
        let fed = [&[0], &beam.tokens[..]].concat();
        let mut row = self.script.log_probs(study, &fed);
        if !beam.tokens.is_empty() && self.temperature != 1.0 {
            let tempered = |value: &f32| f64::from(*value) / self.temperature;
            let total: f64 = row.iter().map(|value| tempered(value).exp()).sum();
            row = row
                .iter()
                .map(|value| (tempered(value) - total.ln()) as f32)
                .collect();
        }
        row
    }

    fn config(&self, returned: usize) -> SearchConfig {
        let temperature = BeamTemperature::skip_first(self.temperature);
        let strategy = match self.groups {
            1 => Strategy::from(
                BeamSearch::new(self.width)
                    .with_returned(returned)
                    .with_length_penalty(self.penalty)
                    .with_temperature(temperature),
            ),
            groups => DiverseBeamSearch::new(groups, self.width, self.diversity)
                .with_returned(returned)
                .with_ended_groups(EndedGroups::Echo)
                .with_length_penalty(self.penalty)
                .with_temperature(temperature)
                .into(),
        };
        SearchConfig::new(MAX_TOKENS, strategy).with_immediate_repeat(self.constraint)
    }

    /// Searches three studies both ways; the number of reports compared.
    fn compare(&self, returned: usize) -> usize {
        let found = self.script.reports(3, &self.config(returned));
        for (study, found) in found.iter().enumerate() {
            let mut expected = self.search(study);
            expected
                .iter_mut()
                .for_each(|group| group.truncate(returned));
            let expected: Vec<_> = expected.concat();
            assert_eq!(found.len(), expected.len());
            for (hypothesis, (mut tokens, score)) in found.iter().zip(expected) {
                assert_eq!(hypothesis.finished, tokens.last() == Some(&0));
                assert_eq!(hypothesis.log_probs.len(), tokens.len());
                tokens.truncate(hypothesis.tokens.len());
                assert_eq!(hypothesis.tokens, tokens);
                assert!((hypothesis.score - score).abs() < 1e-4);
            }
        }
        found.iter().map(Vec::len).sum()
    }
}

/// Compares over readiness to end, constraint, temperature and length penalty.
fn compare_all(seed: u64, groups: usize, width: usize, returned: usize) {
    let penalties = [
        LengthPenalty::None,
        LengthPenalty::Average,
        LengthPenalty::Wu { exponent: 0.9 },
    ];
    for ending in [-2.0, 0.0, 2.0, 4.0] {
        let mut script = Script::new(seed, WORDS);
        script.ending = ending;
        for constraint in [ImmediateRepeat::Allow, ImmediateRepeat::Forbid] {
            for (temperature, penalty) in [1.0, 0.7, 1.5].into_iter().zip(penalties) {
                let official = Official {
                    script: &script,
                    groups,
                    width,
                    diversity: 0.5,
                    temperature,
                    constraint,
                    penalty,
                };
                assert_eq!(official.compare(returned), 3 * groups * returned);
            }
        }
    }
}

#[test]
fn beams_are_the_official_ones() {
    for seed in 0..6 {
        for width in [1, 2, 3, 5, 8] {
            compare_all(seed, 1, width, 1);
            compare_all(seed, 1, width, width);
        }
    }
}

#[test]
fn groups_are_the_official_ones() {
    for seed in 10..16 {
        for (groups, width) in [(2, 1), (3, 1), (3, 2), (2, 4)] {
            compare_all(seed, groups, width, 1);
            compare_all(seed, groups, width, width);
        }
    }
}
