use std::fs;
use std::path::Path;

use ithn_metrics::Meteor;
use ithn_metrics::evaluation::{
    EvaluationOptions, ReportFiles, evaluate, rank, read_ranked, read_studies,
    read_untouched_studies,
};

use crate::target;

const CSV: [&str; 3] = [
    "id,reference,prediction\na,\"large \"\"left\"\" effusion .\",\"small effusion , left .\"\nb,no edema .,no edema .\n",
    "\u{feff}study_id,pred,gt\r\n1,\"two\r\nlines\",x\r\n2,,y\r\n",
    "no edema .\n\"small effusion , left .\"\n",
];

const JSON: [&str; 5] = [
    r#"[{"id": 1, "prediction": "small effusion", "reference": "large \"left\" effusion ."}, {"id": 2, "pred": "", "references": ["no edema .", "clear"]}]"#,
    r#"{"a": {"prediction": ["small effusion ."], "gt": "effusion ."}, "b": {"hyp": "no edema .", "ref": "no edema ."}}"#,
    r#"{"train": [{"id": "x", "report": "x"}], "val": [], "test": [{"id": "b", "report": "no edema ."}, {"id": "a", "report": "effusion ."}]}"#,
    r#"["no edema .", "small effusion"]"#,
    r#"{"a": ["effusion ."], "b": "no edema ."}"#,
];

const WORDS: &[&str] = &[
    "nan",
    ";",
    "sep=;\n",
    "id",
    "prediction",
    "reference",
    "report",
    "text",
    "gt",
    "0",
    "\"id\":",
    "\"prediction\":",
    "\"reference\":",
    "\"test\":",
    "\"train\":",
    "{\"a\":",
    "[\"a\"]",
    "a",
    "b",
    "no edema .",
    "\n",
    " . ",
    "  ",
    "<unk>",
];

/// Reads the files, and scores what could be read.
fn score(files: ReportFiles<'_>, meteor: &Meteor) {
    let mut options = EvaluationOptions::new(meteor);
    options.draws = 2;
    let derived = read_untouched_studies(files, &|report: &str| report.to_lowercase());
    for studies in [read_studies(files), derived].into_iter().flatten() {
        let evaluation = evaluate(&studies, &options).expect("every study has a reference");
        assert_eq!(evaluation.studies, studies.len());
        let numbers = [
            evaluation.overlap.bleu_4,
            evaluation.overlap.rouge_l,
            evaluation.overlap.cider,
        ];
        assert!(
            numbers.iter().all(|number| number.is_finite()),
            "{numbers:?}"
        );
        let _table = evaluation.to_string();
    }
}

#[test]
fn predictions() {
    let folder = tempfile::tempdir().unwrap();
    let meteor = Meteor::exact_and_stem();
    for (name, file, seeds) in [
        ("predictions-csv", "predictions.csv", CSV.as_slice()),
        ("predictions-json", "predictions.json", JSON.as_slice()),
    ] {
        target(name, file, seeds, WORDS).run(folder.path(), |predictions, _| {
            let alone = ReportFiles {
                predictions,
                references: None,
                full_references: None,
            };
            score(alone, &meteor);
        });
    }
}

#[test]
fn references() {
    let folder = tempfile::tempdir().unwrap();
    let meteor = Meteor::exact_and_stem();
    let predictions = folder.path().join("predictions.csv");
    fs::write(&predictions, "id,prediction\na,effusion .\nb,no edema .\n").unwrap();
    let seeds = [CSV.as_slice(), &JSON].concat();
    target("references", "references", &seeds, WORDS).run(folder.path(), |file, _| {
        let given = |references, full_references| ReportFiles {
            predictions: &predictions,
            references,
            full_references,
        };
        for files in [given(Some(file), None), given(None, Some(file))] {
            score(files, &meteor);
        }
    });
}

#[test]
fn retrieval() {
    let folder = tempfile::tempdir().unwrap();
    let seeds = [
        "id,task,candidate,score\na,retrieval,a,0.9\na,retrieval,b,0.1\nb,near_twin,b,0.5\nb,near_twin,c,-1e3\n",
    ];
    let words = [
        "retrieval",
        "near_twin",
        "near_twin_likelihood",
        "NaN",
        "inf",
        "a,retrieval,b,0.1\n",
        "score",
        "a",
        "b",
    ];
    target("retrieval", "retrieval.csv", &seeds, &words).run(folder.path(), |path: &Path, _| {
        if let Ok(studies) = read_ranked(path) {
            let ranking = rank(&studies).expect("as it was read");
            let _table = ranking.to_string();
        }
    });
}
