//! The command line as its users meet it: help, examples, documentation, files and pipes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use ithn::config::{Preset, Setting};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn parses(line: &str) {
    let words = shlex::split(line).unwrap_or_else(|| panic!("quotes: {line}"));
    // What a shell would take: a variable before the program, a pipe or a redirection after it.
    let words: Vec<String> = words
        .into_iter()
        .skip_while(|word| word != "ithn")
        .take_while(|word| !["|", ">", "&&", "#", ";"].contains(&word.as_str()))
        .collect();
    if let Err(error) = ithn_cli::command().try_get_matches_from(words) {
        panic!("{line}\n{error}");
    }
}

/// Every command without subcommands, with the words that call it.
fn leaves(command: &clap::Command, called: &str, found: &mut Vec<(String, clap::Command)>) {
    if !command.has_subcommands() {
        found.push((called.to_owned(), command.clone()));
    }
    for inner in command.get_subcommands() {
        leaves(inner, &format!("{called} {}", inner.get_name()), found);
    }
}

fn commands() -> Vec<(String, clap::Command)> {
    let mut found = Vec::new();
    leaves(&ithn_cli::command(), "ithn", &mut found);
    found
}

#[test]
fn every_command_has_two_examples_that_it_accepts() {
    for (called, command) in commands() {
        let help = command.get_after_help().map(ToString::to_string);
        let help = help.unwrap_or_default().replace("\\\n", " ");
        let examples: Vec<&str> = help.lines().filter(|line| line.contains("ithn ")).collect();
        let of_it = examples.iter().filter(|line| line.contains(&called));
        assert!(of_it.count() >= 2, "{called}: {help}");
        examples.into_iter().for_each(|line| parses(line.trim()));
    }
}

#[test]
fn every_argument_is_explained() {
    for (called, command) in commands() {
        assert!(command.get_about().is_some(), "{called}");
        for argument in command.get_arguments() {
            let id = argument.get_id();
            assert!(argument.get_help().is_some(), "{called}: {id}");
        }
    }
}

#[test]
fn the_command_line_keeps_claps_rules() {
    ithn_cli::command().debug_assert();
}

fn pages() -> Vec<PathBuf> {
    let mut pages = vec![
        repository().join("README.md"),
        repository().join("CONTRIBUTING.md"),
    ];
    let docs = fs::read_dir(repository().join("docs")).expect("the documentation");
    pages.extend(docs.map(|page| page.expect("a page").path()));
    pages.retain(|page| page.extension().is_some_and(|ending| ending == "md"));
    pages
}

#[test]
fn documented_commands_are_accepted() {
    let mut pages = vec![
        repository().join("README.md"),
        repository().join("CONTRIBUTING.md"),
    ];
    let docs = fs::read_dir(repository().join("docs")).expect("the documentation");
    pages.extend(docs.map(|page| page.expect("a page").path()));
    let mut count = 0;
    for page in pages {
        if page.extension().is_none_or(|ending| ending != "md") {
            continue;
        }
        let text = fs::read_to_string(&page).expect("UTF-8");
        for line in text.replace("\\\n", " ").lines() {
            let line = line.trim();
            // A line of Cargo.toml begins alike.
            let is_command = line.starts_with("ithn ") && !line.starts_with("ithn =");
            if is_command || line.starts_with("BURN_DEVICE=wgpu ithn ") {
                parses(line);
                count += 1;
            }
        }
    }
    assert!(count > 20, "{count} commands");
}

#[test]
fn documented_settings_are_accepted() {
    let mut count = 0;
    for page in pages() {
        let text = fs::read_to_string(&page)
            .expect("UTF-8")
            .replace("\\\n", " ");
        for after in text.split("--set ").skip(1) {
            let quoted = after.split(['`', '\n']).next().expect("a first part");
            let words = shlex::split(quoted).unwrap_or_else(|| panic!("quotes: {quoted}"));
            let setting = words.first().expect("a setting");
            // Names of what stands there, in prose and tables.
            if setting.starts_with("KEY=") || !setting.contains('=') {
                continue;
            }
            let parsed = |text: &str| -> Setting {
                text.parse().unwrap_or_else(|e| panic!("{quoted}: {e}"))
            };
            // A setting of `pretrain` is one of the stage `pretraining`.
            let config = Preset::IuXray.config().with_settings(&[parsed(setting)]);
            let config = config.or_else(|error| {
                let of_stage = parsed(&format!("pretraining.{setting}"));
                let stage = Preset::IuXraySmall.config().with_settings(&[of_stage]);
                stage.map_err(|_| error)
            });
            config.unwrap_or_else(|error| panic!("{}: {quoted}: {error}", page.display()));
            count += 1;
        }
    }
    assert!(count > 8, "{count} settings");
}

