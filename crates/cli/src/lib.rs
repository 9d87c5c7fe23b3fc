//! The program `ithn`: one subcommand per piece of work.
//!
//! Every subcommand is a module with its arguments and a `run`. Results go to standard output, all else to
//! standard error; a failure is one line. Exit codes: 0, 2 for a failure, 130 for an interruption.

mod ablation;
mod card;
mod chexbert;
mod context;
pub mod dashboard;
mod draw;
mod evaluate;
mod export;
mod failure;
mod floors;
mod generate;
mod hub;
mod import;
mod label;
mod manual;
mod mine;
mod output;
pub mod parity;
mod prepare;
mod pretrain;
mod report;
pub mod serve;
mod stderr;
mod tensorboard;
mod together;
mod train;
mod version;

use std::process::ExitCode;
use std::time::Instant;

use clap::{CommandFactory, Parser, Subcommand};
use ithn::train::Verbosity;
use ithn::train::arguments::VerbosityArguments;

use failure::Failure;
use output::Talk;

/// Radiology report generation trained against increasingly hard negatives. Research software: not for clinical
/// use.
#[derive(Debug, Parser)]
#[command(name = "ithn", version, long_version = version::long(), propagate_version = true, max_term_width = 110)]
struct Program {
    #[command(subcommand)]
    command: Command,

    #[command(flatten)]
    verbosity: VerbosityArguments,
}

#[derive(Debug, Subcommand)]
enum Command {
    Train(Box<train::Arguments>),
    Pretrain(Box<pretrain::Arguments>),
    Generate(generate::Arguments),
    Floors(floors::Arguments),
    Evaluate(Box<evaluate::Arguments>),
    Label(label::Arguments),
    #[command(subcommand)]
    Prepare(prepare::Command),
    Mine(mine::Arguments),
    #[command(subcommand)]
    Draw(draw::Command),
    Import(import::Arguments),
    Export(export::Arguments),
    Card(card::Arguments),
    Parity(parity::Arguments),
    Report(report::Arguments),
    Ablation(ablation::Arguments),
    Context(context::Arguments),
    Serve(serve::Arguments),
    Completions(manual::Completions),
    Manual(manual::Manual),
}

/// The command line, for completions, manual pages and tests.
pub fn command() -> clap::Command {
    Program::command()
}

/// Runs the program on the process's arguments.
pub fn main() -> ExitCode {
    let began = Instant::now();
    let program = Program::parse();
    let talk = Talk::new(program.verbosity.verbosity());
    let outcome = program.command.run(talk);
    if program.verbosity.verbosity() == Verbosity::Verbose {
        talk.note(format_args!("{}", output::Cost::since(began)));
    }
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.exit_code(),
    }
}

impl Command {
    fn run(&self, talk: Talk) -> Result<(), Failure> {
        match self {
            Command::Train(arguments) => arguments.run(talk),
            Command::Pretrain(arguments) => arguments.run(talk),
            Command::Generate(arguments) => arguments.run(talk),
            Command::Evaluate(arguments) => arguments.run(talk),
            Command::Floors(arguments) => arguments.run(talk),
            Command::Label(arguments) => arguments.run(talk),
            Command::Prepare(command) => command.run(talk),
            Command::Mine(arguments) => arguments.run(talk),
            Command::Draw(command) => command.run(talk),
            Command::Import(arguments) => arguments.run(talk),
            Command::Export(arguments) => arguments.run(talk),
            Command::Card(arguments) => arguments.run(talk),
            Command::Parity(arguments) => arguments.run(talk),
            Command::Report(arguments) => arguments.run(talk),
            Command::Ablation(arguments) => arguments.run(talk),
            Command::Context(arguments) => arguments.run(talk),
            Command::Serve(arguments) => arguments.run(talk),
            Command::Completions(arguments) => arguments.run(command()),
            Command::Manual(arguments) => arguments.run(command(), talk),
        }
    }
}
