//! `ithn train`: trains, evaluates and writes reports.

use clap::Args;
use ithn::config::{ExperimentConfig, Preset};
use ithn::train::arguments::TrainArguments;
use ithn::train::{Console, ExperimentOptions, Observer, Ranks, run_experiment};

use crate::dashboard::Dashboard;
use crate::failure::Failure;
use crate::hub;
use crate::output::Talk;
use crate::tensorboard::{self, TensorBoard};

/// Trains a report generator with increasingly hard negatives, evaluates it and writes reports.
///
/// Without --data or --annotation it draws phantom studies, and no data is needed.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ithn train
  ithn train --preset iu-xray --annotation annotation.json --images images --backbone-weights resnet101.pth
  ithn train --epochs 40 --dashboard --tensorboard
  ithn train --resume --out runs/phantom-1")]
pub(crate) struct Arguments {
    #[command(flatten)]
    job: TrainArguments,

    /// The run on the whole terminal: curves, epochs, time left; q stops and saves
    #[arg(long, conflicts_with = "verbose")]
    dashboard: bool,

    /// Writes every number of the run to TensorBoard's event files too, in the run's folder tensorboard/
    #[arg(long)]
    tensorboard: bool,
}

impl Arguments {
    pub(crate) fn run(&self, talk: Talk) -> Result<(), Failure> {
        if self.job.lacks_preset() {
            return Err(Failure::Said(
                "an annotation does not say whose reports it holds: give --preset iu-xray, mimic-cxr or phantom"
                    .to_owned(),
            ));
        }
        let ranks = Ranks::start().map_err(|error| Failure::Said(error.to_string()))?;
        let together = |error| Failure::Ranks(Box::new(error), ranks.clone());
        ithn::device::prepare_process();
        let (config, mut options) = self.job.job(Preset::MimicCxr, &ranks).map_err(together)?;
        let observer = self.own_part(talk, &config, &mut options, &ranks);
        let mut observer = observer.map_err(|failure| {
            if !ranks.is_alone() {
                // The other ranks do not know of it and would wait.
                eprintln!("error: {failure}");
                ranks.abort(2);
            }
            failure
        })?;
        run_experiment(&config, &options, observer.as_mut()).map_err(together)?;
        Ok(())
    }

    /// What a rank does on its own before the run: weights fetched, the screen opened.
    fn own_part(
        &self,
        talk: Talk,
        config: &ExperimentConfig,
        options: &mut ExperimentOptions,
        ranks: &Ranks,
    ) -> Result<Box<dyn Observer>, Failure> {
        let weights = [&mut options.backbone_weights, &mut options.start_from];
        for path in weights.into_iter().flatten() {
            *path = hub::local_path(path)?;
        }
        if !ranks.is_first() {
            return Ok(Box::new(Console::new(talk.verbosity)));
        }
        let mut observer: Box<dyn Observer> = match self.dashboard {
            true => {
                let generator = config.model.generator.name();
                let title = format!("{generator} in {}", options.out.display());
                let interrupt = options.interrupt.clone();
                Box::new(Dashboard::open(&title, interrupt, talk.verbosity)?)
            }
            false => Box::new(Console::new(talk.verbosity)),
        };
        if self.tensorboard {
            tensorboard::check(&options.out)?;
            let folder = tensorboard::folder_of(&options.out);
            observer = Box::new(TensorBoard::new(observer, folder));
        }
        Ok(observer)
    }
}
