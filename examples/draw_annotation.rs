//! Draws phantom radiographs for the findings that real reports state.
//!
//! ```text
//! cargo run --example draw_annotation -- --annotation annotation.json --images drawn
//! cargo run --example train_iu_xray -- --preset phantom --annotation annotation.json --images drawn
//! ```

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use ithn::train::draw_annotation;

/// Draws every image that R2Gen's annotation.json names, from what its report states.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// R2Gen's annotation.json
    #[arg(long, value_name = "FILE")]
    annotation: PathBuf,

    /// Folder to draw into; images that exist are left alone
    #[arg(long, value_name = "DIR")]
    images: PathBuf,

    /// Side of the images, in pixels
    #[arg(long, default_value_t = 224, value_parser = clap::value_parser!(u32).range(32..=4096))]
    size: u32,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match draw_annotation(&arguments.annotation, &arguments.images, arguments.size) {
        Ok(drawn) => {
            println!("drew {drawn} images into {}", arguments.images.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}
