//! Tables of findings, and files of features.

use std::fs;
use std::path::{Path, PathBuf};

use ithn_data::{DataError, FeatureCache, read_label_table};
use ithn_fuzzing::Target;

use crate::{LITTLE, text_target};

#[test]
fn label_tables() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("labels.csv");
    let seeds = vec![
        b"subject_id,study_id,Edema,Pleural Effusion\n10,50,1.0,\n10,51,-1.0,0.0\n".to_vec(),
        b"id;No Finding\nCXR1;1\n".to_vec(),
    ];
    let words = [
        "study_id",
        "id",
        "Edema",
        "Atelectasis",
        "1.0",
        "-1",
        "nan",
        "\n",
        ",",
        ";",
        "s",
        "sep=;\n",
    ];
    text_target("label-table", "labels.csv", seeds, &words).run(folder.path(), |_, _| {
        // A table or a refusal: both are answers.
        let _read = read_label_table(&path).map(|table| table.get("s50").copied());
    });
}

#[test]
fn feature_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    let images: Vec<PathBuf> = ["a", "b"].iter().map(|name| root.join(name)).collect();
    for image in &images {
        fs::write(image, "film").expect("written");
    }
    let path = root.join("features.bin");
    let rows = images.iter().map(|_| Ok::<_, DataError>(vec![0.5; 6]));
    FeatureCache::write(&path, "key", &images, [2, 3], rows).expect("written");
    let target = Target {
        name: "features",
        file: "features.bin",
        seeds: vec![fs::read(&path).expect("written")],
        words: &["ITHNFEA1", "dims", "images", "key", "path", "[", "]", "0"],
        mend: None,
        corpus: Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus")),
        memory: LITTLE,
    };
    target.run(root, |_, _| {
        let opened = FeatureCache::open(&path, "key", &images);
        if let Ok(Some(cache)) = opened {
            let _values = cache.get(&images[0]);
        }
    });
}
