use super::every_strategy;
use super::script::Script;
use crate::{SearchConfig, SearchError};

#[test]
fn a_forbidden_token_is_never_generated() {
    let script = Script::new(7, 5);
    for strategy in every_strategy() {
        let free = SearchConfig::new(20, strategy.clone());
        let with = |token: u32, config: &SearchConfig| {
            let found = script.reports(12, config);
            let mut reports = found.iter().flatten();
            reports.any(|report| report.tokens.contains(&token))
        };
        for token in 1..5 {
            assert!(with(token, &free), "{strategy:?} never tries {token}");
            let config = free.clone().with_forbidden([token]);
            assert!(!with(token, &config), "{strategy:?} generated {token}");
        }
        let silent = free.with_forbidden(1..5);
        let found = script.reports(3, &silent);
        assert!(found.iter().all(|study| study[0].tokens.is_empty()));
    }
}

/// The log-probabilities of a hypothesis stay those of the generator.
#[test]
fn forbidding_changes_the_choice_but_not_the_log_probabilities() {
    let script = Script::new(7, 5);
    let config = SearchConfig::greedy(20).with_forbidden([2]);
    for (study, found) in script.reports(6, &config).into_iter().enumerate() {
        let mut fed = vec![0];
        let mut tokens = found[0].tokens.clone();
        tokens.extend(found[0].finished.then_some(0));
        for (token, log_prob) in tokens.iter().zip(&found[0].log_probs) {
            assert_eq!(script.log_probs(study, &fed)[*token as usize], *log_prob);
            fed.push(*token);
        }
    }
}

#[test]
fn a_forbidden_token_must_be_in_the_vocabulary() {
    for strategy in every_strategy() {
        let config = SearchConfig::new(9, strategy).with_forbidden([4, 5]);
        let expected = SearchError::UnknownToken {
            token: 5,
            vocabulary: 5,
        };
        assert_eq!(Script::new(7, 5).search(&[0, 1], &config), Err(expected));
    }
}
