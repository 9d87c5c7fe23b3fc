use std::path::Path;

use ithn_data::{Annotation, DataError, ExclusionReason, Exclusions, OnBadStudy};

use crate::sound::write;

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
