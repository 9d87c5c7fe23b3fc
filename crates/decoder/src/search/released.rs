use serde::{Deserialize, Serialize};

use super::{
    BeamTemperature, EndedGroups, ImmediateRepeat, LengthPenalty, Repetition, SearchConfig,
    SearchError, Strategy, TemperatureScope,
};

/// The decoding options of R2GenCMN's released code, under their own names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleasedOptions {
    /// `greedy`, `beam_search`, `sample`, `top<k>` (top-k) or `top<p>` with 0 < p < 1 (nucleus).
    pub sample_method: String,
    /// Beams per study over all groups; 1 is no beam search.
    pub beam_size: usize,
    /// Temperature of sampling, and of beams after the first step.
    pub temperature: f64,
    /// Nats that later groups pay per earlier choice.
    pub diversity_lambda: f64,
    /// Reports per study: 1, or the beams of a group.
    pub sample_n: usize,
    /// *Number* of groups.
    pub group_size: usize,
    /// 1: log-probabilities; 0 (raw logits) is not supported.
    pub output_logsoftmax: u8,
    /// 1: no word follows itself.
    pub decoding_constraint: u8,
    /// 1: repeated trigrams pay 1.386; ignored by beam search.
    pub block_trigrams: u8,
    /// Empty, `wu_<exponent>` or `avg_<anything>`.
    pub length_penalty: String,
}

impl Default for ReleasedOptions {
    /// The release's own: beam search of width 3.
    fn default() -> Self {
        ReleasedOptions {
            sample_method: "beam_search".into(),
            beam_size: 3,
            temperature: 1.0,
            diversity_lambda: 0.5,
            sample_n: 1,
            group_size: 1,
            output_logsoftmax: 1,
            decoding_constraint: 0,
            block_trigrams: 1,
            length_penalty: String::new(),
        }
    }
}

impl SearchConfig {
    /// What [`from_released`](Self::from_released) makes of the release's own options.
    pub fn released(max_tokens: usize) -> Self {
        SearchConfig {
            strategy: Strategy::Beam {
                width: 3,
                length_penalty: LengthPenalty::None,
                temperature: BeamTemperature {
                    value: 1.0,
                    scope: TemperatureScope::SkipFirst,
                },
            },
            ..SearchConfig::greedy(max_tokens)
        }
    }

    /// The search that the release runs under `options`, for reports of at most `max_tokens` tokens
    /// (`max_seq_length`). Seed 0 where it samples.
    ///
    /// Two things differ. `beam_search` with one beam is greedy, where the release samples at
    /// random. And with groups, the best of *each* group is returned; the release returns the first
    /// group's only, which is the first here.
    ///
    /// # Errors
    ///
    /// [`SearchError::Unsupported`] for options that this search does not have, and every error of
    /// [`SearchConfig::validate`].
    pub fn from_released(
        options: &ReleasedOptions,
        max_tokens: usize,
    ) -> Result<Self, SearchError> {
        options.require_log_softmax()?;
        let strategy = options.strategy()?;
        let trigrams_count = matches!(strategy, Strategy::Greedy | Strategy::Sampling { .. });
        let config = SearchConfig {
            max_tokens,
            strategy,
            repetition: match options.block_trigrams {
                1.. if trigrams_count => Repetition::RELEASED_TRIGRAMS,
                _ => Repetition::Allow,
            },
            immediate_repeat: match options.decoding_constraint {
                0 => ImmediateRepeat::Allow,
                _ => ImmediateRepeat::Forbid,
            },
            returned: options.sample_n,
        };
        config.validate()?;
        Ok(config)
    }
}

impl ReleasedOptions {
    fn require_log_softmax(&self) -> Result<(), SearchError> {
        match self.output_logsoftmax {
            0 => Err(SearchError::Unsupported {
                option: "output_logsoftmax",
                value: "0".into(),
                reason: "search compares log-probabilities; use 1",
            }),
            _ => Ok(()),
        }
    }

    fn strategy(&self) -> Result<Strategy, SearchError> {
        match self.sample_method.as_str() {
            "greedy" | "beam_search" if self.beam_size != 1 => self.beams(),
            "greedy" | "beam_search" => Ok(Strategy::Greedy),
            _ if self.group_size > 1 => Err(SearchError::Unsupported {
                option: "group_size",
                value: self.group_size.to_string(),
                reason: "groups go with beam search only; use 1",
            }),
            method => self.sampling(method),
        }
    }

