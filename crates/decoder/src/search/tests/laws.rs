use burn::tensor::{Device, Tensor};

use super::script::Script;
use crate::search::{
    BeamTemperature, EndedGroups, Hypothesis, LengthPenalty, SearchConfig, SearchError, Strategy,
    search, search_from,
};

fn run(script: &Script, studies: usize, config: &SearchConfig) -> Vec<Vec<Hypothesis>> {
    search_from(script, Script::studies(0, studies), 0..studies, config).unwrap()
}

fn with_penalty(width: usize, length_penalty: LengthPenalty, max_tokens: usize) -> SearchConfig {
    SearchConfig {
        strategy: Strategy::Beam {
            width,
            length_penalty,
            temperature: BeamTemperature::default(),
        },
        ..SearchConfig::greedy(max_tokens)
    }
}

fn sampling(temperature: f64, top_k: Option<usize>, top_p: Option<f64>) -> SearchConfig {
    SearchConfig {
        strategy: Strategy::Sampling {
            temperature,
            top_k,
            top_p,
            seed: 11,
        },
        ..SearchConfig::greedy(12)
    }
}

fn groups(groups: usize, width_per_group: usize, diversity: f64) -> SearchConfig {
    SearchConfig {
        strategy: Strategy::DiverseBeam {
            groups,
            width_per_group,
            diversity,
            ended_groups: EndedGroups::Silent,
            length_penalty: LengthPenalty::None,
            temperature: BeamTemperature::default(),
        },
        ..SearchConfig::greedy(10)
    }
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
        let greedy = run(&script, 5, &SearchConfig::greedy(12));
        assert_eq!(greedy, run(&script, 5, &SearchConfig::beam(12, 1)));
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
            let config = SearchConfig {
                returned: 20,
                ..with_penalty(108, penalty, 4)
            };
            let found = run(&script, 1, &config).remove(0);
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
    let config = SearchConfig {
        returned: 4,
        ..with_penalty(4, LengthPenalty::Average, 12)
    };
    for study in run(&script, 6, &config) {
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
        for study in run(&script, 3, &config) {
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
    let found = run(&script, 3, &SearchConfig::beam(30, 3));
    assert!(found.iter().all(|study| study[0].tokens.is_empty()));
    assert_eq!(script.steps(), [3]);
}

#[test]
fn studies_that_are_done_leave_the_batch() {
    let script = Script::new(3, 9);
    run(&script, 16, &SearchConfig::beam(30, 2));
    let steps = script.steps();
    assert!(steps[1..].is_sorted_by(|a, b| a >= b), "{steps:?}");
    assert!(*steps.last().unwrap() < 16, "{steps:?}");
}

#[test]
fn a_study_does_not_depend_on_its_batch() {
    let script = Script::new(8, 9);
    for config in [
        SearchConfig::beam(12, 3),
        sampling(1.3, Some(6), Some(0.9)),
        groups(2, 2, 0.5),
    ] {
        let together = run(&script, 5, &config);
        let alone = search_from(&script, Script::studies(3, 1), 3..4, &config).unwrap();
        assert_eq!(together[3], alone[0]);
    }
}

#[test]
fn cold_or_narrow_sampling_is_greedy() {
    let script = Script::new(2, 9);
    let greedy = run(&script, 5, &SearchConfig::greedy(12));
    assert_eq!(run(&script, 5, &sampling(1e-4, None, None)), greedy);
    assert_eq!(run(&script, 5, &sampling(5.0, Some(1), None)), greedy);
    assert_eq!(run(&script, 5, &sampling(1.0, None, Some(1e-9))), greedy);
}

#[test]
fn sampling_is_deterministic_in_its_seed() {
    let script = Script::new(2, 9);
    let many = SearchConfig {
        returned: 5,
        ..sampling(1.0, None, None)
    };
    let first = run(&script, 4, &many);
    assert_eq!(first, run(&script, 4, &many));
    let mut reseeded = many.clone();
    if let Strategy::Sampling { seed, .. } = &mut reseeded.strategy {
        *seed = 12;
    }
    assert_ne!(first, run(&script, 4, &reseeded));
    for study in &first {
        assert!(study.iter().any(|draw| draw.tokens != study[0].tokens));
        assert!(study.is_sorted_by(|a, b| a.score >= b.score));
    }
}

#[test]
fn the_first_group_is_a_beam_search_and_others_avoid_its_words() {
    let mut script = Script::new(4, 9);
    script.ending = -50.0;
    let beams = run(&script, 6, &SearchConfig::beam(10, 2));
    for (study, alone) in run(&script, 6, &groups(3, 2, 20.0)).iter().zip(&beams) {
        assert_eq!(study.len(), 3);
        assert_eq!(study[0], alone[0]);
        for (earlier, later) in [(0, 1), (0, 2), (1, 2)] {
            let mut words = study[earlier].tokens.iter().zip(&study[later].tokens);
            assert!(words.all(|(a, b)| a != b), "{study:?}");
        }
    }
    for study in run(&script, 6, &groups(3, 2, 0.0)) {
        assert_eq!(study[1], study[0]);
        assert_eq!(study[2], study[0]);
    }
}

#[test]
fn nan_names_the_study_and_the_step() {
    let mut script = Script::new(2, 9);
    script.ending = -50.0;
    script.broken = Some((41, 2));
    for config in [
        SearchConfig::greedy(9),
        SearchConfig::beam(9, 3),
        groups(2, 2, 0.5),
    ] {
        match search_from(&script, Script::studies(40, 3), 40..43, &config) {
            Err(SearchError::NotLogProbabilities { step, study, value }) => {
                assert_eq!((step, study), (2, 41));
                assert!(value.is_nan());
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn search_starts_from_images() {
    let script = Script::new(2, 9);
    let images = Tensor::zeros([2, 1, 3, 1, 1], &Device::default());
    let found = search(
        &script,
        ithn_generator::StudyBatch::new(images),
        &SearchConfig::greedy(12),
    )
    .unwrap();
    assert_eq!(found, run(&script, 2, &SearchConfig::greedy(12)));
    let invalid = search_from(&script, Vec::new(), 0..0, &SearchConfig::beam(12, 0));
    assert_eq!(invalid, Err(SearchError::Zero { option: "width" }));
    assert_eq!(
        run(&script, 0, &SearchConfig::beam(12, 2)),
        Vec::<Vec<_>>::new()
    );
}
