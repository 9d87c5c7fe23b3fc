//! Floors of an evaluation.

use ithn_metrics::evaluation::*;
use ithn_metrics::floors::OverlapMetric;
use ithn_metrics::{Meteor, MetricsError};

const NORMAL: &str = "heart size is normal . lungs are clear .";
const EFFUSION: &str = "heart size is normal . small left pleural effusion .";
const ENLARGED: &str = "the heart is enlarged . lungs are clear .";

fn studies(reports: &[&str]) -> Vec<ScoredStudy> {
    let study = |(at, report): (usize, &&str)| ScoredStudy {
        id: at.to_string(),
        prediction: "ignored".to_owned(),
        references: vec![(*report).to_owned()],
        full_reference: None,
    };
    reports.iter().enumerate().map(study).collect()
}

fn floors(meteor: &Meteor) -> EvaluationFloors {
    let training = [NORMAL, NORMAL, EFFUSION, ENLARGED].map(str::to_owned);
    let validation = studies(&[NORMAL, EFFUSION, ENLARGED, EFFUSION]);
    let test = studies(&[NORMAL, EFFUSION, NORMAL, ENLARGED, NORMAL]);
    let options = EvaluationOptions::new(meteor);
    evaluate_floors(&training, &validation, &test, &options).expect("there is text")
}

#[test]
fn normal_for_all_wins_over_14_classes_and_is_worth_nothing_over_13() {
    let meteor = Meteor::exact_and_stem();
    let floors = floors(&meteor);
    let frequent = &floors.reports[0];
    assert_eq!(frequent.text.as_deref(), Some(NORMAL));
    assert_eq!(frequent.scores.findings.micro_13.f1, 0.0);
    // Of five studies three are normal: 2 · 3 / (5 + 5).
    assert_eq!(frequent.scores.findings.micro_14.f1, 0.6);
    assert_eq!(frequent.scores.diversity.most_frequent_share, 1.0);
    assert_eq!(floors.reports.len(), 1 + OverlapMetric::ALL.len());
    // Chosen on validation, where effusion is the most frequent class.
    assert_eq!(floors.labels.best_set.labels, ["Pleural Effusion"]);
    assert_eq!(floors.labels.best_set.f1_micro, 2.0 / 7.0);
    assert_eq!(floors.labels.always_positive.len(), 13);
    let text = floors.to_string();
    for part in [
        "composed for BLEU-4",
        "Pleural Effusion",
        "METEOR-es",
        "F1-13 micro",
    ] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn what_a_constant_beats_is_named_and_the_truth_beats_all() {
    let meteor = Meteor::exact_and_stem();
    let floors = floors(&meteor);
    let reports = [NORMAL, EFFUSION, NORMAL, ENLARGED, NORMAL];
    let mut predictions = studies(&reports);
    let options = EvaluationOptions::new(&meteor);
    for (study, report) in predictions.iter_mut().zip(reports) {
        study.prediction = report.to_owned();
    }
    let truth = evaluate(&predictions, &options).expect("scored");
    assert_eq!(floors.unbeaten_by(&truth), Vec::<String>::new());
    for study in &mut predictions {
        study.prediction = NORMAL.to_owned();
    }
    let unbeaten = floors.unbeaten_by(&evaluate(&predictions, &options).expect("scored"));
    assert_eq!(unbeaten.len(), 5, "{unbeaten:?}");
    assert!(
        unbeaten
            .iter()
            .any(|line| line.contains("F1-13 micro 0.0000")
                && line.contains("one set of labels for every study")),
        "{unbeaten:?}"
    );
}

#[test]
fn constants_need_training_reports_and_references() {
    let meteor = Meteor::exact_and_stem();
    let options = EvaluationOptions::new(&meteor);
    let some = studies(&[NORMAL]);
    let error = evaluate_floors(&[], &some, &some, &options).unwrap_err();
    assert!(matches!(error, MetricsError::Empty { .. }), "{error}");
    let mut without = some.clone();
    without[0].references.clear();
    let error = evaluate_floors(&[NORMAL.to_owned()], &without, &some, &options).unwrap_err();
    assert_eq!(error, MetricsError::NoReference { index: 0 });
}
