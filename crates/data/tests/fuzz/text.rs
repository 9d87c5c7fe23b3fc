use std::path::Path;

use ithn_data::{
    Annotation, Cleaning, Exclusions, OnBadStudy, ReportSection, ReportSections, Tokenizer,
};

use crate::text_target;

#[test]
fn annotations() {
    let full = br#"{"train":[{"id":"a","report":"Clear.","image_path":["a/0.png","a/1.png"],"split":"train",
        "subject_id":10000001,"study_id":"50000001","labels":{"Edema":1,"Pneumonia":-1},
        "neg_report":["Small effusion."],"neg_image_path":["b/0.png"]}],
        "val":[{"id":7,"report":"","image_path":"b/0.png","split":"val"}],
        "test":[{"id":"c","report":"N\u00f3.","image_path":["c.png"],"split":"test","more":{"deep":[1,[2]]},
        "neg_report":"x","neg_image_path":[["a.png","b.png"]]}]}"#;
    let seeds = vec![
        full.to_vec(),
        br#"{"train":[],"val":[],"test":[]}"#.to_vec(),
    ];
    let words = [
        "\"train\"",
        "\"val\"",
        "\"test\"",
        "\"id\"",
        "\"report\"",
        "\"image_path\"",
        "\"split\"",
        "\"labels\"",
        "\"neg_report\"",
        "\"neg_image_path\"",
        "../",
        "/etc/passwd",
        "[]",
        "{}",
        ":",
        "\"a\"",
        "-1",
    ];
    let folder = tempfile::tempdir().expect("a folder");
    text_target("annotation", "annotation.json", seeds, &words).run(folder.path(), |path, _| {
        let mut skipped = Exclusions::new(OnBadStudy::Skip);
        if let Ok(annotation) = Annotation::read(path)
            && let Ok(studies) = annotation.studies_or(path, Path::new("/images"), &mut skipped)
        {
            let inside = |image: &std::path::PathBuf| image.starts_with("/images");
            assert!(studies.iter().all(|study| study.images.iter().all(inside)));
        }
    });
}

#[test]
fn reports() {
    let seeds = [
        "                 FINAL REPORT\n EXAMINATION:  CHEST (PA AND LAT)\n\n INDICATION: ___F with cough.\n\n \
         FINDINGS: \n \n 1. The heart is normal. 2. No effusion,\n edema.\n\n IMPRESSION: \n \n No acute process.\n",
        "WET READ: ___ 3:10 PM\n Clear.. _____\n\nFINDINGS AND IMPRESSION:  XXXX 1.5 cm nodule.",
        "Findings: none",
    ];
    let words = [
        "FINDINGS:",
        "IMPRESSION:",
        "CONCLUSION:",
        "FINAL REPORT",
        "WET READ",
        "CHEST, TWO VIEWS:",
        "LUNGS:",
        "OTHER FINDINGS:",
        "10:15",
        "____",
        "\n\n",
        ". 2. ",
        "1. ",
        " 3. ",
        "..",
        "__",
        "  ",
        "A:",
        " (B/C):",
        "<unk>",
    ];
    let seeds = seeds.map(|text| text.as_bytes().to_vec()).to_vec();
    let tokenizer = Tokenizer::fit(["No effusion. No edema."], Cleaning::IuXray, 1).expect("words");
    let folder = tempfile::tempdir().expect("a folder");
    text_target("report", "report.txt", seeds, &words).run(folder.path(), |_, bytes| {
        let text = String::from_utf8_lossy(bytes);
        let sections = ReportSections::of(&text);
        for section in [
            ReportSection::Findings,
            ReportSection::Impression,
            ReportSection::FindingsAndImpression,
        ] {
            let chosen = section.choose(&sections);
            assert!(chosen.is_none_or(|text| !text.trim().is_empty()));
        }
        let _whole = ReportSection::Whole.extract(&text);
        for cleaning in [Cleaning::IuXray, Cleaning::MimicCxr] {
            let cleaned = cleaning.clean(&text);
            assert!(cleaned.ends_with(" ."));
            let minimum = Tokenizer::fit([&*text], cleaning, 1).expect("at least a full stop");
            let ids = minimum.encode(&text);
            let known = |word: &str| minimum.words().iter().any(|known| known == word);
            assert!(minimum.decode(&ids[1..]).split(' ').all(known));
        }
        let ids = tokenizer.encode(&text);
        assert!(ids.iter().all(|&id| (id as usize) < tokenizer.vocabulary()));
        let _cut = tokenizer.reference(&text, ids.len() / 2);
    });
}

/// The tokenizer of a checkpoint.
#[test]
fn tokenizers() {
    let tokenizer =
        Tokenizer::fit(["no effusion . no edema ."], Cleaning::MimicCxr, 1).expect("words");
    let seeds = vec![serde_json::to_vec(&tokenizer).expect("serialisable")];
    let words = [
        "\"cleaning\"",
        "\"words\"",
        "\"<unk>\"",
        "\"iu_xray\"",
        "[]",
        ",",
    ];
    let folder = tempfile::tempdir().expect("a folder");
    text_target("tokenizer", "tokenizer.json", seeds, &words).run(folder.path(), |_, bytes| {
        if let Ok(tokenizer) = serde_json::from_slice::<Tokenizer>(bytes) {
            let ids = tokenizer.encode("No effusion. Heart normal.");
            let _text = tokenizer.decode(&ids);
        }
    });
}
