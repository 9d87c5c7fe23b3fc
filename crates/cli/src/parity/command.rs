use std::path::PathBuf;

use clap::Args;
use clap::builder::PossibleValuesParser;
use ithn::train::Verbosity;

use super::{Check, FAMILIES, Outcome, meteor};
use crate::failure::Failure;
use crate::output::{OutputFile, Talk, check_all};

/// Compares every component with golden numbers of the official PyTorch code.
///
/// One line per check: family, quantity, largest absolute and relative error, tolerance, outcome. A family of which
/// no file is there is reported as absent, never as passed; one of which only some are there, or whose files cannot
/// be read, fails.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ithn parity --fixtures tests/fixtures
  ithn parity --fixtures tests/fixtures --family memory --family beam --json parity.json
  BURN_DEVICE=wgpu ithn parity --fixtures tests/fixtures --tf32")]
pub(crate) struct Arguments {
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

    /// Writes the lines as a JSON array here; - is standard output
    #[arg(long, value_name = "FILE")]
    json: Option<OutputFile>,

    /// Only this family; may be repeated
    #[arg(
        long,
        value_name = "NAME",
        value_parser = PossibleValuesParser::new(FAMILIES.iter().map(|family| family.name))
    )]
    family: Vec<String>,
}

impl Arguments {
    /// Fails if a check does, or if there is nothing to check. With little to be said, only the checks that did not
    /// pass are lines.
    pub(crate) fn run(&self, talk: Talk) -> Result<(), Failure> {
        check_all([&self.json])?;
        let talk = talk.beside([&self.json]);
        let chosen = FAMILIES.iter().filter(|family| {
            self.family.is_empty() || self.family.iter().any(|name| name == family.name)
        });
        let mut checks: Vec<Check> = Vec::new();
        for family in chosen {
            let mut lines = family.run(&self.fixtures);
            if family.name == "metrics" {
                lines.extend(meteor(&self.fixtures, self.meteor_data.as_deref()));
            }
            if self.tf32 {
                lines = lines.into_iter().map(Check::judged_by_tf32).collect();
            }
            for line in &lines {
                if talk.verbosity != Verbosity::Quiet || line.outcome != Outcome::Pass {
                    talk.result(line)?;
                }
            }
            checks.extend(lines);
        }
        let count = |outcome| {
            let same = checks.iter().filter(|check| check.outcome == outcome);
            same.count()
        };
        let outcomes = [Outcome::Pass, Outcome::Tf32, Outcome::Fail, Outcome::Absent];
        let [passed, rounded, failed, absent] = outcomes.map(count);
        if let Some(file) = &self.json {
            file.write_json(&checks)?;
        }
        let rounded = match self.tf32 {
            true => format!("{rounded} within tf32, "),
            false => String::new(),
        };
        talk.result(format_args!(
            "{passed} passed, {rounded}{failed} failed, {absent} absent"
        ))?;
        match (passed, failed) {
            (_, 1..) => Err(Failure::Said(format!("{failed} checks failed"))),
            (0, 0) => Err(Failure::Said(format!(
                "nothing to check in {}",
                self.fixtures.display()
            ))),
            _ => Ok(()),
        }
    }
}
