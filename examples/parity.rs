//! Compares every component with golden numbers of the official PyTorch code.
//!
//! ```sh
//! cargo run --release --example parity -- --fixtures DIR [--meteor-data DIR] [--tf32] [--json] [--family NAME]
//! ```
//!
//! One line per check: family, quantity, largest absolute and relative error, tolerance, outcome.
//! A family of which no file is there is reported as absent, never as passed; one of which only
//! some are there, or whose files cannot be read, fails. Exits with 1 if a check fails, with 2 if
//! there is nothing to check.

#[path = "../tests/parity/checks/mod.rs"]
mod checks;

use std::path::PathBuf;
use std::process::ExitCode;

use checks::{Check, FAMILIES, Outcome};
use clap::Parser;
use clap::builder::PossibleValuesParser;

/// Compares every component with golden numbers of the official PyTorch code.
#[derive(Parser)]
struct Arguments {
    /// Directory of the fixtures
    #[arg(long, value_name = "DIR")]
    fixtures: PathBuf,

    /// METEOR 1.5's data: the folder with meteor-1.5.jar and data/
    #[arg(long, value_name = "DIR")]
    meteor_data: Option<PathBuf>,

    /// The device rounds the factors of products to tf32, as CUDA devices do: what fails by no more than that
    /// is a class of its own, tf32
    #[arg(long)]
    tf32: bool,

    /// Prints a JSON array of the same lines instead
    #[arg(long)]
    json: bool,

    /// Only this family; may be repeated
    #[arg(
        long,
        value_name = "NAME",
        value_parser = PossibleValuesParser::new(FAMILIES.iter().map(|family| family.name))
    )]
    family: Vec<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let chosen = FAMILIES.iter().filter(|family| {
        arguments.family.is_empty() || arguments.family.iter().any(|name| name == family.name)
    });
    let mut checks: Vec<Check> = Vec::new();
    for family in chosen {
        let mut lines = family.run(&arguments.fixtures);
        if family.name == "metrics" {
            let data = arguments.meteor_data.as_deref();
            lines.extend(checks::meteor(&arguments.fixtures, data));
        }
        if arguments.tf32 {
            lines = lines.into_iter().map(Check::judged_by_tf32).collect();
        }
        if !arguments.json {
            lines.iter().for_each(|line| println!("{line}"));
        }
        checks.extend(lines);
    }
    let count = |outcome| {
        checks
            .iter()
            .filter(|check| check.outcome == outcome)
            .count()
    };
    let outcomes = [Outcome::Pass, Outcome::Tf32, Outcome::Fail, Outcome::Absent];
    let [passed, rounded, failed, absent] = outcomes.map(count);
    if arguments.json {
        match serde_json::to_string_pretty(&checks) {
            Ok(text) => println!("{text}"),
            Err(error) => {
                eprintln!("error: {error}");
                return ExitCode::from(2);
            }
        }
    } else {
        let rounded = match arguments.tf32 {
            true => format!("{rounded} within tf32, "),
            false => String::new(),
        };
        println!("{passed} passed, {rounded}{failed} failed, {absent} absent");
    }
    if failed > 0 {
        ExitCode::FAILURE
    } else if passed == 0 {
        let fixtures = arguments.fixtures.display();
        eprintln!("error: nothing to check in {fixtures}");
        ExitCode::from(2)
    } else {
        ExitCode::SUCCESS
    }
}
