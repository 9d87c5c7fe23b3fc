//! Search: writes reports with any [`StepDecoder`], word by word.
//!
//! [`search`] goes from images to hypotheses, [`search_from`] from a generator's state. A
//! [`SearchConfig`] says how: greedily, by beam search, by diverse groups of beams, or by sampling
//! ([`Strategy`]); each with rules about repeats ([`Repetition`], [`ImmediateRepeat`]).
//! [`SearchConfig::from_released`] reads the options of R2GenCMN.
//!
//! The generator computes on its device; once per step the log-probabilities `[rows, vocabulary]`
//! come to the host, where words are chosen. Reports that have ended leave the batch, and search
//! stops when nothing that could still be written would change the result.

mod beam;
mod config;
mod diverse;
mod draft;
mod error;
mod greedy;
mod length_penalty;
mod released;
mod repetition;
mod rollout;
mod sampling;
mod selection;
mod stepper;
#[cfg(test)]
mod tests;

pub use config::{BeamTemperature, EndedGroups, SearchConfig, Strategy, TemperatureScope};
pub use error::SearchError;
pub use length_penalty::LengthPenalty;
pub use released::ReleasedOptions;
pub use repetition::{ImmediateRepeat, Repetition};

use std::ops::Range;

use ithn_generator::{StepDecoder, StudyBatch};
use ithn_kernels::on_worker;
use rand::rngs::StdRng;

use beam::BeamRules;
use diverse::GroupSearch;
use repetition::RepeatRules;
use rollout::{ReportId, Rollout};
use sampling::Sampler;

/// A report that search found.
#[derive(Debug, Clone, PartialEq)]
pub struct Hypothesis {
    /// Its words, without the boundary token that ended it.
    pub tokens: Vec<u32>,
    /// Log-probability of every token written, in nats, that of the ending boundary token included
    /// if [`finished`](Self::finished). In beams after temperature, otherwise as the generator gave
    /// them; never less the costs of repeats or diversity.
    pub log_probs: Vec<f32>,
    /// What search ranks by: the sum of `log_probs` less the costs of repeats and diversity, after
    /// length penalty.
    pub score: f64,
    /// Whether it ended by itself; otherwise it was cut, almost always at
    /// [`SearchConfig::max_tokens`].
    pub finished: bool,
}

/// Writes reports for a batch of studies: per study
/// [`SearchConfig::returned`] hypotheses, best first. Studies are numbered from 0.
///
/// # Errors
///
/// Invalid options, and [`SearchError::NotLogProbabilities`] if the generator fails.
pub fn search<D: StepDecoder>(
    decoder: &D,
    studies: StudyBatch,
    config: &SearchConfig,
) -> Result<Vec<Vec<Hypothesis>>, SearchError> {
    config.validate()?;
    let count = studies.len();
    on_worker(|| search_from(decoder, decoder.start(studies), 0..count, config))
}

/// Writes reports from a `state` with one row per study and no word yet, as
/// [`StepDecoder::start`] returns it.
///
/// `studies` are the studies' numbers, for instance their places in the data set. Errors name them,
/// and sampling draws by them: a study's reports do not depend on the batch it came in.
///
/// # Errors
///
/// Invalid options, and [`SearchError::NotLogProbabilities`] if the generator fails.
///
/// # Panics
///
/// If the generator returns another number of rows than it was fed.
pub fn search_from<D: StepDecoder>(
    decoder: &D,
    state: D::State,
    studies: Range<usize>,
    config: &SearchConfig,
) -> Result<Vec<Vec<Hypothesis>>, SearchError> {
    config.validate()?;
    if studies.is_empty() {
        return Ok(Vec::new());
    }
    on_worker(|| config.run(decoder, state, studies))
}

impl SearchConfig {
    fn run<D: StepDecoder>(
        &self,
        decoder: &D,
        state: D::State,
        studies: Range<usize>,
    ) -> Result<Vec<Vec<Hypothesis>>, SearchError> {
        match self.strategy {
            Strategy::Greedy => self.rollout().run(decoder, state, studies, |_, scores| {
                greedy::most_probable(scores)
            }),
            Strategy::Beam {
                width,
                length_penalty,
                temperature,
            } => {
                let search = GroupSearch {
                    groups: 1,
                    rules: self.beam_rules(width, length_penalty),
                    temperature,
                };
                search.run(decoder, state, studies)
            }
            Strategy::DiverseBeam {
                groups,
                width_per_group,
                diversity,
                ended_groups,
                length_penalty,
                temperature,
            } => {
                let search = GroupSearch {
                    groups,
                    rules: BeamRules {
                        diversity,
                        ended_groups,
                        ..self.beam_rules(width_per_group, length_penalty)
                    },
                    temperature,
                };
                search.run(decoder, state, studies)
            }
            Strategy::Sampling {
                temperature,
                top_k,
                top_p,
                seed,
            } => {
                let sampler = Sampler {
                    temperature,
                    top_k,
                    top_p,
                };
                self.sample(&sampler, seed, decoder, state, studies)
            }
        }
    }

    fn repeats(&self) -> RepeatRules {
        RepeatRules {
            repetition: self.repetition,
            immediate: self.immediate_repeat,
        }
    }

    fn rollout(&self) -> Rollout {
        Rollout {
            max_tokens: self.max_tokens,
            repeats: self.repeats(),
            reports: self.returned,
        }
    }

    fn beam_rules(&self, width: usize, length_penalty: LengthPenalty) -> BeamRules {
        BeamRules {
            width,
            returned: self.returned,
            max_tokens: self.max_tokens,
            diversity: 0.0,
            ended_groups: EndedGroups::Silent,
            length_penalty,
            repeats: self.repeats(),
        }
    }

    fn sample<D: StepDecoder>(
        &self,
        sampler: &Sampler,
        seed: u64,
        decoder: &D,
        state: D::State,
        studies: Range<usize>,
    ) -> Result<Vec<Vec<Hypothesis>>, SearchError> {
        let first = studies.start;
        let ids = studies
            .clone()
            .flat_map(|study| (0..self.returned).map(move |report| ReportId { study, report }));
        let mut random: Vec<StdRng> = ids.map(|id| sampling::random_numbers(seed, id)).collect();
        let draw = |id: ReportId, scores: &[f32]| {
            let index = (id.study - first) * self.returned + id.report;
            sampler.draw(scores, &mut random[index])
        };
        let mut hypotheses = self.rollout().run(decoder, state, studies, draw)?;
        for study in &mut hypotheses {
            study.sort_by(|a, b| b.score.total_cmp(&a.score));
        }
        Ok(hypotheses)
    }
}
