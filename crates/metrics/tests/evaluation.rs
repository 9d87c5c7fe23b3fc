//! From files to numbers: every layout gives the same studies, and every broken file is named.

use std::fs;
use std::path::{Path, PathBuf};

use ithn_metrics::evaluation::{
    Evaluation, EvaluationOptions, ExternalLabels, LabelFile, Protocol, RankedStudy, RankingTask,
    ReportFiles, ScoredStudy, agreement, align_studies, compare_evaluations, evaluate, rank,
    ranked_table, read_ranked, read_studies, read_tagged_reports, read_untouched_studies,
    write_json, write_study_scores,
};
use ithn_metrics::{FindingClass, LabelerVersion, Meteor, Uncertain, score_corpus};

/// A folder of small files.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

fn alone(predictions: &Path) -> ReportFiles<'_> {
    ReportFiles {
        predictions,
        references: None,
        full_references: None,
    }
}

fn pair<'a>(predictions: &'a Path, references: &'a Path) -> ReportFiles<'a> {
    ReportFiles {
        references: Some(references),
        ..alone(predictions)
    }
}

/// Prediction and reference of each study, without ids.
fn texts(studies: &[ScoredStudy]) -> Vec<(&str, &str)> {
    studies
        .iter()
        .map(|study| (study.prediction.as_str(), study.references[0].as_str()))
        .collect()
}

const EXPECTED: [(&str, &str); 2] = [
    ("small effusion , left .", "large \"left\" effusion ."),
    ("no edema .", "no edema ."),
];

#[test]
fn every_layout_gives_the_same_studies() {
    let folder = Folder::new();
    let two = [
        (
            "own.csv",
            "id,reference,prediction,bleu_1\na,\"large \"\"left\"\" effusion .\",\"small effusion , left .\",0.1\nb,no edema .,no edema .,1\n",
        ),
        (
            "windows.csv",
            "\u{feff}ID,Reference,Prediction\r\na,\"large \"\"left\"\" effusion .\",\"small effusion , left .\"\r\nb,no edema .,no edema .\r\n",
        ),
        (
            "semicolons.csv",
            "id;reference;prediction\na;\"large \"\"left\"\" effusion .\";small effusion , left .\nb;no edema .;no edema .\n",
        ),
        (
            "tabs.tsv",
            "sep=\t\r\nid\treference\tprediction\r\na\t\"large \"\"left\"\" effusion .\"\tsmall effusion , left .\r\nb\tno edema .\tno edema .\r\n",
        ),
        (
            "columns.csv",
            "prediction,reference\n\"small effusion , left .\",\"large \"\"left\"\" effusion .\"\nno edema .,no edema .\n",
        ),
        (
            "list.json",
            r#"[{"id": 1, "prediction": "small effusion , left .", "reference": "large \"left\" effusion ."}, {"id": 2, "pred": "no edema .", "references": ["no edema ."]}]"#,
        ),
        (
            "object.json",
            r#"{"a": {"prediction": ["small effusion , left ."], "gt": "large \"left\" effusion ."}, "b": {"hyp": "no edema .", "ref": "no edema ."}}"#,
        ),
    ];
    for (name, content) in two {
        let studies = read_studies(alone(&folder.file(name, content))).unwrap();
        assert_eq!(texts(&studies), EXPECTED, "{name}");
    }
    let pairs = [
        (
            "res.csv",
            "\"small effusion , left .\"\nno edema .\n",
            "gts.csv",
            "\"large \"\"left\"\" effusion .\"\nno edema .\n",
        ),
        (
            "p.csv",
            "id,report\nb,no edema .\na,\"small effusion , left .\"\n",
            "r.json",
            r#"{"a": ["large \"left\" effusion ."], "b": ["no edema ."]}"#,
        ),
        (
            "p.json",
            r#"["small effusion , left .", "no edema ."]"#,
            "r.csv",
            "0\n\"large \"\"left\"\" effusion .\"\nno edema .\n",
        ),
        (
            "q.csv",
            "id,prediction\na,\"small effusion , left .\"\nb,no edema .\n",
            "annotation.json",
            r#"{"train": [{"id": "x", "report": "x"}], "val": [], "test": [{"id": "b", "report": "no edema ."}, {"id": "a", "report": "large \"left\" effusion ."}]}"#,
        ),
    ];
    for (name, predictions, other, references) in pairs {
        let files = (
            folder.file(name, predictions),
            folder.file(other, references),
        );
        let mut studies = read_studies(pair(&files.0, &files.1)).unwrap();
        studies.sort_by(|a, b| a.id.cmp(&b.id));
        assert_eq!(texts(&studies), EXPECTED, "{name} with {other}");
    }
}

