use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use ithn_data::prepare::{PrepareSummary, prepare_mimic};
use ithn_data::{DataError, ExclusionReason, ImageCheck, MimicOptions, OnBadStudy};

use crate::sound::{CHEXPERT, METADATA, SPLIT, STUDY, sound_mimic, write};
use crate::{case, check, out, replace};

fn gzip(path: &Path) {
    let bytes = fs::read(path).expect("readable");
    let mut gz = GzEncoder::new(Vec::new(), Compression::default());
    gz.write_all(&bytes).expect("written");
    let name = format!("{}.gz", path.display());
    write(Path::new(&name), gz.finish().expect("finished"));
    fs::remove_file(path).expect("removed");
}

pub(crate) fn prepare_mimic_tree(
    root: &Path,
    on_bad_study: OnBadStudy,
) -> Result<PrepareSummary, DataError> {
    let beside = root.join("reports.zip");
    let mut options = MimicOptions::default();
    options.on_bad_study = on_bad_study;
    options.image_check = ImageCheck::Decode;
    options.reports = beside.is_file().then_some(beside);
    prepare_mimic(root, &out(root, on_bad_study), &options, |_, _| {})
}

#[test]
fn broken_mimic_tables() {
    use ExclusionReason::BadRow;
    let cases = [
        case(
            "no split table",
            |r| fs::remove_file(r.join(SPLIT)).expect("removed"),
            &["there is no mimic-cxr-2.0.0-split.csv"],
            None,
        ),
        case(
            "no metadata",
            |r| fs::remove_file(r.join(METADATA)).expect("removed"),
            &["there is no mimic-cxr-2.0.0-metadata.csv"],
            None,
        ),
        case(
            "an empty table",
            |r| write(&r.join(SPLIT), ""),
            &[SPLIT, "no column 'dicom_id'"],
            None,
        ),
        case(
            "another header",
            |r| replace(&r.join(SPLIT), "subject_id", "subject"),
            &[SPLIT, "no column 'subject_id'"],
            None,
        ),
        case(
            "no view column",
            |r| replace(&r.join(METADATA), "ViewPosition", "View"),
            &[METADATA, "no column 'ViewPosition'"],
            None,
        ),
        case(
            "no label column",
            |r| replace(&r.join(CHEXPERT), "Edema", "Oedema"),
            &[CHEXPERT, "no column 'Edema'"],
            None,
        ),
        case(
            "a gz cut short",
            |r| {
                gzip(&r.join(SPLIT));
                let path = r.join(format!("{SPLIT}.gz"));
                let bytes = fs::read(&path).expect("readable");
                write(&path, &bytes[..bytes.len() - 12]);
            },
            &["split.csv.gz"],
            None,
        ),
        case(
            "a gz that is none",
            |r| {
                let path = r.join(format!("{SPLIT}.gz"));
                fs::rename(r.join(SPLIT), path).expect("renamed");
            },
            &["split.csv.gz"],
            None,
        ),
        case(
            "an unknown split",
            |r| replace(&r.join(SPLIT), "validate", "dev"),
            &[SPLIT, "line 3", "'dev'"],
            BadRow,
        ),
        case(
            "an id that climbs",
            |r| replace(&r.join(SPLIT), "d2", "../../etc/passwd"),
            &["line 3", "no identifier"],
            BadRow,
        ),
        case(
            "an id that is a path",
            |r| replace(&r.join(SPLIT), "d2", "/etc/passwd"),
            &["line 3", "no identifier"],
            BadRow,
        ),
        case(
            "an image listed twice",
            |r| replace(&r.join(SPLIT), "d3", "d2"),
            &["line 4", "twice"],
            BadRow,
        ),
        case(
            "two subjects of a study",
            |r| replace(&r.join(SPLIT), "d3,50000003", "d3,50000001"),
            &["line 4", "study 50000001"],
            BadRow,
        ),
        case(
            "a short row",
            |r| replace(&r.join(SPLIT), "d2,50000002,", "d2,"),
            &["line 3", "3 fields where the header has 4"],
            BadRow,
        ),
        case(
            "a long row",
            |r| replace(&r.join(SPLIT), "validate", "validate,x"),
            &["line 3", "5 fields"],
            BadRow,
        ),
        case(
            "a quote that never closes",
            |r| replace(&r.join(SPLIT), "d3", "\"d3"),
            &["line 4", "1 fields"],
            BadRow,
        ),
        case(
            "bytes that are no UTF-8",
            |r| {
                let mut bytes = fs::read(r.join(SPLIT)).expect("readable");
                let at = bytes.iter().rposition(|&byte| byte == b'd').expect("there");
                bytes[at] = 0xFF;
                write(&r.join(SPLIT), bytes);
            },
            &["line 4", "not UTF-8"],
            BadRow,
        ),
        case(
            "an impossible label",
            |r| replace(&r.join(CHEXPERT), "50000002,1.0", "50000002,yes"),
            &[CHEXPERT, "line 3", "label 'yes'"],
            BadRow,
        ),
        case(
            "a short row of metadata",
            |r| replace(&r.join(METADATA), "d2,10000002,50000002,PA", "d2,10000002"),
            &[METADATA, "line 3"],
            None,
        ),
    ];
    // A short row of metadata does not tell its study: that row is counted, and nothing else is lost.
    let (last, cases) = cases.split_last().expect("there are some");
    check(cases, sound_mimic, prepare_mimic_tree, 3);
    let folder = tempfile::tempdir().expect("a folder");
    sound_mimic(folder.path());
    (last.damage)(folder.path());
    let error = prepare_mimic_tree(folder.path(), OnBadStudy::Stop).unwrap_err();
    assert!(
        error.to_string().contains("metadata.csv, line 3"),
        "{error}"
    );
    let summary = prepare_mimic_tree(folder.path(), OnBadStudy::Skip).expect("skipped");
    assert_eq!((summary.studies, summary.excluded[&BadRow]), ([1, 1, 1], 1));
}

