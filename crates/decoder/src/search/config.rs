use burn::config::Config;
use serde::{Deserialize, Serialize};

use super::{ImmediateRepeat, LengthPenalty, Repetition, SearchError};

/// How reports are searched for.
///
/// Saves to and loads from JSON ([`Config::save`], [`Config::load`]).
///
/// ```
/// use ithn_decoder::search::{Repetition, SearchConfig};
///
/// let config = SearchConfig {
///     repetition: Repetition::BlockNgrams { n: 3 },
///     ..SearchConfig::beam(60, 3)
/// };
/// assert!(config.validate().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchConfig {
    /// Most tokens of a report, the ending boundary token included; at least 1.
    pub max_tokens: usize,
    /// How the next words are chosen.
    pub strategy: Strategy,
    /// What becomes of n-grams that the report already holds.
    #[serde(default)]
    pub repetition: Repetition,
    /// Whether a word may follow itself.
    #[serde(default)]
    pub immediate_repeat: ImmediateRepeat,
    /// Hypotheses returned per study, best first; with [`Strategy::DiverseBeam`], per *group*, one
    /// group after the other. 1 for [`Strategy::Greedy`], at most the width of beams, and any
    /// number of independent draws for [`Strategy::Sampling`]. There are fewer where the vocabulary
    /// and the rules about repeats leave fewer.
    #[serde(default = "one")]
    pub returned: usize,
}

/// How the next words are chosen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "snake_case", deny_unknown_fields)]
pub enum Strategy {
    /// The most probable word, always.
    Greedy,
    /// The `width` most probable beginnings are kept at every step.
    Beam {
        /// Beams per study; at least 1.
        width: usize,
        /// How finished beams of different lengths compare.
        #[serde(default)]
        length_penalty: LengthPenalty,
        /// Sharpens or flattens each step's distribution.
        #[serde(default)]
        temperature: BeamTemperature,
    },
    /// Groups of beams that avoid each other's words (Vijayakumar et al. 2016).
    ///
    /// Group `g` runs `g` steps behind the first and pays `diversity` for a word as often as the
    /// present beams of earlier groups hold it at the same position; reports that ended before are
    /// not avoided, so that two groups may find the same short one. The first group is an ordinary
    /// beam search.
    DiverseBeam {
        /// Groups per study; at least 1.
        groups: usize,
        /// Beams in each group; at least 1.
        width_per_group: usize,
        /// Nats paid per earlier choice; finite, at least 0.
        diversity: f64,
        /// What a group whose beams have all ended means to later groups.
        #[serde(default)]
        ended_groups: EndedGroups,
        /// How finished beams of different lengths compare.
        #[serde(default)]
        length_penalty: LengthPenalty,
        /// Sharpens or flattens each step's distribution.
        #[serde(default)]
        temperature: BeamTemperature,
    },
    /// Words drawn at random; deterministic in `seed`, the study's number and the draw's.
    Sampling {
        /// Divides the log-probabilities; finite, above 0. Towards 0 it is greedy.
        temperature: f64,
        /// Draw from this many most probable words only; at least 1.
        #[serde(default)]
        top_k: Option<usize>,
        /// Draw from the smallest set of most probable words that holds this much probability, in
        /// (0, 1]; taken after `top_k`.
        #[serde(default)]
        top_p: Option<f64>,
        /// Start of the random numbers.
        seed: u64,
    },
}

/// Temperature of a beam search: log-probabilities become `log_softmax(log_probs / value)`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BeamTemperature {
    /// Divisor; finite, above 0; 1 changes nothing.
    pub value: f64,
    /// Which steps it applies to.
    #[serde(default)]
    pub scope: TemperatureScope,
}

impl Default for BeamTemperature {
    fn default() -> Self {
        BeamTemperature {
            value: 1.0,
            scope: TemperatureScope::EveryStep,
        }
    }
}

