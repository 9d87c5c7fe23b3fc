use ithn_generator::config::no_options;
use serde::{Deserialize, Serialize};

use crate::config::{LARGEST_COUNT, count, finite_cost, in_range, temperature};
use crate::{LengthPenalty, SearchError};

/// How the next tokens are selected. JSON holds the variant's name in `method`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Strategy {
    /// Always the most probable token; one hypothesis per study.
    #[serde(deserialize_with = "no_options")]
    Greedy,
    /// Beam search.
    Beam(BeamSearch),
    /// Diverse beam search.
    DiverseBeam(DiverseBeamSearch),
    /// Random sampling.
    Sampling(Sampling),
}

/// Beam search: keeps the `width` best partial reports at every step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct BeamSearch {
    /// Beam width; in 1..=65536.
    pub width: usize,
    /// Hypotheses returned per study, best first; in 1..=`width`.
    #[serde(default = "one")]
    pub returned: usize,
    /// How finished reports of different lengths compare.
    #[serde(default)]
    pub length_penalty: LengthPenalty,
    /// Sharpens or flattens each step's distribution.
    #[serde(default)]
    pub temperature: BeamTemperature,
}

/// Diverse beam search: groups of beams that avoid each other's tokens (Vijayakumar et al. 2016).
///
/// Group `g` runs `g` steps behind the first. It pays `diversity` nats for a token as often as the
/// current beams of earlier groups hold that token at the same position. Reports that ended before
/// that position are not avoided, so two groups may return the same short report. The first group is
/// an ordinary beam search.
///
/// The hypotheses of the first group come first, then those of the second, and so on; `returned` of
/// each group.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct DiverseBeamSearch {
    /// Groups per study; at least 1, and at most 65536 beams in all groups.
    pub groups: usize,
    /// Beam width of each group; at least 1, and at most 65536 beams in all groups.
    pub width_per_group: usize,
    /// Hypotheses returned per *group*, best first; in 1..=`width_per_group`.
    #[serde(default = "one")]
    pub returned: usize,
    /// Nats paid per earlier occurrence; finite, at least 0.
    pub diversity: f64,
    /// Effect of a group whose beams have all ended on later groups.
    #[serde(default)]
    pub ended_groups: EndedGroups,
    /// How finished reports of different lengths compare.
    #[serde(default)]
    pub length_penalty: LengthPenalty,
    /// Sharpens or flattens each step's distribution.
    #[serde(default)]
    pub temperature: BeamTemperature,
}

/// Random sampling: a deterministic function of `seed`, the study's id and the report's number.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Sampling {
    /// Divides the log-probabilities; finite, above 0. Towards 0 it is greedy search.
    pub temperature: f64,
    /// Samples from this many most probable tokens only; at least 1.
    #[serde(default)]
    pub top_k: Option<usize>,
    /// Samples from the smallest set of most probable tokens that holds this probability, in (0, 1]
    /// (nucleus, Holtzman et al. 2020); taken after `top_k`.
    #[serde(default)]
    pub top_p: Option<f64>,
    /// Independent reports per study, returned best first; in 1..=65536.
    #[serde(default = "one")]
    pub returned: usize,
    /// Seed of the random streams.
    pub seed: u64,
}

/// Temperature of a beam search: log-probabilities become `log_softmax(log_probs / value)`. Towards
/// 0 it leaves the most probable token only.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct BeamTemperature {
    /// Divisor; finite, above 0; 1 changes nothing.
    pub value: f64,
    /// The steps it applies to.
    #[serde(default)]
    pub scope: TemperatureScope,
}

/// The steps that a beam search's temperature applies to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TemperatureScope {
    /// All steps.
    #[default]
    EveryStep,
    /// All steps but the first, as in the official code.
    SkipFirst,
}

/// Effect of a group whose beams have all ended on later groups, in diverse beam search.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EndedGroups {
    /// None after its end.
    #[default]
    Silent,
    /// As in the official code: the group continues after its boundary tokens, never to be returned,
    /// and later groups pay for the tokens that it then holds.
    Echo,
}

impl Strategy {
    /// The strategy's name in JSON.
    pub fn method(&self) -> &'static str {
        match self {
            Strategy::Greedy => "greedy",
            Strategy::Beam(_) => "beam",
            Strategy::DiverseBeam(_) => "diverse_beam",
            Strategy::Sampling(_) => "sampling",
        }
    }

    /// Sets the number of hypotheses; `option` is the key to name in an error.
    pub(crate) fn set_returned(
        &mut self,
        option: &'static str,
        returned: usize,
    ) -> Result<(), SearchError> {
        match self {
            Strategy::Greedy => return at_most(option, returned, 1),
            Strategy::Beam(beam) => beam.returned = returned,
            Strategy::DiverseBeam(beams) => beams.returned = returned,
            Strategy::Sampling(sampling) => sampling.returned = returned,
        }
        Ok(())
    }

    pub(crate) fn validate(&self) -> Result<(), SearchError> {
        match self {
            Strategy::Greedy => Ok(()),
            Strategy::Beam(beam) => beam.validate(),
            Strategy::DiverseBeam(beams) => beams.validate(),
            Strategy::Sampling(sampling) => sampling.validate(),
        }
    }
}

impl From<BeamSearch> for Strategy {
    fn from(beam: BeamSearch) -> Self {
        Strategy::Beam(beam)
    }
}

impl From<DiverseBeamSearch> for Strategy {
    fn from(beams: DiverseBeamSearch) -> Self {
        Strategy::DiverseBeam(beams)
    }
}

