//! A submission to ReXrank.

use super::*;

#[test]
fn a_submission_resumes_and_survives_a_bad_film() {
    let folder = tempfile::tempdir().expect("a folder");
    let fixtures = repository().join("tests/fixtures/old_files");
    let root = folder.path().join("root");
    fs::create_dir_all(root.join("images")).expect("a folder");
    let film = fixtures.join("films/test-0-0.png");
    fs::copy(&film, root.join("images/a.png")).expect("a film");
    fs::write(root.join("images/bad.png"), b"no film").expect("writable");
    let input = folder.path().join("input.json");
    // As Python writes it.
    let studies = r#"{
        "1": {"image_path": ["images/a.png"], "key_image_path": "images/a.png", "section_impression": NaN},
        "2": {"image_path": ["/images/bad.png"], "section_impression": "Clear."},
        "3": {"image_path": ["/images/a.png"], "section_impression": "Clear."}
    }"#;
    fs::write(&input, studies).expect("writable");
    let out = folder.path().join("out.json");
    let mut arguments = words("generate --batch-size 2 --checkpoint");
    arguments.push(text(&fixtures.join("checkpoints/r2gen.ithn")));
    // The checkpoint's own search draws by study.
    arguments.extend(["--strategy", r#"{"method":"greedy"}"#].map(str::to_owned));
    for (option, path) in [
        ("--rexrank", &input),
        ("--image-root", &root),
        ("--out", &out),
    ] {
        arguments.extend([option.to_owned(), text(path)]);
    }
    let output = run(&arguments);
    let error = error_of(&output);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("left empty: study '2'"), "{error}");
    let written = json_of(&out);
    let first = written["1"]["model_prediction"].as_str().expect("a report");
    assert!(!first.is_empty());
    assert_eq!(written["3"]["model_prediction"], first);
    assert_eq!(written["2"]["model_prediction"], "");
    assert_eq!(written["1"]["section_impression"], Value::Null);

    fs::copy(&film, root.join("images/bad.png")).expect("a film");
    let output = run(&arguments);
    let error = error_of(&output);
    assert!(output.status.success(), "{error}");
    assert!(
        error.contains("2 of 3 studies were written before"),
        "{error}"
    );
    assert_eq!(json_of(&out)["2"]["model_prediction"], first);
    assert!(!folder.path().join("out.json.progress").exists());

    fs::write(&input, r#"{"1": {"image_path": ["images/../../a.png"]}}"#).expect("writable");
    let output = run(&arguments);
    assert_eq!(output.status.code(), Some(2));
    let error = error_of(&output);
    assert!(
        error.contains("study 1: the path 'images/../../a.png' leads out"),
        "{error}"
    );
}
