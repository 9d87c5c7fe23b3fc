//! `ithn floors`: what constants and the nearest film score on a data set. What the numbers mean:
//! `docs/what_scores_mean.md`.

use std::path::PathBuf;

use clap::Args;
use ithn::config::Preset;
use ithn::metrics::Meteor;
use ithn::metrics::evaluation::EvaluationOptions;
use ithn::train::{DataSource, annotation_floors, nearest_film_floor, seed_table};

use crate::failure::Failure;
use crate::output::{OutputFile, Talk, check_all};

/// Scores what needs no model on the test split of a data set: constants and the nearest training film.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ithn floors --annotation annotation.json
  ithn floors --annotation annotation.json --images images --json floors.json
  ithn floors --annotation annotation.json --runs runs/small-1/predictions.csv runs/small-2/predictions.csv")]
pub(crate) struct Arguments {
    /// R2Gen's annotation.json
    #[arg(long, value_name = "FILE")]
    annotation: PathBuf,
    /// Folder that its image paths start from, to score the reports of the nearest training films too
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// Test reports of several seeds of one configuration, their predictions.csv: the table is of their findings against
    /// floors, with intervals and p-values over studies and seeds
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with_all = ["images", "meteor_data"])]
    runs: Vec<PathBuf>,
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
        if !self.runs.is_empty() {
            let table = seed_table(&self.annotation, &self.runs)?;
            talk.result(table.to_string().trim_end())?;
            return match &self.json {
                Some(file) => file.write_json(&table),
                None => Ok(()),
            };
        }
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
