//! Training, evaluation and the files of a run.
//!
//! [`Trainer`] trains any generator that implements the two traits of [`ithn_generator`];
//! [`run_experiment`] is a whole run, from a data source to the final table, and
//! [`run_experiment_with`] the same for a generator of one's own.
//!
//! | module | what it holds |
//! |---|---|
//! | `dataset` | studies of a source, tokenised, with first negatives; image loaders |
//! | `optimizer` | Adam with AMSGrad, parameter groups, gradient clipping |
//! | `trainer` | the loop: steps, epochs, checkpoints, incidents |
//! | `evaluation` | reports of a split and their scores, baselines, retrieval |
//! | `ranks` | processes that train together |
//! | `records` | files of a run's folder |
//! | `watch` | observers: console, progress |
//! | `backbone_weights` | weights of a backbone, from a file |
//! | `start` | what else a run starts from: an earlier run, a classifier of findings |
//! | [`page`] | runs, evaluations and the server as HTML |
//! | [`pretrain`] | a backbone that learns to see: classification of the findings that reports state |
//! | `experiment` | all of it, in order |
//! | [`ablation`] | arms and seeds of experiments, compared |
//! | [`context`] | what previous studies, indications and further views buy, compared |
//! | `arguments` | a job's command line (feature `clap`) |
//!
//! The features `flex` (default, the CPU), `cuda`, `wgpu` and `ndarray` choose Burn's backends; without any, tensor
//! operations panic.

pub mod ablation;
#[cfg(feature = "clap")]
pub mod arguments;
mod backbone_weights;
pub mod context;
mod dataset;
mod error;
mod evaluation;
mod experiment;
mod interrupt;
mod optimizer;
pub mod page;
pub mod pretrain;
mod ranks;
mod records;
mod start;
mod trainer;
mod watch;

pub use dataset::{
    DataSource, Dataset, EvaluationSplit, PreparedData, RunImages, StudyInputs, UidParity, Watch,
    draw_annotation, near_twins, stated_findings, training_batch,
};
pub use error::{RanksError, TrainError};
pub use evaluation::{
    ChangeFloor, ComparisonScores, NearTwinScores, Prediction, RankingConfig, RankingScores,
    RetrievalScores, SeedClass, SeedRow, SeedTable, SimilaritySample, SplitScores, Writing,
    annotation_floors, composed_reports, constant_labels, most_frequent_report, nearest_film_floor,
    nearest_image_report, rank_split, sample_similarities, score_split, seed_table, write_reports,
};
pub use experiment::{
    ComposedFloor, ExperimentOptions, ExperimentResults, Floors, RunData, RunDescription,
    config_to_resume, page_of_run, run_experiment, run_experiment_with, write_run_page,
};
pub use interrupt::{INTERRUPTED_STATUS, Interrupt};
pub use optimizer::{clip_gradients, gradient_norm, init_optimizer, learning_rate_policy};
pub use ranks::{Communicator, OneProcess, Ranks, slice_of};
pub use records::{EpochRecord, GradientNorms, MeanAlignment, MeanLosses, RunFolder, StepRecord};
pub use trainer::Trainer;
pub use watch::{Console, EpochPlan, Observer, Pace, Verbosity};

/// The examples of the README are tested.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// Lets tests that draw weights take turns: the CPU backend has one random generator a process, and a training
/// that another test disturbs gives other numbers.
#[cfg(test)]
pub(crate) fn take_turns() -> std::sync::MutexGuard<'static, ()> {
    static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());
    // A test that failed leaves nothing behind that matters to the next.
    TURN.lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
