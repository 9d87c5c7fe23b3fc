//! Clinical numbers, other tools' files and submissions, as the program reads and writes them. All texts, graphs and
//! weights are invented.

mod chexbert;
mod scores;
mod submission;
mod systems;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn fixture(name: &str) -> PathBuf {
    repository()
        .join("crates/metrics/tests/fixtures/clinical")
        .join(name)
}

fn chexbert_fixture(name: &str) -> PathBuf {
    repository()
        .join("crates/chexbert/tests/fixtures")
        .join(name)
}

fn text(path: &Path) -> String {
    path.to_str().expect("UTF-8").to_owned()
}

fn json_of(path: &Path) -> Value {
    let content = fs::read_to_string(path).expect("a file");
    serde_json::from_str(&content).expect("JSON")
}

fn run<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ithn"));
    command.args(arguments).output().expect("it starts")
}

fn error_of(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

/// Runs what must succeed, and returns standard output.
fn succeeds(arguments: &[String]) -> String {
    let output = run(arguments);
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        error_of(&output)
    );
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// `evaluate` with few draws and its JSON.
fn evaluated(arguments: &[String]) -> Value {
    let mut all = vec!["evaluate".to_owned()];
    all.extend_from_slice(arguments);
    all.extend(["--draws", "50", "--json", "-"].map(str::to_owned));
    serde_json::from_str(&succeeds(&all)).expect("JSON alone")
}

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

fn score<'a>(report: &'a Value, name: &str) -> &'a Value {
    let scores = report["clinical"]["scores"].as_array().expect("scores");
    let found = scores.iter().find(|score| score["score"] == name);
    found.unwrap_or_else(|| panic!("{name}: {scores:#?}"))
}

fn close(found: &Value, expected: &Value, tolerance: f64) {
    let difference = found.as_f64().expect("a number") - expected.as_f64().expect("a number");
    assert!(difference.abs() <= tolerance, "{found} {expected}");
}

/// The options of CheXbert's small weights.
fn small(weights: &str, vocabulary: &str, config: &str) -> Vec<String> {
    vec![
        weights.to_owned(),
        text(&chexbert_fixture("chexbert.pth")),
        vocabulary.to_owned(),
        text(&chexbert_fixture("vocab.txt")),
        config.to_owned(),
        text(&chexbert_fixture("config.json")),
    ]
}

/// Two systems' predictions, with references.
fn systems(folder: &Path) -> [String; 2] {
    let references = [
        "Small left pleural effusion. No pneumothorax.",
        "Heart is enlarged. New edema.",
        "Lungs are clear. Stable tubes.",
        "Right lower lobe consolidation.",
    ];
    let predictions = [
        [
            "No pleural effusion.",
            "The lungs are clear.",
            "Lungs are clear.",
            "Atelectasis.",
        ],
        [
            "Small left pleural effusion.",
            "Heart is enlarged. New edema.",
            "Lungs are clear.",
            "Right lower lobe consolidation.",
        ],
    ];
    [0, 1].map(|system| {
        let studies: Vec<Value> = (0..4)
            .map(|at| {
                json!({"id": format!("s{at}"), "prediction": predictions[system][at], "reference": references[at]})
            })
            .collect();
        let path = folder.join(format!("system{system}.json"));
        fs::write(&path, json!(studies).to_string()).expect("writable");
        text(&path)
    })
}
