use std::collections::HashSet;

use super::every_strategy;
use super::script::Script;
use crate::{Hypothesis, ImmediateRepeat, Repetition, SearchConfig};

const MAX_TOKENS: usize = 30;

/// All strategies on reports that tend to repeat themselves: few tokens, rarely an end.
fn reports(repetition: Repetition, immediate_repeat: ImmediateRepeat) -> Vec<Hypothesis> {
    let mut script = Script::new(6, 4);
    script.ending = -6.0;
    let found = every_strategy().into_iter().flat_map(|strategy| {
        let config = SearchConfig::new(MAX_TOKENS, strategy)
            .with_repetition(repetition)
            .with_immediate_repeat(immediate_repeat);
        script.reports(4, &config)
    });
    found.flatten().collect()
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
    let config = SearchConfig::greedy(MAX_TOKENS).with_repetition(penalised);
    let found = Script::new(6, 4).reports(8, &config);
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
fn a_forbidden_repeat_never_happens() {
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
