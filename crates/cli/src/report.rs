//! `ithn report`: writes the page of a run, report.html, from its folder and its data, which the run knows.

use std::path::PathBuf;

use clap::Args;
use ithn::device::DeviceName;
use ithn::train::TrainError;
use ithn::train::arguments::DataArguments;
use ithn::train::page_of_run;

use crate::failure::Failure;
use crate::output::Talk;

/// Writes a page to look at a run, finished or still training.
///
/// The run says where its data is; name the data only if it was moved, or for a run of an earlier version.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ithn report runs/phantom-1
  ithn report runs/iu-xray-1 --annotation moved/annotation.json --images moved/images")]
pub(crate) struct Arguments {
    /// Folder of the run
    #[arg(value_name = "RUN")]
    run: PathBuf,

    #[command(flatten)]
    data: DataArguments,

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
    let described = arguments.data.of_run(&arguments.run)?;
    page_of_run(&arguments.run, &described, &arguments.device.open()?)
}