    fn beams(&self) -> Result<Strategy, SearchError> {
        let length_penalty = self.parse_length_penalty()?;
        let temperature = BeamTemperature {
            value: self.temperature,
            scope: TemperatureScope::SkipFirst,
        };
        if self.group_size <= 1 {
            return Ok(Strategy::Beam {
                width: self.beam_size,
                length_penalty,
                temperature,
            });
        }
        Ok(Strategy::DiverseBeam {
            groups: self.group_size,
            width_per_group: self.beam_size / self.group_size,
            diversity: self.diversity_lambda,
            ended_groups: EndedGroups::Echo,
            length_penalty,
            temperature,
        })
    }

    fn sampling(&self, method: &str) -> Result<Strategy, SearchError> {
        let limit = match (method, method.strip_prefix("top")) {
            ("sample", _) => None,
            (_, Some(number)) => number.parse::<f64>().ok().filter(|limit| *limit > 0.0),
            _ => None,
        };
        if method != "sample" && limit.is_none() {
            return Err(SearchError::Unsupported {
                option: "sample_method",
                value: method.into(),
                reason: "use greedy, beam_search, sample, top<k> or top<p>",
            });
        }
        Ok(Strategy::Sampling {
            temperature: self.temperature,
            top_k: limit.filter(|limit| *limit >= 1.0).map(|k| k as usize),
            top_p: limit.filter(|limit| *limit < 1.0),
            seed: 0,
        })
    }

    fn parse_length_penalty(&self) -> Result<LengthPenalty, SearchError> {
        let unsupported = || SearchError::Unsupported {
            option: "length_penalty",
            value: self.length_penalty.clone(),
            reason: "use an empty string, wu_<exponent> or avg_0",
        };
        match self.length_penalty.split_once('_') {
            None if self.length_penalty.is_empty() => Ok(LengthPenalty::None),
            Some(("avg", _)) => Ok(LengthPenalty::Average),
            Some(("wu", exponent)) => match exponent.parse() {
                Ok(exponent) => Ok(LengthPenalty::Wu { exponent }),
                Err(_) => Err(unsupported()),
            },
            _ => Err(unsupported()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beam3() -> ReleasedOptions {
        ReleasedOptions::default()
    }

    fn strategy(options: ReleasedOptions) -> Strategy {
        SearchConfig::from_released(&options, 16).unwrap().strategy
    }

    #[test]
    fn the_release_searches_as_its_own_options_say() {
        let config = SearchConfig::from_released(&ReleasedOptions::default(), 60);
        assert_eq!(config, Ok(SearchConfig::released(60)));
    }

    #[test]
    fn trigrams_are_penalised_outside_beam_search_only() {
        let config = SearchConfig::from_released(&beam3(), 16).unwrap();
        assert_eq!(config.repetition, Repetition::Allow);
        let greedy = ReleasedOptions {
            beam_size: 1,
            ..beam3()
        };
        let config = SearchConfig::from_released(&greedy, 16).unwrap();
        assert_eq!(config.strategy, Strategy::Greedy);
        assert_eq!(config.repetition, Repetition::RELEASED_TRIGRAMS);
    }

    #[test]
    fn groups_share_the_beams() {
        let options = ReleasedOptions {
            beam_size: 6,
            group_size: 3,
            ..beam3()
        };
        match strategy(options) {
            Strategy::DiverseBeam {
                groups,
                width_per_group,
                ended_groups,
                ..
            } => assert_eq!(
                (groups, width_per_group, ended_groups),
                (3, 2, EndedGroups::Echo)
            ),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn length_penalties_are_parsed() {
        let parse = |text: &str| {
            let length_penalty = text.into();
            ReleasedOptions {
                length_penalty,
                ..beam3()
            }
            .parse_length_penalty()
        };
        assert_eq!(parse(""), Ok(LengthPenalty::None));
        assert_eq!(parse("avg_0"), Ok(LengthPenalty::Average));
        assert_eq!(parse("wu_0.9"), Ok(LengthPenalty::Wu { exponent: 0.9 }));
        for nonsense in ["wu_x", "wu", "linear_1"] {
            assert!(parse(nonsense).is_err(), "{nonsense}");
        }
    }

    #[test]
    fn sampling_methods_are_parsed() {
        let sampled = |method: &str| {
            let sample_method = method.into();
            let options = ReleasedOptions {
                sample_method,
                ..beam3()
            };
            match SearchConfig::from_released(&options, 16) {
                Ok(SearchConfig {
                    strategy: Strategy::Sampling { top_k, top_p, .. },
                    ..
                }) => Some((top_k, top_p)),
                _ => None,
            }
        };
        assert_eq!(sampled("sample"), Some((None, None)));
        assert_eq!(sampled("top5"), Some((Some(5), None)));
        assert_eq!(sampled("top0.9"), Some((None, Some(0.9))));
        for nonsense in ["top", "top0", "gumbel", "topnan"] {
            assert_eq!(sampled(nonsense), None, "{nonsense}");
        }
    }
}
