//! Files of reports, sound and broken.

use super::*;
use ithn_metrics::LabelerVersion;
use ithn_metrics::Uncertain;
use ithn_metrics::evaluation::*;

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