/// Reports that all lack the section: there is nothing to train on, whatever the policy.
#[test]
fn an_annotation_without_a_study_is_not_written() {
    for policy in [OnBadStudy::Stop, OnBadStudy::Skip] {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        sound_mimic(root);
        let reports = [1, 2, 3]
            .map(|number| root.join(format!("files/p10/p1000000{number}/s5000000{number}.txt")));
        for report in &reports {
            write(report, "IMPRESSION: Clear.");
        }
        let error = prepare_mimic_tree(root, policy).unwrap_err();
        assert!(matches!(error, DataError::NoStudies { .. }), "{error}");
        assert!(error.to_string().contains("no_section: 3"), "{error}");
        let out = out(root, policy);
        assert!(!out.join("annotation.json").exists());
        let table = fs::read_to_string(out.join("exclusions.csv")).expect("written");
        assert_eq!(table.lines().count(), 4, "{table}");
        // Once the reports are mended, the same call prepares them.
        write(&reports[0], "FINDINGS: Clear.");
        let summary = prepare_mimic_tree(root, policy).expect("one is left");
        assert_eq!(summary.studies, [1, 0, 0]);
    }
}

/// What looks odd and is not broken.
#[test]
fn byte_order_marks_line_endings_and_quotes_are_no_faults() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    sound_mimic(root);
    let sound = prepare_mimic_tree(root, OnBadStudy::Stop).expect("sound");
    assert_eq!((sound.studies, sound.excluded.len()), ([1, 1, 1], 0));
    let plain = fs::read(root.join("out-stop/annotation.json")).expect("written");
    fs::remove_dir_all(root.join("out-stop")).expect("removed");
    for table in [SPLIT, METADATA, CHEXPERT] {
        let text = fs::read_to_string(root.join(table)).expect("readable");
        let quoted: Vec<String> = text
            .lines()
            .map(|line| {
                let fields: Vec<String> = line.split(',').map(|it| format!("\"{it}\"")).collect();
                fields.join(",")
            })
            .collect();
        write(
            &root.join(table),
            format!("\u{feff}{}\r\n", quoted.join("\r\n")),
        );
        gzip(&root.join(table));
    }
    let report = root.join(STUDY).with_extension("txt");
    write(&report, "FINDINGS:\r\n Clear.\r\n");
    prepare_mimic_tree(root, OnBadStudy::Stop).expect("as sound");
    let odd = fs::read(root.join("out-stop/annotation.json")).expect("written");
    assert_eq!(odd, plain);
}

/// Tables that were read and written again by pandas or by a spreadsheet.
#[test]
fn empty_cells_of_pandas_and_other_separators_are_no_faults() {
    let changes: [fn(&str) -> String; 3] = [
        |line| line.replace(",,", ",nan,").replace(",,", ",nan,"),
        |line| {
            line.replace(",,", ",NaN,")
                .replace("50000002,1.0", "50000002.0,1.0")
        },
        |line| line.replace(',', ";").replace("1.0", "1,0"),
    ];
    let folder = tempfile::tempdir().expect("a folder");
    sound_mimic(folder.path());
    prepare_mimic_tree(folder.path(), OnBadStudy::Stop).expect("sound");
    let plain = fs::read(folder.path().join("out-stop/annotation.json")).expect("written");
    for change in changes {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        sound_mimic(root);
        for table in [SPLIT, METADATA, CHEXPERT] {
            let text = fs::read_to_string(root.join(table)).expect("readable");
            let lines: Vec<String> = text.lines().map(change).collect();
            write(&root.join(table), lines.join("\n"));
        }
        prepare_mimic_tree(root, OnBadStudy::Stop).expect("as sound");
        let changed = fs::read(root.join("out-stop/annotation.json")).expect("written");
        assert_eq!(changed, plain);
    }
}
