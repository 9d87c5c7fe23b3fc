use std::path::PathBuf;

use burn::tensor::Device;
use ithn_checkpoint::card::Clock;
use ithn_data::OnBadStudy;
use ithn_inference::device::DeviceName;

use crate::dataset::DataSource;
use crate::error::TrainError;
use crate::interrupt::Interrupt;
use crate::ranks::Ranks;

/// Inputs of a run in addition to its configuration.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ExperimentOptions {
    /// Source of the studies.
    pub source: DataSource,
    /// Folder of the run.
    pub out: PathBuf,
    /// Device, without autodiff.
    pub device: Device,
    /// Its name, for the run's description.
    pub device_name: Option<DeviceName>,
    /// First weights of the backbone: torchvision's file, or a checkpoint of this library.
    pub backbone_weights: Option<PathBuf>,
    /// Checkpoint of this library whose weights the run starts from, its words carried over by name.
    pub start_from: Option<PathBuf>,
    /// Keep only the first studies of every split.
    pub limit: Option<usize>,
    /// Continue the run in `out`.
    pub resume: bool,
    /// Stops the run after its current step when raised.
    pub interrupt: Interrupt,
    /// Folder of decoded images, completed if it lacks some and shared by runs.
    pub cache: Option<PathBuf>,
    /// What happens when a study's files are broken.
    pub on_bad_study: OnBadStudy,
    /// Where the dates on checkpoints come from.
    pub clock: Clock,
    /// The processes that train together, all with the same options but for their device. Rank 0 alone tells its
    /// observer and writes into `out`, which all must be able to read.
    pub ranks: Ranks,
    /// Whether several ranks with several accumulated batches take the steps of one process to the last bit, at the
    /// price of one exchange per batch; see [`Trainer::with_ranks`](crate::Trainer::with_ranks).
    pub exact: bool,
    /// Whether the folder is the run's own already, left by its pretraining.
    pub(super) is_pretrained: bool,
}

impl ExperimentOptions {
    /// A new run on all studies of `source`, left in `out`.
    pub fn new(source: DataSource, out: PathBuf, device: Device) -> Self {
        ExperimentOptions {
            source,
            out,
            device,
            device_name: None,
            backbone_weights: None,
            start_from: None,
            limit: None,
            resume: false,
            interrupt: Interrupt::default(),
            cache: None,
            on_bad_study: OnBadStudy::Stop,
            clock: Clock::System,
            ranks: Ranks::default(),
            exact: false,
            is_pretrained: false,
        }
    }

    /// With the folder that rank 0 chose.
    pub(super) fn agreed(&self) -> Result<Self, TrainError> {
        Ok(ExperimentOptions {
            out: self.ranks.of_first(Ok(self.out.clone()))?,
            ..self.clone()
        })
    }
}
