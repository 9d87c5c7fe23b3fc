//! Teaches a backbone to see, without ImageNet: weights for `--backbone-weights` of the training
//! examples.
//!
//! ```text
//! cargo run --release --example pretrain -- --annotation annotation.json --images images --out runs/eyes
//! ```

mod arguments;

use std::process::ExitCode;

use clap::Parser;
use ithn::train::{INTERRUPTED_STATUS, TrainError};

fn main() -> ExitCode {
    ithn::device::prepare_process();
    let Err(error) = arguments::PretrainArguments::parse().run() else {
        return ExitCode::SUCCESS;
    };
    eprintln!("error: {error}");
    match error.downcast_ref() {
        Some(TrainError::PretrainingStopped { .. }) => ExitCode::from(INTERRUPTED_STATUS),
        _ => ExitCode::from(2),
    }
}
