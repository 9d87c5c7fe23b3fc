//! The checks of `examples/parity.rs` on the fixtures committed under `tests/fixtures`, or on those
//! that the environment variable `ITHN_FIXTURES` names; `ITHN_METEOR_DATA` names METEOR's data files.

mod checks;

use std::path::{Path, PathBuf};

use checks::{FAMILIES, Outcome};

fn fixtures() -> PathBuf {
    std::env::var_os("ITHN_FIXTURES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures"),
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

/// METEOR passes where its data files are given, and says so where they are not.
#[test]
fn meteor() {
    let data = std::env::var_os("ITHN_METEOR_DATA").map(PathBuf::from);
    let checks = checks::meteor(&fixtures(), data.as_deref());
    let expected = match data {
        Some(_) => Outcome::Pass,
        None => Outcome::Absent,
    };
    assert!(!checks.is_empty() && checks.iter().all(|check| check.outcome == expected));
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
);
