#![doc = include_str!("../README.md")]
//!
//! # How it works
//!
//! The generator computes on its device. Each step copies the log-probabilities
//! `[rows, vocabulary]` to the host once, and tokens are selected there. Finished reports leave the
//! batch. Search stops when no continuation can change the result.
//!
//! # Studies
//!
//! [`search`] takes one id per study. Errors name it, and sampling seeds its random stream with it.
//! A study therefore gets the same reports in any batch, in any order.

mod beam;
mod config;
mod draft;
mod error;
mod greedy;
mod groups;
mod length_penalty;
mod official;
mod rollout;
mod rules;
mod sampler;
mod selection;
mod stepper;
mod strategy;
#[cfg(test)]
mod tests;

pub use config::SearchConfig;
pub use error::SearchError;
pub use length_penalty::LengthPenalty;
pub use official::OfficialOptions;
pub use rules::{ImmediateRepeat, Repetition};
pub use strategy::{
    BeamSearch, BeamTemperature, DiverseBeamSearch, EndedGroups, Sampling, Strategy,
    TemperatureScope,
};

use ithn_generator::StepDecoder;
use ithn_kernels::on_worker;

use groups::GroupSearch;
use rollout::Rollout;
use rules::TokenRules;
use sampler::Sampler;

/// A report that search found.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Hypothesis {
    /// Token ids of its words, without the boundary token that ended it.
    pub tokens: Vec<u32>,
    /// Log-probability of every generated token in nats; includes the ending boundary token if
    /// [`finished`](Self::finished). Beams report them after temperature, greedy search and sampling
    /// as the generator returned them. Costs of repeats and diversity are not subtracted.
    pub log_probs: Vec<f32>,
    /// Ranking score: the sum of `log_probs` minus the costs of repeats and diversity, after the
    /// length penalty.
    pub score: f64,
    /// Whether it ended with the boundary token. Otherwise it was cut at
    /// [`SearchConfig::max_tokens`], or the rules left no token to continue with.
    pub finished: bool,
}

/// Searches reports for a batch of studies: per study its hypotheses, best first.
///
/// `state` is what [`StepDecoder::start`] returns: one row per study, nothing generated yet.
/// `studies` are the studies' ids in the order of the rows. Sampling draws by id: equal ids in one
/// batch get equal reports.
///
/// Each study gets as many hypotheses as its [`Strategy`] returns, or fewer where the vocabulary
/// and the rules about tokens leave fewer. An empty `studies` gives an empty result.
///
/// # Errors
///
/// - every error of [`SearchConfig::validate`];
/// - [`SearchError::UnknownToken`] if a forbidden token is not in the generator's vocabulary;
/// - [`SearchError::NotLogProbabilities`], with study and step, if the generator returns NaN or
///   another value that is no log-probability.
///
/// # Panics
///
/// If `state` does not have one row per study, or the generator returns another number of rows than
/// tokens fed.
pub fn search<D: StepDecoder>(
    decoder: &D,
    state: D::State,
    studies: &[impl AsRef<str>],
    config: &SearchConfig,
) -> Result<Vec<Vec<Hypothesis>>, SearchError> {
    config.validate()?;
    if studies.is_empty() {
        return Ok(Vec::new());
    }
    let studies: Vec<&str> = studies.iter().map(AsRef::as_ref).collect();
    on_worker(|| run(decoder, state, &studies, config))
}

fn run<D: StepDecoder>(
    decoder: &D,
    state: D::State,
    studies: &[&str],
    config: &SearchConfig,
) -> Result<Vec<Vec<Hypothesis>>, SearchError> {
    let rollout = |reports| Rollout {
        max_tokens: config.max_tokens,
        rules: TokenRules::of(config),
        reports,
    };
    match &config.strategy {
        Strategy::Greedy => rollout(1).run(decoder, state, studies, |_, scores| {
            greedy::most_probable(scores)
        }),
        Strategy::Beam(beam) => GroupSearch::single(beam, config).run(decoder, state, studies),
        Strategy::DiverseBeam(beams) => {
            GroupSearch::diverse(beams, config).run(decoder, state, studies)
        }
        Strategy::Sampling(sampling) => {
            let sampler = Sampler::of(sampling);
            let mut streams = sampler::streams(sampling, studies);
            let draw = |report: usize, scores: &[f32]| sampler.draw(scores, &mut streams[report]);
            let mut found = rollout(sampling.returned).run(decoder, state, studies, draw)?;
            for study in &mut found {
                study.sort_by(|a, b| b.score.total_cmp(&a.score));
            }
            Ok(found)
        }
    }
}
