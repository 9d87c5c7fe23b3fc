//! What is wrong with a file is said with its name and the place in it, or counted and skipped.

use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use ithn_data::prepare::{
    IuXrayOptions, IuXraySource, PrepareSummary, prepare_iu_xray, prepare_mimic,
};
use ithn_data::{
    Annotation, DataError, ExclusionReason, Exclusions, ImageCheck, MimicOptions, OnBadStudy,
};
use zip::write::SimpleFileOptions;

/// A way to break a dataset; what the error says; the reason under which the study is skipped, or
/// none if there is no going on.
struct Case {
    name: &'static str,
    damage: fn(&Path),
    says: &'static [&'static str],
    skipped: Option<ExclusionReason>,
}

fn case(
    name: &'static str,
    damage: fn(&Path),
    says: &'static [&'static str],
    skipped: impl Into<Option<ExclusionReason>>,
) -> Case {
    Case {
        name,
        damage,
        says,
        skipped: skipped.into(),
    }
}

/// Breaks a sound dataset in every way, and prepares it under both policies.
fn check(
    cases: &[Case],
    sound: fn(&Path),
    prepare: fn(&Path, OnBadStudy) -> Result<PrepareSummary, DataError>,
    studies: usize,
) {
    for case in cases {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        sound(root);
        (case.damage)(root);
        let error = prepare(root, OnBadStudy::Stop)
            .expect_err(case.name)
            .to_string();
        for words in case.says {
            assert!(error.contains(words), "{}: {words:?} in {error}", case.name);
        }
        let skipped = prepare(root, OnBadStudy::Skip);
        match case.skipped {
            None => assert!(skipped.is_err(), "{}", case.name),
            Some(reason) => {
                let summary = skipped.unwrap_or_else(|error| panic!("{}: {error}", case.name));
                assert_eq!(summary.excluded[&reason], 1, "{}", case.name);
                assert!(
                    summary.studies.iter().sum::<usize>() < studies,
                    "{}",
                    case.name
                );
                let table = fs::read_to_string(root.join("out-skip/exclusions.csv"));
                let table = table.expect("it was written");
                assert!(table.contains(reason.name()), "{}: {table}", case.name);
            }
        }
    }
}

fn write(path: &Path, bytes: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().expect("it has one")).expect("created");
    fs::write(path, bytes).expect("written");
}

fn replace(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).expect("readable");
    assert!(text.contains(from), "{from:?} in {}", path.display());
    write(path, text.replacen(from, to, 1));
}

fn out(root: &Path, policy: OnBadStudy) -> std::path::PathBuf {
    root.join(match policy {
        OnBadStudy::Stop => "out-stop",
        OnBadStudy::Skip => "out-skip",
    })
}

fn film(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image::GrayImage::from_fn(width, height, |x, y| image::Luma([(x * y) as u8]))
        .write_to(&mut bytes, image::ImageFormat::Jpeg)
        .expect("encodable");
    bytes.into_inner()
}

/// A PNG that claims to be `side` × `side` pixels and holds none.
fn bomb(side: u32) -> Vec<u8> {
    let mut chunk = b"IHDR".to_vec();
    chunk.extend(side.to_be_bytes());
    chunk.extend(side.to_be_bytes());
    chunk.extend([8, 0, 0, 0, 0]);
    let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\x0d".to_vec();
    bytes.extend(&chunk);
    bytes.extend(crc32fast::hash(&chunk).to_be_bytes());
    bytes.extend(b"\0\0\0\0IDAT\x35\xaf\x06\x1e");
    bytes
}

fn gzip(path: &Path) {
    let bytes = fs::read(path).expect("readable");
    let mut gz = GzEncoder::new(Vec::new(), Compression::default());
    gz.write_all(&bytes).expect("written");
    let name = format!("{}.gz", path.display());
    write(Path::new(&name), gz.finish().expect("finished"));
    fs::remove_file(path).expect("removed");
}

const SPLIT: &str = "mimic-cxr-2.0.0-split.csv";
const METADATA: &str = "mimic-cxr-2.0.0-metadata.csv";
const CHEXPERT: &str = "mimic-cxr-2.0.0-chexpert.csv";
const STUDY: &str = "files/p10/p10000002/s50000002";

