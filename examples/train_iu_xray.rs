//! The job of `train_mimic` with IU X-Ray's preset.
//!
//! ```text
//! cargo run --release --example train_iu_xray -- --annotation annotation.json --images images
//! ```

mod arguments;

use std::process::ExitCode;

use ithn::config::Preset;

fn main() -> ExitCode {
    arguments::run(Preset::IuXray)
}
