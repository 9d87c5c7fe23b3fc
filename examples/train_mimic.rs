//! Trains, evaluates and writes reports: on phantom studies, or on MIMIC-CXR.
//!
//! ```text
//! cargo run --example train_mimic
//! cargo run --release --example train_mimic -- --data /data/mimic-cxr-jpg --backbone-weights resnet101.pth
//! ```

mod arguments;

use std::process::ExitCode;

use ithn::config::Preset;

fn main() -> ExitCode {
    arguments::run(Preset::MimicCxr)
}
