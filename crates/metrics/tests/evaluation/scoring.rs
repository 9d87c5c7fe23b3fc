//! Scores of studies, and comparisons of two systems.

use super::*;
use ithn_metrics::clinical::scores::{ScoreColumn, ScoreTable};
use ithn_metrics::evaluation::*;
use ithn_metrics::{FindingClass, Meteor, Uncertain, score_corpus};

fn studies(pairs: &[(&str, &str)]) -> Vec<ScoredStudy> {
    let study = |(at, (prediction, reference)): (usize, &(&str, &str))| ScoredStudy {
        id: at.to_string(),
        prediction: (*prediction).to_owned(),
        references: vec![(*reference).to_owned()],
        full_reference: None,
    };
    pairs.iter().enumerate().map(study).collect()
}

const PAIRS: [(&str, &str); 4] = [
    (
        "the heart is enlarged .",
        "heart is enlarged . small left effusion .",
    ),
    (
        "no effusion or pneumothorax .",
        "no pneumothorax or effusion .",
    ),
    ("possible edema .", "there is pulmonary edema ."),
    ("lungs are clear .", "the lungs are clear ."),
];

fn scored(studies: &[ScoredStudy]) -> Evaluation {
    let meteor = Meteor::exact_and_stem();
    evaluate(studies, &options(&meteor)).unwrap()
}

fn options(meteor: &Meteor) -> EvaluationOptions<'_> {
    let mut options = EvaluationOptions::new(meteor);
    options.draws = 100;
    options.seed = 1;
    options
}

#[test]
fn numbers_are_those_of_the_metrics() {
    let evaluation = scored(&studies(&PAIRS));
    let overlap = score_corpus(PAIRS).unwrap().corpus;
    assert_eq!(evaluation.overlap.bleu_4, overlap.bleu[3]);
    assert_eq!(evaluation.overlap.cider, overlap.cider);
    let meteor = Meteor::exact_and_stem().score(PAIRS).unwrap();
    assert_eq!(evaluation.overlap.meteor_es, Some(meteor.corpus));
    assert_eq!(evaluation.overlap.meteor, None);
    // Effusion is missed; cardiomegaly and (possible) edema are found, as is nothing in the other two.
    assert_eq!(evaluation.findings.micro_5.precision, 1.0);
    assert_eq!(evaluation.findings.micro_5.recall, 2.0 / 3.0);
    assert_eq!(evaluation.diversity.distinct, 4);
    let text = evaluation.to_string();
    assert!(
        text.contains("METEOR-es") && text.contains("rules-14 v2, uncertain as positive"),
        "{text}"
    );
}

#[test]
fn uncertain_findings_follow_the_policy() {
    let meteor = Meteor::exact_and_stem();
    let mut negative = options(&meteor);
    negative.uncertain = Uncertain::AsNegative;
    let evaluation = evaluate(&studies(&PAIRS), &negative).unwrap();
    assert_eq!(evaluation.findings.micro_5.recall, 1.0 / 3.0);
}

#[test]
fn untouched_references_make_the_second_protocol_and_the_truth() {
    let mut studies = studies(&PAIRS);
    for study in &mut studies {
        study.full_reference = Some(study.references[0].clone());
        study.references[0] = "<unk>".to_owned();
    }
    let evaluation = scored(&studies);
    assert_eq!(
        evaluation.full.unwrap().bleu_4,
        score_corpus(PAIRS).unwrap().corpus.bleu[3]
    );
    assert!(evaluation.overlap.bleu_1 < 0.01);
    assert_eq!(evaluation.findings.micro_5.precision, 1.0);
}

#[test]
fn labels_made_elsewhere_replace_the_labeler() {
    let folder = Folder::new();
    let names = FindingClass::all().map(FindingClass::name).join(",");
    let row = |label: &str| format!("{label},{}", vec![""; 13].join(","));
    let truth = folder.file(
        "truth.csv",
        format!("id,{names}\n1,{}\n0,{}\n", row("1.0"), row("-1")),
    );
    let named = folder.file(
        "named.csv",
        format!("{names}\n{}\n{}\n", row("1"), row("0")),
    );
    let read = |path: &Path| {
        LabelFile::read(path)
            .unwrap()
            .of(path, ["0", "1"].into_iter())
            .unwrap()
    };
    let (references, predictions) = (read(&truth), read(&named));
    let meteor = Meteor::exact_and_stem();
    let labels = ExternalLabels {
        labeler: "CheXbert",
        references: &references,
        predictions: &predictions,
    };
    let mut options = options(&meteor);
    options.labels = Some(labels);
    let findings = evaluate(&studies(&PAIRS[..2]), &options).unwrap().findings;
    assert_eq!(
        (findings.labeler.as_str(), findings.per_class[0].support),
        ("CheXbert", 2)
    );
    assert_eq!(findings.micro_14.recall, 0.5);
    assert!(evaluate(&studies(&PAIRS), &options).is_err());

    let error = |path: PathBuf| LabelFile::read(&path).unwrap_err().to_string();
    let message = error(folder.file("value.csv", format!("{names}\n{}\n", row("yes"))));
    assert!(
        message.contains("row 2: No Finding: label 'yes'"),
        "{message}"
    );
    let message = error(folder.file("class.csv", "id,Edema\n1,1\n"));
    assert!(message.contains("No Finding"), "{message}");
    let message = error(folder.file(
        "twice.csv",
        format!("id,{names}\n1,{}\n1,{}\n", row("1"), row("1")),
    ));
    assert!(
        message.contains("row 3: id '1' is already in row 2"),
        "{message}"
    );
    assert!(
        LabelFile::read(&named)
            .unwrap()
            .of(&named, ["0"].into_iter())
            .is_err()
    );
    assert!(
        LabelFile::read(&truth)
            .unwrap()
            .of(&truth, ["7"].into_iter())
            .is_err()
    );
}

