use super::*;
use crate::{
    BeamTemperature, DiverseBeamSearch, EndedGroups, LengthPenalty, Sampling, TemperatureScope,
};

fn sampling() -> Sampling {
    Sampling::new(1.0, 7)
}

fn load(json: &str) -> Result<SearchConfig, String> {
    SearchConfig::load_binary(json.as_bytes()).map_err(|error| error.to_string())
}

#[test]
fn presets_are_valid() {
    for config in [
        SearchConfig::greedy(60),
        SearchConfig::beam(60, 3),
        SearchConfig::beam_by_average(60, 3),
        SearchConfig::official(60),
        SearchConfig::new(60, sampling().with_top_k(5).with_top_p(1.0)),
        SearchConfig::new(60, DiverseBeamSearch::new(3, 2, 0.5)),
    ] {
        assert_eq!(config.validate(), Ok(()));
    }
}

/// Every option out of its range, with the key that the error must name.
#[test]
fn bad_options_are_named() {
    let nan = f64::NAN;
    let beam = |beam: BeamSearch| SearchConfig::new(9, beam);
    let groups = |groups, width, diversity| {
        SearchConfig::new(9, DiverseBeamSearch::new(groups, width, diversity))
    };
    let ngrams = |repetition| SearchConfig::greedy(9).with_repetition(repetition);
    let wu = |exponent| BeamSearch::new(2).with_length_penalty(LengthPenalty::Wu { exponent });
    let tempered = |value| BeamSearch::new(2).with_temperature(BeamTemperature::every_step(value));
    let costly = |cost| ngrams(Repetition::PenaliseNgrams { n: 3, cost });
    for (config, key) in [
        (SearchConfig::greedy(0), "max_tokens"),
        (SearchConfig::greedy(usize::MAX), "max_tokens"),
        (SearchConfig::greedy(9).with_forbidden([3, 0]), "forbidden"),
        (SearchConfig::beam(9, 0), "strategy.width"),
        (SearchConfig::beam(9, usize::MAX), "strategy.width"),
        (
            beam(BeamSearch::new(2).with_returned(0)),
            "strategy.returned",
        ),
        (beam(wu(nan)), "strategy.length_penalty.exponent"),
        (beam(wu(1e3)), "strategy.length_penalty.exponent"),
        (beam(tempered(0.0)), "strategy.temperature.value"),
        (beam(tempered(-1.0)), "strategy.temperature.value"),
        (beam(tempered(nan)), "strategy.temperature.value"),
        (beam(tempered(f64::INFINITY)), "strategy.temperature.value"),
        (groups(0, 2, 0.5), "strategy.groups"),
        (groups(usize::MAX, 2, 0.5), "strategy.groups"),
        (groups(2, 0, 0.5), "strategy.width_per_group"),
        (groups(60_000, 60_000, 0.5), "strategy.width_per_group"),
        (groups(2, 2, -0.5), "strategy.diversity"),
        (groups(2, 2, nan), "strategy.diversity"),
        (
            SearchConfig::new(9, Sampling::new(0.0, 1)),
            "strategy.temperature",
        ),
        (
            SearchConfig::new(9, Sampling::new(nan, 1)),
            "strategy.temperature",
        ),
        (
            SearchConfig::new(9, sampling().with_top_k(0)),
            "strategy.top_k",
        ),
        (
            SearchConfig::new(9, sampling().with_top_p(0.0)),
            "strategy.top_p",
        ),
        (
            SearchConfig::new(9, sampling().with_top_p(1.1)),
            "strategy.top_p",
        ),
        (
            SearchConfig::new(9, sampling().with_top_p(nan)),
            "strategy.top_p",
        ),
        (
            SearchConfig::new(9, sampling().with_returned(0)),
            "strategy.returned",
        ),
        (ngrams(Repetition::BlockNgrams { n: 0 }), "repetition.n"),
        (costly(f64::INFINITY), "repetition.cost"),
        (costly(-1.0), "repetition.cost"),
    ] {
        match config.validate() {
            Err(SearchError::OutOfRange { option, .. }) => assert_eq!(option, key),
            other => panic!("{key}: {other:?}"),
        }
    }
}

#[test]
fn no_more_hypotheses_are_returned_than_kept() {
    let too_many = |returned, kept| {
        Err(SearchError::TooManyReturned {
            option: "strategy.returned",
            returned,
            kept,
        })
    };
    let beam = BeamSearch::new(2).with_returned(5);
    assert_eq!(SearchConfig::new(9, beam).validate(), too_many(5, 2));
    let groups = DiverseBeamSearch::new(4, 2, 0.5).with_returned(3);
    assert_eq!(SearchConfig::new(9, groups).validate(), too_many(3, 2));
}

#[test]
fn a_beam_width_replaces_a_beam_width_only() {
    let beam = BeamSearch::new(3)
        .with_length_penalty(LengthPenalty::Average)
        .with_returned(2);
    let wider = SearchConfig::new(9, beam).with_beam_width(4);
    assert_eq!(
        wider,
        Ok(SearchConfig::new(9, BeamSearch { width: 4, ..beam }))
    );
    let greedy = SearchConfig::greedy(9).with_beam_width(4);
    assert_eq!(greedy, Ok(SearchConfig::beam(9, 4)));
    for (strategy, method) in [
        (Strategy::from(sampling()), "sampling"),
        (DiverseBeamSearch::new(2, 2, 0.5).into(), "diverse_beam"),
    ] {
        let error = SearchConfig::new(9, strategy).with_beam_width(4);
        assert_eq!(error, Err(SearchError::NoBeamWidth { width: 4, method }));
    }
    let narrower = SearchConfig::new(9, beam).with_beam_width(1);
    assert!(matches!(narrower, Err(SearchError::TooManyReturned { .. })));
    let none = SearchConfig::new(9, beam).with_beam_width(0);
    assert!(matches!(none, Err(SearchError::OutOfRange { .. })));
}

