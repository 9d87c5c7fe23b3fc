use std::path::PathBuf;

use ithn_data::DataError;
use ithn_inference::InferenceError;
use ithn_metrics::MetricsError;
use ithn_metrics::evaluation::EvaluationError;
use ithn_mining::MiningError;
use ithn_search::SearchError;
use thiserror::Error;

use ithn_checkpoint::CheckpointError;
use ithn_checkpoint::config::ConfigError;
use ithn_checkpoint::import::ImportError;
use ithn_inference::device::DeviceError;

/// Why a run ended before its end.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TrainError {
    /// Data that cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A device that does not exist.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// A configuration that cannot be run.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Weights that do not fit.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// A checkpoint that cannot be saved or loaded.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Negatives that cannot be mined.
    #[error(transparent)]
    Mining(#[from] MiningError),
    /// Reports that cannot be written.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// A trained checkpoint that cannot write.
    #[error(transparent)]
    Inference(#[from] InferenceError),
    /// Reports that cannot be scored.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// A table of human tags that cannot be read.
    #[error(transparent)]
    Tags(#[from] EvaluationError),
    /// A table of findings that does not label the studies.
    #[error("{path}: {reason}; check that it is the table of this dataset")]
    NoLabels {
        /// The table.
        path: PathBuf,
        /// What is missing.
        reason: String,
    },
    /// A split without a study that has, and one that lacks, any of the findings.
    #[error(
        "no class has {least} studies with and {least} without it in the {split} split: take more \
         studies, other classes, or ask for fewer"
    )]
    NoPositives {
        /// Which split.
        split: &'static str,
        /// Studies that a class needs.
        least: usize,
    },
    /// Pretraining stopped on request.
    #[error(
        "stopped in epoch {epoch}; the run in {folder} can be resumed after its last whole epoch, if it has one"
    )]
    PretrainingStopped {
        /// Epoch, counted from 1.
        epoch: usize,
        /// The run.
        folder: PathBuf,
    },
    /// A classification loss that is not finite.
    #[error(
        "the classification loss became {value} in epoch {epoch}; the best weights before it, if any, \
         are in {folder}: lower the learning rate or clip gradients"
    )]
    Diverged {
        /// What it became.
        value: f32,
        /// Epoch, counted from 1.
        epoch: usize,
        /// The run.
        folder: PathBuf,
    },
    /// More studies a step than there are.
    #[error(
        "a batch of {batch_size} is larger than the training split of {studies} studies: use \
         smaller batches"
    )]
    BatchTooLarge {
        /// Studies per step.
        batch_size: usize,
        /// Training studies.
        studies: usize,
    },
    /// A loss or gradient that is not finite.
    #[error(
        "the {term} became {value} at step {step} (epoch {epoch}), in the batch of {studies}; the \
         weights before it are in {checkpoint}, the batch in non-finite.json: lower the learning \
         rate, clip gradients, look at these studies, or let the run skip such batches"
    )]
    NonFinite {
        /// Which loss, or the gradient's norm.
        term: String,
        /// What it became.
        value: f32,
        /// Optimiser step, counted from 1.
        step: usize,
        /// Epoch, counted from 1.
        epoch: usize,
        /// Ids of the batch.
        studies: String,
        /// Where the last good weights are.
        checkpoint: PathBuf,
    },
    /// A device without room for the step.
    #[error(
        "the device ran out of memory ({0}): use smaller batches (and accumulate more of them, to \
         keep the studies per step), smaller images or shorter reports"
    )]
    OutOfMemory(String),
    /// A device that failed otherwise.
    #[error(
        "the device failed: {0}; look at the driver's log, then resume the run from its \
         last checkpoint"
    )]
    DeviceFailed(String),
    /// Stopped on request, with everything saved.
    #[error("stopped in epoch {epoch} after step {step}; the run in {} can be resumed", .folder.display())]
    Interrupted {
        /// Epoch, counted from 1.
        epoch: usize,
        /// Optimiser steps taken.
        step: usize,
        /// The run.
        folder: PathBuf,
    },
    /// Processes that cannot train together.
    #[error(transparent)]
    Ranks(#[from] RanksError),
    /// Another rank of the run failed.
    #[error("rank {rank} on {host}: {message}")]
    OtherRank {
        /// The rank.
        rank: usize,
        /// Its machine.
        host: String,
        /// Its error.
        message: String,
        /// Whether the error is one of the data.
        of_data: bool,
    },
    /// A rank that would train something else.
    #[error(
        "rank {rank} on {host} differs from rank 0 in its {what}: start every rank with the same program, options \
         and data"
    )]
    RanksDiffer {
        /// The rank.
        rank: usize,
        /// Its machine.
        host: String,
        /// In what it differs.
        what: &'static str,
    },
    /// A message to ranks that have ended with an error already.
    #[error("the ranks of the run have parted after an error")]
    RanksParted,
    /// A message between ranks that is not what was expected.
    #[error("ranks do not understand each other: {0}")]
    Message(String),
    /// Signals that cannot be listened to.
    #[error("cannot listen to Ctrl-C: {0}")]
    Signals(std::io::Error),
    /// Resuming with other data.
    #[error(
        "{0} was trained on other studies, another order of them or other negatives: resume it with \
         the same data, the same limit on studies and the same options"
    )]
    OtherData(PathBuf),
    /// The output folder holds another run.
    #[error("{0} already holds a run: choose another folder, or resume it")]
    OutputInUse(PathBuf),
    /// Another process trains in the output folder.
    #[error("another process is training in {0}: stop it first, or choose another folder")]
    OutputBusy(PathBuf),
    /// Nothing to resume.
    #[error("{0} holds no run to resume: it has no {1}; start it anew in an empty folder")]
    NothingToResume(PathBuf, &'static str),
    /// A run that does not say where its data is.
    #[error(
        "{0} does not say where its data is (earlier versions wrote no run.json): name the data, and the limit on \
         studies if it had one"
    )]
    UnknownData(PathBuf),
    /// Data that is not where the run found it.
    #[error("the data of {run} is no longer at {}: say where it is now", .data.display())]
    DataGone {
        /// The run.
        run: PathBuf,
        /// Where it was.
        data: PathBuf,
    },
    /// A `run.json` that cannot be read, or a run that it cannot describe.
    #[error("{path}: {reason}")]
    Description {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A folder or file that cannot be the run's.
    #[error("cannot write to {path}: {reason}; choose another folder")]
    Unwritable {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        reason: &'static str,
    },
    /// A file of the run that cannot be written or read.
    #[error("{path}: {source}")]
    Output {
        /// The file.
        path: PathBuf,
        /// The I/O error.
        source: std::io::Error,
    },
}

impl TrainError {
    pub(crate) fn message(error: impl std::fmt::Display) -> Self {
        TrainError::Message(error.to_string())
    }

    /// Whether it is an error of the data, on whichever rank.
    pub(crate) fn is_of_data(&self) -> bool {
        matches!(
            self,
            TrainError::Data(_) | TrainError::OtherRank { of_data: true, .. }
        )
    }
}

/// Why processes cannot train together.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RanksError {
    /// The program has no engine.
    #[error(
        "this process is one of {0} that a launcher started, but the program was built without MPI: build it with \
         the cargo feature `mpi`, or start one process"
    )]
    NotBuilt(usize),
    /// The engine does not speak to the launcher.
    #[error(
        "the launcher started {0} processes, but MPI sees a single one: start them with the `mpirun` of the MPI \
         library that the program was built with, or give `srun` the plug-in of that library (`srun --mpi=pmix`)"
    )]
    NotConnected(usize),
    /// Another part of the program has started the engine.
    #[error("MPI cannot be started: it is in use already, or without support for threads")]
    NotStarted,
}
