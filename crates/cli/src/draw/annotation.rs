//! `ithn draw annotation`: phantom radiographs for the findings that real reports state.

use std::path::PathBuf;

use clap::Args;
use ithn::train::draw_annotation;

use crate::failure::Failure;
use crate::output::Talk;

/// Draws every image that R2Gen's annotation.json names, from what its report states.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ithn draw annotation --annotation annotation.json --images drawn
  ithn draw annotation --annotation annotation.json --images drawn --size 512
  ithn train --preset phantom --annotation annotation.json --images drawn")]
pub(crate) struct Arguments {
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

impl Arguments {
    pub(crate) fn run(&self, talk: Talk) -> Result<(), Failure> {
        let drawn = draw_annotation(&self.annotation, &self.images, self.size)?;
        let folder = self.images.display();
        talk.result(format_args!("drew {drawn} images into {folder}"))
    }
}
