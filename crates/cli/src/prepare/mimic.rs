//! `ithn prepare mimic`: MIMIC-CXR-JPG with MIMIC-CXR's reports.

use std::path::PathBuf;

use clap::Args;
use ithn::data::prepare::{PrepareSummary, prepare_mimic};
use ithn::data::{DataError, ImageCheck, MimicOptions, OnBadStudy, ReportSection};

use crate::failure::Failure;
use crate::output::Talk;

/// Prepares MIMIC-CXR-JPG: annotation.json, sections.csv, rexrank.json, exclusions.csv and summary.json.
///
/// An interrupted preparation continues when it is started again. With the feature `dicom`, --data may be
/// MIMIC-CXR's folder of DICOM films with MIMIC-CXR-JPG's tables beside them.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ithn prepare mimic --data /data/mimic-cxr-jpg --reports /data/mimic-cxr-reports.zip --out prepared
  ithn prepare mimic --data /data/mimic-cxr-jpg --views 2 --section impression --out prepared
  ithn train --preset mimic-cxr --annotation prepared/annotation.json --images /data/mimic-cxr-jpg/files")]
pub(crate) struct Arguments {
    /// MIMIC-CXR-JPG folder (split, metadata and chexpert tables, files/p10/…)
    #[arg(long, value_name = "DIR")]
    data: PathBuf,

    /// MIMIC-CXR's reports, if they are not in --data: a folder, or mimic-cxr-reports.zip
    #[arg(long, value_name = "PATH")]
    reports: Option<PathBuf>,

    /// Folder to write to
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// Text to learn: findings, impression, findings-and-impression or whole
    #[arg(long, default_value_t = ReportSection::Findings)]
    section: ReportSection,

    /// Views in order of preference; any other comes last
    #[arg(long, value_delimiter = ',', default_value = "PA,AP,LATERAL,LL")]
    view_preference: Vec<String>,

    /// Images taken of a study, at most
    #[arg(long, value_name = "N", default_value_t = 1)]
    views: usize,

    /// Images taken of a patient's previous study, at most; 0 takes its report alone
    #[arg(long, value_name = "N", default_value_t = 1)]
    prior_views: usize,

    /// Leave previous studies out; the metadata then need no dates
    #[arg(long, conflicts_with = "prior_views")]
    no_priors: bool,

    /// A study whose files are broken: stop, or skip it and say so
    #[arg(long, default_value = "stop")]
    on_bad_study: OnBadStudy,

    /// Decode every image, instead of looking at its first bytes
    #[arg(long)]
    decode_images: bool,
}

impl Arguments {
    pub(crate) fn run(&self, talk: Talk) -> Result<(), Failure> {
        match prepare(self, talk) {
            Ok(summary) => talk.result(summary.to_string().trim_end()),
            Err(error) => Err(Failure::with_options(&error, option_for(&error))),
        }
    }
}

/// The options that mend an error, which the library's messages cannot name.
fn option_for(error: &DataError) -> &'static str {
    match error {
        DataError::NoReports { .. } => " (--reports)",
        DataError::MissingImages { .. } => " (--data, --on-bad-study skip)",
        DataError::PreparedOtherwise { .. } => " (--out)",
        _ => "",
    }
}

fn prepare(arguments: &Arguments, talk: Talk) -> Result<PrepareSummary, DataError> {
    let mut options = MimicOptions::default();
    options.section = arguments.section;
    options.view_preference = arguments.view_preference.clone();
    options.views = arguments.views;
    options.reports = arguments.reports.clone();
    options.prior_views = (!arguments.no_priors).then_some(arguments.prior_views);
    options.on_bad_study = arguments.on_bad_study;
    options.image_check = match arguments.decode_images {
        true => ImageCheck::Decode,
        false => ImageCheck::Header,
    };
    prepare_mimic(&arguments.data, &arguments.out, &options, |done, total| {
        talk.note(format_args!("{done} of {total} studies"));
    })
}
