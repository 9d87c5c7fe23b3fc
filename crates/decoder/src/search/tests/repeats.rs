use std::collections::HashSet;

use super::script::Script;
use crate::search::{
    BeamTemperature, EndedGroups, Hypothesis, ImmediateRepeat, LengthPenalty, Repetition,
    SearchConfig, Strategy, search_from,
};

const MAX_TOKENS: usize = 30;

/// Every strategy, on reports that would repeat themselves: few words, no wish to end.
fn reports(repetition: Repetition, immediate_repeat: ImmediateRepeat) -> Vec<Hypothesis> {
    let temperature = BeamTemperature::default();
    let strategies = [
        Strategy::Greedy,
        Strategy::Beam {
            width: 3,
            length_penalty: LengthPenalty::Average,
            temperature,
        },
        Strategy::DiverseBeam {
            groups: 2,
            width_per_group: 2,
            diversity: 0.5,
            ended_groups: EndedGroups::Silent,
            length_penalty: LengthPenalty::None,
            temperature,
        },
        Strategy::Sampling {
            temperature: 1.0,
            top_k: None,
            top_p: Some(0.95),
            seed: 1,
        },
    ];
    let mut script = Script::new(6, 4);
    script.ending = -6.0;
    let mut found = Vec::new();
    for strategy in strategies {
        let config = SearchConfig {
            strategy,
            repetition,
            immediate_repeat,
            ..SearchConfig::greedy(MAX_TOKENS)
        };
        let studies = search_from(&script, Script::studies(0, 4), 0..4, &config).unwrap();
        found.extend(studies.into_iter().flatten());
    }
    found
}

fn repeated_ngrams(report: &[u32], n: usize) -> usize {
    let ngrams = report.windows(n).count();
    ngrams - report.windows(n).collect::<HashSet<_>>().len()
}

#[test]
fn blocked_ngrams_never_repeat() {
    let free = reports(Repetition::Allow, ImmediateRepeat::Allow);
    for n in 1..=3 {
        assert!(
            free.iter()
                .any(|report| repeated_ngrams(&report.tokens, n) > 0)
        );
        for report in reports(Repetition::BlockNgrams { n }, ImmediateRepeat::Allow) {
            assert_eq!(repeated_ngrams(&report.tokens, n), 0, "{report:?}");
        }
    }
}

#[test]
fn a_costly_ngram_is_as_good_as_blocked_while_there_is_a_choice() {
    let penalised = Repetition::PenaliseNgrams { n: 3, cost: 1e4 };
    let blocked = Repetition::BlockNgrams { n: 3 };
    let costs = reports(penalised, ImmediateRepeat::Allow);
    for (cost, block) in costs.iter().zip(reports(blocked, ImmediateRepeat::Allow)) {
        assert_eq!(cost.tokens, block.tokens);
    }
}

#[test]
fn costs_enter_the_score_but_not_the_log_probabilities() {
    let penalised = Repetition::PenaliseNgrams { n: 1, cost: 0.25 };
    let config = SearchConfig {
        repetition: penalised,
        ..SearchConfig::greedy(MAX_TOKENS)
    };
    let script = Script::new(6, 4);
    let found = search_from(&script, Script::studies(0, 8), 0..8, &config).unwrap();
    for report in found.into_iter().flatten() {
        let sum: f64 = report.log_probs.iter().copied().map(f64::from).sum();
        let words = &report.tokens;
        let earlier = |i: usize| words[..i].iter().filter(|word| **word == words[i]).count();
        let repeats: usize = (0..words.len()).map(earlier).sum();
        assert!(
            (sum - 0.25 * repeats as f64 - report.score).abs() < 1e-5,
            "{report:?}"
        );
    }
}

#[test]
fn a_word_does_not_follow_itself() {
    let pairs = |report: &Hypothesis| report.tokens.windows(2).any(|pair| pair[0] == pair[1]);
    assert!(
        reports(Repetition::Allow, ImmediateRepeat::Allow)
            .iter()
            .any(pairs)
    );
    assert!(
        !reports(Repetition::Allow, ImmediateRepeat::Forbid)
            .iter()
            .any(pairs)
    );
}
