//! `ithn train`: trains, evaluates and writes reports.

use clap::Args;
use ithn::config::Preset;
use ithn::train::arguments::TrainArguments;
use ithn::train::{Console, Observer, run_experiment};

use crate::dashboard::Dashboard;
use crate::failure::Failure;
use crate::output::Talk;

/// Trains a report generator with increasingly hard negatives, evaluates it and writes reports.
///
/// Without --data or --annotation it draws phantom studies, and no data is needed.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ithn train
  ithn train --preset iu-xray --annotation annotation.json --images images --backbone-weights resnet101.pth
  ithn train --resume --out runs/phantom-1")]
pub(crate) struct Arguments {
    #[command(flatten)]
    job: TrainArguments,

    /// The run on the whole terminal: curves, epochs, time left; q stops and saves
    #[arg(long, conflicts_with = "verbose")]
    dashboard: bool,
}

impl Arguments {
    pub(crate) fn run(&self, talk: Talk) -> Result<(), Failure> {
        ithn::device::prepare_process();
        let (config, options) = self.job.job(Preset::MimicCxr)?;
        let mut observer: Box<dyn Observer> = match self.dashboard {
            true => {
                let generator = config.model.generator.name();
                let title = format!("{generator} in {}", options.out.display());
                let interrupt = options.interrupt.clone();
                Box::new(Dashboard::open(&title, interrupt, talk.verbosity)?)
            }
            false => Box::new(Console::new(talk.verbosity)),
        };
        run_experiment(&config, &options, observer.as_mut())?;
        Ok(())
    }
}
