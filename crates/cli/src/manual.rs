//! `ithn completions` and `ithn manual`: what shells and `man` read.

use std::io;
use std::path::PathBuf;

use clap::{Args, Command};
use clap_complete::Shell;

use crate::failure::Failure;
use crate::output::{Talk, cannot_write};

/// Prints a completion script for a shell.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ithn completions bash > ~/.local/share/bash-completion/completions/ithn
  ithn completions fish > ~/.config/fish/completions/ithn.fish")]
pub(crate) struct Completions {
    /// Shell to complete for
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(&self, mut program: Command) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut program, "ithn", &mut script);
        Ok(io::Write::write_all(&mut io::stdout().lock(), &script)?)
    }
}

/// Writes manual pages, one for the program and one for each subcommand.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ithn manual --out ~/.local/share/man/man1
  ithn manual --out man && man man/ithn-train.1")]
pub(crate) struct Manual {
    /// Folder to write to, made if it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

impl Manual {
    pub(crate) fn run(&self, program: Command, talk: Talk) -> Result<(), Failure> {
        std::fs::create_dir_all(&self.out).map_err(|error| cannot_write(&self.out, &error))?;
        clap_mangen::generate_to(program, &self.out)
            .map_err(|error| cannot_write(&self.out, &error))?;
        talk.result(format_args!("{}", self.out.display()))
    }
}
