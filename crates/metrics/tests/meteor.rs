//! METEOR equals METEOR 1.5's own numbers on reports and word tables written by hand.
//!
//! `golden.json` was made with meteor-1.5.jar: `-l en -norm -m 'exact stem' -w '1.0 0.6'`, and `-l en -norm` with the small
//! synonym and paraphrase files beside it given as `-d` and `-a`.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::{Compression, write::GzEncoder};
use ithn_metrics::{Meteor, MeteorCounts, MeteorDataError, MetricsError, Pair};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    pairs: Vec<GoldenPair>,
    exact_and_stem: Scores,
    full: Scores,
}

#[derive(Deserialize)]
struct GoldenPair {
    hypothesis: String,
    references: Vec<String>,
}

#[derive(Deserialize)]
struct Scores {
    corpus: f64,
    per_study: Vec<f64>,
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/meteor")
}

fn golden() -> Golden {
    serde_json::from_str(&fs::read_to_string(fixtures().join("golden.json")).unwrap()).unwrap()
}

fn pairs(golden: &Golden) -> impl Iterator<Item = Pair<'_>> {
    golden.pairs.iter().map(|pair| {
        Pair::with_references(&pair.hypothesis, pair.references.iter().map(String::as_str))
    })
}

fn assert_equal(meteor: &Meteor, golden: &Golden, expected: &Scores) {
    let scores = meteor.score(pairs(golden)).unwrap();
    for (study, (score, expected)) in scores.per_study.iter().zip(&expected.per_study).enumerate() {
        let hypothesis = &golden.pairs[study].hypothesis;
        assert!(
            (score - expected).abs() < 1e-12,
            "{hypothesis}: {score}, expected {expected}"
        );
    }
    assert!(
        (scores.corpus - expected.corpus).abs() < 1e-12,
        "corpus: {}",
        scores.corpus
    );
}

#[test]
fn exact_and_stem() {
    let golden = golden();
    let meteor = Meteor::exact_and_stem();
    assert_eq!(meteor.name(), "METEOR-es");
    assert_equal(&meteor, &golden, &golden.exact_and_stem);
}

#[test]
fn all_modules() {
    let golden = golden();
    let meteor = Meteor::with_data(&fixtures()).unwrap();
    assert_eq!(meteor.name(), "METEOR");
    assert_equal(&meteor, &golden, &golden.full);
}

/// A folder as METEOR distributes it: synonyms in the jar, paraphrases compressed beside it.
fn distributed() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let jar = File::create(folder.path().join("meteor-1.5.jar")).unwrap();
    let mut jar = zip::ZipWriter::new(jar);
    for name in ["english.synsets", "english.exceptions"] {
        let options = zip::write::SimpleFileOptions::default();
        jar.start_file(format!("synonym/{name}"), options).unwrap();
        jar.write_all(&fs::read(fixtures().join(name)).unwrap())
            .unwrap();
    }
    jar.finish().unwrap();
    fs::create_dir(folder.path().join("data")).unwrap();
    let table = File::create(folder.path().join("data/paraphrase-en.gz")).unwrap();
    let mut table = GzEncoder::new(table, Compression::fast());
    table
        .write_all(&fs::read(fixtures().join("paraphrase-en")).unwrap())
        .unwrap();
    table.finish().unwrap();
    folder
}

#[test]
fn the_distributed_folder_is_read_as_it_is() {
    let golden = golden();
    let folder = distributed();
    assert_equal(
        &Meteor::with_data(folder.path()).unwrap(),
        &golden,
        &golden.full,
    );
}

#[test]
fn broken_data_files_are_named() {
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(
        Meteor::with_data(empty.path()).unwrap_err(),
        MeteorDataError::Missing {
            file: "english.synsets",
            ..
        }
    ));
    assert!(matches!(
        Meteor::with_data(&empty.path().join("absent")).unwrap_err(),
        MeteorDataError::Io { .. }
    ));

    let folder = distributed();
    let with = |name: &str, bytes: &[u8]| {
        fs::write(folder.path().join(name), bytes).unwrap();
        let error = Meteor::with_data(folder.path()).unwrap_err().to_string();
        fs::remove_file(folder.path().join(name)).unwrap();
        error
    };
    let error = with("english.synsets", b"heart\n1 2\nlung\nx\n");
    assert!(
        error.contains("english.synsets, line 4: expected the numbers"),
        "{error}"
    );
    let error = with("english.exceptions", b"foot\n");
    assert!(
        error.contains("english.exceptions, line 1: the file ends here"),
        "{error}"
    );
    let error = with("english.synsets", b"caf\xe9\n1\n");
    assert!(
        error.contains("line 1") && error.contains("UTF-8"),
        "{error}"
    );
    let error = with("english.synsets", &[b'a'; (1 << 20) + 2]);
    assert!(error.contains("a line of more than 1048576"), "{error}");

    let table = folder.path().join("data/paraphrase-en.gz");
    let bytes = fs::read(&table).unwrap();
    fs::write(&table, &bytes[..bytes.len() / 2]).unwrap();
    assert!(matches!(
        Meteor::with_data(folder.path()).unwrap_err(),
        MeteorDataError::Io { .. }
    ));
    fs::write(folder.path().join("meteor-1.5.jar"), b"no archive").unwrap();
    assert!(matches!(
        Meteor::with_data(folder.path()).unwrap_err(),
        MeteorDataError::Archive { .. }
    ));
}

#[test]
fn the_corpus_is_the_sum_of_its_counts() {
    let golden = golden();
    let meteor = Meteor::exact_and_stem();
    let counts = meteor.counts(pairs(&golden)).unwrap();
    let total: MeteorCounts = counts.iter().sum();
    assert_eq!(total.score(), meteor.score(pairs(&golden)).unwrap().corpus);
}

#[test]
fn nothing_to_score_is_an_error() {
    let meteor = Meteor::exact_and_stem();
    let empty: [(&str, &str); 0] = [];
    assert!(matches!(
        meteor.score(empty),
        Err(MetricsError::Empty { .. })
    ));
    let unreferenced = [Pair::new("a", "a"), Pair::with_references("a", [])];
    assert_eq!(
        meteor.score(unreferenced),
        Err(MetricsError::NoReference { index: 1 })
    );
}
