//! Writes a checkpoint's weights as safetensors under the names of the official PyTorch code.
//!
//! ```text
//! cargo run --release --example export_official -- best.ithn --out model.safetensors
//! ```

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use ithn::checkpoint::Checkpoint;
use ithn::import::{ImportError, export_official};

/// Writes a checkpoint's weights as safetensors under the official names; PyTorch loads them with
/// `load_state_dict(safetensors.torch.load_file(…), strict=False)`.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// A checkpoint of this library
    checkpoint: PathBuf,

    /// The file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

fn main() -> ExitCode {
    match export(&Arguments::parse()) {
        Ok(summary) => {
            println!("{summary}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn export(arguments: &Arguments) -> Result<String, ImportError> {
    let checkpoint = Checkpoint::load(&arguments.checkpoint)?;
    let count = export_official(&checkpoint, &arguments.out)?;
    Ok(format!("{}: {count} tensors", arguments.out.display()))
}
