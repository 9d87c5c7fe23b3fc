//! Processes that train together, beside one process with the batches of all.
//!
//! Every run is of child processes, this test binary started again by `mpirun` or alone. `ITHN_KILLS` is how
//! often one of them is killed (3; `.ci/faults` says 20).

#![cfg(all(unix, feature = "mpi"))]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ithn::checkpoint::CheckpointHeader;
use ithn::config::{ExperimentConfig, NonFinite};
use ithn::generator::config::NonNegative;
use ithn::train::{Console, Interrupt, Ranks, Verbosity, config_to_resume, run_experiment};

mod contrast;
mod job;
#[path = "../tiny/mod.rs"]
mod tiny;

use job::*;
use tiny::{options, studies, tiny};

/// 13 batches: the last step of an epoch has too few for 2, 3 and 4.
const LIMIT: usize = 52;

fn config(accumulate: usize) -> ExperimentConfig {
    let mut config = tiny();
    config.training.epochs = 2;
    config.training.accumulate = accumulate;
    config.training.evaluation_batch_size = 3;
    if let Some(seed) = asked(SEED) {
        config.training.seed = seed;
    }
    if asked::<usize>(EXPLODING).is_some() {
        config.training.optimizer.learning_rate = NonNegative::literal(1e38);
        config.training.optimizer.backbone_learning_rate = NonNegative::literal(1e38);
        config.training.optimizer.warmup_steps = 0;
        config.training.guards.non_finite = NonFinite::Skip { at_most: 5 };
    }
    config
}

/// The child: trains, or continues, the run in the folder it is told, at one rank.
#[test]
fn child() {
    let Some(out) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        return;
    };
    let ranks = Ranks::start().expect("the launcher is known");
    let folder = out.parent().expect("the run has a parent").to_owned();
    fs::write(
        folder.join(format!("rank-{}", ranks.rank())),
        std::process::id().to_string(),
    )
    .expect("writable");
    let resume = out.join("last.ithn").exists();
    let config = match resume {
        true => {
            config_to_resume(&out, &ranks, None).expect("a run that so many ranks can continue")
        }
        false => config(asked(ACCUMULATE).expect("it is told")),
    };
    let studies = asked::<PathBuf>(STUDIES).unwrap_or(folder);
    let mut options = options(&studies, &out);
    options.resume = ranks.of_first(Ok(resume)).expect("all are sound");
    options.limit = Some(LIMIT);
    options.interrupt = Interrupt::on_signals().expect("signals can be heard");
    options.exact = asked::<usize>(EXACT).is_some();
    options.cache = asked(CACHE);
    if asked::<usize>(STOP).is_some_and(|rank| rank == ranks.rank()) {
        options.interrupt.raise();
    }
    options.ranks = ranks.clone();
    let mut console = Console::new(Verbosity::Quiet);
    if let Err(error) = run_experiment(&config, &options, &mut console) {
        if ranks.is_first() {
            eprintln!("error: {error}");
        }
        drop((options, ranks));
        std::process::exit(2);
    }
}

/// Everything in one test: the runs share uninterrupted ones, and no core is left over for two.
#[test]
fn ranks_take_the_steps_of_one_process() {
    if std::env::var_os(FOLDER).is_some() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    studies(folder.path());
    let out = |name: &str| folder.path().join(name);

    // The law, with as many batches a step at 2 and 3 ranks as in one process.
    let [two, three] = [out("two"), out("three")];
    Job::new(&two, 1, 2).complete();
    assert_eq!(steps(&two), 14);
    assert_same(&two, Job::new(&out("two-ranks"), 2, 1).complete());
    assert_same(
        Job::new(&three, 1, 3).complete(),
        Job::new(&out("three-ranks"), 3, 1).complete(),
    );
    let four = out("four");
    let exact = out("exact");
    let job = Job::new(&exact, 2, 2).with(EXACT, 1);
    assert_same(Job::new(&four, 1, 4).complete(), job.complete());

    // Stopped by one rank and continued by another number, through a cache that both fill.
    let stopped = out("stopped");
    let job = Job::new(&stopped, 2, 1)
        .with(STOP, 1)
        .with(CACHE, out("cache").display());
    let said = job.fail();
    assert!(said.contains("can be resumed"), "{said}");
    assert_eq!(steps(&stopped), 1);
    Job::new(&stopped, 1, 2).complete();
    assert_same(&two, &stopped);
    let stopped = out("stopped-alone");
    Job::new(&stopped, 1, 2).with(STOP, 0).fail();
    Job::new(&stopped, 2, 1)
        .with(CACHE, out("cache").display())
        .complete();
    assert_same(&two, &stopped);

    contrast::is_that_of_one_larger_batch(folder.path());
    faults(folder.path(), &two);
    refusals(folder.path());
}

/// Ranks that are killed or told to stop.
fn faults(folder: &Path, whole: &Path) {
    let kills: usize = asked("ITHN_KILLS").unwrap_or(3);
    let last_step = steps(whole);
    let killed = folder.join("killed");
    let mut random = 1895_u64;
    let mut below = |limit: usize| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % limit
    };
    for kill in 0..kills {
        // Of every run that comes to its end between two kills, too.
        while !kill_a_rank(folder, &killed, kill % 2, &mut below, last_step) {
            assert_same(whole, &killed);
            fs::remove_dir_all(&killed).expect("removable");
        }
        every_file_is_whole(&killed);
    }
    Job::new(&killed, 2, 1).complete();
    assert_same(whole, &killed);

    // SLURM's warning, which the launcher passes on.
    let warned = folder.join("warned");
    let mut child = Job::new(&warned, 2, 1).start();
    if wait_for_step(&mut child, &warned, 1) {
        signal("-USR1", &child.id().to_string());
        let (success, said) = finish(child);
        assert!(!success && said.contains("can be resumed"), "{said}");
        assert!(steps(&warned) < last_step);
        Job::new(&warned, 3, 1).fail();
    }
    Job::new(&warned, 2, 1).complete();
    assert_same(whole, &warned);
}

