use super::script::Script;
use crate::{
    BeamSearch, BeamTemperature, DiverseBeamSearch, LengthPenalty, Sampling, SearchConfig,
    SearchError, search,
};

fn sampling(sampling: Sampling) -> SearchConfig {
    SearchConfig::new(12, sampling)
}

fn groups(groups: usize, width_per_group: usize, diversity: f64) -> SearchConfig {
    SearchConfig::new(
        10,
        DiverseBeamSearch::new(groups, width_per_group, diversity),
    )
}

/// Every report of at most `max_tokens` tokens, with its summed log-probabilities.
fn all_reports(script: &Script, fed: &[u32], sum: f64, max_tokens: usize) -> Vec<(Vec<u32>, f64)> {
    let mut reports = Vec::new();
    for (token, log_prob) in (0..).zip(script.log_probs(0, fed)) {
        let (mut longer, sum) = (fed.to_vec(), sum + f64::from(log_prob));
        longer.push(token);
        match token == 0 || longer.len() > max_tokens {
            true => reports.push((longer[1..].to_vec(), sum)),
            false => reports.extend(all_reports(script, &longer, sum, max_tokens)),
        }
    }
    reports
}

#[test]
fn one_beam_is_greedy() {
    for seed in 0..20 {
        let script = Script::new(seed, 9);
        let greedy = script.reports(5, &SearchConfig::greedy(12));
        assert_eq!(greedy, script.reports(5, &SearchConfig::beam(12, 1)));
        assert!(greedy.iter().all(|study| study.len() == 1));
    }
}

#[test]
fn a_wide_beam_is_exhaustive() {
    let penalties = [
        LengthPenalty::None,
        LengthPenalty::Average,
        LengthPenalty::Wu { exponent: 0.9 },
        LengthPenalty::Wu { exponent: -1.0 },
    ];
    for seed in 0..10 {
        let script = Script::new(seed, 4);
        for penalty in penalties {
            let mut all: Vec<(Vec<u32>, f64)> = all_reports(&script, &[0], 0.0, 4);
            let score = |(tokens, sum): &(Vec<u32>, f64)| penalty.score(tokens.len(), *sum);
            all.sort_by(|a, b| score(b).total_cmp(&score(a)));
            let beam = BeamSearch::new(108)
                .with_returned(20)
                .with_length_penalty(penalty);
            let found = script.reports(1, &SearchConfig::new(4, beam)).remove(0);
            assert_eq!(found.len(), 20);
            for (hypothesis, best) in found.iter().zip(&all) {
                let words: Vec<u32> = best.0.iter().copied().filter(|word| *word != 0).collect();
                assert_eq!(hypothesis.tokens, words);
                assert!((hypothesis.score - score(best)).abs() < 1e-9);
                assert_eq!(hypothesis.log_probs.len(), best.0.len());
                assert_eq!(hypothesis.finished, best.0.last() == Some(&0));
            }
        }
    }
}

#[test]
fn beams_come_best_first_and_differ() {
    let script = Script::new(5, 9);
    let beam = BeamSearch::new(4)
        .with_returned(4)
        .with_length_penalty(LengthPenalty::Average);
    for study in script.reports(6, &SearchConfig::new(12, beam)) {
        assert_eq!(study.len(), 4);
        for pair in study.windows(2) {
            assert!(pair[0].score >= pair[1].score);
            assert_ne!(pair[0].tokens, pair[1].tokens);
        }
    }
}

#[test]
fn a_cut_report_fills_its_tokens() {
    let mut script = Script::new(1, 6);
    script.ending = -50.0;
    for config in [SearchConfig::greedy(7), SearchConfig::beam(7, 3)] {
        for study in script.reports(3, &config) {
            assert!(!study[0].finished);
            assert_eq!((study[0].tokens.len(), study[0].log_probs.len()), (7, 7));
        }
        assert_eq!(script.steps().len(), 7);
    }
}

