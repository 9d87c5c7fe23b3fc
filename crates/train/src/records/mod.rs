//! The files of a run: its folder, a record per epoch and per step.

mod epoch_record;
mod folder;
mod scores;
mod step;
mod step_log;

pub use epoch_record::{EpochRecord, GradientNorms, MeanAlignment, MeanLosses};
pub use folder::RunFolder;
pub use step::StepRecord;

pub(crate) use folder::output_error;
pub(crate) use scores::card_score;
pub(crate) use step_log::StepLog;
