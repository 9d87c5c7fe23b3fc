//! Options of `ithn generate` for what a study carries beside its films.

use std::fs;
use std::path::PathBuf;

use clap::Args;
use ithn::data::{DataError, Projection};
use ithn::inference::{FilmContext, PriorFilmStudy};

use crate::failure::Failure;

/// What a single study carries beside its films.
#[derive(Debug, Args)]
pub(super) struct Beside {
    /// Projection of each film of the study, in their order: PA, AP, FRONTAL, LATERAL, or ? for an unknown one
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = projection)]
    projections: Vec<Projection>,

    /// Why the films were taken
    #[arg(long, value_name = "TEXT")]
    indication: Option<String>,

    /// A film of the patient's previous study; may be repeated
    #[arg(long, value_name = "IMAGE", requires = "prior_days")]
    prior_image: Vec<PathBuf>,

    /// Projection of each film of the previous study, in their order
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = projection, requires = "prior_image")]
    prior_projections: Vec<Projection>,

    /// A text file with the previous study's report
    #[arg(long, value_name = "FILE", requires = "prior_days")]
    prior_report: Option<PathBuf>,

    /// Days from the previous study to this one
    #[arg(long, value_name = "DAYS")]
    prior_days: Option<u32>,
}

impl Beside {
    /// The context of the one study; `films` are its films, `studies` the number of studies.
    pub(super) fn context(&self, films: usize, studies: usize) -> Result<FilmContext, Failure> {
        let context = FilmContext {
            projections: self.projections.clone(),
            indication: self.indication.clone(),
            prior: self.prior()?,
        };
        if context == FilmContext::default() {
            return Ok(context);
        }
        let said = |reason: String| Err(Failure::Said(reason));
        if studies > 1 {
            return said(format!(
                "indication, projections and previous study are of one study, and {studies} were given: give its films \
                 alone, joined by commas"
            ));
        }
        let priors = self.prior_image.len();
        for (name, projections, films) in [
            ("--projections", &self.projections, films),
            ("--prior-projections", &self.prior_projections, priors),
        ] {
            if !projections.is_empty() && projections.len() != films {
                return said(format!(
                    "{name} names {} projections of {films} films: give one for each, or none",
                    projections.len()
                ));
            }
        }
        Ok(context)
    }

    fn prior(&self) -> Result<Option<PriorFilmStudy>, Failure> {
        let Some(interval_days) = self.prior_days else {
            return Ok(None);
        };
        if self.prior_image.is_empty() && self.prior_report.is_none() {
            return Err(Failure::Said(
                "--prior-days needs a previous study: --prior-image or --prior-report".to_owned(),
            ));
        }
        let report = self.prior_report.as_ref().map(|path| {
            fs::read_to_string(path).map_err(|source| DataError::Io {
                action: "cannot read report",
                path: path.clone(),
                source,
            })
        });
        Ok(Some(PriorFilmStudy {
            films: self.prior_image.iter().map(Into::into).collect(),
            projections: self.prior_projections.clone(),
            report: report.transpose()?,
            interval_days,
        }))
    }
}

fn projection(name: &str) -> Result<Projection, String> {
    match (name, Projection::parse(name)) {
        ("?", _) => Ok(Projection::Unknown),
        (_, Projection::Unknown) => Err(format!(
            "unknown projection '{name}': use PA, AP, FRONTAL, LATERAL or ?"
        )),
        (_, known) => Ok(known),
    }
}