/// Three studies of one image each: `d1` for training, `d2` and `d3` for the rest.
fn sound_mimic(root: &Path) {
    let (mut split, mut metadata) = (
        "dicom_id,study_id,subject_id,split\n".to_owned(),
        "dicom_id,subject_id,study_id,ViewPosition\n".to_owned(),
    );
    let mut chexpert = format!(
        "subject_id,study_id,{}\n",
        ithn_data::CHEXPERT_LABELS.join(",")
    );
    for (number, name) in [(1, "train"), (2, "validate"), (3, "test")] {
        split += &format!("d{number},5000000{number},1000000{number},{name}\n");
        metadata += &format!("d{number},1000000{number},5000000{number},PA\n");
        chexpert += &format!("1000000{number},5000000{number},1.0,,,,,,,,,,,,,\n");
        let folder = root.join(format!("files/p10/p1000000{number}/s5000000{number}"));
        write(&folder.join(format!("d{number}.jpg")), film(24, 16));
        write(&folder.with_extension("txt"), "FINDINGS:\n Clear.\n");
    }
    write(&root.join(SPLIT), split);
    write(&root.join(METADATA), metadata);
    write(&root.join(CHEXPERT), chexpert);
}

fn prepare_mimic_tree(root: &Path, on_bad_study: OnBadStudy) -> Result<PrepareSummary, DataError> {
    let beside = root.join("reports.zip");
    let options = MimicOptions {
        on_bad_study,
        image_check: ImageCheck::Decode,
        reports: beside.is_file().then_some(beside),
        ..MimicOptions::default()
    };
    prepare_mimic(root, &out(root, on_bad_study), &options, |_, _| {})
}

/// The reports as an archive, spoilt by `spoil`.
fn archive(root: &Path, spoil: fn(&mut Vec<u8>)) {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for number in 1..=3 {
        let name = format!("files/p10/p1000000{number}/s5000000{number}.txt");
        let stored =
            SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        writer.start_file(name, stored).expect("started");
        writer
            .write_all(format!("FINDINGS: number {number}.").as_bytes())
            .expect("written");
    }
    let mut bytes = writer.finish().expect("finished").into_inner();
    spoil(&mut bytes);
    write(&root.join("reports.zip"), bytes);
}