#[test]
fn more_reports_widen_narrow_beams() {
    let beam = SearchConfig::beam(9, 2);
    let expected = BeamSearch::new(5).with_returned(5);
    assert_eq!(
        beam.clone().with_reports(5),
        Ok(SearchConfig::new(9, expected))
    );
    let expected = BeamSearch::new(2).with_returned(2);
    assert_eq!(
        beam.clone().with_reports(2),
        Ok(SearchConfig::new(9, expected))
    );
    let greedy = SearchConfig::greedy(9);
    assert_eq!(greedy.clone().with_reports(1), Ok(greedy.clone()));
    assert_eq!(greedy.with_reports(2), Ok(SearchConfig::new(9, expected)));

    let groups = DiverseBeamSearch::new(3, 2, 0.5);
    let expected = DiverseBeamSearch::new(3, 4, 0.5).with_returned(4);
    let widened = SearchConfig::new(9, groups).with_reports(4);
    assert_eq!(widened, Ok(SearchConfig::new(9, expected)));
    let draws = SearchConfig::new(9, sampling()).with_reports(4);
    assert_eq!(draws, Ok(SearchConfig::new(9, sampling().with_returned(4))));
    assert!(beam.with_reports(0).is_err());
}

#[test]
fn configs_survive_json() {
    let diverse = DiverseBeamSearch::new(3, 2, 0.5)
        .with_returned(2)
        .with_ended_groups(EndedGroups::Echo)
        .with_length_penalty(LengthPenalty::Wu { exponent: 0.9 })
        .with_temperature(BeamTemperature::skip_first(0.7));
    for config in [
        SearchConfig::greedy(8),
        SearchConfig::beam_by_average(8, 3),
        SearchConfig::new(8, sampling().with_top_p(0.5).with_returned(2)),
        SearchConfig::new(8, diverse)
            .with_repetition(Repetition::BlockNgrams { n: 3 })
            .with_immediate_repeat(ImmediateRepeat::Forbid)
            .with_forbidden([4, 2]),
    ] {
        let json = burn::config::config_to_json(&config);
        assert_eq!(load(&json), Ok(config));
    }
}

/// What earlier versions wrote, `returned` beside the strategy.
#[test]
fn earlier_json_loads() {
    let earlier = r#"{
        "max_tokens": 60,
        "strategy": {
            "method": "beam", "width": 3,
            "length_penalty": {"kind": "wu", "exponent": 0.9},
            "temperature": {"value": 1.0, "scope": "skip_first"}
        },
        "repetition": {"rule": "penalise_ngrams", "n": 3, "cost": 1.386},
        "immediate_repeat": "forbid",
        "returned": 2
    }"#;
    let beam = BeamSearch::new(3)
        .with_returned(2)
        .with_length_penalty(LengthPenalty::Wu { exponent: 0.9 })
        .with_temperature(BeamTemperature {
            value: 1.0,
            scope: TemperatureScope::SkipFirst,
        });
    let expected = SearchConfig::new(60, beam)
        .with_repetition(Repetition::PenaliseNgrams { n: 3, cost: 1.386 })
        .with_immediate_repeat(ImmediateRepeat::Forbid);
    assert_eq!(load(earlier), Ok(expected));

    let greedy = r#"{"max_tokens": 60, "strategy": {"method": "greedy"},
        "repetition": {"rule": "allow"}, "immediate_repeat": "allow", "returned": 1}"#;
    assert_eq!(load(greedy), Ok(SearchConfig::greedy(60)));
}

#[test]
fn json_may_omit_defaults_but_not_add_options() {
    let minimal = r#"{"max_tokens": 60, "strategy": {"method": "beam", "width": 3}}"#;
    assert_eq!(load(minimal), Ok(SearchConfig::beam(60, 3)));
    let strategy = |json: &str| format!(r#"{{"max_tokens": 60, "strategy": {json}}}"#);
    let beam = |options: &str| strategy(&format!(r#"{{"method": "beam", "width": 3, {options}}}"#));
    for (json, unknown) in [
        (beam(r#""wdith": 4"#), "wdith"),
        (beam(r#""seed": 4"#), "seed"),
        (strategy(r#"{"method": "greedy", "width": 3}"#), "width"),
        (strategy(r#"{"method": "greedy", "returned": 1}"#), "returned"),
        (beam(r#""length_penalty": {"kind": "none", "exponent": 1}"#), "exponent"),
        (beam(r#""length_penalty": {"kind": "average", "exponent": 1}"#), "exponent"),
        (beam(r#""temperature": {"value": 1, "scale": 1}"#), "scale"),
        (
            r#"{"max_tokens": 6, "strategy": {"method": "greedy"}, "repetition": {"rule": "allow", "n": 3}}"#.into(),
            "`n`",
        ),
        (
            r#"{"max_tokens": 6, "strategy": {"method": "greedy"}, "returned": 2}"#.into(),
            "`returned`",
        ),
    ] {
        let error = load(&json).expect_err(&json);
        assert!(error.contains(unknown), "{json}: {error}");
    }
}
