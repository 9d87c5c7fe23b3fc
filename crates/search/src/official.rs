use serde::{Deserialize, Serialize};

use crate::{
    BeamSearch, BeamTemperature, DiverseBeamSearch, EndedGroups, ImmediateRepeat, LengthPenalty,
    Repetition, Sampling, SearchConfig, SearchError, Strategy,
};

/// The decoding options of R2GenCMN's official code, under their own names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfficialOptions {
    /// `greedy`, `beam_search`, `sample`, `top<k>` (top-k) or `top<p>` with 0 < p < 1 (nucleus).
    pub sample_method: String,
    /// Beam width over all groups; 1 is no beam search.
    pub beam_size: usize,
    /// Temperature of sampling, and of beams after the first step.
    pub temperature: f64,
    /// Penalty in nats, subtracted from a token's score per occurrence in an earlier group.
    pub diversity_lambda: f64,
    /// Reports per study: 1, or the beam width of a group.
    pub sample_n: usize,
    /// *Number* of groups.
    pub group_size: usize,
    /// 1: log-probabilities; 0 (raw logits) is not supported.
    pub output_logsoftmax: u8,
    /// 1: no token directly follows itself.
    pub decoding_constraint: u8,
    /// 1: repeated trigrams pay 1.386; ignored by beam search.
    pub block_trigrams: u8,
    /// Empty, `wu_<exponent>` or `avg_<anything>`.
    pub length_penalty: String,
}

impl Default for OfficialOptions {
    /// The official code's own defaults: beam search of width 3.
    fn default() -> Self {
        OfficialOptions {
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
    /// The search of the official code under its own default options: beam search of width 3.
    pub fn official(max_tokens: usize) -> Self {
        let beam = BeamSearch::new(3).with_temperature(BeamTemperature::skip_first(1.0));
        SearchConfig::new(max_tokens, beam)
    }

    /// The search that the official code runs under `options`, for reports of at most `max_tokens`
    /// tokens (`max_seq_length`). Sampling gets seed 0.
    ///
    /// There are two differences. `beam_search` with beam width 1 is greedy, where the official code
    /// samples at random. And with groups, the best of *each* group is returned; the official code
    /// returns the first group's only, which comes first here.
    ///
    /// # Errors
    ///
    /// [`SearchError::Unsupported`] for options that this search does not have, and every error of
    /// [`SearchConfig::validate`].
    pub fn from_official(
        options: &OfficialOptions,
        max_tokens: usize,
    ) -> Result<Self, SearchError> {
        options.require_log_softmax()?;
        let mut strategy = options.strategy()?;
        strategy.set_returned("sample_n", options.sample_n)?;
        let penalises_trigrams = matches!(strategy, Strategy::Greedy | Strategy::Sampling(_));
        let config = SearchConfig::new(max_tokens, strategy)
            .with_repetition(match options.block_trigrams {
                1.. if penalises_trigrams => Repetition::OFFICIAL_TRIGRAMS,
                _ => Repetition::Allow,
            })
            .with_immediate_repeat(match options.decoding_constraint {
                0 => ImmediateRepeat::Allow,
                _ => ImmediateRepeat::Forbid,
            });
        config.validate()?;
        Ok(config)
    }
}

impl OfficialOptions {
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
        let temperature = BeamTemperature::skip_first(self.temperature);
        if self.group_size <= 1 {
            let beam = BeamSearch::new(self.beam_size)
                .with_length_penalty(length_penalty)
                .with_temperature(temperature);
            return Ok(beam.into());
        }
        let width_per_group = self.beam_size / self.group_size;
        let beams = DiverseBeamSearch::new(self.group_size, width_per_group, self.diversity_lambda)
            .with_ended_groups(EndedGroups::Echo)
            .with_length_penalty(length_penalty)
            .with_temperature(temperature);
        Ok(beams.into())
    }

    fn sampling(&self, method: &str) -> Result<Strategy, SearchError> {
        let sampling = Sampling::new(self.temperature, 0);
        let sampling = match (method, method.strip_prefix("top")) {
            ("sample", _) => Some(sampling),
            (_, Some(limit)) => match (limit.parse(), limit.parse()) {
                (Ok(top_k), _) if top_k > 0 => Some(sampling.with_top_k(top_k)),
                (_, Ok(top_p)) if top_p > 0.0 && top_p < 1.0 => Some(sampling.with_top_p(top_p)),
                _ => None,
            },
            _ => None,
        };
        sampling
            .map(Strategy::from)
            .ok_or_else(|| SearchError::Unsupported {
                option: "sample_method",
                value: method.into(),
                reason: "use greedy, beam_search, sample, top<k> or top<p>",
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

    fn beam3() -> OfficialOptions {
        OfficialOptions::default()
    }

    fn strategy(options: OfficialOptions) -> Strategy {
        SearchConfig::from_official(&options, 16).unwrap().strategy
    }

    #[test]
    fn the_official_search_is_that_of_the_default_options() {
        let config = SearchConfig::from_official(&OfficialOptions::default(), 60);
        assert_eq!(config, Ok(SearchConfig::official(60)));
    }

    #[test]
    fn trigrams_are_penalised_outside_beam_search_only() {
        let config = SearchConfig::from_official(&beam3(), 16).unwrap();
        assert_eq!(config.repetition, Repetition::Allow);
        let greedy = OfficialOptions {
            beam_size: 1,
            ..beam3()
        };
        let config = SearchConfig::from_official(&greedy, 16).unwrap();
        assert_eq!(config.strategy, Strategy::Greedy);
        assert_eq!(config.repetition, Repetition::OFFICIAL_TRIGRAMS);
    }

    #[test]
    fn groups_share_the_beams() {
        let options = OfficialOptions {
            beam_size: 6,
            group_size: 3,
            ..beam3()
        };
        match strategy(options) {
            Strategy::DiverseBeam(beams) => assert_eq!(
                (beams.groups, beams.width_per_group, beams.ended_groups),
                (3, 2, EndedGroups::Echo)
            ),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn length_penalties_are_parsed() {
        let parse = |text: &str| {
            let length_penalty = text.into();
            OfficialOptions {
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
            let options = OfficialOptions {
                sample_method,
                ..beam3()
            };
            match SearchConfig::from_official(&options, 16) {
                Ok(SearchConfig {
                    strategy: Strategy::Sampling(sampling),
                    ..
                }) => Some((sampling.top_k, sampling.top_p)),
                _ => None,
            }
        };
        assert_eq!(sampled("sample"), Some((None, None)));
        assert_eq!(sampled("top5"), Some((Some(5), None)));
        assert_eq!(sampled("top0.9"), Some((None, Some(0.9))));
        for nonsense in ["top", "top0", "top1.5", "topinf", "gumbel", "topnan"] {
            assert_eq!(sampled(nonsense), None, "{nonsense}");
        }
    }
}