#[test]
fn comparisons_are_antisymmetric_and_see_no_difference_in_nothing() {
    let this = scored(&studies(&PAIRS));
    let mut worse = PAIRS;
    worse[0].0 = "no acute findings .";
    let other = scored(&studies(&worse));
    let forth = compare_evaluations(&this, &other, 200, 3).unwrap();
    let back = compare_evaluations(&other, &this, 200, 3).unwrap();
    assert_eq!(forth.metrics.len(), 11);
    for (forth, back) in forth.metrics.iter().zip(&back.metrics) {
        assert_eq!(
            (forth.difference, forth.p_value),
            (-back.difference, back.p_value),
            "{}",
            forth.metric
        );
        assert!(forth.difference >= 0.0, "{}", forth.metric);
        assert_eq!(forth.difference, forth.this - forth.other);
    }
    let none = compare_evaluations(&this, &this, 200, 3).unwrap();
    assert!(
        none.metrics
            .iter()
            .all(|metric| metric.p_value == 1.0 && metric.difference == 0.0)
    );
}

#[test]
fn only_the_same_studies_are_compared() {
    let this = studies(&PAIRS);
    let path = Path::new("other.csv");
    let mut turned = studies(&PAIRS);
    turned.reverse();
    assert_eq!(align_studies(&this, turned, path).unwrap(), this);
    assert!(align_studies(&this, studies(&PAIRS[..3]), path).is_err());
    let mut other = studies(&PAIRS);
    other[2].references[0].push('x');
    let error = align_studies(&this, other, path).unwrap_err().to_string();
    assert!(
        error.contains("other.csv: study '2' has another reference"),
        "{error}"
    );
}

#[test]
fn results_are_written_and_read_back() {
    let folder = Folder::new();
    let studies = studies(&PAIRS);
    let evaluation = scored(&studies);
    let csv = folder.0.path().join("x.csv");
    let value = serde_json::to_value(&evaluation).unwrap();
    let close =
        |read: &serde_json::Value, written: f64| (read.as_f64().unwrap() - written).abs() < 1e-12;
    assert!(close(&value["bleu_4"], evaluation.overlap.bleu_4));
    assert!(close(
        &value["findings"]["micro_14"]["f1"],
        evaluation.findings.micro_14.f1
    ));
    assert!(value["meteor_es"].is_number() && value.get("meteor").is_none());
    let mut green = ScoreColumn {
        name: "green".to_owned(),
        scores: vec![Some(0.5); studies.len()],
    };
    green.scores[1] = None;
    let columns = [green];
    write_study_scores(
        fs::File::create(&csv).unwrap(),
        &studies,
        &evaluation,
        &columns,
    )
    .unwrap();
    assert_eq!(read_studies(alone(&csv)).unwrap(), studies);
    let table = ScoreTable::read(&csv).unwrap();
    let read = table.columns().iter().find(|read| read.name == "green");
    assert_eq!(read, columns.first());
    let short = [ScoreColumn {
        name: "green".to_owned(),
        scores: Vec::new(),
    }];
    let error = write_study_scores(Vec::new(), &studies, &evaluation, &short).unwrap_err();
    assert!(error.to_string().contains("'green' has 0 scores"));
}

#[test]
fn the_headline_leaves_no_finding_out_and_has_an_interval() {
    let evaluation = scored(&studies(&PAIRS));
    let findings = &evaluation.findings;
    // Cardiomegaly and (possible) edema are found, an effusion is missed; the rest is normal.
    assert_eq!(findings.micro_13.f1, 2.0 * 2.0 / 5.0);
    assert_eq!(findings.macro_13.f1, 2.0 / 13.0);
    let interval = findings.micro_13_f1_interval.expect("draws were asked for");
    assert!(interval.low <= findings.micro_13.f1 && findings.micro_13.f1 <= interval.high);
    assert!(findings.micro_14.f1 > findings.micro_13.f1);
    let normal: Vec<(&str, &str)> = PAIRS
        .iter()
        .map(|(_, it)| ("lungs are clear .", *it))
        .collect();
    assert_eq!(scored(&studies(&normal)).findings.micro_13.f1, 0.0);
    let names: Vec<String> = compare_evaluations(&evaluation, &evaluation, 10, 0)
        .unwrap()
        .metrics
        .into_iter()
        .map(|metric| metric.metric)
        .collect();
    for name in ["findings.micro_13.f1", "findings.macro_13.f1"] {
        assert!(names.iter().any(|it| it == name), "{names:?}");
    }
}
