use std::path::Path;

use ithn_checkpoint::CheckpointHeader;
use ithn_checkpoint::config::{ConfigError, ExperimentConfig};

use crate::error::TrainError;
use crate::ranks::Ranks;
use crate::records::RunFolder;

/// The configuration to resume a run of `out` with, at `ranks` processes: its own, with `accumulate` batches a rank or,
/// without it, as many as keep the batches of a step.
///
/// # Errors
///
/// [`TrainError::NothingToResume`] if there is no checkpoint; [`TrainError::Config`] if the batches of a step
/// cannot be divided among so many ranks.
pub fn config_to_resume(
    out: &Path,
    ranks: &Ranks,
    accumulate: Option<usize>,
) -> Result<ExperimentConfig, TrainError> {
    let checkpoint = RunFolder::view(out).last_checkpoint();
    if !checkpoint.is_file() {
        return Err(TrainError::NothingToResume(out.to_owned(), "last.ithn"));
    }
    let header = CheckpointHeader::load(&checkpoint)?;
    let mut config = header.config;
    if let Some(accumulate) = accumulate {
        config.training.accumulate = accumulate;
    } else if let Some(batches) = header.progress.batches_per_step {
        config.training.accumulate = match batches % ranks.size() {
            0 => batches / ranks.size(),
            _ => {
                let problem = format!(
                    "the run averages {batches} batches a step, which {} processes cannot divide: start a number \
                     of processes that divides {batches}, or set how many each accumulates",
                    ranks.size()
                );
                return Err(ConfigError::new("training.accumulate", problem).into());
            }
        };
    }
    Ok(config)
}
