//! What a study gets depends on its id, never on its place in a batch.

use super::every_strategy;
use super::script::Script;
use crate::{Hypothesis, Sampling, SearchConfig, SearchError};

fn in_batches(
    script: &Script,
    studies: &[usize],
    size: usize,
    config: &SearchConfig,
) -> Vec<(usize, Vec<Hypothesis>)> {
    let batches = studies.chunks(size).flat_map(|batch| {
        let found = script.search(batch, config).expect("a valid search");
        batch.iter().copied().zip(found)
    });
    let mut reports: Vec<_> = batches.collect();
    reports.sort_by_key(|(study, _)| *study);
    reports
}

#[test]
fn reports_depend_on_neither_batch_size_nor_order() {
    let script = Script::new(8, 9);
    let orders = [
        vec![0, 1, 2, 3, 4, 5, 6],
        vec![6, 5, 4, 3, 2, 1, 0],
        vec![3, 0, 6, 2, 5, 1, 4],
    ];
    let many = Sampling::new(1.3, 11).with_top_k(6).with_returned(3);
    for strategy in every_strategy().into_iter().chain([many.into()]) {
        let config = SearchConfig::new(12, strategy);
        let expected = in_batches(&script, &orders[0], 7, &config);
        for order in &orders {
            for size in [1, 2, 5] {
                assert_eq!(in_batches(&script, order, size, &config), expected);
            }
        }
    }
}

/// Studies with equal log-probabilities but different ids draw different reports.
#[test]
fn every_study_draws_its_own_reports() {
    let script = Script::new(8, 9);
    let config = SearchConfig::new(12, Sampling::new(1.0, 11));
    let ids: Vec<String> = (0..20).map(|study| format!("study-{study}")).collect();
    let found = crate::search(&script, Script::state(&[0; 20]), &ids, &config).unwrap();
    let first = &found[0];
    assert!(found.iter().filter(|study| *study != first).count() > 10);

    let twice = crate::search(&script, Script::state(&[0; 2]), &["a", "a"], &config).unwrap();
    assert_eq!(twice[0], twice[1]);
}

#[test]
fn an_error_names_the_study_and_the_step() {
    let mut script = Script::new(2, 9);
    script.ending = -50.0;
    script.broken = Some((41, 2));
    for strategy in every_strategy() {
        let config = SearchConfig::new(9, strategy);
        for batch in [&[41][..], &[40, 41, 42], &[7, 3, 9, 41]] {
            match script.search(batch, &config) {
                Err(SearchError::NotLogProbabilities { step, study, value }) => {
                    assert_eq!((step, study.as_str()), (2, "study-41"));
                    assert!(value.is_nan());
                }
                other => panic!("{other:?}"),
            }
        }
    }
}
