//! `ithn report`: writes the page of a run, report.html, from its folder and its data.

use std::path::PathBuf;

use clap::Args;
use ithn::device::DeviceName;
use ithn::train::page_of_run;
use ithn::train::{DataSource, TrainError};

use crate::failure::Failure;
use crate::output::Talk;

/// Writes a page to look at a run, finished or still training.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ithn report runs/phantom-1
  ithn report runs/iu-xray-1 --annotation annotation.json --images images")]
pub(crate) struct Arguments {
    /// Folder of the run
    #[arg(value_name = "RUN")]
    run: PathBuf,

    /// MIMIC-CXR-JPG folder that the run was trained on
    #[arg(long, value_name = "DIR", conflicts_with = "annotation")]
    data: Option<PathBuf>,

    /// R2Gen's annotation.json that the run was trained on
    #[arg(long, value_name = "FILE", requires = "images")]
    annotation: Option<PathBuf>,

    /// Folder that the annotation's image paths start from
    #[arg(long, value_name = "DIR", requires = "annotation")]
    images: Option<PathBuf>,

    /// cpu, cuda:N, wgpu or ndarray
    #[arg(long, default_value = "cpu")]
    device: DeviceName,
}

impl Arguments {
    pub(crate) fn run(&self, talk: Talk) -> Result<(), Failure> {
        ithn::device::prepare_process();
        let page = report(self)?;
        talk.result(page.display())
    }
}

fn report(arguments: &Arguments) -> Result<PathBuf, TrainError> {
    let source = match (&arguments.data, &arguments.annotation, &arguments.images) {
        (Some(data), _, _) => DataSource::mimic(data.clone()),
        (None, Some(file), Some(images)) => DataSource::Annotation {
            file: file.clone(),
            images: images.clone(),
        },
        _ => DataSource::Phantom(PathBuf::from("runs/phantom-studies")),
    };
    page_of_run(&arguments.run, &source, &arguments.device.open()?)
}
