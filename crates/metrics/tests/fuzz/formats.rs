use std::fs;
use std::path::Path;

use ithn_metrics::clinical::radgraph::{Casing, radgraph, read_graphs};
use ithn_metrics::clinical::scores::{ScoreTable, compare_scores};
use ithn_metrics::clinical::temporal::temporal_f1;
use ithn_metrics::evaluation::formats::{Export, Section, export, read_label_lines};
use ithn_metrics::evaluation::{ReportFiles, read_section_studies};

use crate::target;

fn fixture(folder: &str, name: &str) -> String {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/clinical");
    fs::read_to_string(fixtures.join(folder).join(name)).expect("a fixture")
}

const WORDS: &[&str] = &[
    "NaN",
    "-Infinity",
    "null",
    "\"model_prediction\":",
    "\"section_findings\":",
    "\"references\":",
    "\"hypotheses\":",
    "\"question_id\":",
    "\"hyp\":",
    "\"ref\":",
    "\"text\":",
    "study_id,report\n",
    "findings,impression,study_id\n",
    "dicom_id,labels,report\n",
    "\n",
    "\r\n",
    "{\"",
    "}\n{",
    "\"",
];

/// Files of other tools, on either side of a pair; what can be read can be written.
#[test]
fn forms() {
    let names = [
        "rexrank_prediction.json",
        "radeval.json",
        "radeval.jsonl",
        "refs.tok",
        "hyps_blank.txt",
        "crm_predicted_reports.csv",
        "cxrmate2_pred.csv",
        "mlrg_test_reports.csv",
        "libra_preds.jsonl",
        "test_best-1_42_refs.chexbert.txt",
    ];
    let texts = names.map(|name| fixture("formats", name));
    let seeds: Vec<&str> = texts.iter().map(String::as_str).collect();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("exports");
    let references = folder.path().join("references.txt");
    fs::write(&references, "clear\nedema\n\nno edema\n").unwrap();
    target("forms", "reports", &seeds, WORDS).run(folder.path(), |path, _| {
        let _labels = read_label_lines(path);
        for section in [Section::Both, Section::Findings, Section::Impression] {
            for (predictions, references) in [
                (path, None),
                (path, Some(&*references)),
                (&*references, Some(path)),
            ] {
                let files = ReportFiles {
                    predictions,
                    references,
                    full_references: None,
                };
                let Ok((studies, _)) = read_section_studies(files, section) else {
                    continue;
                };
                for study in &studies {
                    let f1 = temporal_f1(
                        &study.prediction,
                        study.references.iter().map(String::as_str),
                    );
                    assert!((0.0..=1.0).contains(&f1), "{f1}");
                }
                if section == Section::Both && references.is_none() {
                    for tool in Export::ALL {
                        export(tool, &out, &studies).expect("a writable folder");
                    }
                }
            }
        }
    });
}

#[test]
fn graphs() {
    let seeds = [
        fixture("radgraph", "pred.json"),
        fixture("radgraph", "ref.json"),
    ];
    let reference = tempfile::tempdir().unwrap();
    let reference_path = reference.path().join("ref.json");
    fs::write(&reference_path, &seeds[1]).unwrap();
    let references = read_graphs(&reference_path).unwrap();
    let words = [
        "\"entities\":",
        "\"relations\":",
        "\"tokens\":",
        "[]",
        "{}",
        "\"1\"",
        "[[\"modify\", \"1\"]]",
    ];
    let seeds: Vec<&str> = seeds.iter().map(String::as_str).collect();
    let folder = tempfile::tempdir().unwrap();
    target("graphs", "pred.json", &seeds, &words).run(folder.path(), |path, _| {
        let Ok(predictions) = read_graphs(path) else {
            return;
        };
        if let Ok(scores) = radgraph(&predictions, &references, Casing::Lower, path) {
            assert!((0.0..=1.0).contains(&scores.f1.complete));
        }
    });
}

#[test]
fn scores() {
    let seeds = [
        fixture("radcliq", "scores.csv"),
        "id,green,text\na,0.5,x\nb,,\nc,nan,z\n".to_owned(),
    ];
    let seeds: Vec<&str> = seeds.iter().map(String::as_str).collect();
    let words = ["inf", "-1e400", "NaN", "study_id", ",", "\n", "0.5", "id"];
    let folder = tempfile::tempdir().unwrap();
    target("scores", "scores.csv", &seeds, &words).run(folder.path(), |path, _| {
        let Ok(table) = ScoreTable::read(path) else {
            return;
        };
        let summaries = table.summaries(2, 0).expect("some draws");
        assert!(summaries.iter().all(|summary| summary.studies > 0));
        let _compared = compare_scores(&[("a", &table), ("b", &table)], 2, 0);
    });
}
