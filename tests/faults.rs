//! Runs that are killed, stopped or out of disk, and what is left of them.
//!
//! A tiny run is trained by child processes, this test binary started again, and killed at moments
//! that no handler sees. `ITHN_KILLS` is how often (3; `.ci/faults` says 20).

#![cfg(unix)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use ithn::checkpoint::{Checkpoint, CheckpointHeader};
use ithn::import::export_official;
use ithn::train::{Console, EpochRecord, Interrupt, RunFolder, Verbosity, run_experiment};

mod tiny;

use tiny::{options, studies, tiny};

/// Where the child reads what it shall do: the folder of the run.
const FOLDER: &str = "ITHN_FAULT_FOLDER";

/// How long a child may take for anything it is waited for.
const PATIENCE: Duration = Duration::from_secs(300);

/// The child: trains, or continues, the run in the folder it is told.
#[test]
fn child() {
    let Some(out) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        return;
    };
    let resume = out.join("last.ithn").exists();
    let folder = out.parent().expect("the run has a parent").to_owned();
    let mut options = options(&folder, &out);
    options.resume = resume;
    options.interrupt = Interrupt::on_signals().expect("signals can be heard");
    let mut console = Console::new(Verbosity::Quiet);
    if let Err(error) = run_experiment(&tiny(), &options, &mut console) {
        eprintln!("error: {error}");
        std::process::exit(2);
    }
}

fn command(out: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this binary"));
    command
        .args(["--exact", "child", "--nocapture"])
        .env(FOLDER, out)
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

fn start(out: &Path) -> Child {
    command(out).spawn().expect("this binary starts")
}

/// Lets a child go on to its end; its exit status and what it said.
fn finish(child: Child) -> (ExitStatus, String) {
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status, said)
}

fn complete(out: &Path) {
    let (status, said) = finish(start(out));
    assert!(status.success(), "{said}");
}

/// Waits until `reached` or the child's end; whether it was reached.
fn wait_for(child: &mut Child, mut reached: impl FnMut() -> bool) -> bool {
    let began = Instant::now();
    while child.try_wait().expect("it can be asked").is_none() {
        if reached() {
            return true;
        }
        assert!(began.elapsed() < PATIENCE, "the child does not come on");
        std::thread::yield_now();
    }
    false
}

fn steps(out: &Path) -> usize {
    CheckpointHeader::load(&out.join("last.ithn")).map_or(0, |header| header.progress.step)
}

/// Kills a child, when it has itself come to `step` steps or more, or, if `writing`, in the
/// checkpoint after.
fn kill_at(out: &Path, step: usize, writing: bool) {
    let partial = out.join("last.ithn.partial");
    let before = steps(out);
    let mut child = start(out);
    let reached = wait_for(&mut child, || {
        let steps = steps(out);
        steps > before && steps >= step
    });
    if reached && writing {
        wait_for(&mut child, || partial.exists());
    }
    child.kill().expect("it can be killed");
    let (status, said) = finish(child);
    println!(
        "killed after step {}{}",
        steps(out),
        if partial.exists() {
            ", within a checkpoint"
        } else {
            ""
        }
    );
    assert!(!status.success() || said.is_empty(), "{said}");
    every_file_is_whole(out);
}

/// Sends a fresh run Ctrl-C after its first step; what it said, unless it was done before that.
fn interrupt(out: &Path) -> Option<String> {
    let mut child = start(out);
    wait_for(&mut child, || steps(out) >= 1);
    let signal = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(signal.expect("kill starts").success());
    let (status, said) = finish(child);
    (status.code() == Some(2)).then_some(said)
}

fn every_file_is_whole(out: &Path) {
    for entry in fs::read_dir(out).expect("a folder") {
        let path = entry.expect("readable").path();
        if path
            .extension()
            .is_some_and(|extension| extension == "ithn")
        {
            Checkpoint::load(&path).expect("whole");
        }
    }
    let epochs = fs::read_to_string(out.join("epochs.jsonl")).unwrap_or_default();
    for line in epochs.lines() {
        serde_json::from_str::<EpochRecord>(line).expect("whole");
    }
}

