//! Clinical metrics and formats equal the golden numbers of `fixtures/clinical`, all of them invented.

use std::fs;
use std::path::{Path, PathBuf};

use ithn_metrics::clinical::parity::{FAMILIES, parity};
use ithn_metrics::evaluation::formats::{Export, Section, export};
use ithn_metrics::evaluation::{ReportFiles, ScoredStudy, read_section_studies, read_studies};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/clinical")
}

fn check(family: &str, checks: usize) {
    let found = parity(&fixtures(), family, None).unwrap();
    for check in &found {
        println!(
            "{:60} {:9.2e} of {:7.1e}",
            check.name, check.difference, check.tolerance
        );
    }
    let failed: Vec<_> = found.iter().filter(|check| !check.passed).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert_eq!(found.len(), checks, "{family}");
}

#[test]
fn policies() {
    check("policies", 5 * 4);
}

#[test]
fn radgraph() {
    check("radgraph", 9);
}

#[test]
fn radcliq() {
    check("radcliq", 6);
}

#[test]
fn temporal() {
    check("temporal", 5);
}

#[test]
fn formats() {
    check("formats", 10);
}

#[test]
fn a_family_that_is_not_there_is_an_error() {
    for family in FAMILIES {
        assert!(
            parity(Path::new("/nowhere"), family, None).is_err(),
            "{family}"
        );
    }
    assert!(parity(&fixtures(), "bertscore", None).is_err());
}

/// A golden number that is altered fails its check.
#[test]
fn checks_can_fail() {
    let folder = tempfile::tempdir().unwrap();
    let family = folder.path().join("radcliq");
    fs::create_dir(&family).unwrap();
    for name in ["scores.csv", "bleu_pairs.json", "expected.json"] {
        let text = fs::read_to_string(fixtures().join("radcliq").join(name)).unwrap();
        let text = text.replace("2.4501430833271307", "2.4501430");
        fs::write(family.join(name), text).unwrap();
    }
    let checks = parity(folder.path(), "radcliq", None).unwrap();
    let failed: Vec<_> = checks.iter().filter(|check| !check.passed).collect();
    assert_eq!(failed.len(), 1, "{failed:#?}");
    assert_eq!(failed[0].name, "radcliq: radcliq_v1");
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

fn files<'a>(predictions: &'a Path, references: Option<&'a Path>) -> ReportFiles<'a> {
    ReportFiles {
        predictions,
        references,
        full_references: None,
    }
}

#[test]
fn what_is_known_is_told_of_a_file_of_no_form() {
    let folder = Folder::new();
    for (name, text) in [
        ("page.json", "<html><body>404</body></html>"),
        ("config.json", r#"{"hidden_size": 32, "layers": 2}"#),
        ("table.txt", "key,left,right\na,x,y\n"),
        ("table.csv", "key,left,right\na,x,y\n"),
        ("labels.txt", "[0, 1, 0]\n[1, 1, 0]\n"),
        ("objects.json", r#"[{"name": "x"}, {"name": "y"}]"#),
        ("zeros.bin", "a\0b"),
    ] {
        let path = folder.file(name, text);
        let error = read_studies(files(&path, None)).unwrap_err().to_string();
        assert!(
            error.contains(name) && error.contains("ReXrank's prediction.json"),
            "{name}: {error}"
        );
    }
}

#[test]
fn a_last_empty_report_is_told_from_a_last_line_feed() {
    let folder = Folder::new();
    let references = folder.file("refs.txt", "clear\nedema");
    for (text, last) in [
        ("clear\nedema", "edema"),
        ("clear\nedema\n", "edema"),
        ("clear\n", ""),
    ] {
        let predictions = folder.file("hyps.txt", text);
        let studies = read_studies(files(&predictions, Some(&references))).unwrap();
        assert_eq!(
            (studies.len(), studies[1].prediction.as_str()),
            (2, last),
            "{text:?}"
        );
    }
    let short = folder.file("hyps.txt", "clear");
    assert!(read_studies(files(&short, Some(&references))).is_err());
}

#[test]
fn broken_lines_are_named() {
    let folder = Folder::new();
    for (text, expected) in [
        (
            "{\"ref\": \"a\", \"hyp\": \"b\"}\n{\"ref\": \"a\"",
            "row 2: not JSON",
        ),
        (
            "{\"ref\": \"a\", \"hyp\": \"b\"}\n\n{\"ref\": \"a\", \"hyp\": 3}\n",
            "row 3: expected a report",
        ),
        (
            "{\"question_id\": 1, \"text\": \"a\"}\n{\"text\": \"a\"}\n",
            "row 2: no id",
        ),
        (
            "{\"references\": [\"a\"], \"hypotheses\": []}",
            "1 references, but 0 hypotheses",
        ),
        (
            "{\"1\": {\"model_prediction\": 3}}",
            "study '1': 'model_prediction' is no text",
        ),
    ] {
        let path = folder.file("broken.jsonl", text);
        let error = read_studies(files(&path, None)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let one = folder.file("one.jsonl", "{\"ref\": \"a\", \"hyp\": \"b\"}\n");
    let studies = read_studies(files(&one, None)).unwrap();
    assert_eq!(studies[0].references, ["a"]);
}

#[test]
fn studies_without_a_section_are_counted() {
    let path = fixtures().join("formats/rexrank_prediction.json");
    let (studies, notes) = read_section_studies(files(&path, None), Section::Impression).unwrap();
    assert_eq!((studies.len(), notes.without_section), (3, 1));
}

#[test]
fn exports_are_read_back() {
    let study = |id: &str, prediction: &str, reference: &str| ScoredStudy {
        id: id.to_owned(),
        prediction: prediction.to_owned(),
        references: vec![reference.to_owned()],
        full_reference: None,
    };
    let studies = [
        study(
            "s1",
            "clear, \"both\" sides",
            "Findings: edema Impression: None",
        ),
        study("s2", "no\nedema", "Findings: None Impression: clear"),
    ];
    let folder = Folder::new();
    let folder = folder.0.path();

    let written = export(Export::RexRank, folder, &studies).unwrap();
    assert_eq!(read_studies(files(&written[0], None)).unwrap(), studies);

    let written = export(Export::RadEval, folder, &studies).unwrap();
    let read = read_studies(files(&written[0], None)).unwrap();
    let texts = |studies: &[ScoredStudy]| -> Vec<_> {
        let texts = studies.iter();
        texts
            .map(|study| (study.prediction.clone(), study.references.clone()))
            .collect()
    };
    assert_eq!(texts(&read), texts(&studies));

    let written = export(Export::CxrReportMetric, folder, &studies).unwrap();
    assert_eq!(written.len(), 3);
    let read = read_studies(files(&written[1], Some(&written[0]))).unwrap();
    assert_eq!(texts(&read), texts(&studies));
    assert_eq!(read[1].id, "1");
    let map = fs::read_to_string(&written[2]).unwrap();
    assert_eq!(map, "study_id,id\n0,s1\n1,s2\n");
    let numbered = [study("7", "a", "b")];
    assert_eq!(
        export(Export::CxrReportMetric, folder, &numbered)
            .unwrap()
            .len(),
        2
    );
    for name in ["rexrank", "cxr-report-metric", "radeval"] {
        assert_eq!(name.parse::<Export>().unwrap().name(), name);
    }
}
