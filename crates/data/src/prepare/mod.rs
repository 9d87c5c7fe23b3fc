//! Converts the files of PhysioNet, Open-i or Kaggle to one `annotation.json`.
//!
//! | file | content |
//! |---|---|
//! | `annotation.json` | R2Gen's three lists; projections, indication, comparison, previous study and CheXpert's labels beside them where the dataset has them |
//! | `sections.csv` | the sections of every kept report |
//! | `rexrank.json` | the test split as ReXrank's input, with projections, indication, comparison and previous study |
//! | `exclusions.csv` | every excluded study, with its reason |
//! | `summary.json` | counts, source files and options |
//!
//! MIMIC-CXR is read in chunks of 1,024 studies, which are logged to `preparing.jsonl`; an interrupted
//! preparation resumes from it.

mod iu_xray;
mod journal;
mod mimic;
mod output;

pub use iu_xray::{IuXrayOptions, IuXraySource, prepare_iu_xray};
pub use mimic::prepare_mimic;
pub use output::{ContextCounts, PrepareSummary};