#[test]
fn broken_mimic_tables() {
    use ExclusionReason::BadRow;
    let cases = [
        case(
            "no split table",
            |r| fs::remove_file(r.join(SPLIT)).expect("removed"),
            &["has no mimic-cxr-2.0.0-split.csv"],
            None,
        ),
        case(
            "no metadata",
            |r| fs::remove_file(r.join(METADATA)).expect("removed"),
            &["has no mimic-cxr-2.0.0-metadata.csv"],
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

#[test]
fn broken_mimic_reports() {
    use ExclusionReason::{BadReport, MissingReport};
    let cases = [
        case(
            "no report",
            |r| fs::remove_file(r.join(STUDY).with_extension("txt")).expect("removed"),
            &["cannot read report", "s50000002.txt"],
            MissingReport,
        ),
        case(
            "no UTF-8",
            |r| write(&r.join(STUDY).with_extension("txt"), b"FINDINGS: caf\xE9."),
            &["s50000002.txt", "not UTF-8"],
            BadReport,
        ),
        case(
            "a huge report",
            |r| write(&r.join(STUDY).with_extension("txt"), vec![b'a'; 2 << 20]),
            &["s50000002.txt", "more than"],
            BadReport,
        ),
        case(
            "a folder for a report",
            |r| {
                let path = r.join(STUDY).with_extension("txt");
                fs::remove_file(&path).expect("removed");
                fs::create_dir(&path).expect("created");
            },
            &["s50000002.txt"],
            BadReport,
        ),
        case(
            "an archive that is none",
            |r| write(&r.join("reports.zip"), "no archive"),
            &["cannot read archive", "reports.zip"],
            None,
        ),
        case(
            "an archive cut short",
            |r| archive(r, |bytes| bytes.truncate(bytes.len() / 2)),
            &["cannot read archive", "reports.zip"],
            None,
        ),
        case(
            "a report damaged in its archive",
            |r| {
                archive(r, |bytes| {
                    let at = bytes
                        .windows(8)
                        .position(|it| it == b"number 2")
                        .expect("there");
                    bytes[at] ^= 1;
                })
            },
            &["reports.zip/files/p10/p10000002/s50000002.txt"],
            BadReport,
        ),
        case(
            "an archive without a report",
            |r| {
                archive(r, |bytes| {
                    let name = b"s50000002.txt";
                    for at in 0..bytes.len() - name.len() {
                        if &bytes[at..at + name.len()] == name {
                            bytes[at] = b'x';
                        }
                    }
                })
            },
            &["reports.zip/files/p10/p10000002/s50000002.txt"],
            MissingReport,
        ),
    ];
    check(&cases, sound_mimic, prepare_mimic_tree, 3);
}

#[test]
fn broken_images() {
    use ExclusionReason::{BadImage, MissingImage};
    let cases = [
        case(
            "no image",
            |r| fs::remove_file(r.join(STUDY).join("d2.jpg")).expect("removed"),
            &["1 of 3 images", "d2.jpg"],
            MissingImage,
        ),
        case(
            "an empty image",
            |r| write(&r.join(STUDY).join("d2.jpg"), ""),
            &["d2.jpg", "empty"],
            BadImage,
        ),
        case(
            "a page for an image",
            |r| write(&r.join(STUDY).join("d2.jpg"), "<html>login</html>"),
            &["d2.jpg"],
            BadImage,
        ),
        case(
            "a bomb",
            |r| write(&r.join(STUDY).join("d2.jpg"), bomb(1_000_000)),
            &["d2.jpg", "imit"],
            BadImage,
        ),
        case(
            "an image without pixels",
            |r| write(&r.join(STUDY).join("d2.jpg"), bomb(64)),
            &["d2.jpg"],
            BadImage,
        ),
        case(
            "a JPEG cut in its header",
            |r| write(&r.join(STUDY).join("d2.jpg"), &film(24, 16)[..100]),
            &["d2.jpg"],
            BadImage,
        ),
        case(
            "a folder for an image",
            |r| {
                fs::remove_file(r.join(STUDY).join("d2.jpg")).expect("removed");
                fs::create_dir(r.join(STUDY).join("d2.jpg")).expect("created");
            },
            &["d2.jpg"],
            MissingImage,
        ),
    ];
    check(&cases, sound_mimic, prepare_mimic_tree, 3);
    for case in &cases[1..4] {
        let folder = tempfile::tempdir().expect("a folder");
        sound_mimic(folder.path());
        (case.damage)(folder.path());
        let path = folder.path().join(STUDY).join("d2.jpg");
        assert!(ithn_data::inspect_image(&path).is_err(), "{}", case.name);
        assert!(ithn_data::decode_image(&path).is_err(), "{}", case.name);
    }
}

/// Two citations with an image each.
fn sound_xml(root: &Path) {
    for number in 1..=2 {
        write(
            &root.join(format!("xml/{number}.xml")),
            format!(
                "<?xml version=\"1.0\"?><eCitation><uId id=\"CXR{number}\"/>\
                 <AbstractText Label=\"FINDINGS\">Clear.</AbstractText>\
                 <parentImage id=\"CXR{number}_1_IM-000{number}-1001\"/></eCitation>"
            ),
        );
        let name = format!("images/CXR{number}_1_IM-000{number}-1001.png");
        image::GrayImage::new(8, 8)
            .save({
                fs::create_dir_all(root.join("images")).expect("created");
                root.join(name)
            })
            .expect("written");
    }
}

fn prepare_xml(root: &Path, on_bad_study: OnBadStudy) -> Result<PrepareSummary, DataError> {
    let options = IuXrayOptions {
        on_bad_study,
        ..IuXrayOptions::default()
    };
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
                fs::remove_file(r.join("xml/1.xml")).expect("removed");
                fs::remove_file(r.join("xml/2.xml")).expect("removed");
            },
            &["xml", "has no *.xml"],
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
    check(&cases, sound_xml, prepare_xml, 2);
}

/// Two rows in each of Kaggle's tables.
fn sound_tables(root: &Path) {
    sound_xml(root);
    write(
        &root.join("reports.csv"),
        "uid,MeSH,Problems,image,indication,comparison,findings,impression\n\
         1,normal,normal,Xray,Cough,,\"Clear, calm.\",Normal.\n\
         2,normal,normal,Xray,Cough,,Clear.,Normal.\n",
    );
    write(
        &root.join("projections.csv"),
        "uid,filename,projection\n1,CXR1_1_IM-0001-1001.png,Frontal\n\
         2,CXR2_1_IM-0002-1001.png,Frontal\n",
    );
}

fn prepare_tables(root: &Path, on_bad_study: OnBadStudy) -> Result<PrepareSummary, DataError> {
    let split = root.join("split.json");
    let options = IuXrayOptions {
        on_bad_study,
        split_from: split.is_file().then_some(split),
        ..IuXrayOptions::default()
    };
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
    check(&others, sound_tables, prepare_tables, 2);
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

#[test]
fn broken_annotations() {
    use ExclusionReason::BadRow;
    let entry = r#"{"id":"a","report":"Clear.","image_path":["a.png"],"split":"train"}"#;
    let with = |more: &str| entry.replace("\"split\"", &format!("{more},\"split\""));
    let file = |train: &str| format!(r#"{{"train":[{train}],"val":[],"test":[]}}"#);
    let cases: [(&str, String, &[&str], Option<ExclusionReason>); 18] = [
        ("cut short", file(entry)[..60].to_owned(), &["EOF"], None),
        (
            "no object",
            "[1,2]".to_owned(),
            &["an object with the lists"],
            None,
        ),
        ("empty", String::new(), &["EOF"], None),
        ("more behind it", file(entry) + "{}", &["trailing"], None),
        (
            "a list missing",
            r#"{"train":[],"val":[]}"#.to_owned(),
            &["no list 'test'"],
            None,
        ),
        (
            "a list twice",
            r#"{"train":[],"train":[],"val":[],"test":[]}"#.to_owned(),
            &["'train' stands twice"],
            None,
        ),
        (
            "no list",
            r#"{"train":{},"val":[],"test":[]}"#.to_owned(),
            &["a list 'train'"],
            None,
        ),
        (
            "no report",
            file(&entry.replace("report", "text")),
            &["train[0] (\"a\")", "report"],
            None,
        ),
        (
            "a number for a path",
            file(&entry.replace("\"a.png\"", "7")),
            &["train[0] (\"a\")"],
            None,
        ),
        (
            "an id of no kind",
            file(&entry.replace("\"a\"", "null")),
            &["train[0]"],
            None,
        ),
        (
            "an id twice",
            file(&format!("{entry},{entry}")),
            &["the id a occurs twice"],
            Some(BadRow),
        ),
        (
            "no image",
            file(&entry.replace("\"a.png\"", "")),
            &["study a has no image"],
            Some(BadRow),
        ),
        (
            "a climbing path",
            file(&entry.replace("a.png", "../../etc/passwd")),
            &["study a", "leaves the images folder"],
            Some(BadRow),
        ),
        (
            "an absolute path",
            file(&entry.replace("a.png", "/etc/passwd")),
            &["study a", "leaves the images folder"],
            Some(BadRow),
        ),
        (
            "half a negative",
            file(&with(r#""neg_report":["x"]"#)),
            &["study a", "give both"],
            Some(BadRow),
        ),
        (
            "a negative's path of no kind",
            file(&with(r#""neg_report":["x"],"neg_image_path":[[7]]"#)),
            &["study a", "no list of paths"],
            Some(BadRow),
        ),
        (
            "a negative that climbs",
            file(&with(r#""neg_report":["x"],"neg_image_path":["../b.png"]"#)),
            &["study a", "leaves the images folder"],
            Some(BadRow),
        ),
        (
            "an unknown label",
            file(&with(r#""labels":{"Gout":1}"#)),
            &["study a", "unknown label 'Gout'"],
            Some(BadRow),
        ),
    ];
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("annotation.json");
    for (name, text, says, skipped) in cases {
        write(&path, text);
        let read = |policy| {
            let mut exclusions = Exclusions::new(policy);
            Annotation::read(&path)?.studies_or(&path, Path::new("/images"), &mut exclusions)?;
            Ok::<_, DataError>(exclusions)
        };
        let error = read(OnBadStudy::Stop).expect_err(name).to_string();
        for words in says.iter().chain(&["annotation.json"]) {
            assert!(error.contains(words), "{name}: {words:?} in {error}");
        }
        match (skipped, read(OnBadStudy::Skip)) {
            (None, skipping) => assert!(skipping.is_err(), "{name}"),
            (Some(reason), skipping) => {
                let list = skipping.expect(name);
                assert_eq!(list.list().len(), 1, "{name}");
                assert_eq!(list.list()[0].reason, reason, "{name}");
            }
        }
    }
    write(
        &path,
        b"{\"train\":[{\"id\":\"caf\xE9\"}],\"val\":[],\"test\":[]}",
    );
    assert!(Annotation::read(&path).is_err(), "no UTF-8");
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
