use ithn_metrics::evaluation::{LabelFile, findings_of_tags, read_tagged_reports};
use ithn_metrics::{FindingClass, LabelerVersion, label};

use crate::target;

#[test]
fn label_files() {
    let names = FindingClass::all().map(FindingClass::name);
    let table = format!(
        "study_id,{}\n1,1.0,0.0,-1.0,,,,,,,,,,,\n2,{}\n",
        names.join(","),
        "0,".repeat(13) + "1"
    );
    let words = [
        "1.0",
        "-1.0",
        "-1",
        "study_id",
        "Edema",
        "No Finding",
        "blank",
        ",",
    ];
    let folder = tempfile::tempdir().unwrap();
    target("labels", "labels.csv", &[&table], &words).run(folder.path(), |path, _| {
        if let Ok(labels) = LabelFile::read(path) {
            let _some = labels.of(path, ["1", "2"].into_iter());
        }
    });
}

#[test]
fn tagged_reports() {
    let seeds = [
        "uid,MeSH,Problems,findings,impression\n1,Opacity/lung/base/left;Cardiomegaly/mild,Opacity,Left basal opacity.,\n2,normal,normal,Clear.,Normal.\n",
    ];
    let words = [
        "normal",
        ";",
        "/",
        "Cardiac Shadow/enlarged",
        "Mediastinum",
        "report",
        "findings",
        "uid",
    ];
    let folder = tempfile::tempdir().unwrap();
    target("tagged-reports", "reports.csv", &seeds, &words).run(folder.path(), |path, _| {
        for report in read_tagged_reports(path).into_iter().flatten() {
            let _read = (
                label(&report.report),
                report.tags.as_deref().and_then(findings_of_tags),
            );
        }
    });
}

/// Spans of mentions lie in the report.
#[test]
fn labeled_text() {
    let seeds = [
        "The heart is mildly enlarged. No pleural effusion or pneumothorax, but possible edema versus pneumonia.",
        "Low lung volumes.\nXXXX opacity in left lower lobe; cannot exclude atelectasis. Stable PICC line.",
    ];
    let words = [
        "no ",
        "without ",
        "possible ",
        "may represent ",
        "cannot exclude ",
        " or ",
        ", ",
        " and ",
        ". ",
        "effusion",
        "pneumothorax",
        "opacity",
        "cardiomegaly",
        "XXXX",
        "resolved",
        "left ",
        "no evidence of ",
        "efusion",
        "?",
        "no longer ",
        "seen ",
        "is gone",
        ", if any",
        "removal of ",
        "tube ",
        "has been removed",
        "evaluate for ",
        "history of ",
        "indication: ",
        "thyroid ",
        " in the stomach",
        ", likely a granuloma",
        " less likely",
        ": none",
        "yes",
    ];
    let folder = tempfile::tempdir().unwrap();
    target("labeler", "report.txt", &seeds, &words).run(folder.path(), |_, bytes| {
        let text = String::from_utf8_lossy(bytes);
        for version in LabelerVersion::ALL {
            for mention in version.label(&text).mentions {
                let words = text.get(mention.span.clone());
                assert!(words.is_some(), "{version}: {:?}", mention.span);
            }
        }
    });
}