/// The steps that a beam search's temperature applies to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TemperatureScope {
    /// All of them.
    #[default]
    EveryStep,
    /// All but the first, as released.
    SkipFirst,
}

/// What a group whose beams have all ended means to later groups, in diverse beam search.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndedGroups {
    /// Nothing beyond its end.
    #[default]
    Silent,
    /// As released: it goes on writing after its boundary token, never to be returned, and later
    /// groups pay for the words that it then holds.
    Echo,
}

impl SearchConfig {
    /// Greedy search for reports of at most `max_tokens` tokens.
    pub fn greedy(max_tokens: usize) -> Self {
        SearchConfig {
            max_tokens,
            strategy: Strategy::Greedy,
            repetition: Repetition::Allow,
            immediate_repeat: ImmediateRepeat::Allow,
            returned: 1,
        }
    }

    /// Beam search of `width` beams for reports of at most `max_tokens` tokens, without length
    /// penalty (R2GenCMN publishes with width 3).
    pub fn beam(max_tokens: usize, width: usize) -> Self {
        SearchConfig {
            strategy: Strategy::Beam {
                width,
                length_penalty: LengthPenalty::None,
                temperature: BeamTemperature::default(),
            },
            ..SearchConfig::greedy(max_tokens)
        }
    }

    /// Beam search whose finished reports compare by their mean log-probability per token
    /// ([`LengthPenalty::Average`]) rather than by the sum, which favours short ones.
    pub fn beam_by_average(max_tokens: usize, width: usize) -> Self {
        SearchConfig {
            strategy: Strategy::Beam {
                width,
                length_penalty: LengthPenalty::Average,
                temperature: BeamTemperature::default(),
            },
            ..SearchConfig::greedy(max_tokens)
        }
    }

    /// Checks every option.
    ///
    /// # Errors
    ///
    /// The first option that is out of its range.
    pub fn validate(&self) -> Result<(), SearchError> {
        at_least_one("max_tokens", self.max_tokens)?;
        at_least_one("returned", self.returned)?;
        self.repetition.validate()?;
        self.strategy.validate()?;
        match self.strategy.kept() {
            Some(kept) if self.returned > kept => Err(SearchError::TooManyReturned {
                returned: self.returned,
                kept,
            }),
            _ => Ok(()),
        }
    }
}

impl Config for SearchConfig {}

impl Strategy {
    /// Hypotheses that there are at the end, per study or per group; `None`: as many as one likes.
    fn kept(&self) -> Option<usize> {
        match *self {
            Strategy::Greedy => Some(1),
            Strategy::Beam { width, .. } => Some(width),
            Strategy::DiverseBeam {
                width_per_group, ..
            } => Some(width_per_group),
            Strategy::Sampling { .. } => None,
        }
    }

    fn validate(&self) -> Result<(), SearchError> {
        match *self {
            Strategy::Greedy => Ok(()),
            Strategy::Beam {
                width,
                length_penalty,
                temperature,
            } => {
                at_least_one("width", width)?;
                validate_penalty(length_penalty)?;
                validate_temperature(temperature.value)
            }
            Strategy::DiverseBeam {
                groups,
                width_per_group,
                diversity,
                length_penalty,
                temperature,
                ..
            } => {
                at_least_one("groups", groups)?;
                at_least_one("width_per_group", width_per_group)?;
                finite_cost("diversity", diversity)?;
                validate_penalty(length_penalty)?;
                validate_temperature(temperature.value)
            }
            Strategy::Sampling {
                temperature,
                top_k,
                top_p,
                ..
            } => {
                validate_temperature(temperature)?;
                at_least_one("top_k", top_k.unwrap_or(1))?;
                let top_p = top_p.unwrap_or(1.0);
                in_range("top_p", top_p, top_p > 0.0 && top_p <= 1.0, "in (0, 1]")
            }
        }
    }
}

fn one() -> usize {
    1
}

