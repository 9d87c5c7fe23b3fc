use std::fs;
use std::path::Path;

use ithn_data::prepare::{IuXrayOptions, IuXraySource, PrepareSummary, prepare_iu_xray};
use ithn_data::{DataError, ExclusionReason, OnBadStudy};

use crate::sound::{sound_tables, sound_xml, write};
use crate::{Case, case, check, out, replace};

fn prepare_xml(root: &Path, on_bad_study: OnBadStudy) -> Result<PrepareSummary, DataError> {
    let mut options = IuXrayOptions::default();
    options.on_bad_study = on_bad_study;
    let source = IuXraySource::Xml(root.join("xml"));
    prepare_iu_xray(
        &source,
        &root.join("images"),
        &out(root, on_bad_study),
        &options,
    )
}

#[test]
fn broken_open_i_files() {
    use ExclusionReason::{BadImage, BadReport, MissingImage};
    let cases = [
        case(
            "no files",
            |r| {
                for number in 1..=3 {
                    fs::remove_file(r.join(format!("xml/{number}.xml"))).expect("removed");
                }
            },
            &["xml", "there is no *.xml"],
            None,
        ),
        case(
            "an empty file",
            |r| write(&r.join("xml/2.xml"), ""),
            &["2.xml"],
            BadReport,
        ),
        case(
            "XML cut short",
            |r| replace(&r.join("xml/2.xml"), "</eCitation>", ""),
            &["2.xml"],
            BadReport,
        ),
        case(
            "an entity bomb",
            |r| {
                replace(
                    &r.join("xml/2.xml"),
                    "<eCitation>",
                    "<!DOCTYPE x [<!ENTITY a \"aaaa\">]><eCitation>",
                )
            },
            &["2.xml", "DTD"],
            BadReport,
        ),
        case(
            "an unknown entity",
            |r| replace(&r.join("xml/2.xml"), "Clear.", "&xxe;"),
            &["2.xml", "xxe"],
            BadReport,
        ),
        case(
            "no UTF-8",
            |r| {
                let mut bytes = fs::read(r.join("xml/2.xml")).expect("readable");
                let at = bytes
                    .windows(5)
                    .position(|it| it == b"Clear")
                    .expect("there");
                bytes[at] = 0xE9;
                write(&r.join("xml/2.xml"), bytes);
            },
            &["2.xml", "not UTF-8"],
            BadReport,
        ),
        case(
            "no uid",
            |r| replace(&r.join("xml/2.xml"), "uId", "pmcId"),
            &["2.xml", "no uId"],
            BadReport,
        ),
        case(
            "a uid that climbs",
            |r| replace(&r.join("xml/2.xml"), "\"CXR2\"", "\"../CXR2\""),
            &["2.xml", "no identifier"],
            BadReport,
        ),
        case(
            "an image that climbs",
            |r| replace(&r.join("xml/2.xml"), "CXR2_1", "../../etc/CXR2_1"),
            &["2.xml", "no identifier"],
            BadReport,
        ),
        case(
            "a uid twice",
            |r| replace(&r.join("xml/2.xml"), "\"CXR2\"", "\"CXR1\""),
            &["2.xml", "CXR1 occurs twice"],
            BadReport,
        ),
        case(
            "a huge file",
            |r| replace(&r.join("xml/2.xml"), "Clear.", &"clear ".repeat(200_000)),
            &["2.xml", "more than"],
            BadReport,
        ),
        case(
            "more elements than bearable",
            |r| replace(&r.join("xml/2.xml"), "Clear.", &"<i/>".repeat(20_000)),
            &["2.xml", "nodes"],
            BadReport,
        ),
        case(
            "deeper than bearable",
            |r| {
                replace(
                    &r.join("xml/2.xml"),
                    "Clear.",
                    &format!("{}{}", "<i>".repeat(20_000), "</i>".repeat(20_000)),
                )
            },
            &["2.xml"],
            BadReport,
        ),
        case(
            "no image",
            |r| fs::remove_file(r.join("images/CXR2_1_IM-0002-1001.png")).expect("removed"),
            &["CXR2_1_IM-0002-1001.png"],
            MissingImage,
        ),
        case(
            "an empty image",
            |r| write(&r.join("images/CXR2_1_IM-0002-1001.png"), ""),
            &["CXR2_1_IM-0002-1001.png", "empty"],
            BadImage,
        ),
    ];
    check(&cases, sound_xml, prepare_xml, 3);
}

