//! Both versions of the labeler on sentences written by hand: `fixtures/labeler/versions.csv`.
//!
//! The column `v1` was written by the code of version 1 as it was released, `v2` after reading each sentence.

use ithn_metrics::{FindingClass, LabelerVersion, ReportLabels, Status, label};
use serde::Deserialize;

#[derive(Deserialize)]
struct Row {
    class: String,
    v1: String,
    v2: String,
    report: String,
}

fn rows() -> Vec<Row> {
    let table = include_str!("fixtures/labeler/versions.csv");
    let rows = csv::Reader::from_reader(table.as_bytes()).into_deserialize();
    rows.collect::<Result<_, _>>().expect("a sound table")
}

fn status(labels: &ReportLabels, class: &str) -> &'static str {
    let class = FindingClass::all()
        .into_iter()
        .find(|known| known.name() == class)
        .unwrap_or_else(|| panic!("no class '{class}'"));
    match labels.status(class) {
        Some(Status::Positive) => "positive",
        Some(Status::Negative) => "negative",
        Some(Status::Uncertain) => "uncertain",
        None => "none",
    }
}

/// Asserts what a version says about every sentence, and returns how many there are.
fn assert_column(version: LabelerVersion, expected: fn(&Row) -> &str) -> usize {
    let rows = rows();
    let differs = |row: &&Row| status(&version.label(&row.report), &row.class) != expected(row);
    let wrong: Vec<String> = rows
        .iter()
        .filter(differs)
        .map(|row| format!("{} is not {}: {}", row.class, expected(row), row.report))
        .collect();
    assert!(wrong.is_empty(), "{version}:\n{}", wrong.join("\n"));
    rows.len()
}

#[test]
fn version_1_is_what_it_was() {
    assert!(assert_column(LabelerVersion::V1, |row| &row.v1) > 500);
}

#[test]
fn version_2_reads_what_is_meant() {
    assert!(assert_column(LabelerVersion::V2, |row| &row.v2) > 500);
}

#[test]
fn the_versions_differ_where_version_1_is_wrong() {
    let differ = rows().iter().filter(|row| row.v1 != row.v2).count();
    assert!(differ > 250, "{differ}");
}

/// Cleaning takes commas and question marks away; the rest must read alike.
#[test]
fn lower_case_and_spaced_full_stops_change_nothing() {
    for row in rows() {
        let lower = row.report.to_lowercase().replace(". ", " . ");
        let lower = lower
            .strip_suffix('.')
            .map_or(lower.clone(), |text| format!("{text} ."));
        assert_eq!(
            label(&lower).statuses,
            label(&row.report).statuses,
            "{lower}"
        );
    }
}

fn statuses_of(report: &str, class: FindingClass) -> Vec<Status> {
    let mentions = label(report).mentions.into_iter();
    mentions
        .filter(|mention| mention.class == class)
        .map(|mention| mention.status)
        .collect()
}

#[test]
fn a_question_takes_the_status_of_its_answer() {
    let pneumothorax = |report: &str| statuses_of(report, FindingClass::Pneumothorax);
    assert_eq!(pneumothorax("Pneumothorax?"), [Status::Uncertain]);
    assert_eq!(pneumothorax("Pneumothorax? No."), [Status::Negative]);
    assert_eq!(
        pneumothorax("Pneumothorax? Yes, small."),
        [Status::Positive]
    );
    assert_eq!(
        pneumothorax("Pneumothorax? Left effusion. No pneumothorax."),
        [Status::Negative, Status::Negative]
    );
    // A statement before the question does not answer it.
    assert_eq!(
        pneumothorax("No pneumothorax on the left. Right pneumothorax?"),
        [Status::Negative, Status::Uncertain]
    );
}

#[test]
fn what_a_request_names_is_no_finding() {
    for report in [
        "Evaluate for pneumothorax.",
        "Indication: effusion, pneumonia.",
        "Thyroid nodule.",
        "History of pneumonia.",
    ] {
        let labels = label(report);
        assert!(labels.mentions.is_empty(), "{report}");
        assert_eq!(
            labels.status(FindingClass::NoFinding),
            Some(Status::Positive)
        );
    }
}

/// Every rule looks at a bounded number of words, so that a part reads alike wherever it stands.
#[test]
fn every_part_of_a_long_sentence_reads_alike() {
    let part = "the thyroid nodule, effusion which is no longer seen, edema?x or possible pneumonia, if any, ";
    let once = label(part).mentions;
    let many = label(&part.repeat(400)).mentions;
    assert_eq!(many.len() % 400, 0);
    assert!(many.len() >= 400 * once.len().min(1));
    let of_part = many.len() / 400;
    let middle = |at: usize| {
        let mentions = &many[at * of_part..(at + 1) * of_part];
        mentions
            .iter()
            .map(|m| (m.class, m.status))
            .collect::<Vec<_>>()
    };
    assert_eq!(middle(100), middle(300));
}