fn validate_penalty(penalty: LengthPenalty) -> Result<(), SearchError> {
    match penalty {
        LengthPenalty::Wu { exponent } => {
            in_range("exponent", exponent, exponent.is_finite(), "finite")
        }
        LengthPenalty::None | LengthPenalty::Average => Ok(()),
    }
}

fn validate_temperature(value: f64) -> Result<(), SearchError> {
    let fits = value.is_finite() && value > 0.0;
    in_range("temperature", value, fits, "finite and above 0")
}

pub(super) fn at_least_one(option: &'static str, value: usize) -> Result<(), SearchError> {
    match value {
        0 => Err(SearchError::Zero { option }),
        _ => Ok(()),
    }
}

pub(super) fn finite_cost(option: &'static str, value: f64) -> Result<(), SearchError> {
    let fits = value.is_finite() && value >= 0.0;
    in_range(option, value, fits, "finite and at least 0")
}

fn in_range(
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
mod tests {
    use super::*;

    fn sampling(top_k: Option<usize>, top_p: Option<f64>) -> SearchConfig {
        SearchConfig {
            strategy: Strategy::Sampling {
                temperature: 1.0,
                top_k,
                top_p,
                seed: 7,
            },
            ..SearchConfig::greedy(9)
        }
    }

    #[test]
    fn presets_are_valid() {
        assert_eq!(SearchConfig::greedy(60).validate(), Ok(()));
        assert_eq!(SearchConfig::beam(60, 3).validate(), Ok(()));
        assert_eq!(sampling(Some(5), Some(1.0)).validate(), Ok(()));
    }

    #[test]
    fn bad_options_are_named() {
        let zero = |config: SearchConfig| match config.validate() {
            Err(SearchError::Zero { option }) => option,
            other => panic!("{other:?}"),
        };
        assert_eq!(zero(SearchConfig::greedy(0)), "max_tokens");
        assert_eq!(zero(SearchConfig::beam(9, 0)), "width");
        assert_eq!(zero(sampling(Some(0), None)), "top_k");

        for top_p in [0.0, -0.1, 1.1, f64::NAN] {
            let error = sampling(None, Some(top_p)).validate().unwrap_err();
            assert!(error.to_string().contains("`top_p`"), "{error}");
        }
        let greedy_pair = SearchConfig {
            returned: 2,
            ..SearchConfig::greedy(9)
        };
        let error = SearchError::TooManyReturned {
            returned: 2,
            kept: 1,
        };
        assert_eq!(greedy_pair.validate(), Err(error));
    }

    #[test]
    fn configs_survive_json() {
        let diverse = SearchConfig {
            strategy: Strategy::DiverseBeam {
                groups: 3,
                width_per_group: 2,
                diversity: 0.5,
                ended_groups: EndedGroups::Echo,
                length_penalty: LengthPenalty::Wu { exponent: 0.9 },
                temperature: BeamTemperature {
                    value: 0.7,
                    scope: TemperatureScope::SkipFirst,
                },
            },
            repetition: Repetition::BlockNgrams { n: 3 },
            immediate_repeat: ImmediateRepeat::Forbid,
            ..SearchConfig::greedy(9)
        };
        for config in [diverse, SearchConfig::beam(8, 3), sampling(None, Some(0.5))] {
            let json = burn::config::config_to_json(&config);
            assert_eq!(SearchConfig::load_binary(json.as_bytes()).unwrap(), config);
        }
    }

    #[test]
    fn json_may_leave_out_defaults_but_not_invent_options() {
        let json = br#"{"max_tokens": 60, "strategy": {"method": "beam", "width": 3}}"#;
        let config = SearchConfig::load_binary(json).unwrap();
        assert_eq!(config, SearchConfig::beam(60, 3));
        let json = br#"{"max_tokens": 60, "strategy": {"method": "beam", "width": 3, "wdith": 4}}"#;
        assert!(SearchConfig::load_binary(json).is_err());
    }
}
