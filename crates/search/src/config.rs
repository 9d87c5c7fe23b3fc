use burn::config::Config;
use serde::{Deserialize, Serialize};

use crate::{BeamSearch, ImmediateRepeat, LengthPenalty, Repetition, SearchError, Strategy};

/// Largest value of every count in a configuration: tokens, beams of a study, reports of a study.
///
/// Buffers are sized by these counts, so a typing error must not exhaust the memory.
pub(crate) const LARGEST_COUNT: usize = 65_536;

/// How reports are searched.
///
/// Saves to and loads from JSON ([`Config::save`], [`Config::load`]). Loading checks the form;
/// [`validate`](Self::validate) checks the values.
///
/// ```
/// use ithn_search::{Repetition, SearchConfig};
///
/// let config = SearchConfig::beam(60, 3).with_repetition(Repetition::BlockNgrams { n: 3 });
/// assert!(config.validate().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Json")]
#[non_exhaustive]
pub struct SearchConfig {
    /// Most tokens of a report, the ending boundary token included; in 1..=65536.
    pub max_tokens: usize,
    /// How the next tokens are selected.
    pub strategy: Strategy,
    /// Rule about n-grams that the report already contains.
    pub repetition: Repetition,
    /// Whether a token may directly follow itself.
    pub immediate_repeat: ImmediateRepeat,
    /// Token ids that are never generated, such as that of `<unk>`; empty by default. The boundary
    /// token 0 cannot be forbidden.
    ///
    /// Sampling renormalises over the other tokens; log-probabilities stay those of the generator.
    pub forbidden: Vec<u32>,
}

/// The JSON form, with what earlier versions wrote.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Json {
    max_tokens: usize,
    strategy: Strategy,
    #[serde(default)]
    repetition: Repetition,
    #[serde(default)]
    immediate_repeat: ImmediateRepeat,
    #[serde(default)]
    forbidden: Vec<u32>,
    /// Earlier versions kept `strategy.returned` here.
    returned: Option<usize>,
}

impl TryFrom<Json> for SearchConfig {
    type Error = SearchError;

    fn try_from(json: Json) -> Result<Self, SearchError> {
        let mut strategy = json.strategy;
        if let Some(returned) = json.returned {
            strategy.set_returned("returned", returned)?;
        }
        Ok(SearchConfig {
            max_tokens: json.max_tokens,
            strategy,
            repetition: json.repetition,
            immediate_repeat: json.immediate_repeat,
            forbidden: json.forbidden,
        })
    }
}

impl SearchConfig {
    /// Search by `strategy` for reports of at most `max_tokens` tokens, without rules about tokens.
    pub fn new(max_tokens: usize, strategy: impl Into<Strategy>) -> Self {
        SearchConfig {
            max_tokens,
            strategy: strategy.into(),
            repetition: Repetition::Allow,
            immediate_repeat: ImmediateRepeat::Allow,
            forbidden: Vec::new(),
        }
    }

    /// Greedy search for reports of at most `max_tokens` tokens.
    pub fn greedy(max_tokens: usize) -> Self {
        SearchConfig::new(max_tokens, Strategy::Greedy)
    }

    /// Beam search of beam width `width`, without length penalty (R2GenCMN publishes width 3).
    pub fn beam(max_tokens: usize, width: usize) -> Self {
        SearchConfig::new(max_tokens, BeamSearch::new(width))
    }

    /// Beam search that ranks finished reports by their mean log-probability per token
    /// ([`LengthPenalty::Average`]). Ranking by the sum favours short reports.
    pub fn beam_by_average(max_tokens: usize, width: usize) -> Self {
        let beam = BeamSearch::new(width).with_length_penalty(LengthPenalty::Average);
        SearchConfig::new(max_tokens, beam)
    }

    /// Sets [`repetition`](Self::repetition).
    pub fn with_repetition(mut self, repetition: Repetition) -> Self {
        self.repetition = repetition;
        self
    }

    /// Sets [`immediate_repeat`](Self::immediate_repeat).
    pub fn with_immediate_repeat(mut self, immediate_repeat: ImmediateRepeat) -> Self {
        self.immediate_repeat = immediate_repeat;
        self
    }

