//! Classifiers and reports against human tags.

use super::*;
use ithn_metrics::classification::{auroc, average_precision};
use ithn_metrics::evaluation::*;
use ithn_metrics::{FindingClass, LabelerVersion, MetricsError, Uncertain};

const CARDIOMEGALY: usize = 1;

fn tags() -> Vec<TaggedReport> {
    let tag = |uid: usize| match uid {
        9 => "No Indexing",
        _ if uid.is_multiple_of(3) => "Cardiomegaly/mild",
        _ if uid.is_multiple_of(4) => "Opacity/lung/base",
        _ => "normal",
    };
    (1..=30)
        .map(|uid| TaggedReport {
            id: uid.to_string(),
            report: String::new(),
            tags: Some(tag(uid).to_owned()),
        })
        .collect()
}

/// Scores that see most enlarged hearts, and a study that nobody tagged.
fn classified() -> Vec<ClassifiedStudy> {
    (1..=31)
        .map(|uid| {
            let mut scores = [0.1; FindingClass::ABNORMAL.len()];
            scores[CARDIOMEGALY] = match uid % 3 {
                0 => 0.5 + (uid % 5) as f64 / 10.0,
                _ => (uid % 7) as f64 / 10.0,
            };
            ClassifiedStudy {
                id: format!("CXR{uid}_IM-{:04}", 7 * uid),
                scores,
            }
        })
        .collect()
}

#[test]
fn a_classifier_is_scored_on_tagged_studies_alone() {
    let thresholds = [0.5; 13];
    let found = score_classifier_by_tags(&classified(), &tags(), &thresholds, 200, 0).unwrap();
    // Study 9 is not indexed, study 31 is not in the file.
    assert_eq!((found.studies, found.untagged), (29, 2));
    let class = &found.classes[CARDIOMEGALY];
    assert_eq!(
        (class.class.as_str(), class.scores.positives),
        ("Cardiomegaly", 9)
    );
    let kept: Vec<ClassifiedStudy> = classified()
        .into_iter()
        .filter(|study| !["CXR9_IM-0063", "CXR31_IM-0217"].contains(&study.id.as_str()))
        .collect();
    let scores: Vec<f64> = kept.iter().map(|it| it.scores[CARDIOMEGALY]).collect();
    let labels: Vec<bool> = kept
        .iter()
        .map(|it| open_i_uid(&it.id).unwrap().is_multiple_of(3))
        .collect();
    let area = class.scores.auroc.expect("both labels occur");
    assert_eq!(Some(area.value), auroc(&scores, &labels));
    let interval = area.interval.expect("draws were asked for");
    assert!(interval.low < area.value && area.value <= interval.high);
    let precision = class.scores.average_precision.expect("positives occur");
    assert_eq!(Some(precision.value), average_precision(&scores, &labels));
    // Opacity has tags but scores below the threshold: F1 0, and chance by rank.
    let opacity = &found.classes[2].scores;
    assert_eq!(opacity.f1.expect("it is true somewhere").value, 0.0);
    assert_eq!(opacity.auroc.expect("both occur").value, 0.5);
    assert_eq!(found.classes[0].scores.auroc, None);
    assert!(found.f1_micro.value > found.f1_macro.value);
    assert!(
        found.to_string().contains("29 studies with human tags"),
        "{found}"
    );
}

#[test]
fn reports_are_scored_by_what_a_labeler_reads_in_them() {
    let reports: Vec<(String, String)> = (1..=30)
        .map(|uid| {
            let text = match uid % 3 {
                0 => "The heart is enlarged.",
                _ => "Heart size is normal.",
            };
            (uid.to_string(), text.to_owned())
        })
        .collect();
    let version = LabelerVersion::LATEST;
    let uncertain = Uncertain::AsPositive;
    let found = score_reports_by_tags(&reports, &tags(), version, uncertain, 100, 0).unwrap();
    assert_eq!((found.studies, found.untagged), (29, 1));
    assert_eq!(found.classes[CARDIOMEGALY].scores.f1, 1.0);
    // Nine hearts are right, five opacities are missed.
    let opacities = (1..=30).filter(|uid| uid % 3 != 0 && uid % 4 == 0).count();
    assert_eq!(opacities, 5);
    assert_eq!(found.f1_micro.value, 18.0 / 23.0);
    assert_eq!(found.f1_macro.value, 1.0 / 13.0);
    let text = found.to_string();
    assert!(
        text.contains("rules-14") && text.contains("F1-13 micro 0.783"),
        "{text}"
    );
}

#[test]
fn ids_without_a_uid_and_missing_tags_are_named() {
    let mut studies = classified();
    studies[3].id = "IM-12".to_owned();
    let error = score_classifier_by_tags(&studies, &tags(), &[0.5; 13], 0, 0).unwrap_err();
    assert!(
        error.to_string().contains("'IM-12' has no Open-i uid"),
        "{error}"
    );
    let none = score_classifier_by_tags(&classified(), &[], &[0.5; 13], 0, 0).unwrap_err();
    assert!(matches!(none, MetricsError::Empty { .. }), "{none}");
    for (id, uid) in [
        ("12", Some(12)),
        (" CXR7_IM-1", Some(7)),
        ("CXR", None),
        ("12a", None),
    ] {
        assert_eq!(open_i_uid(id), uid, "{id}");
    }
}

#[test]
fn scores_of_a_classifier_are_read_by_class_name_and_broken_ones_are_named() {
    let names = FindingClass::ABNORMAL.map(FindingClass::name);
    let header = format!("{},id", names.join(","));
    let row = |score: &str, id: &str| format!("{score},{},{id}", ["0.25"; 12].join(","));
    let folder = Folder::new();
    let good = folder.file(
        "good.csv",
        [header.as_str(), &row("0.5", "CXR1_IM-1")].join("\n"),
    );
    let read = read_classified(&good).unwrap();
    assert_eq!((read[0].scores[0], read[0].scores[12]), (0.5, 0.25));
    assert_eq!(read[0].id, "CXR1_IM-1");
    let table = |rows: &[String]| format!("{header}\n{}", rows.join("\n"));
    for (name, text, expected) in [
        ("number.csv", table(&[row("high", "1")]), "score 'high'"),
        ("nan.csv", table(&[row("NaN", "1")]), "finite number"),
        ("twice.csv", table(&[row("1", "1"), row("1", "1")]), "row 2"),
        ("empty.csv", header.clone(), "empty"),
        (
            "class.csv",
            "id,Edema\n1,0.5".to_owned(),
            "Enlarged Cardiomediastinum",
        ),
    ] {
        let error = read_classified(&folder.file(name, text))
            .unwrap_err()
            .to_string();
        assert!(error.contains(name) && error.contains(expected), "{error}");
    }
}
