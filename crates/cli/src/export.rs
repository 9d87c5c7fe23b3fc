//! `ithn export`: writes a checkpoint's weights as safetensors under the names of the official PyTorch code.

use std::path::PathBuf;

use clap::Args;
use ithn::checkpoint::Checkpoint;
use ithn::import::export_official;

use crate::failure::Failure;
use crate::output::{Talk, check_file};

/// Writes a checkpoint's weights as safetensors, under the names of the official PyTorch code.
///
/// PyTorch loads them with `load_state_dict(safetensors.torch.load_file(…), strict=False)`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ithn export runs/iu-xray-1/best.ithn --out model.safetensors
  ithn export model.ithn --out model.safetensors -v")]
pub(crate) struct Arguments {
    /// A checkpoint of this library
    checkpoint: PathBuf,

    /// The file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

impl Arguments {
    pub(crate) fn run(&self, talk: Talk) -> Result<(), Failure> {
        check_file(&self.out)?;
        let checkpoint = Checkpoint::load(&self.checkpoint)?;
        let count = export_official(&checkpoint, &self.out)?;
        talk.result(format_args!("{}: {count} tensors", self.out.display()))
    }
}
