//! Old configurations and checkpoints still load, with the same values and the same reports.
//!
//! `tests/fixtures/old_files/README.md` describes the files. Only the module [`library`] uses the
//! library's API; [`library::meaning`] lists the values of a configuration that are compared.

mod library;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

/// Largest difference of a log-probability in nats, and of a score beyond −1 as a share of it.
const SCORE: f64 = 1e-5;

/// The same after a training step.
const SCORE_AFTER_A_STEP: f64 = 1e-4;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/old_files")
}

/// A section of `expected.json`.
fn expected(section: &str) -> Map<String, Value> {
    let text = fs::read_to_string(folder().join("expected.json")).expect("readable");
    let all: Value = serde_json::from_str(&text).expect("JSON");
    object(&all[section]).clone()
}

fn object(value: &Value) -> &Map<String, Value> {
    value.as_object().expect("an object")
}

/// The films of the studies that a checkpoint's reports are of.
fn studies(checkpoint: &Value) -> Vec<Vec<PathBuf>> {
    let list = |value: &Value| value.as_array().expect("a list").clone();
    let film = |name: Value| folder().join("films").join(name.as_str().expect("a name"));
    let studies = list(&checkpoint["studies"]).into_iter();
    studies
        .map(|films| list(&films).into_iter().map(film).collect())
        .collect()
}

/// Whether two values are equal, floats up to 1e-12 of their size.
fn alike(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| alike(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .all(|(key, one)| other.get(key).is_some_and(|other| alike(one, other)))
        }
        (Value::Number(one), Value::Number(other)) => match (one.as_u64(), other.as_u64()) {
            (None, None) => {
                let (one, other) = (one.as_f64().unwrap(), other.as_f64().unwrap());
                (one - other).abs() <= 1e-12 * one.abs()
            }
            whole => whole.0 == whole.1,
        },
        _ => one == other,
    }
}

#[track_caller]
fn assert_meaning(file: &str, expected: &Value, found: &Map<String, Value>) {
    let expected = object(expected);
    let names: Vec<&String> = expected.keys().collect();
    assert_eq!(found.keys().collect::<Vec<_>>(), names, "{file}");
    for (name, value) in expected {
        assert!(
            alike(value, &found[name]),
            "{file}: {name} is {}, it was {value}",
            found[name]
        );
    }
}

/// Per study and report its text, score and whether it ended by itself.
type Reports = [Vec<(String, f64, bool)>];

#[track_caller]
fn assert_reports(what: &str, expected: &Value, found: &Reports, tolerance: f64) {
    let expected: Vec<Vec<(String, f64, bool)>> =
        serde_json::from_value(expected.clone()).expect("reports");
    assert_eq!(expected.len(), found.len(), "{what}");
    for (expected, found) in expected.iter().zip(found) {
        let texts = |reports: &[(String, f64, bool)]| -> Vec<(String, bool)> {
            let reports = reports.iter().cloned();
            reports.map(|(text, _, ended)| (text, ended)).collect()
        };
        assert_eq!(texts(expected), texts(found), "{what}");
        for ((text, expected, _), (_, found, _)) in expected.iter().zip(found) {
            assert!(
                (expected - found).abs() <= tolerance * expected.abs().max(1.0),
                "{what}: '{text}' scores {found}, it scored {expected}"
            );
        }
    }
}

/// The search configuration of that name; `None` for the checkpoint's own.
fn search(name: &str) -> Option<Value> {
    (name != "as evaluated").then(|| expected("searches")[name].clone())
}

#[test]
fn every_file_is_listed() {
    for (folder_name, section, extension) in [
        ("configs", "configs", "json"),
        ("checkpoints", "checkpoints", "ithn"),
    ] {
        let mut found: Vec<String> = fs::read_dir(folder().join(folder_name))
            .expect("a folder")
            .map(|entry| entry.expect("readable").file_name().into_string().unwrap())
            .filter(|name| name.ends_with(extension))
            .collect();
        found.sort();
        let listed: Vec<String> = expected(section).keys().cloned().collect();
        assert_eq!(found, listed);
    }
}

#[test]
fn configurations_mean_what_they_meant() {
    for (file, meaning) in expected("configs") {
        let found = library::config(&folder().join("configs").join(&file));
        assert_meaning(&file, &meaning, &found);
    }
}

#[test]
fn headers_mean_what_they_meant() {
    for (file, checkpoint) in expected("checkpoints") {
        let found = library::header(&folder().join("checkpoints").join(&file));
        assert_meaning(&file, &checkpoint["header"], &found);
    }
}

#[test]
fn checkpoints_write_the_reports_they_wrote() {
    for (file, checkpoint) in expected("checkpoints") {
        let path = folder().join("checkpoints").join(&file);
        let studies = studies(&checkpoint);
        for (name, reports) in object(&checkpoint["reports"]) {
            let found = library::write(&path, search(name).as_ref(), &studies);
            assert_reports(&format!("{file}, {name}"), reports, &found, SCORE);
        }
        let expected: Vec<f64> =
            serde_json::from_value(checkpoint["log_probs"].clone()).expect("numbers");
        let found = library::log_probs(&path, &studies[0]);
        assert_eq!(found.len(), expected.len(), "{file}");
        for (expected, &found) in expected.iter().zip(&found) {
            let distance = (expected - f64::from(found)).abs();
            assert!(distance <= SCORE, "{file}: {found}, it was {expected}");
        }
    }
}

/// Sampled reports, each study alone: they depend on the random number generator.
#[test]
fn checkpoints_draw_the_reports_they_drew() {
    for (file, checkpoint) in expected("checkpoints") {
        let path = folder().join("checkpoints").join(&file);
        for (name, reports) in object(&checkpoint["drawn"]) {
            let search = search(name);
            let found: Vec<_> = studies(&checkpoint)
                .iter()
                .flat_map(|study| {
                    library::write(&path, search.as_ref(), std::slice::from_ref(study))
                })
                .collect();
            assert_reports(&format!("{file}, {name}"), reports, &found, SCORE);
        }
    }
}

/// Every checkpoint resumes. Where the next step uses no random numbers, the reports after it are
/// those of `after_a_step`.
#[test]
fn runs_go_on() {
    for (file, checkpoint) in expected("checkpoints") {
        let run = tempfile::tempdir().expect("a folder");
        let last = run.path().join("last.ithn");
        fs::copy(folder().join("checkpoints").join(&file), &last).expect("copied");
        let (annotation, films) = (folder().join("annotation.json"), folder().join("films"));
        let step = library::resume_for_a_step(run.path(), &annotation, &films);
        let before = checkpoint["header"]["progress.step"].as_u64();
        assert_eq!(Some(step as u64), before.map(|step| step + 1), "{file}");
        let Some(after) = checkpoint.get("after_a_step") else {
            continue;
        };
        for (name, reports) in object(after) {
            let found = library::write(&last, search(name).as_ref(), &studies(&checkpoint));
            let what = format!("{file}, {name}, after a step");
            assert_reports(&what, reports, &found, SCORE_AFTER_A_STEP);
        }
    }
}
