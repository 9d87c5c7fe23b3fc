//! The program as a process, and a run of seconds for it.
#![allow(dead_code, reason = "each test uses what it needs")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ithn::data::phantom::{PhantomConfig, write_phantom_dataset};

/// What a process said and how it ended.
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// The program with these arguments, in a folder.
pub fn ithn(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ithn"));
    command
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs it to its end.
pub fn run(folder: &Path, arguments: &[&str]) -> Said {
    let output = ithn(folder, arguments).output().expect("it starts");
    Said {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs it, and expects that it ends well.
pub fn succeed(folder: &Path, arguments: &[&str]) -> Said {
    let said = run(folder, arguments);
    assert_eq!(
        said.code,
        Some(0),
        "{arguments:?}: {}{}",
        said.out,
        said.err
    );
    said
}

/// Runs it, and expects that it is refused; its message.
pub fn refused(folder: &Path, arguments: &[&str]) -> String {
    let said = run(folder, arguments);
    assert_eq!(
        said.code,
        Some(2),
        "{arguments:?}: {}{}",
        said.out,
        said.err
    );
    assert_eq!(said.err.lines().count(), 1, "{}", said.err);
    said.err
}

/// Writes phantom studies into `folder/name`.
pub fn studies(folder: &Path, name: &str, seed: u64) {
    let cohort = PhantomConfig::new(24, 3, 3)
        .with_near_twin_share(0.5)
        .with_image_size(24)
        .with_seed(seed);
    write_phantom_dataset(&folder.join(name), &cohort).expect("writable");
}

/// Options of a generator and a training to match, but for `--epochs`.
pub fn tiny<'a>(data: &'a str, out: &'a str) -> Vec<&'a str> {
    let mut arguments = vec!["train", "--data", data, "--out", out, "--preset", "phantom"];
    arguments.extend(["--batch-size", "8", "--warmup", "2"]);
    for setting in [
        "model.generator.backbone={\"block\":\"basic\",\"depths\":[1,1],\"width\":4}",
        "model.generator.memory={\"rows\":16,\"d_model\":8,\"heads\":2,\"top_k\":4,\"dropout\":0.1}",
        "model.generator.transformer.d_model=8",
        "model.generator.transformer.d_ff=16",
        "model.generator.transformer.heads=2",
        "ithn.projection_width=8",
        "images.size=16",
        "text.minimum_occurrences=1",
        "text.max_tokens=12",
        "decoding={\"max_tokens\":12,\"strategy\":{\"method\":\"greedy\"}}",
    ] {
        arguments.extend(["--set", setting]);
    }
    arguments
}

/// A file of the repository's fixtures.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/fixtures")
        .join(name)
}