    /// Sets [`forbidden`](Self::forbidden).
    pub fn with_forbidden(mut self, tokens: impl IntoIterator<Item = u32>) -> Self {
        self.forbidden = tokens.into_iter().collect();
        self
    }

    /// Sets the beam width of greedy or beam search, keeping length penalty and temperature. Greedy
    /// search is beam search of width 1.
    ///
    /// # Errors
    ///
    /// [`SearchError::NoBeamWidth`] for diverse beams, whose width belongs to a group, and for
    /// sampling. [`SearchError::OutOfRange`] if `width` is 0 or above 65536, and
    /// [`SearchError::TooManyReturned`] if the strategy returns more than `width` hypotheses.
    pub fn with_beam_width(mut self, width: usize) -> Result<Self, SearchError> {
        let beam = match self.strategy {
            Strategy::Greedy => BeamSearch::new(width),
            Strategy::Beam(beam) => BeamSearch { width, ..beam },
            Strategy::DiverseBeam(_) | Strategy::Sampling(_) => {
                let method = self.strategy.method();
                return Err(SearchError::NoBeamWidth { width, method });
            }
        };
        self.strategy = Strategy::Beam(beam);
        self.strategy.validate()?;
        Ok(self)
    }

    /// Returns `reports` hypotheses per study, or per *group* of diverse beams. Beams that are
    /// narrower than `reports` are widened to it; greedy search becomes beam search of that width.
    ///
    /// # Errors
    ///
    /// [`SearchError::OutOfRange`] if `reports` is 0 or above 65536.
    pub fn with_reports(mut self, reports: usize) -> Result<Self, SearchError> {
        match &mut self.strategy {
            Strategy::Greedy if reports == 1 => {}
            Strategy::Greedy => {
                self.strategy = BeamSearch::new(reports).with_returned(reports).into();
            }
            Strategy::Beam(beam) => {
                beam.width = beam.width.max(reports);
                beam.returned = reports;
            }
            Strategy::DiverseBeam(beams) => {
                beams.width_per_group = beams.width_per_group.max(reports);
                beams.returned = reports;
            }
            Strategy::Sampling(sampling) => sampling.returned = reports,
        }
        self.strategy.validate()?;
        Ok(self)
    }

    /// Checks every option. [`search`](crate::search()) does so too.
    ///
    /// # Errors
    ///
    /// The first option that is out of its range ([`SearchError::OutOfRange`]), or
    /// [`SearchError::TooManyReturned`].
    pub fn validate(&self) -> Result<(), SearchError> {
        count("max_tokens", self.max_tokens)?;
        self.strategy.validate()?;
        self.repetition.validate()?;
        let ends = self.forbidden.contains(&ithn_generator::BOUNDARY_TOKEN);
        in_range(
            "forbidden",
            0.0,
            !ends,
            "above 0, since token 0 ends reports",
        )
    }
}

impl Config for SearchConfig {}

/// Checks a count in 1..=[`LARGEST_COUNT`].
pub(crate) fn count(option: &'static str, value: usize) -> Result<(), SearchError> {
    let fits = (1..=LARGEST_COUNT).contains(&value);
    in_range(option, value as f64, fits, "from 1 to 65536")
}

/// Checks a cost in nats.
pub(crate) fn finite_cost(option: &'static str, value: f64) -> Result<(), SearchError> {
    let fits = value.is_finite() && value >= 0.0;
    in_range(option, value, fits, "finite and at least 0")
}

/// Checks a temperature.
pub(crate) fn temperature(option: &'static str, value: f64) -> Result<(), SearchError> {
    let fits = value.is_finite() && value > 0.0;
    in_range(option, value, fits, "finite and above 0")
}

/// Returns [`SearchError::OutOfRange`] for `option` unless `fits`, which states whether its value lies in `range`.
pub(crate) fn in_range(
    option: &'static str,
    value: f64,
    fits: bool,
    range: &'static str,
) -> Result<(), SearchError> {
    if fits {
        return Ok(());
    }
    Err(SearchError::OutOfRange {
        option,
        value,
        range,
    })
}

#[cfg(test)]
mod tests;