#[test]
fn search_stops_when_nothing_can_change() {
    let mut script = Script::new(1, 6);
    script.ending = 50.0;
    // The empty report has probability 1: no beam can overtake it.
    let found = script.reports(3, &SearchConfig::beam(30, 3));
    assert!(found.iter().all(|study| study[0].tokens.is_empty()));
    assert_eq!(script.steps(), [3]);
}

#[test]
fn studies_that_are_done_leave_the_batch() {
    let script = Script::new(3, 9);
    script.reports(16, &SearchConfig::beam(30, 2));
    let steps = script.steps();
    assert!(steps[1..].is_sorted_by(|a, b| a >= b), "{steps:?}");
    assert!(*steps.last().unwrap() < 16, "{steps:?}");
}

#[test]
fn cold_or_narrow_sampling_is_greedy() {
    let script = Script::new(2, 9);
    let greedy = script.reports(5, &SearchConfig::greedy(12));
    for narrow in [
        Sampling::new(1e-4, 11),
        Sampling::new(1e-310, 11),
        Sampling::new(5.0, 11).with_top_k(1),
        Sampling::new(1.0, 11).with_top_p(1e-9),
    ] {
        assert_eq!(script.reports(5, &sampling(narrow)), greedy);
    }
}

#[test]
fn sampling_is_deterministic_in_its_seed() {
    let script = Script::new(2, 9);
    let many = sampling(Sampling::new(1.0, 11).with_returned(5));
    let first = script.reports(4, &many);
    assert_eq!(first, script.reports(4, &many));
    let reseeded = sampling(Sampling::new(1.0, 12).with_returned(5));
    assert_ne!(first, script.reports(4, &reseeded));
    for study in &first {
        assert!(study.iter().any(|draw| draw.tokens != study[0].tokens));
        assert!(study.is_sorted_by(|a, b| a.score >= b.score));
    }
}

#[test]
fn the_first_group_is_a_beam_search_and_others_avoid_its_tokens() {
    let mut script = Script::new(4, 9);
    script.ending = -50.0;
    let beams = script.reports(6, &SearchConfig::beam(10, 2));
    for (study, alone) in script.reports(6, &groups(3, 2, 20.0)).iter().zip(&beams) {
        assert_eq!(study.len(), 3);
        assert_eq!(study[0], alone[0]);
        for (earlier, later) in [(0, 1), (0, 2), (1, 2)] {
            let mut words = study[earlier].tokens.iter().zip(&study[later].tokens);
            assert!(words.all(|(a, b)| a != b), "{study:?}");
        }
    }
    for study in script.reports(6, &groups(3, 2, 0.0)) {
        assert_eq!(study[1], study[0]);
        assert_eq!(study[2], study[0]);
    }
}

/// Near temperature 0 a beam search is greedy, whatever the scale of the log-probabilities.
#[test]
fn cold_beams_are_greedy() {
    for seed in 0..5 {
        let script = Script::new(seed, 9);
        let greedy = script.reports(5, &SearchConfig::greedy(12));
        for temperature in [1e-6, 1e-30, 1e-60, 1e-310] {
            let temperature = BeamTemperature::every_step(temperature);
            let cold = BeamSearch::new(3).with_temperature(temperature);
            let cold = script.reports(5, &SearchConfig::new(12, cold));
            for (cold, greedy) in cold.iter().zip(&greedy) {
                assert_eq!(cold[0].tokens, greedy[0].tokens);
                assert!(cold[0].score.abs() < 1e-6, "{cold:?}");
            }
        }
    }
}

#[test]
fn an_invalid_configuration_or_an_empty_batch_takes_no_step() {
    let script = Script::new(2, 9);
    let invalid = script.search(&[0, 1], &SearchConfig::beam(12, 0));
    assert!(matches!(invalid, Err(SearchError::OutOfRange { .. })));
    let none = search(&script, Vec::new(), &[""; 0], &SearchConfig::beam(12, 2));
    assert_eq!(none, Ok(Vec::new()));
    assert_eq!(script.steps(), [0_usize; 0]);
}
