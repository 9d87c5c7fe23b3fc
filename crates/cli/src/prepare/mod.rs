//! `ithn prepare`: from what a data set ships to one `annotation.json`.

mod iu_xray;
mod mimic;

use clap::Subcommand;

use crate::failure::Failure;
use crate::output::Talk;

/// Prepares a data set: annotation.json, sections.csv, rexrank.json, exclusions.csv and summary.json.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Mimic(mimic::Arguments),
    IuXray(iu_xray::Arguments),
}

impl Command {
    pub(crate) fn run(&self, talk: Talk) -> Result<(), Failure> {
        match self {
            Command::Mimic(arguments) => arguments.run(talk),
            Command::IuXray(arguments) => arguments.run(talk),
        }
    }
}
