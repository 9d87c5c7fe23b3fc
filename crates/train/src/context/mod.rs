//! What do previous studies, indications and further views buy? An experiment that anyone can run again.
//!
//! [`run_context_experiment`] trains a generator with every choice of what it [reads](Reads) and with every seed on the
//! same phantom patients, whose histories are known exactly, and compares each choice with one film alone, seed by seed.
//! Two baselines stand beside: the most frequent change, and the indication alone. A cell (one choice and seed) depends on
//! its configuration alone, and on the [backbone](BackboneStart) that all cells may start from, and is kept in a file named by
//! a hash of them.

mod cell;
mod plan;
mod report;

pub use cell::{BackboneStart, ContextCell, ContextResult};
pub use plan::{ContextExperiment, Reads, run_context_experiment};
pub use report::{ContextMetric, ContextMetricSummary, ContextReport, ContextSummary};
