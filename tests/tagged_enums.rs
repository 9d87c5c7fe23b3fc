//! Internally tagged enums in the source: serde's `deny_unknown_fields` does not reach their variants
//! without fields, so each such variant needs `no_options`.

use std::fs;
use std::path::{Path, PathBuf};

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Names of the variants without fields and without `no_options`, and the number of such variants.
fn unguarded(code: &str) -> (Vec<&str>, usize) {
    let (mut names, mut count) = (Vec::new(), 0);
    let mut lines = code.lines();
    while let Some(line) = lines.next() {
        if !line.trim_start().starts_with("#[serde(tag = ") {
            continue;
        }
        let indent = line.len() - line.trim_start().len();
        let end = format!("{:indent$}}}", "");
        let mut guarded = false;
        for line in lines.by_ref().take_while(|line| *line != end) {
            let line = line.trim();
            let name = line.strip_suffix(',').unwrap_or_default();
            if line.contains("no_options") {
                guarded = true;
            } else if name.starts_with(|first: char| first.is_ascii_uppercase())
                && name.chars().all(char::is_alphanumeric)
            {
                count += 1;
                if !guarded {
                    names.push(name);
                }
                guarded = false;
            }
        }
    }
    (names, count)
}

#[test]
fn every_variant_without_fields_refuses_further_keys() {
    let mut files = Vec::new();
    sources(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("crates"),
        &mut files,
    );
    let mut all = 0;
    for file in files {
        let code = fs::read_to_string(&file).expect("readable");
        let (names, count) = unguarded(&code);
        assert!(names.is_empty(), "{}: {names:?}", file.display());
        all += count;
    }
    assert!(all >= 10, "only {all} were found");
}