/// All that a run comes to, times aside: weights, epochs, steps and predictions.
fn outcome(out: &Path) -> Vec<(&'static str, Vec<u8>)> {
    let weights = |name: &str| {
        let checkpoint = Checkpoint::load(&out.join(name)).expect("whole");
        let path = out.join("weights.safetensors");
        export_official(&checkpoint, &path).expect("writable");
        fs::read(path).expect("written")
    };
    let epochs = fs::read_to_string(out.join("epochs.jsonl")).expect("written");
    let epochs: Vec<EpochRecord> = epochs
        .lines()
        .map(|line| EpochRecord {
            seconds: 0.0,
            studies_per_second: 0.0,
            ..serde_json::from_str(line).expect("a record")
        })
        .collect();
    vec![
        ("last weights", weights("last.ithn")),
        ("best weights", weights("best.ithn")),
        ("epochs", format!("{epochs:?}").into_bytes()),
        ("steps", fs::read(out.join("steps.jsonl")).expect("written")),
        (
            "predictions",
            fs::read(out.join("predictions.csv")).expect("written"),
        ),
    ]
}

fn assert_same(expected: &Path, actual: &Path) {
    for ((name, expected), (_, actual)) in outcome(expected).into_iter().zip(outcome(actual)) {
        assert!(expected == actual, "{name} differ");
    }
}

/// Everything in one test: the runs share an uninterrupted one, and no core is left over for two.
#[test]
fn a_run_survives_what_happens_to_runs() {
    if std::env::var_os(FOLDER).is_some() {
        return;
    }
    let kills: usize = std::env::var("ITHN_KILLS")
        .map_or(3, |kills| kills.parse().expect("ITHN_KILLS is a number"));
    let folder = tempfile::tempdir().expect("a folder");
    studies(folder.path());
    let whole = folder.path().join("whole");
    complete(&whole);
    let last_step = steps(&whole);
    // 3 epochs of 15 batches, two to a step, the last one alone.
    assert_eq!(last_step, 24);

    // Killed again and again, in the middle of epochs and of checkpoints.
    let killed = folder.path().join("killed");
    let mut random = 1895_u64;
    for kill in 0..kills {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let share = (random >> 40) as f64 / (1_u64 << 24) as f64;
        let step = ((kill as f64 + share) / kills as f64 * last_step as f64) as usize;
        kill_at(&killed, step, kill % 2 == 0);
        // What a power cut leaves of a checkpoint that was being written.
        let bytes = fs::read(killed.join("last.ithn")).expect("a checkpoint");
        let torn = &bytes[..(bytes.len() as f64 * share) as usize];
        fs::write(killed.join("last.ithn.partial"), torn).expect("writable");
    }
    complete(&killed);
    assert_same(&whole, &killed);
    assert!(!killed.join("last.ithn.partial").exists());

    // Ctrl-C: the step is finished and saved, and the way on is named.
    let (stopped, said) = (0..5)
        .map(|attempt| folder.path().join(format!("stopped-{attempt}")))
        .find_map(|out| interrupt(&out).map(|said| (out, said)))
        .expect("a run that takes longer than a signal");
    assert!(said.contains("can be resumed"), "{said}");
    assert!(steps(&stopped) < last_step);

    // No room for another checkpoint: a clear error, and the one before it intact.
    let before = fs::read(stopped.join("last.ithn")).expect("a checkpoint");
    let blocks = before.len() / 2 / 1024;
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
    let child_command = command(&stopped);
    let mut limited = Command::new("bash");
    limited
        .args(["-c", &script])
        .arg(child_command.get_program())
        .args(child_command.get_args())
        .env(FOLDER, &stopped)
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let (status, said) = finish(limited.spawn().expect("bash starts"));
    assert_eq!(status.code(), Some(2), "{said}");
    assert!(
        said.contains("cannot write checkpoint") && said.contains("intact"),
        "{said}"
    );
    assert!(fs::read(stopped.join("last.ithn")).expect("a checkpoint") == before);
    every_file_is_whole(&stopped);
    complete(&stopped);
    assert_same(&whole, &stopped);

    // A finished run is not overwritten, and other data is noticed.
    let config = tiny();
    assert!(RunFolder::create(&whole, &config).is_err());
}
