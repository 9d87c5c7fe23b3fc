use std::fs;
use std::io::Write;
use std::path::Path;

use ithn_fuzzing::Target;
use ithn_metrics::{Meteor, Pair};

use crate::target;

fn fixture(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/meteor");
    fs::read(folder.join(name)).expect("a fixture")
}

fn score(folder: &Path) {
    if let Ok(meteor) = Meteor::with_data(folder) {
        let pairs = [Pair::new(
            "the small effusions are gone .",
            "a small effusion has resolved",
        )];
        let scores = meteor.counts(&pairs).expect("a pair");
        assert!(scores.iter().all(|counts| counts.score().is_finite()));
    }
}

/// Unpacked data files, one at a time altered.
#[test]
fn tables() {
    let names = ["english.synsets", "english.exceptions", "paraphrase-en"];
    let folder = tempfile::tempdir().unwrap();
    for name in names {
        fs::write(folder.path().join(name), fixture(name)).unwrap();
    }
    for name in names {
        let target = Target {
            seeds: vec![fixture(name)],
            ..target(name, name, &[], &["0.5", "effusion", "\n", "1 2 3"])
        };
        target.run(folder.path(), |_, _| score(folder.path()));
        fs::write(folder.path().join(name), fixture(name)).unwrap();
    }
}

/// The jar that synonyms are read from in place.
#[test]
fn jars() {
    let mut jar = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for name in ["english.synsets", "english.exceptions"] {
        let options = zip::write::SimpleFileOptions::default();
        jar.start_file(format!("synonym/{name}"), options).unwrap();
        jar.write_all(&fixture(name)).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("paraphrase-en"),
        fixture("paraphrase-en"),
    )
    .unwrap();
    let target = Target {
        seeds: vec![jar.finish().unwrap().into_inner()],
        ..target(
            "jar",
            "meteor-1.5.jar",
            &[],
            &["PK\x01\x02", "PK\x05\x06", "synonym/"],
        )
    };
    target.run(folder.path(), |_, _| score(folder.path()));
}
