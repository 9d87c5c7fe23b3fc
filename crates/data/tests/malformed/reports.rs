use std::fs;
use std::io::Write;
use std::path::Path;

use ithn_data::ExclusionReason;
use zip::write::SimpleFileOptions;

use crate::mimic::prepare_mimic_tree;
use crate::sound::{STUDY, sound_mimic, write};
use crate::{case, check};

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
