//! `ithn prepare iu-xray`: Open-i's XML files, or Kaggle's two tables.

use std::path::PathBuf;

use clap::Args;
use ithn::data::prepare::{IuXrayOptions, IuXraySource, PrepareSummary, prepare_iu_xray};
use ithn::data::{DataError, ImageCheck, OnBadStudy, ReportSection};

use crate::failure::Failure;
use crate::output::Talk;

/// Prepares IU X-Ray: annotation.json, sections.csv, rexrank.json, exclusions.csv and summary.json.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ithn prepare iu-xray --xml ecgen-radiology --images NLMCXR_png --out prepared
  ithn prepare iu-xray --reports indiana_reports.csv --projections indiana_projections.csv \\
      --images images_normalized --out prepared")]
pub(crate) struct Arguments {
    /// Open-i's folder of XML files
    #[arg(
        long,
        value_name = "DIR",
        required_unless_present = "reports",
        conflicts_with = "reports"
    )]
    xml: Option<PathBuf>,

    /// Kaggle's indiana_reports.csv
    #[arg(long, value_name = "FILE", requires = "projections")]
    reports: Option<PathBuf>,

    /// Kaggle's indiana_projections.csv
    #[arg(long, value_name = "FILE", requires = "reports")]
    projections: Option<PathBuf>,

    /// Folder of the images
    #[arg(long, value_name = "DIR")]
    images: PathBuf,

    /// Folder to write to
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// Text to learn: findings, impression, findings-and-impression or whole
    #[arg(long, default_value_t = ReportSection::Findings)]
    section: ReportSection,

    /// An annotation.json whose ids and split are taken over, such as R2Gen's
    /// [default: 70 % train, 10 % val, 20 % test by a hash of the uid]
    #[arg(long, value_name = "FILE")]
    split_from: Option<PathBuf>,

    /// Images taken of a study, at most
    #[arg(long, value_name = "N", default_value_t = 2)]
    views: usize,

    /// Images that a study must have
    #[arg(long, value_name = "N", default_value_t = 1)]
    minimum_images: usize,

    /// A study whose files are broken: stop, or skip it and say so
    #[arg(long, default_value = "stop")]
    on_bad_study: OnBadStudy,

    /// Decode every image, instead of looking at its first bytes
    #[arg(long)]
    decode_images: bool,
}

impl Arguments {
    pub(crate) fn run(&self, talk: Talk) -> Result<(), Failure> {
        let source = match (&self.xml, &self.reports, &self.projections) {
            (None, Some(reports), Some(projections)) => IuXraySource::Tables {
                reports: reports.clone(),
                projections: projections.clone(),
            },
            (xml, _, _) => IuXraySource::Xml(xml.clone().unwrap_or_default()),
        };
        match prepare(self, &source) {
            Ok(summary) => talk.result(summary.to_string().trim_end()),
            Err(error) => Err(Failure::with_options(&error, option_for(&error))),
        }
    }
}

/// The options that mend an error, which the library's messages cannot name.
fn option_for(error: &DataError) -> &'static str {
    match error {
        DataError::MissingImages { .. } => " (--images, --on-bad-study skip)",
        DataError::PreparedOtherwise { .. } => " (--out)",
        _ => "",
    }
}

fn prepare(arguments: &Arguments, source: &IuXraySource) -> Result<PrepareSummary, DataError> {
    let mut options = IuXrayOptions::default();
    options.section = arguments.section;
    options.views = arguments.views;
    options.minimum_images = arguments.minimum_images;
    options.split_from = arguments.split_from.clone();
    options.on_bad_study = arguments.on_bad_study;
    options.image_check = match arguments.decode_images {
        true => ImageCheck::Decode,
        false => ImageCheck::Header,
    };
    prepare_iu_xray(source, &arguments.images, &arguments.out, &options)
}
