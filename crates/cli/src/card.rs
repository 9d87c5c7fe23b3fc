//! `ithn card`: what a checkpoint says about itself.

use std::path::{Path, PathBuf};

use clap::Args;
use ithn::checkpoint::CheckpointHeader;
use ithn::checkpoint::card::ModelCard;
use ithn::train::RunFolder;

use crate::failure::Failure;
use crate::output::{OutputFile, Talk, check_all};

/// Prints a checkpoint's card: its data, its scores beside simple rules, its terms.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ithn card runs/phantom-1
  ithn card model.ithn --json card.json")]
pub(crate) struct Arguments {
    /// Checkpoint, or a run's folder, whose best.ithn is taken
    #[arg(value_name = "FILE|RUN")]
    checkpoint: PathBuf,

    /// Writes the card here; - is standard output
    #[arg(long, value_name = "FILE")]
    json: Option<OutputFile>,
}

impl Arguments {
    pub(crate) fn run(&self, talk: Talk) -> Result<(), Failure> {
        let talk = talk.beside([&self.json]);
        check_all([&self.json])?;
        let header = CheckpointHeader::load(&checkpoint_of(&self.checkpoint))?;
        let card = ModelCard::of(&header);
        talk.result(card.to_string().trim_end())?;
        match &self.json {
            Some(file) => file.write_json(&card),
            None => Ok(()),
        }
    }
}

/// The checkpoint that a path means: of a folder, the best one of the run in it.
pub(crate) fn checkpoint_of(path: &Path) -> PathBuf {
    match path.is_dir() {
        true => RunFolder::view(path).best_checkpoint(),
        false => path.to_owned(),
    }
}