/// Kills a rank of a job some steps further, at a random moment; false if the job came to its end before.
fn kill_a_rank(
    folder: &Path,
    out: &Path,
    rank: usize,
    below: &mut impl FnMut(usize) -> usize,
    last_step: usize,
) -> bool {
    let before = steps(out);
    let mut child = Job::new(out, 2, 1).start();
    let reached = wait_for_step(&mut child, out, before + 1 + below(last_step / 2));
    std::thread::sleep(Duration::from_millis(below(30) as u64));
    let alive = reached && child.try_wait().expect("it can be asked").is_none();
    if alive {
        let process = fs::read_to_string(folder.join(format!("rank-{rank}"))).expect("written");
        // It may have ended in this moment.
        let sent = Command::new("kill").args(["-KILL", &process]).status();
        sent.expect("kill starts");
    }
    let began = Instant::now();
    let (success, said) = finish(child);
    if success {
        return false;
    }
    assert!(alive && began.elapsed() < Duration::from_secs(30), "{said}");
    assert!(
        said.contains(&format!("rank {rank}")) && said.contains("node"),
        "{said}"
    );
    println!("killed rank {rank} after step {}", steps(out));
    true
}

/// Ranks that cannot go on, and ranks that would train something else.
fn refusals(folder: &Path) {
    // Steps that are left out are left out by all, and one too many ends the run as one process would.
    let [alone, together] = ["exploding", "exploding-ranks"].map(|name| folder.join(name));
    let expected = Job::new(&alone, 1, 2).with(EXPLODING, 1).fail();
    let said = Job::new(&together, 2, 1).with(EXPLODING, 1).fail();
    let error = |said: &str| {
        let line = said.lines().find(|line| line.starts_with("error:"));
        line.unwrap_or_default()
            .split("; the weights")
            .next()
            .map(str::to_owned)
    };
    assert!(expected.contains("became"), "{expected}");
    assert_eq!(error(&said), error(&expected));
    let skipped = |out: &Path| {
        let header = CheckpointHeader::load(&out.join("last.ithn")).expect("a checkpoint");
        header.progress.skipped
    };
    assert_eq!(skipped(&together), skipped(&alone));
    let incident = |out: &Path| fs::read(out.join("non-finite.json")).expect("written");
    assert_eq!(incident(&together), incident(&alone));

    // Another configuration, other data, another program.
    let program = std::env::current_exe().expect("this binary");
    let other_program = folder.join("other-program");
    let mut bytes = fs::read(&program).expect("readable");
    bytes.push(0);
    fs::write(&other_program, bytes).expect("writable");
    let mode = fs::metadata(&program).expect("there").permissions();
    fs::set_permissions(&other_program, mode).expect("settable");
    let other_studies = folder.join("other");
    fs::create_dir(&other_studies).expect("writable");
    let copied = Command::new("cp")
        .arg("-r")
        .arg(folder.join("studies"))
        .arg(&other_studies)
        .status();
    assert!(copied.expect("cp starts").success());
    change_a_report(&other_studies);
    let other_studies = other_studies.display().to_string();
    let cases = [
        ("configuration", &program, (SEED, "12")),
        ("studies", &program, (STUDIES, other_studies.as_str())),
        ("program", &other_program, (SEED, "")),
    ];
    for (what, program, (name, value)) in cases {
        let out = folder.join(format!("refused-{what}"));
        let told = |command: &mut Command, program: &Path| {
            command
                .arg(program)
                .args(["--exact", "child", "--nocapture"]);
        };
        let mut command = mpirun();
        command.args(["-n", "1"]);
        told(&mut command, &std::env::current_exe().expect("this binary"));
        command.args([":", "-n", "1", "env", &format!("{name}={value}")]);
        told(&mut command, program);
        let child = command
            .env(FOLDER, &out)
            .env(THREADS, "1")
            .env(ACCUMULATE, "1")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let (success, said) = finish(child.expect("mpirun starts"));
        assert!(
            !success && said.contains("rank 1 on") && said.contains(what),
            "{said}"
        );
        assert!(!out.exists(), "{what}");
    }
}

/// Adds a word to the first report of a folder of studies.
fn change_a_report(folder: &Path) {
    let mut folders = vec![folder.to_owned()];
    let mut reports = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("readable") {
            let path = entry.expect("readable").path();
            match path.extension().and_then(|extension| extension.to_str()) {
                _ if path.is_dir() => folders.push(path),
                Some("txt") => reports.push(path),
                _ => {}
            }
        }
    }
    reports.sort();
    let first = reports.first().expect("there are reports");
    let text = fs::read_to_string(first).expect("readable");
    let changed = text.replace("FINDINGS:\n", "FINDINGS:\n\n Unchanged.\n");
    assert_ne!(text, changed, "the report has findings");
    fs::write(first, changed).expect("writable");
}
