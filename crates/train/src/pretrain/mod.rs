//! Pretraining of a backbone without ImageNet: it learns to tell the findings that reports state.
//!
//! [`pretrain`] trains a [`FindingsClassifier`] with a weighted binary cross-entropy, keeps the epoch
//! with the best AUROC on the validation split, and scores the test split once. Its weights are backbone weights
//! of a later run. Labels come from the reports by `rules-14`, or from a table, so that scores say how well
//! the classifier agrees with *that* source: [`PretrainOptions::test_labels`] names another for the test, and
//! [`PretrainOptions::tags`] tags that people gave.
//!
//! | file of the folder | content |
//! |---|---|
//! | `config.json` | the configuration, saved before training |
//! | `epochs.jsonl` | loss and validation AUROC by epoch |
//! | `best.safetensors` | weights of the best epoch under torchvision's names, configuration and thresholds |
//! | `last.json`, `epoch-….*` | state after the last epoch, from which a run resumes |
//! | `metrics.json` | [`PretrainResults`] |
//! | `probabilities.csv` | split, id and a probability per class |

mod averaging;
mod classifier;
mod labels;
mod observer;
mod probabilities;
mod resume;
mod run;
mod scores;
mod tags;
mod trainer;
mod weights;

pub use classifier::FindingsClassifier;
pub use ithn_checkpoint::config::{
    ClassWeights, PretrainConfig, PretrainPreset, ThresholdChoice, UncertainPolicy,
};
pub use labels::{LabelSource, LabelledSplit};
pub use observer::{PretrainConsole, PretrainEpoch, PretrainObserver};
pub use probabilities::{Classifying, probabilities};
pub use run::{PretrainOptions, PretrainResults, pretrain, score_classifier};
pub use scores::{ClassificationScores, NEVER, ScoredClass};
pub use weights::ClassifierHeader;
