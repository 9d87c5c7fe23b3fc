//! `ithn generate` by several processes: the files of one.

#![cfg(all(unix, feature = "mpi"))]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

mod support;

use support::Said;

const PROGRAM: &str = env!("CARGO_BIN_EXE_ithn");

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/old_files")
}

fn checkpoint(name: &str) -> String {
    let path = fixtures().join("checkpoints").join(name);
    path.canonicalize().expect("there").display().to_string()
}

/// The program at so many processes, or alone.
fn at(ranks: usize, folder: &Path, arguments: &[&str]) -> Said {
    let mut command = match ranks {
        1 => Command::new(PROGRAM),
        _ => {
            let mut command = mpirun();
            command.args(["-n", &ranks.to_string(), PROGRAM]);
            command
        }
    };
    said_by(command.args(arguments).current_dir(folder))
}

/// Open MPI refuses root and more processes than cores unless it is told otherwise.
fn mpirun() -> Command {
    let mut command = Command::new("mpirun");
    command.args(["--allow-run-as-root", "--oversubscribe", "-q"]);
    command
}

/// Runs a command, with as many threads for every process: the last bits of a score depend on their number.
fn said_by(command: &mut Command) -> Said {
    let output = command.env("RAYON_NUM_THREADS", "1").output();
    let output = output.expect("it starts");
    Said {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// 20 films, the seventh of which cannot be decoded, and a text.
fn films(folder: &Path) -> PathBuf {
    let films = folder.join("films");
    fs::create_dir(&films).expect("writable");
    for entry in fs::read_dir(fixtures().join("films")).expect("there") {
        let path = entry.expect("readable").path();
        fs::copy(&path, films.join(path.file_name().expect("a name"))).expect("copied");
    }
    let mut all: Vec<PathBuf> = fs::read_dir(&films)
        .expect("there")
        .map(|entry| entry.expect("readable").path())
        .collect();
    all.sort();
    let whole = fs::read(&all[6]).expect("readable");
    fs::write(&all[6], &whole[..whole.len() / 2]).expect("writable");
    fs::write(films.join("notes.txt"), "no film").expect("writable");
    all.swap_remove(6)
}

/// Lines that say something of the studies, and not how long they took.
fn told(said: &Said) -> Vec<&str> {
    let lines = said.err.lines();
    lines
        .filter(|line| {
            ["error:", "skipped:", "left out:", "left empty:"]
                .iter()
                .any(|start| line.starts_with(start))
        })
        .collect()
}

#[test]
fn files_and_lines_are_those_of_one_process() {
    let folder = tempfile::tempdir().expect("a folder");
    let broken = films(folder.path());
    // Sampled by study, and two reports of each: nothing depends on who writes it.
    let checkpoint = checkpoint("cnn_lstm.ithn");
    let base = [
        "generate",
        "--checkpoint",
        &checkpoint,
        "--batch-size",
        "3",
        "films",
    ];
    let json = |ranks: usize, options: &[&str]| {
        let name = format!("out-{ranks}.jsonl");
        let arguments = [&base, &["--json", &name][..], options].concat();
        let said = at(ranks, folder.path(), &arguments);
        (said, fs::read(folder.path().join(name)).expect("written"))
    };
    for options in [
        &["--n-best", "2"][..],
        &["--on-bad-study", "skip"],
        &["--on-bad-study", "stop"],
    ] {
        let (expected, bytes) = json(1, options);
        let ended = if options.contains(&"skip") { 0 } else { 2 };
        assert_eq!(expected.code, Some(ended), "{}", expected.err);
        assert!(!bytes.is_empty());
        let name = broken.file_name().expect("a name").to_string_lossy();
        assert!(expected.err.contains(&*name), "{}", expected.err);
        for ranks in [2, 3] {
            let (said, other) = json(ranks, options);
            assert_eq!(said.code, Some(ended), "{}", said.err);
            assert!(bytes == other, "{ranks} ranks, {options:?}: {}", said.err);
            assert_eq!(told(&said), told(&expected), "{ranks} ranks, {options:?}");
        }
    }

    // As lines, more processes than batches, and a page.
    let lines = ["--on-bad-study", "skip", "--batch-size", "16"];
    let page = |ranks: usize| format!("page-{ranks}.html");
    let expected = at(1, folder.path(), &[&base[..3], &lines, &["films"]].concat());
    let said = at(3, folder.path(), &[&base[..3], &lines, &["films"]].concat());
    assert_eq!((said.out, said.code), (expected.out, expected.code));
    for ranks in [1, 2] {
        let page = page(ranks);
        let explain = ["--on-bad-study", "skip", "--explain", &page];
        assert_eq!(
            at(ranks, folder.path(), &[&base, &explain[..]].concat()).code,
            Some(0)
        );
    }
    let [one, two] =
        [1, 2].map(|ranks| fs::read(folder.path().join(page(ranks))).expect("written"));
    assert!(one == two);

    // An error before the work is told once.
    let none = ["generate", "--checkpoint", "none.ithn", "films"];
    let said = at(2, folder.path(), &none);
    assert_eq!(said.code, Some(2));
    assert_eq!(told(&said), told(&at(1, folder.path(), &none)));
}

#[test]
fn a_submission_goes_on_at_another_number_of_processes() {
    let folder = tempfile::tempdir().expect("a folder");
    let broken = films(folder.path());
    let mut studies = serde_json::Map::new();
    for entry in fs::read_dir(folder.path().join("films")).expect("there") {
        let path = entry.expect("readable").path();
        if path.extension().is_some_and(|it| it == "png") {
            let name = path
                .file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            studies.insert(name.clone(), serde_json::json!({ "image_path": [name] }));
        }
    }
    let input = serde_json::to_vec(&studies).expect("JSON");
    fs::write(folder.path().join("input.json"), input).expect("writable");
    let checkpoint = checkpoint("cnn_lstm.ithn");
    let submit = |ranks: usize, out: &str, options: &[&str]| {
        let arguments = [
            &["generate", "--checkpoint", &checkpoint, "--batch-size", "2"][..],
            &[
                "--rexrank",
                "input.json",
                "--image-root",
                "films",
                "--out",
                out,
            ],
            options,
        ];
        at(ranks, folder.path(), &arguments.concat())
    };
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).ok();

    // Both stop at the broken film, with the same studies written.
    let stop = ["--on-bad-study", "stop"];
    let alone = submit(1, "one.json", &stop);
    let together = submit(2, "two.json", &stop);
    assert_eq!(
        (alone.code, together.code),
        (Some(2), Some(2)),
        "{}",
        together.err
    );
    assert_eq!(told(&together), told(&alone));
    let written = read("one.json.progress").expect("something was written");
    assert!(written.lines().count() > 3, "{written}");
    assert_eq!(read("two.json.progress").as_ref(), Some(&written));

    // Left empty, then mended.
    let alone = submit(1, "one.json", &[]);
    let together = submit(3, "two.json", &[]);
    assert_eq!(
        (alone.code, together.code),
        (Some(2), Some(2)),
        "{}",
        together.err
    );
    assert_eq!(told(&together), told(&alone));
    assert_eq!(read("two.json"), read("one.json"));
    assert_eq!(read("two.json.progress"), read("one.json.progress"));
    let name = broken.file_name().expect("a name");
    fs::copy(fixtures().join("films").join(name), &broken).expect("copied");
    assert_eq!(submit(1, "one.json", &[]).code, Some(0));
    let together = submit(2, "two.json", &[]);
    assert!(
        together
            .err
            .contains("19 of 20 studies were written before"),
        "{}",
        together.err
    );
    assert_eq!(together.code, Some(0));
    assert_eq!(read("two.json"), read("one.json"));
    assert_eq!(read("two.json.progress"), None);
}

#[test]
fn a_rank_with_another_checkpoint_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    films(folder.path());
    let [first, other] = ["cnn_lstm.ithn", "r2gen.ithn"].map(checkpoint);
    let mut command = mpirun();
    let rank = |checkpoint: &str| {
        let words = [
            "-n",
            "1",
            PROGRAM,
            "generate",
            "--checkpoint",
            checkpoint,
            "films",
        ];
        words.map(str::to_owned)
    };
    command.args(rank(&first)).arg(":").args(rank(&other));
    let said = said_by(command.current_dir(folder.path()));
    assert_eq!(said.code, Some(2), "{}", said.err);
    assert!(
        said.err.contains("rank 1 on") && said.err.contains("another checkpoint"),
        "{}",
        said.err
    );
}
