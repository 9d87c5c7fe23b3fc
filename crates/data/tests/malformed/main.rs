//! What is wrong with a file is said with its name and the place in it, or counted and skipped.

mod annotation;
mod images;
mod indiana;
mod mimic;
mod reports;
#[path = "../sound/mod.rs"]
mod sound;

use std::fs;
use std::path::Path;

use ithn_data::prepare::PrepareSummary;
use ithn_data::{DataError, ExclusionReason, OnBadStudy};
use sound::write;

/// A way to break a dataset; what the error says; the reason under which the study is skipped, or
/// none if there is no going on.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) damage: fn(&Path),
    pub(crate) says: &'static [&'static str],
    pub(crate) skipped: Option<ExclusionReason>,
}

pub(crate) fn case(
    name: &'static str,
    damage: fn(&Path),
    says: &'static [&'static str],
    skipped: impl Into<Option<ExclusionReason>>,
) -> Case {
    Case {
        name,
        damage,
        says,
        skipped: skipped.into(),
    }
}

/// Breaks a sound dataset in every way, and prepares it under both policies.
pub(crate) fn check(
    cases: &[Case],
    sound: fn(&Path),
    prepare: fn(&Path, OnBadStudy) -> Result<PrepareSummary, DataError>,
    studies: usize,
) {
    for case in cases {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        sound(root);
        (case.damage)(root);
        let error = prepare(root, OnBadStudy::Stop)
            .expect_err(case.name)
            .to_string();
        for words in case.says {
            assert!(error.contains(words), "{}: {words:?} in {error}", case.name);
        }
        let skipped = prepare(root, OnBadStudy::Skip);
        match case.skipped {
            None => assert!(skipped.is_err(), "{}", case.name),
            Some(reason) => {
                let summary = skipped.unwrap_or_else(|error| panic!("{}: {error}", case.name));
                assert_eq!(summary.excluded[&reason], 1, "{}", case.name);
                assert!(
                    summary.studies.iter().sum::<usize>() < studies,
                    "{}",
                    case.name
                );
                let table = fs::read_to_string(root.join("out-skip/exclusions.csv"));
                let table = table.expect("it was written");
                assert!(table.contains(reason.name()), "{}: {table}", case.name);
            }
        }
    }
}

pub(crate) fn replace(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).expect("readable");
    assert!(text.contains(from), "{from:?} in {}", path.display());
    write(path, text.replacen(from, to, 1));
}

pub(crate) fn out(root: &Path, policy: OnBadStudy) -> std::path::PathBuf {
    root.join(match policy {
        OnBadStudy::Stop => "out-stop",
        OnBadStudy::Skip => "out-skip",
    })
}