fn ithn(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ithn"));
    command.args(arguments);
    command
}

fn output(arguments: &[&str]) -> Output {
    ithn(arguments).output().expect("it starts")
}

fn error_of(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

fn predictions(folder: &Path) -> String {
    let path = folder.join("predictions.csv");
    let rows = "id,reference,prediction\n\
                a,the heart is normal .,the heart is normal .\n\
                b,there is a small effusion .,there is no effusion .\n";
    fs::write(&path, rows).expect("writable");
    path.to_str().expect("UTF-8").to_owned()
}

#[test]
fn a_file_on_standard_output_stands_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let table = predictions(folder.path());
    let output = output(&["evaluate", &table, "--draws", "10", "--json", "-"]);
    assert!(output.status.success(), "{}", error_of(&output));
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON alone");
    assert!(value["bleu_4"].is_number());
    assert!(error_of(&output).contains("2 studies"));
}

#[test]
fn outputs_are_checked_before_the_work() {
    let folder = tempfile::tempdir().expect("a folder");
    let table = predictions(folder.path());
    let missing = folder.path().join("none/x.json");
    let missing = missing.to_str().expect("UTF-8");
    for arguments in [
        vec!["evaluate", &table, "--json", missing],
        vec!["label", &table, "--json", missing],
        vec!["mine", "--annotation", &table, "--out", missing],
        vec!["export", &table, "--out", missing],
        vec!["import", &table, "--out", missing],
        vec![
            "generate",
            "--checkpoint",
            &table,
            "--explain",
            missing,
            &table,
        ],
        vec!["parity", "--fixtures", &table, "--json", missing],
        vec!["ablation", "--quick", "--json", missing],
    ] {
        let output = output(&arguments);
        let error = error_of(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(
            error.contains("there is no folder"),
            "{arguments:?}: {error}"
        );
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn failures_are_one_line_and_exit_code_2() {
    for arguments in [
        vec!["evaluate", "/none.csv"],
        vec!["label", "/none.csv"],
        vec!["mine", "--annotation", "/none.json", "--out", "/tmp/x.json"],
        vec!["export", "/none.ithn", "--out", "/tmp/x.safetensors"],
        vec!["import", "/none.pth", "--out", "/tmp/x.ithn"],
        vec!["generate", "--checkpoint", "/none.ithn", "/none.png"],
        vec!["parity", "--fixtures", "/none"],
        vec!["report", "/none"],
        vec!["prepare", "mimic", "--data", "/none", "--out", "/tmp/x"],
        vec![
            "draw",
            "annotation",
            "--annotation",
            "/none.json",
            "--images",
            "/tmp/x",
        ],
        vec!["train", "--resume", "--out", "/none"],
    ] {
        let output = output(&arguments);
        let error = error_of(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
        assert_eq!(error.lines().count(), 1, "{arguments:?}: {error}");
        assert!(error.starts_with("error: "), "{error}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let folder = tempfile::tempdir().expect("a folder");
    let table = predictions(folder.path());
    for arguments in [
        vec!["evaluate", &table, "--draws", "10"],
        vec!["evaluate", &table, "--draws", "10", "--json", "-"],
        vec!["label", &table],
        vec!["completions", "bash"],
    ] {
        let mut child = ithn(&arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("it ends");
        let error = error_of(&output);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {error}");
        assert!(!error.contains("panicked"), "{error}");
    }
}

#[test]
fn less_and_more_can_be_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let table = predictions(folder.path());
    let verbose = output(&["label", &table, "-v"]);
    assert!(error_of(&verbose).contains("took "));
    let quiet = output(&["-q", "label", &table]);
    assert!(quiet.status.success() && quiet.stderr.is_empty());
}

#[test]
fn manual_pages_and_completions_name_every_command() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("man");
    let written = output(&["manual", "--out", out.to_str().expect("UTF-8")]);
    assert!(written.status.success(), "{}", error_of(&written));
    let completions = output(&["completions", "bash"]).stdout;
    let completions = String::from_utf8(completions).expect("UTF-8");
    for (called, _) in commands() {
        let page = out.join(format!("{}.1", called.replace(' ', "-")));
        assert!(page.is_file(), "{}", page.display());
        let last = called.rsplit(' ').next().expect("a word");
        assert!(completions.contains(last), "{called}");
    }
}