impl From<Sampling> for Strategy {
    fn from(sampling: Sampling) -> Self {
        Strategy::Sampling(sampling)
    }
}

impl BeamSearch {
    /// Beam search of beam width `width` that returns the best report, without length penalty, at
    /// temperature 1.
    pub fn new(width: usize) -> Self {
        BeamSearch {
            width,
            returned: 1,
            length_penalty: LengthPenalty::None,
            temperature: BeamTemperature::default(),
        }
    }

    /// Sets [`returned`](Self::returned).
    pub fn with_returned(mut self, returned: usize) -> Self {
        self.returned = returned;
        self
    }

    /// Sets [`length_penalty`](Self::length_penalty).
    pub fn with_length_penalty(mut self, length_penalty: LengthPenalty) -> Self {
        self.length_penalty = length_penalty;
        self
    }

    /// Sets [`temperature`](Self::temperature).
    pub fn with_temperature(mut self, temperature: BeamTemperature) -> Self {
        self.temperature = temperature;
        self
    }

    fn validate(&self) -> Result<(), SearchError> {
        count("strategy.width", self.width)?;
        at_most("strategy.returned", self.returned, self.width)?;
        self.length_penalty.validate()?;
        self.temperature.validate()
    }
}

impl DiverseBeamSearch {
    /// `groups` groups of beam width `width_per_group` that pay `diversity` nats per earlier
    /// occurrence and return the best report of each group.
    pub fn new(groups: usize, width_per_group: usize, diversity: f64) -> Self {
        DiverseBeamSearch {
            groups,
            width_per_group,
            returned: 1,
            diversity,
            ended_groups: EndedGroups::Silent,
            length_penalty: LengthPenalty::None,
            temperature: BeamTemperature::default(),
        }
    }

    /// Sets [`returned`](Self::returned), the hypotheses per group.
    pub fn with_returned(mut self, returned: usize) -> Self {
        self.returned = returned;
        self
    }

    /// Sets [`ended_groups`](Self::ended_groups).
    pub fn with_ended_groups(mut self, ended_groups: EndedGroups) -> Self {
        self.ended_groups = ended_groups;
        self
    }

    /// Sets [`length_penalty`](Self::length_penalty).
    pub fn with_length_penalty(mut self, length_penalty: LengthPenalty) -> Self {
        self.length_penalty = length_penalty;
        self
    }

    /// Sets [`temperature`](Self::temperature).
    pub fn with_temperature(mut self, temperature: BeamTemperature) -> Self {
        self.temperature = temperature;
        self
    }

    fn validate(&self) -> Result<(), SearchError> {
        count("strategy.groups", self.groups)?;
        count("strategy.width_per_group", self.width_per_group)?;
        let beams = self.groups.saturating_mul(self.width_per_group);
        let fits = beams <= LARGEST_COUNT;
        let range = "at most 65536 over all groups";
        in_range("strategy.width_per_group", beams as f64, fits, range)?;
        at_most("strategy.returned", self.returned, self.width_per_group)?;
        finite_cost("strategy.diversity", self.diversity)?;
        self.length_penalty.validate()?;
        self.temperature.validate()
    }
}

impl Sampling {
    /// One report per study from the whole vocabulary, at `temperature`.
    pub fn new(temperature: f64, seed: u64) -> Self {
        Sampling {
            temperature,
            top_k: None,
            top_p: None,
            returned: 1,
            seed,
        }
    }

    /// Sets [`top_k`](Self::top_k).
    pub fn with_top_k(mut self, top_k: usize) -> Self {
        self.top_k = Some(top_k);
        self
    }

    /// Sets [`top_p`](Self::top_p).
    pub fn with_top_p(mut self, top_p: f64) -> Self {
        self.top_p = Some(top_p);
        self
    }

    /// Sets [`returned`](Self::returned).
    pub fn with_returned(mut self, returned: usize) -> Self {
        self.returned = returned;
        self
    }

    fn validate(&self) -> Result<(), SearchError> {
        temperature("strategy.temperature", self.temperature)?;
        count("strategy.returned", self.returned)?;
        let top_k = self.top_k.unwrap_or(1);
        in_range("strategy.top_k", top_k as f64, top_k > 0, "at least 1")?;
        let top_p = self.top_p.unwrap_or(1.0);
        let fits = top_p > 0.0 && top_p <= 1.0;
        in_range("strategy.top_p", top_p, fits, "in (0, 1]")
    }
}

impl BeamTemperature {
    /// Temperature `value` at every step.
    pub fn every_step(value: f64) -> Self {
        BeamTemperature {
            value,
            scope: TemperatureScope::EveryStep,
        }
    }

    /// Temperature `value` at every step but the first, as in the official code.
    pub fn skip_first(value: f64) -> Self {
        BeamTemperature {
            value,
            scope: TemperatureScope::SkipFirst,
        }
    }

    fn validate(&self) -> Result<(), SearchError> {
        temperature("strategy.temperature.value", self.value)
    }
}

impl Default for BeamTemperature {
    fn default() -> Self {
        BeamTemperature::every_step(1.0)
    }
}

/// Checks the number of hypotheses against the number `kept`.
fn at_most(option: &'static str, returned: usize, kept: usize) -> Result<(), SearchError> {
    count(option, returned)?;
    match returned > kept {
        true => Err(SearchError::TooManyReturned {
            option,
            returned,
            kept,
        }),
        false => Ok(()),
    }
}

fn one() -> usize {
    1
}
