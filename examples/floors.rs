//! What constants and the nearest film score on a dataset in R2Gen's form, by every metric.
//!
//! ```sh
//! cargo run --release --example floors -- --annotation annotation.json --images images
//! ```
//!
//! What the numbers mean: `docs/what_scores_mean.md`.

use std::error::Error;
use std::path::PathBuf;

use clap::Parser;
use ithn::config::Preset;
use ithn::metrics::Meteor;
use ithn::metrics::evaluation::{EvaluationOptions, write_json};
use ithn::train::{DataSource, annotation_floors, nearest_film_floor};

/// Scores what needs no model on the test split of an annotation.
#[derive(Parser)]
struct Arguments {
    /// R2Gen's annotation.json
    #[arg(long, value_name = "FILE")]
    annotation: PathBuf,
    /// Folder that its image paths start from, to score the reports of the nearest training films too
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// Preset whose cleaning, vocabulary, length and image size are used
    #[arg(long, default_value = "iu-xray")]
    preset: Preset,
    /// METEOR 1.5's data; without it METEOR-es is computed
    #[arg(long, value_name = "DIR")]
    meteor_data: Option<PathBuf>,
    /// Writes all numbers, and the constant reports, here
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let Arguments {
        annotation: file,
        images,
        preset,
        meteor_data,
        json,
    } = Arguments::parse();
    let meteor = match meteor_data {
        Some(folder) => Meteor::with_data(&folder)?,
        None => Meteor::exact_and_stem(),
    };
    let options = EvaluationOptions::new(&meteor);
    let config = preset.config();
    let mut floors = annotation_floors(&file, &config.text, None, &options)?;
    if let Some(images) = images {
        let source = DataSource::Annotation { file, images };
        let nearest = nearest_film_floor(&source, &config, &options, &|_, _, _| {})?;
        floors.add("nearest training film", nearest);
    }
    print!("{floors}");
    if let Some(path) = json {
        write_json(&path, &floors)?;
    }
    Ok(())
}
