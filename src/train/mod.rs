//! Training, evaluation and what a run leaves behind.
//!
//! [`Trainer`] trains any generator that implements the two traits; [`run_experiment`] is the whole
//! job of the examples, from a data source to the final table.

mod amsgrad;
mod batch;
mod dataset;
mod error;
mod evaluation;
mod experiment;
mod findings;
mod floors;
mod observer;
mod optimizer;
mod run_folder;
mod trainer;

pub use batch::{image_tensor, token_tensor, training_batch};
pub use dataset::{DataSource, Dataset, EvaluationSplit, PreparedData};
pub use error::TrainError;
pub use evaluation::{Prediction, SplitScores, Writing, score_split, write_reports};
pub use experiment::{ExperimentOptions, ExperimentResults, Floors, run_experiment};
pub use findings::{FindingsReader, FindingsScores};
pub use floors::{most_frequent_report, nearest_image_report};
pub use observer::{Console, Observer, StepLosses};
pub use optimizer::OptimizerConfig;
pub use run_folder::RunFolder;
pub use trainer::{EpochRecord, MeanAlignment, MeanLosses, TrainableGenerator, Trainer};
