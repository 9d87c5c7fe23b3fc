//! Compares every component with golden numbers of the released PyTorch code.
//!
//! ```sh
//! cargo run --release --example parity -- --fixtures DIR [--meteor-data DIR] [--json] [--family NAME]
//! ```
//!
//! One line per check: family, quantity, largest absolute and relative error, tolerance, outcome.
//! Families whose files are missing are reported as absent. Exits with 1 if a check fails or a file
//! cannot be read.

#[path = "../tests/parity/checks/mod.rs"]
mod checks;

use std::path::PathBuf;
use std::process::ExitCode;

use checks::{Check, FAMILIES, Outcome};
use clap::Parser;

/// Compares every component with golden numbers of the released PyTorch code.
#[derive(Parser)]
struct Arguments {
    /// Directory of the fixtures.
    #[arg(long)]
    fixtures: PathBuf,
    /// METEOR 1.5's data: the folder with meteor-1.5.jar and data/.
    #[arg(long, value_name = "DIR")]
    meteor_data: Option<PathBuf>,
    /// Prints a JSON array of the same lines instead.
    #[arg(long)]
    json: bool,
    /// Only this family; may be repeated.
    #[arg(long)]
    family: Vec<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut checks: Vec<Check> = Vec::new();
    let mut unreadable = false;
    for family in FAMILIES {
        if !arguments.family.is_empty() && !arguments.family.iter().any(|name| name == family.name)
        {
            continue;
        }
        let mut result = family.run(&arguments.fixtures);
        if family.name == "metrics" {
            let meteor = checks::meteor(&arguments.fixtures, arguments.meteor_data.as_deref());
            result = result.and_then(|lines| Ok([lines, meteor?].concat()));
        }
        match result {
            Ok(lines) => {
                if !arguments.json {
                    lines.iter().for_each(|line| println!("{line}"));
                }
                checks.extend(lines);
            }
            Err(error) => {
                unreadable = true;
                eprintln!("{}: {error}", family.name);
            }
        }
    }
    let count = |outcome| {
        checks
            .iter()
            .filter(|check| check.outcome == outcome)
            .count()
    };
    let failed = count(Outcome::Fail);
    if arguments.json {
        match serde_json::to_string_pretty(&checks) {
            Ok(text) => println!("{text}"),
            Err(error) => eprintln!("{error}"),
        }
    } else {
        let (passed, absent) = (count(Outcome::Pass), count(Outcome::Absent));
        println!("{passed} passed, {failed} failed, {absent} absent");
    }
    if failed > 0 || unreadable {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}
