//! Jobs of child processes, and what a run comes to.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ithn::checkpoint::{Checkpoint, CheckpointHeader};
use ithn::import::export_official;
use ithn::train::{EpochRecord, ExperimentResults};

/// Where the child reads what it shall do.
pub const FOLDER: &str = "ITHN_RANKS_FOLDER";
pub const ACCUMULATE: &str = "ITHN_RANKS_ACCUMULATE";
pub const EXACT: &str = "ITHN_RANKS_EXACT";
pub const STOP: &str = "ITHN_RANKS_STOP";
pub const SEED: &str = "ITHN_RANKS_SEED";
pub const STUDIES: &str = "ITHN_RANKS_STUDIES";
pub const EXPLODING: &str = "ITHN_RANKS_EXPLODING";
pub const CACHE: &str = "ITHN_RANKS_CACHE";

/// As many threads for every process: the last bits of a result depend on their number.
pub const THREADS: &str = "RAYON_NUM_THREADS";

/// How long a job may take for anything it is waited for.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// What a variable says, if it is set.
pub fn asked<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}

/// A job: how many processes do what in which folder.
pub struct Job<'a> {
    out: &'a Path,
    ranks: usize,
    child: &'static str,
    variables: Vec<(&'static str, String)>,
}

impl<'a> Job<'a> {
    pub fn new(out: &'a Path, ranks: usize, accumulate: usize) -> Self {
        Job {
            out,
            ranks,
            child: "child",
            variables: vec![(ACCUMULATE, accumulate.to_string())],
        }
    }

    /// Of another test of this binary than `child`.
    pub fn of_child(mut self, child: &'static str) -> Self {
        self.child = child;
        self
    }

    pub fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.variables.push((name, value.to_string()));
        self
    }

    pub fn start(&self) -> Child {
        let program = std::env::current_exe().expect("this binary");
        let mut command = match self.ranks {
            1 => Command::new(program),
            _ => {
                let mut command = mpirun();
                command.args(["-n", &self.ranks.to_string()]).arg(program);
                command
            }
        };
        command
            .args(["--exact", self.child, "--nocapture"])
            .env(FOLDER, self.out)
            .env(THREADS, "1")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command.spawn().expect("it starts")
    }

    pub fn complete(&self) -> &'a Path {
        let (success, said) = finish(self.start());
        assert!(success, "{} ranks: {said}", self.ranks);
        self.out
    }

    /// Runs a job that is to fail; what it said.
    pub fn fail(&self) -> String {
        let (success, said) = finish(self.start());
        assert!(!success, "{} ranks: {said}", self.ranks);
        said
    }
}

/// Open MPI refuses root and more processes than cores unless it is told otherwise.
pub fn mpirun() -> Command {
    let mut command = Command::new("mpirun");
    command.args(["--allow-run-as-root", "--oversubscribe"]);
    command
}

pub fn finish(mut child: Child) -> (bool, String) {
    let began = Instant::now();
    let mut stderr = child.stderr.take().expect("it is piped");
    let said = std::thread::spawn(move || {
        let mut said = String::new();
        std::io::Read::read_to_string(&mut stderr, &mut said).map(|_| said)
    });
    let status = loop {
        if let Some(status) = child.try_wait().expect("it can be asked") {
            break status;
        }
        if began.elapsed() > PATIENCE {
            child.kill().expect("it can be killed");
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let said = said.join().expect("it is read").expect("it is text");
    (status.success(), said)
}

pub fn steps(out: &Path) -> usize {
    CheckpointHeader::load(&out.join("last.ithn")).map_or(0, |header| header.progress.step)
}

/// Waits until a job has taken some steps; false if it ended before.
pub fn wait_for_step(child: &mut Child, out: &Path, step: usize) -> bool {
    let began = Instant::now();
    while child.try_wait().expect("it can be asked").is_none() {
        if steps(out) >= step {
            return true;
        }
        assert!(began.elapsed() < PATIENCE, "the job does not come on");
        std::thread::sleep(Duration::from_millis(2));
    }
    false
}

pub fn signal(name: &str, process: &str) {
    let sent = Command::new("kill").args([name, process]).status();
    assert!(sent.expect("kill starts").success());
}

/// All that a run comes to, times aside.
pub fn outcome(out: &Path) -> Vec<(&'static str, Vec<u8>)> {
    let weights = |name: &str| {
        let checkpoint = Checkpoint::load(&out.join(name)).expect("whole");
        let path = out.join("weights.safetensors");
        export_official(&checkpoint, &path).expect("writable");
        fs::read(path).expect("written")
    };
    let read = |name: &str| fs::read(out.join(name)).expect("written");
    let epochs = String::from_utf8(read("epochs.jsonl")).expect("text");
    let epochs: Vec<EpochRecord> = epochs
        .lines()
        .map(|line| EpochRecord {
            seconds: 0.0,
            studies_per_second: 0.0,
            ..serde_json::from_str(line).expect("a record")
        })
        .collect();
    let results = ExperimentResults {
        seconds: 0.0,
        ..serde_json::from_slice(&read("metrics.json")).expect("results")
    };
    vec![
        ("last weights", weights("last.ithn")),
        ("best weights", weights("best.ithn")),
        ("epochs", format!("{epochs:?}").into_bytes()),
        ("steps", read("steps.jsonl")),
        ("predictions", read("predictions.csv")),
        ("rankings", read("retrieval.csv")),
        ("similarities", read("similarities.json")),
        ("results", format!("{results:?}").into_bytes()),
    ]
}

pub fn assert_same(expected: &Path, actual: &Path) {
    for ((name, expected), (_, other)) in outcome(expected).into_iter().zip(outcome(actual)) {
        assert!(expected == other, "{name} of {} differ", actual.display());
    }
}

pub fn every_file_is_whole(out: &Path) {
    for entry in fs::read_dir(out).expect("a folder") {
        let path = entry.expect("readable").path();
        if path.extension().is_some_and(|it| it == "ithn") {
            Checkpoint::load(&path).expect("whole");
        }
    }
    let epochs = fs::read_to_string(out.join("epochs.jsonl")).unwrap_or_default();
    for line in epochs.lines() {
        serde_json::from_str::<EpochRecord>(line).expect("whole");
    }
}
