//! The checks of `ithn parity` on the fixtures committed under the repository's `tests/fixtures`, or on those that
//! the environment variable `ITHN_FIXTURES` names.

use std::path::{Path, PathBuf};

use ithn_cli::parity::{self, FAMILIES, Outcome};

fn fixtures() -> PathBuf {
    std::env::var_os("ITHN_FIXTURES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures"),
        PathBuf::from,
    )
}

/// Runs one family; none of its checks may fail, and its files must be there.
fn passes(name: &str) {
    let family = FAMILIES
        .iter()
        .find(|family| family.name == name)
        .expect("a known family");
    let checks = family.run(&fixtures());
    for check in &checks {
        println!("{check}");
    }
    assert!(checks.iter().any(|check| check.outcome == Outcome::Pass));
    assert!(checks.iter().all(|check| check.outcome != Outcome::Fail));
}

/// METEOR's data files are under licences of their own and are not in the repository.
#[test]
#[ignore = "needs METEOR's data files: set ITHN_METEOR_DATA to their folder and run with --include-ignored"]
fn meteor() {
    let data = std::env::var_os("ITHN_METEOR_DATA").map(PathBuf::from);
    let data = data.expect("ITHN_METEOR_DATA names the folder of METEOR's data files");
    let checks = parity::meteor(&fixtures(), Some(&data));
    assert!(!checks.is_empty());
    for check in &checks {
        println!("{check}");
        assert_eq!(check.outcome, Outcome::Pass);
    }
}

#[test]
fn meteor_without_data_is_absent() {
    let outcomes = parity::meteor(&fixtures(), None)
        .into_iter()
        .map(|check| check.outcome);
    assert!(outcomes.eq([Outcome::Absent]));
}

macro_rules! families {
    ($($name:ident),* $(,)?) => {
        $(#[test]
        fn $name() {
            passes(stringify!($name));
        })*

        #[test]
        fn every_family_is_tested() {
            let tested = [$(stringify!($name)),*];
            let known: Vec<&str> = FAMILIES.iter().map(|family| family.name).collect();
            assert_eq!(known, tested);
        }
    };
}

families!(
    memory,
    cmn_transformer,
    ithn_loss,
    resnet101,
    train_curve,
    beam,
    small_ckpt,
    tokenizer,
    metrics,
    transforms,
    chexbert,
    policies,
    radgraph,
    radcliq,
    temporal,
    formats,
);
