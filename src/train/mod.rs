//! Training, evaluation and what a run leaves behind.
//!
//! [`Trainer`] trains any generator that implements the two traits; [`run_experiment`] is the whole
//! job of the examples, from a data source to the final table, and [`run_experiment_with`] the same
//! for a generator of one's own.

mod amsgrad;
mod balance;
mod batch;
mod console;
mod dataset;
mod epoch_record;
mod error;
mod evaluation;
mod experiment;
mod findings;
mod floors;
mod guards;
mod images;
mod interrupt;
mod near_twins;
mod observer;
mod optimizer;
mod pace;
mod pretrained;
mod ranking;
mod records;
mod run_folder;
mod schedule;
mod step;
mod step_log;
mod trainer;
mod transfer;

pub use batch::{image_tensor, mask_tensor, token_tensor, training_batch};
pub use console::{Console, Verbosity};
pub use dataset::{DataSource, Dataset, EvaluationSplit, PreparedData};
pub use epoch_record::{EpochRecord, GradientNorms, MeanAlignment, MeanLosses};
pub use error::TrainError;
pub use evaluation::{Prediction, SplitScores, Writing, score_split, write_reports};
pub use experiment::{
    ExperimentOptions, ExperimentResults, Floors, run_experiment, run_experiment_with,
};
pub use findings::{FindingsReader, FindingsScores};
pub use floors::{most_frequent_report, nearest_image_report};
pub use guards::{Guards, NonFinite, clip_gradients, gradient_norm};
pub use images::RunImages;
pub use interrupt::{INTERRUPTED_STATUS, Interrupt};
pub use near_twins::near_twins;
pub use observer::{EpochPlan, Observer, StepRecord};
pub use optimizer::OptimizerConfig;
pub use pace::Pace;
pub use ranking::{NearTwinScores, RankingConfig, RankingScores, RetrievalScores, rank_split};
pub use records::Records;
pub use run_folder::RunFolder;
pub use schedule::LearningRateSchedule;
pub use trainer::{TrainableGenerator, Trainer};
