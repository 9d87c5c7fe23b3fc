//! Output that nobody reads to its end, as behind `head`: no panic, and the work is done.

use std::io::{BufRead, BufReader};
use std::path::Path;

mod support;

use support::{fixture, ithn, studies, tiny};

/// Runs the program until it has printed `lines` lines, then closes its standard output.
fn closed_after(folder: &Path, lines: usize, arguments: &[&str]) {
    let mut child = ithn(folder, arguments).spawn().expect("it starts");
    let mut out = BufReader::new(child.stdout.take().expect("piped"));
    for _ in 0..lines {
        let mut line = String::new();
        out.read_line(&mut line).expect("readable");
        assert!(!line.is_empty(), "{arguments:?} says more");
    }
    drop(out);
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {said}");
    assert!(!said.contains("panicked"), "{arguments:?}: {said}");
    assert!(!said.contains("error"), "{arguments:?}: {said}");
}

#[test]
fn training_goes_on_when_nobody_reads() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    studies(folder, "studies", 5);
    let mut verbose = tiny("studies", "closed");
    verbose.extend(["--epochs", "2", "-v"]);
    closed_after(folder, 1, &verbose);
    assert!(folder.join("closed/metrics.json").is_file());

    // Both outputs in one pipe, and that is closed.
    let (read, write) = std::io::pipe().expect("a pipe");
    let mut deaf = tiny("studies", "deaf");
    deaf.extend(["--epochs", "1"]);
    let mut command = ithn(folder, &deaf);
    command
        .stdout(write.try_clone().expect("a pipe"))
        .stderr(write);
    let mut child = command.spawn().expect("it starts");
    // The command keeps the writing end open.
    drop(command);
    drop(read);
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    assert!(folder.join("deaf/metrics.json").is_file());
    closed_after(folder, 0, &["report", "closed"]);
    closed_after(
        folder,
        0,
        &[
            "evaluate",
            "closed",
            "--draws",
            "50",
            "--json",
            "scores.json",
        ],
    );
    // The file is written although nobody reads the table.
    assert!(folder.join("scores.json").is_file());
}

#[test]
fn no_other_command_fails_when_nobody_reads() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let [checkpoint, films, annotation] = [
        "old_files/checkpoints/r2gen.ithn",
        "old_files/films",
        "old_files/annotation.json",
    ]
    .map(|name| fixture(name).display().to_string());
    let generate = [
        "generate",
        "--checkpoint",
        &checkpoint,
        "--batch-size",
        "1",
        &films,
    ];
    closed_after(folder, 1, &generate);
    closed_after(folder, 0, &[&generate[..], &["--json", "-"]].concat());
    closed_after(folder, 0, &["label", &annotation]);
    closed_after(folder, 0, &["label", &annotation, "--json", "labels.json"]);
    assert!(folder.join("labels.json").is_file());
    closed_after(folder, 0, &["card", &checkpoint]);
    closed_after(folder, 0, &["completions", "bash"]);
    closed_after(folder, 0, &["manual", "--out", "man"]);
    closed_after(
        folder,
        0,
        &["mine", "--annotation", &annotation, "--out", "mined.json"],
    );
    assert!(folder.join("mined.json").is_file());
    closed_after(
        folder,
        0,
        &[
            "export",
            &checkpoint,
            "--out",
            "weights.safetensors",
            "--help",
        ],
    );
    closed_after(
        folder,
        0,
        &[
            "draw",
            "annotation",
            "--annotation",
            &annotation,
            "--images",
            "drawn",
            "--size",
            "32",
        ],
    );
    assert!(folder.join("drawn/drawn-by-ithn.txt").is_file());
}