#[test]
fn broken_files_are_named_with_their_row() {
    let folder = Folder::new();
    let cases: &[(&str, &[u8], &str)] = &[
        ("empty.csv", b"", "no reports"),
        ("bom.csv", b"\xef\xbb\xbf", "no reports"),
        ("header.csv", b"id,prediction,reference\n", "no reports"),
        ("empty.json", b"[]", "no reports"),
        ("latin.csv", b"id,prediction,reference\na,x,y\nb,caf\xe9,y\n", "row 3: not UTF-8"),
        ("short.csv", b"id,prediction,reference\na,x\n", "row 2: 2 fields where the first row has 3"),
        ("comma.csv", b"id,prediction,reference\na,x, y,z\n", "row 2: 4 fields"),
        ("twice.csv", b"id,prediction,reference\na,x,y\nb,x,y\na,x,y\n", "row 4: id 'a' is already in row 2"),
        ("blank.csv", b"id,prediction,reference\n,x,y\n", "row 2: the id is empty"),
        ("names.csv", b"key,left,right\na,x,y\n", "no column for predictions or references"),
        ("ids.csv", b"id\na\n", "no column for predictions"),
        ("bare.csv", b"one report,another report\nx,y\n", "no column for predictions"),
        ("alone.csv", b"id,prediction\na,x\n", "row 2: no reference"),
        ("only.csv", b"id,reference\na,x\n", "row 2: no prediction"),
        ("cut.json", b"[{\"id\": 1,\n \"prediction\"", "row 2: not JSON"),
        ("short.json", b"[{\"id\": 1", "the file may be cut short"),
        ("semicolon.csv", b"id;prediction;reference\na;x;y;z\n", "row 2: 4 fields where the first row has 3: quote reports that hold semicolons"),
        ("names.tsv", b"key\tleft\tright\na\tx\ty\n", "found key, left, right"),
        ("null.json", b"[{\"prediction\": null, \"reference\": \"x\"}]", "row 1: expected a report, found null"),
        ("number.json", b"[\"x\", 3]", "row 2: expected a report, found 3"),
        ("many.json", b"[{\"prediction\": [\"x\", \"y\"], \"reference\": \"x\"}]", "row 1: expected one report"),
        ("keys.json", b"[{\"id\": 1, \"caption_text\": \"x\"}]", "row 1: no report"),
        ("mixed.json", b"[{\"id\": 1, \"prediction\": \"x\", \"reference\": \"x\"}, {\"prediction\": \"x\", \"reference\": \"x\"}]", "row 2: no id"),
        ("id.json", b"[{\"id\": [1], \"prediction\": \"x\", \"reference\": \"x\"}]", "row 1: the id is neither"),
        ("refs.json", b"[{\"prediction\": \"x\", \"references\": []}]", "row 1: no reference"),
    ];
    for (name, bytes, expected) in cases {
        let error = read_studies(alone(&folder.file(name, bytes)))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(name) && error.contains(expected),
            "{name}: {error}"
        );
    }
    let error = read_studies(alone(Path::new("/nowhere/x.csv")))
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("/nowhere/x.csv: "), "{error}");
}