fn prepare_tables(root: &Path, on_bad_study: OnBadStudy) -> Result<PrepareSummary, DataError> {
    let split = root.join("split.json");
    let mut options = IuXrayOptions::default();
    options.on_bad_study = on_bad_study;
    options.split_from = split.is_file().then_some(split);
    let source = IuXraySource::Tables {
        reports: root.join("reports.csv"),
        projections: root.join("projections.csv"),
    };
    prepare_iu_xray(
        &source,
        &root.join("images"),
        &out(root, on_bad_study),
        &options,
    )
}

/// Pandas's empty cell is no report.
#[test]
fn findings_that_pandas_lost_are_no_section() {
    for lost in ["nan", "NaN", "None", "<NA>"] {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        sound_tables(root);
        replace(
            &root.join("reports.csv"),
            "Clear.,Normal.",
            &format!("{lost},Normal."),
        );
        let summary = prepare_tables(root, OnBadStudy::Stop).expect("sound");
        assert_eq!(summary.excluded[&ExclusionReason::NoSection], 1, "{lost}");
        let annotation = fs::read_to_string(root.join("out-stop/annotation.json"));
        assert!(!annotation.expect("written").contains(lost), "{lost}");
    }
}

#[test]
fn broken_indiana_tables() {
    use ExclusionReason::BadRow;
    let cases = [
        case(
            "no table",
            |r| fs::remove_file(r.join("projections.csv")).expect("removed"),
            &["projections.csv"],
            None,
        ),
        case(
            "another header",
            |r| replace(&r.join("reports.csv"), "findings", "finding"),
            &["reports.csv", "no column 'findings'"],
            None,
        ),
        case(
            "a uid of letters",
            |r| replace(&r.join("reports.csv"), "\n2,", "\ntwo,"),
            &["reports.csv, line 3", "'two' is no number"],
            None,
        ),
        case(
            "a uid twice",
            |r| replace(&r.join("reports.csv"), "\n2,", "\n1,"),
            &["reports.csv, line 3", "uid 1 stands here twice"],
            None,
        ),
        case(
            "a short row",
            |r| replace(&r.join("reports.csv"), "2,normal,", "2,"),
            &["reports.csv, line 3", "7 fields"],
            None,
        ),
        case(
            "an unknown projection",
            |r| {
                replace(
                    &r.join("projections.csv"),
                    "IM-0002-1001.png,Frontal",
                    "IM-0002-1001.png,Oblique",
                )
            },
            &["projections.csv, line 3", "'Oblique'"],
            BadRow,
        ),
        case(
            "an image without a report",
            |r| replace(&r.join("projections.csv"), "\n2,", "\n7,"),
            &["projections.csv, line 3", "uid 7 has no report"],
            BadRow,
        ),
        case(
            "an image that climbs",
            |r| replace(&r.join("projections.csv"), "CXR2_1", "../../etc/CXR2_1"),
            &["projections.csv", "leaves the images folder"],
            BadRow,
        ),
        case(
            "an image that is a path",
            |r| {
                replace(
                    &r.join("projections.csv"),
                    "CXR2_1_IM-0002-1001.png",
                    "/etc/passwd",
                )
            },
            &["projections.csv", "leaves the images folder"],
            BadRow,
        ),
        case(
            "no filename",
            |r| replace(&r.join("projections.csv"), "CXR2_1_IM-0002-1001.png", ""),
            &["projections.csv, line 3", "no filename"],
            BadRow,
        ),
        case(
            "a split of something else",
            |r| write(&r.join("split.json"), "[]"),
            &["split.json"],
            None,
        ),
    ];
    // A report that is lost takes its images' rows with it: these are counted too.
    let (lost, others): (Vec<Case>, Vec<Case>) = cases
        .into_iter()
        .partition(|case| case.says[0].starts_with("reports.csv, line"));
    check(&others, sound_tables, prepare_tables, 3);
    assert_eq!(lost.len(), 3);
    for case in lost {
        let folder = tempfile::tempdir().expect("a folder");
        sound_tables(folder.path());
        (case.damage)(folder.path());
        let error = prepare_tables(folder.path(), OnBadStudy::Stop).unwrap_err();
        let error = error.to_string();
        assert!(
            case.says.iter().all(|words| error.contains(words)),
            "{error}"
        );
        let summary = prepare_tables(folder.path(), OnBadStudy::Skip).expect("skipped");
        assert_eq!(summary.excluded[&BadRow], 2, "{}", case.name);
    }
}
