//! Metrics of generated radiology reports.
//!
//! | question | answer |
//! |---|---|
//! | How much text do two reports share? | [`score_corpus`]: [`bleu`], [`rouge_l`], [`cider`], equal to pycocoevalcap 1.2's |
//! | … counting synonyms, paraphrases and word order? | [`Meteor`]: METEOR 1.5 without Java |
//! | What does a report claim? | [`label`]: the 14 CheXpert classes by the rules named [`LABELER`], or an older [`LabelerVersion`], with side, size, lobe |
//! | Are the claims true? | [`FindingCounts`]: per class, micro, macro and example-based, over any subset of classes |
//! | Does a classifier rank the positive studies first? | [`classification`]: AUROC, average precision, F1 at a threshold, with intervals |
//! | What would a constant score? | [`floors`]: composed reports, constant labels |
//! | Does the model write more than one report? | [`diversity()`] |
//! | Does an image find its own report? | [`retrieval()`], [`near_twin_accuracy`] |
//! | What would other tools say? RadGraph F1, RadCliQ, CheXbert F1 by policy, temporal F1 | [`clinical`] |
//! | All of it, from files | [`evaluation`] |
//! | Is B better than A? | [`sign_flip`] over seeds, [`compare_studies`] over studies, [`compare_seeds`] over both against a floor |
//!
//! The crate depends on neither tensors nor models: reports, labels and scores come in, numbers go out.
//!
//! # Quick start
//! ```
//! use ithn_metrics::{FindingClass, Status, label, score_corpus};
//!
//! let reference = "heart size is normal . small left pleural effusion . no pneumothorax .";
//! let generated = "the heart is normal in size . no pleural effusion or pneumothorax .";
//!
//! let scores = score_corpus([(generated, reference), ("lungs are clear .", "the lungs are clear .")])?;
//! println!("BLEU-4 {:.3}, CIDEr {:.3}", scores.corpus.bleu[3], scores.corpus.cider);
//!
//! assert_eq!(label(reference).status(FindingClass::PleuralEffusion), Some(Status::Positive));
//! assert_eq!(label(generated).status(FindingClass::PleuralEffusion), Some(Status::Negative));
//! # Ok::<(), ithn_metrics::MetricsError>(())
//! ```

mod bleu;
mod cider;
pub mod classification;
pub mod clinical;
mod corpus;
mod diversity;
mod error;
pub mod evaluation;
mod findings;
pub mod floors;
mod labeler;
mod meteor;
mod overlap;
mod retrieval;
mod rng;
mod rouge;
mod significance;

pub use bleu::{Bleu, BleuCounts, bleu, bleu_counts};
pub use cider::{Cider, cider};
pub use corpus::{Corpus, MAX_ORDER, Pair};
pub use diversity::{Diversity, diversity};
pub use error::MetricsError;
pub use findings::{
    Confusion, F1Intervals, FindingCounts, MAX_CLASSES, Prf, SeedComparison, Undefined,
    compare_seeds,
};
pub use labeler::{
    FindingClass, LABELER, LabelerVersion, Lobe, Mention, ReportLabels, Side, Size, Status,
    Uncertain, UnknownLabelerVersion, label,
};
pub use meteor::{Meteor, MeteorCounts, MeteorDataError, MeteorScores};
pub use overlap::{CorpusScores, OverlapScores, score_corpus};
pub use retrieval::{Query, Retrieval, near_twin_accuracy, retrieval, retrieval_from_matrix};
pub use rouge::{RougeL, rouge_l};
pub use significance::{
    Comparison, DEFAULT_DRAWS, Interval, MAX_EXACT_PAIRS, PairedTest, approximate_randomization,
    bootstrap_interval, compare_studies, sign_flip,
};

/// Compiles the example in `README.md`.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