/// Pandas writes an empty cell as `nan`, which is no report.
#[test]
fn empty_cells_of_pandas_are_blank() {
    let folder = Folder::new();
    let predictions = folder.file("p.csv", "id,prediction,reference\na,nan,Clear.\nb,x,NaN\n");
    let studies = read_studies(alone(&predictions)).unwrap();
    assert_eq!(texts(&studies), [("", "Clear."), ("x", "")]);
    let list = folder.file("p.json", r#"[{"prediction": "nan", "reference": "x"}]"#);
    assert_eq!(texts(&read_studies(alone(&list)).unwrap()), [("", "x")]);
}

/// What a run writes and what it was trained on are read where reports are.
#[test]
fn reports_to_label_come_from_any_file_of_reports() {
    let folder = Folder::new();
    let files = [
        (
            "predictions.csv",
            "id,reference,prediction,bleu_1\na,Clear.,Edema.,0\nb,Clear.,,0\n",
        ),
        (
            "semicolons.csv",
            "uid;findings;impression\na;nan;Edema.\nb;;\n",
        ),
        (
            "annotation.json",
            r#"{"train": [{"id": "a", "report": "Edema."}], "val": [], "test": [{"id": "b", "report": "nan"}]}"#,
        ),
        (
            "list.json",
            r#"[{"id": "a", "prediction": "Edema."}, {"id": "b", "reference": ""}]"#,
        ),
    ];
    for (name, content) in files {
        let reports = read_tagged_reports(&folder.file(name, content)).unwrap();
        let mut texts: Vec<_> = reports
            .iter()
            .map(|it| (it.id.as_str(), it.report.trim()))
            .collect();
        texts.sort_unstable();
        assert_eq!(texts, [("a", "Edema."), ("b", "")], "{name}");
    }
}

#[test]
fn studies_on_one_side_only_are_named() {
    let folder = Folder::new();
    let predictions = folder.file("p.csv", "id,prediction\na,x\nb,x\n");
    let more = folder.file("more.csv", "id,reference\na,x\nb,x\nc,x\nd,x\n");
    let fewer = folder.file("fewer.csv", "id,reference\na,x\n");
    let error = |files| read_studies(files).unwrap_err().to_string();
    let message = error(pair(&predictions, &more));
    assert!(
        message.contains("more.csv, row 4: id 'c' is not in") && message.contains("2 such"),
        "{message}"
    );
    let message = error(pair(&predictions, &fewer));
    assert!(
        message.contains("p.csv, row 3: id 'b' is not in"),
        "{message}"
    );
    let rows = folder.file("rows.csv", "x\n");
    let message = error(pair(&predictions, &rows));
    assert!(
        message.contains("2 reports") && message.contains("1, and there are no ids"),
        "{message}"
    );

    // Untouched references may have more studies.
    let files = ReportFiles {
        full_references: Some(&more),
        ..pair(&predictions, &more)
    };
    let files = ReportFiles {
        references: None,
        ..files
    };
    let own = folder.file("own.csv", "id,prediction,reference\nb,x,y\na,x,y\n");
    let studies = read_studies(ReportFiles {
        predictions: &own,
        ..files
    })
    .unwrap();
    assert_eq!(studies[0].full_reference.as_deref(), Some("x"));
}

/// Wherever untouched references come from, those compared with are derived from them.
#[test]
fn references_are_derived_from_untouched_ones() {
    let folder = Folder::new();
    let predictions = folder.file("p.csv", "id,prediction\na,x\nb,x\n");
    let own = folder.file(
        "own.csv",
        "id,prediction,reference\na,x,Clear.\nb,x,Edema.\n",
    );
    let raw = folder.file("raw.csv", "id,reference\nb,Edema.\na,Clear.\n");
    let annotation = folder.file(
        "annotation.json",
        r#"{"train":[{"id":"c","report":"Third."}],
            "test":[{"id":"a","report":"Clear."},{"id":"b","report":"Edema."}]}"#,
    );
    let cut = folder.file("cut.csv", "id,reference\na,cut\nb,cut\n");
    let full = |file| ReportFiles {
        full_references: Some(file),
        ..alone(&predictions)
    };
    for files in [
        alone(&own),
        pair(&predictions, &raw),
        pair(&predictions, &annotation),
        full(&annotation),
        ReportFiles {
            references: Some(&cut),
            ..full(&raw)
        },
    ] {
        let studies = read_untouched_studies(files, &|report: &str| report.to_lowercase());
        let studies = studies.unwrap();
        assert_eq!(texts(&studies), [("x", "clear."), ("x", "edema.")]);
        assert_eq!(studies[0].full_reference.as_deref(), Some("Clear."));
    }
    let none = read_untouched_studies(alone(&predictions), &str::to_lowercase).unwrap_err();
    assert!(none.to_string().contains("no reference"), "{none}");
    let scarce = read_studies(full(&annotation)).unwrap_err();
    assert!(scarce.to_string().contains("no reference"), "{scarce}");
}

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
    EvaluationOptions {
        protocol: Protocol::R2gen,
        uncertain: Uncertain::AsPositive,
        meteor,
        labeler: LabelerVersion::LATEST,
        labels: None,
        draws: 100,
        seed: 1,
    }
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
    let negative = EvaluationOptions {
        uncertain: Uncertain::AsNegative,
        ..options(&meteor)
    };
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
    let options = EvaluationOptions {
        labels: Some(labels),
        ..options(&meteor)
    };
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
    assert_eq!(forth.metrics.len(), 9);
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
    let (json, csv) = (
        folder.0.path().join("x.json"),
        folder.0.path().join("x.csv"),
    );
    write_json(&json, &evaluation).unwrap();
    let value: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
    let close =
        |read: &serde_json::Value, written: f64| (read.as_f64().unwrap() - written).abs() < 1e-12;
    assert!(close(&value["bleu_4"], evaluation.overlap.bleu_4));
    assert!(close(
        &value["findings"]["micro_14"]["f1"],
        evaluation.findings.micro_14.f1
    ));
    assert!(value["meteor_es"].is_number() && value.get("meteor").is_none());
    write_study_scores(&csv, &studies, &evaluation).unwrap();
    assert_eq!(read_studies(alone(&csv)).unwrap(), studies);
    assert!(write_json(&folder.0.path().join("no/x.json"), &evaluation).is_err());
}

