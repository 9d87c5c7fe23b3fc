//! Training, evaluation and what a run leaves behind.
//!
//! [`Trainer`] trains any generator that implements the two traits; [`run_experiment`] is the whole
//! job of the examples, from a data source to the final table, and [`run_experiment_with`] the same
//! for a generator of one's own.

mod batch;
mod dataset;
mod error;
mod evaluation;
mod experiment;
mod findings;
mod floors;
mod near_twins;
mod observer;
mod optimizer;
mod ranking;
mod run_folder;
mod trainer;

pub use batch::{image_tensor, mask_tensor, token_tensor, training_batch};
pub use dataset::{DataSource, Dataset, EvaluationSplit, PreparedData};
pub use error::TrainError;
pub use evaluation::{Prediction, SplitScores, Writing, score_split, write_reports};
pub use experiment::{
    ExperimentOptions, ExperimentResults, Floors, run_experiment, run_experiment_with,
};
pub use findings::{FindingsReader, FindingsScores};
pub use floors::{most_frequent_report, nearest_image_report};
pub use near_twins::near_twins;
pub use observer::{Console, Observer, StepLosses};
pub use optimizer::OptimizerConfig;
pub use ranking::{NearTwinScores, RankingConfig, RankingScores, RetrievalScores, rank_split};
pub use run_folder::RunFolder;
pub use trainer::{EpochRecord, MeanAlignment, MeanLosses, TrainableGenerator, Trainer};
