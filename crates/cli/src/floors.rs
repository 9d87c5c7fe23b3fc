//! `ithn floors`: what constants and the nearest film score on a data set. What the numbers mean:
//! `docs/what_scores_mean.md`.

use std::path::PathBuf;

use clap::Args;
use ithn::config::Preset;
use ithn::metrics::Meteor;
use ithn::metrics::evaluation::EvaluationOptions;
use ithn::train::{DataSource, annotation_floors, nearest_film_floor};

use crate::failure::Failure;
use crate::output::{OutputFile, Talk, check_all};

/// Scores what needs no model on the test split of a data set: constants and the nearest training film.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ithn floors --annotation annotation.json
  ithn floors --annotation annotation.json --images images --json floors.json")]
pub(crate) struct Arguments {
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
    /// Writes all numbers, and the constant reports, here; - is standard output
    #[arg(long, value_name = "FILE")]
    json: Option<OutputFile>,
}

impl Arguments {
    pub(crate) fn run(&self, talk: Talk) -> Result<(), Failure> {
        let talk = talk.beside([&self.json]);
        check_all([&self.json])?;
        let meteor = match &self.meteor_data {
            Some(folder) => Meteor::with_data(folder)?,
            None => Meteor::exact_and_stem(),
        };
        let options = EvaluationOptions::new(&meteor);
        let config = self.preset.config();
        let mut floors = annotation_floors(&self.annotation, &config.text, None, &options)?;
        if let Some(images) = &self.images {
            let source = DataSource::Annotation {
                file: self.annotation.clone(),
                images: images.clone(),
            };
            let nearest = nearest_film_floor(&source, &config, &options, &|_, _, _| {})?;
            floors.add("nearest training film", nearest);
        }
        talk.result(floors.to_string().trim_end())?;
        match &self.json {
            Some(file) => file.write_json(&floors),
            None => Ok(()),
        }
    }
}
