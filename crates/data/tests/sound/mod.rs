//! Small datasets with nothing wrong in them, for tests that break them.

use std::fs;
use std::path::Path;

pub const SPLIT: &str = "mimic-cxr-2.0.0-split.csv";
pub const METADATA: &str = "mimic-cxr-2.0.0-metadata.csv";
pub const CHEXPERT: &str = "mimic-cxr-2.0.0-chexpert.csv";
pub const STUDY: &str = "files/p10/p10000002/s50000002";

pub fn write(path: &Path, bytes: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().expect("it has one")).expect("created");
    fs::write(path, bytes).expect("written");
}

pub fn film(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image::GrayImage::from_fn(width, height, |x, y| image::Luma([(x * y) as u8]))
        .write_to(&mut bytes, image::ImageFormat::Jpeg)
        .expect("encodable");
    bytes.into_inner()
}

/// Three studies of one image each: `d1` for training, `d2` and `d3` for the rest.
pub fn sound_mimic(root: &Path) {
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

/// Three citations with an image each.
pub fn sound_xml(root: &Path) {
    for number in 1..=3 {
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

/// The same three, with Kaggle's tables of them.
pub fn sound_tables(root: &Path) {
    sound_xml(root);
    write(
        &root.join("reports.csv"),
        "uid,MeSH,Problems,image,indication,comparison,findings,impression\n\
         1,normal,normal,Xray,Cough,,\"Clear, calm.\",Normal.\n\
         2,normal,normal,Xray,Cough,,Clear.,Normal.\n\
         3,normal,normal,Xray,Cough,,Calm.,Normal.\n",
    );
    write(
        &root.join("projections.csv"),
        "uid,filename,projection\n1,CXR1_1_IM-0001-1001.png,Frontal\n\
         2,CXR2_1_IM-0002-1001.png,Frontal\n3,CXR3_1_IM-0003-1001.png,Frontal\n",
    );
}
