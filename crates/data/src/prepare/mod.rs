//! From the files that PhysioNet and Open-i ship to one `annotation.json`, once and for all.
//!
//! | file | content |
//! |---|---|
//! | `annotation.json` | R2Gen's three lists; `labels` beside them where the dataset has CheXpert's |
//! | `sections.csv` | the sections of every report that is kept |
//! | `exclusions.csv` | every study that is left out, with its reason |
//! | `summary.json` | counts, and what the files were made from |
//!
//! Studies pass through memory a thousand at a time, by way of `preparing.jsonl`, from which an
//! interrupted preparation continues.

mod iu_xray;
mod journal;
mod mimic;
mod output;

pub use iu_xray::{IuXrayOptions, IuXraySource, prepare_iu_xray};
pub use mimic::prepare_mimic;
pub use output::PrepareSummary;
