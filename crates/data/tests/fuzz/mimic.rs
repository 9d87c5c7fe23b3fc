use std::fs;
use std::io::Write;
use std::path::Path;

use ithn_data::{ImageCheck, MimicOptions, OnBadStudy, read_mimic};

use crate::sound::{CHEXPERT, METADATA, SPLIT, STUDY, sound_mimic};
use crate::text_target;

fn read(root: &Path, reports: Option<&Path>) {
    for on_bad_study in [OnBadStudy::Stop, OnBadStudy::Skip] {
        let mut options = MimicOptions::default();
        options.on_bad_study = on_bad_study;
        options.image_check = ImageCheck::Header;
        options.reports = reports.map(Path::to_owned);
        if let Ok(read) = read_mimic(root, &options) {
            let files = root.join("files");
            let images = read.studies.iter().flat_map(|study| &study.images);
            images.for_each(|image| assert!(image.starts_with(&files), "{}", image.display()));
        }
    }
}

const WORDS: &[&str] = &[
    "dicom_id",
    "study_id",
    "subject_id",
    "split",
    "ViewPosition",
    "train",
    "validate",
    "test",
    "PA",
    "LATERAL",
    "1.0",
    "-1.0",
    "d1",
    "50000001",
    "10000001",
    "\n",
    "../../",
    "nan",
    ";",
    "sep=;\n",
    "s",
    "p",
];

#[test]
fn tables() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    sound_mimic(root);
    for (name, table) in [
        ("mimic-split", SPLIT),
        ("mimic-metadata", METADATA),
        ("mimic-chexpert", CHEXPERT),
    ] {
        let sound = fs::read(root.join(table)).expect("written");
        text_target(name, table, vec![sound.clone()], WORDS).run(root, |_, _| read(root, None));
        fs::write(root.join(table), sound).expect("written");
    }
}

#[test]
fn compressed_tables() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    sound_mimic(root);
    let table = fs::read(root.join(SPLIT)).expect("written");
    fs::remove_file(root.join(SPLIT)).expect("removed");
    let gzip = |level| {
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), level);
        writer.write_all(&table).expect("written");
        writer.finish().expect("finished")
    };
    let seeds = vec![
        gzip(flate2::Compression::none()),
        gzip(flate2::Compression::best()),
    ];
    let name = format!("{SPLIT}.gz");
    text_target("mimic-gzip", &name, seeds, WORDS).run(root, |_, _| read(root, None));
}

#[test]
fn report_texts() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    sound_mimic(root);
    let report = root.join(STUDY).with_extension("txt");
    let name = report
        .file_name()
        .and_then(|name| name.to_str())
        .expect("a name");
    let seeds = vec![b"FINDINGS:\n Clear.\n\nIMPRESSION: Normal.\n".to_vec()];
    let beside = report.parent().expect("a folder");
    text_target("mimic-report", name, seeds, &["FINDINGS:", "\n"])
        .run(beside, |_, _| read(root, None));
}

#[test]
fn report_archives() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    sound_mimic(root);
    let archive = |method| {
        let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default().compression_method(method);
        for number in 1..=3 {
            let name = format!("files/p10/p1000000{number}/s5000000{number}.txt");
            writer.start_file(name, options).expect("started");
            writer
                .write_all(b"FINDINGS: Clear. Clear. Clear.")
                .expect("written");
        }
        writer.finish().expect("finished").into_inner()
    };
    let seeds = vec![
        archive(zip::CompressionMethod::Stored),
        archive(zip::CompressionMethod::Deflated),
    ];
    let words = [
        "PK\x01\x02",
        "PK\x03\x04",
        "PK\x05\x06",
        "PK\x06\x06",
        "PK\x06\x07",
        "files/",
        "../",
    ];
    text_target("mimic-archive", "reports.zip", seeds, &words)
        .run(root, |path, _| read(root, Some(path)));
}
