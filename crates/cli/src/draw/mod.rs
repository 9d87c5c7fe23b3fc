//! `ithn draw`: invented studies to try things on.

mod annotation;
mod mimic;

use clap::Subcommand;

use crate::failure::Failure;
use crate::output::Talk;

/// Draws phantom radiographs: for the reports of an annotation, or a whole data set in MIMIC-CXR's layout.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Annotation(annotation::Arguments),
    Mimic(mimic::Arguments),
}

impl Command {
    pub(crate) fn run(&self, talk: Talk) -> Result<(), Failure> {
        match self {
            Command::Annotation(arguments) => arguments.run(talk),
            Command::Mimic(arguments) => arguments.run(talk),
        }
    }
}