#[test]
fn tagged_reports_are_read_and_measured() {
    let folder = Folder::new();
    let path = folder.file(
        "tags.csv",
        "uid,MeSH,findings,impression\n\
         1,Cardiomegaly/mild,The heart is enlarged.,\n\
         2,normal,No effusion.,Normal chest.\n\
         3,No Indexing,x,y\n\
         4,normal,,\n\
         5,Opacity/lung/base,Left base consolidation.,\n",
    );
    let reports = read_tagged_reports(&path).unwrap();
    let table = agreement(
        &reports,
        LabelerVersion::LATEST,
        Uncertain::AsPositive,
        50,
        1,
    )
    .unwrap();
    assert_eq!((table.reports, table.untagged, table.empty), (3, 1, 1));
    let f1 = |name: &str| {
        table
            .classes
            .iter()
            .find(|class| class.class == name)
            .unwrap()
            .scores
            .f1
    };
    assert_eq!(f1("Cardiomegaly"), 1.0);
    assert_eq!(f1("Opacity or Consolidation"), 1.0);
    assert_eq!(f1("Lung Opacity"), 0.0);
    let error = read_tagged_reports(&folder.file("none.csv", "uid,MeSH\n1,normal\n")).unwrap_err();
    assert!(error.to_string().contains("no column for reports"));
    assert!(read_tagged_reports(&folder.file("empty.csv", "uid,report\n")).is_err());
}

fn ranked(id: &str, task: RankingTask, own: f64, others: &[(&str, f64)]) -> RankedStudy {
    RankedStudy {
        id: id.to_owned(),
        task,
        own,
        others: others
            .iter()
            .map(|&(id, score)| (id.to_owned(), score))
            .collect(),
    }
}

#[test]
fn ranked_studies_survive_their_file_and_rank_by_task() {
    let studies = [
        ranked(
            "a",
            RankingTask::Retrieval,
            0.1 + 0.2,
            &[("b", 0.3), ("c,\"d", -1e-9)],
        ),
        ranked(
            "b",
            RankingTask::Retrieval,
            0.5,
            &[("a", 0.75), ("c,\"d", 0.1)],
        ),
        ranked("a", RankingTask::NearTwin, 1.0, &[("b", 1.0)]),
        ranked("b", RankingTask::NearTwin, 2.0, &[("a", 1.0)]),
    ];
    let folder = Folder::new();
    let path = folder.file("retrieval.csv", ranked_table(&studies).unwrap());
    assert_eq!(read_ranked(&path).unwrap(), studies);

    let ranking = rank(&studies).unwrap();
    let found = ranking.retrieval.unwrap();
    assert_eq!(
        (found.queries, found.recall_at_1, found.median_rank),
        (2, 0.5, 1.5)
    );
    let twins = ranking.near_twin.unwrap();
    assert_eq!((twins.studies, twins.accuracy), (2, 0.75));
    assert_eq!(ranking.near_twin_likelihood, None);

    // A spreadsheet's mark and line ends, rows in another order, a column more.
    let path = folder.file(
        "turned.csv",
        "\u{feff}score,split,candidate,task,id\r\n0.75,test,a,retrieval,b\r\n0.5,test,b,retrieval,b\r\n",
    );
    let turned = read_ranked(&path).unwrap();
    assert_eq!(
        turned,
        [ranked("b", RankingTask::Retrieval, 0.5, &[("a", 0.75)])]
    );
}

#[test]
fn broken_files_of_scores_are_named_with_their_row() {
    let folder = Folder::new();
    let header = "id,task,candidate,score\n";
    for (body, expected) in [
        (
            "a,retrieval,a,1\na,retrieval,b,high\n",
            "row 3: score 'high'",
        ),
        ("a,retrieval,a,1\na,retrieval,b,NaN\n", "row 3: score 'NaN'"),
        ("a,guessing,a,1\n", "row 2: task 'guessing'"),
        ("a,retrieval,a,1\na,retrieval,b\n", "row 3: 3 fields"),
        (
            "a,retrieval,b,1\n",
            "row 2: study 'a' has no score of its own",
        ),
        (
            "a,retrieval,a,1\n",
            "row 2: study 'a' has no score of another",
        ),
        (
            "a,retrieval,a,1\na,retrieval,b,1\na,retrieval,b,2\n",
            "row 4: candidate 'b'",
        ),
        (",retrieval,a,1\n", "row 2: no id"),
        ("", "no scores"),
    ] {
        let path = folder.file("scores.csv", format!("{header}{body}"));
        let error = read_ranked(&path).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(error.contains("scores.csv"), "{error}");
    }
    let path = folder.file("scores.csv", "id,task,score\na,retrieval,1\n");
    let error = read_ranked(&path).unwrap_err().to_string();
    assert!(error.contains("candidate"), "{error}");
}
