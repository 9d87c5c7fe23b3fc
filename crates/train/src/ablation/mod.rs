//! What do increasingly hard negatives buy? An experiment that anyone can run again.
//!
//! [`run_ablation`] trains every generator under every [`Arm`] with every seed on the same phantom
//! studies, whose truth and near-twins are known, or on [`RealStudies`] with a frozen backbone, and compares each arm with
//! training without negatives, seed by seed. A cell (one generator, arm and seed) depends on its configuration alone
//! and is kept in a file named by a hash of it: an interrupted run continues where it stopped, and
//! a wider one adds to a narrower.

mod arm;
mod cell;
mod numbers;
mod plan;
mod plot;
mod real;
mod summary;
mod table;
mod training;

pub use arm::Arm;
pub use cell::{Cell, CellResult, HardnessRecord};
pub use numbers::CellNumbers;
pub use plan::{AblationConfig, AblationProgress, run_ablation};
pub use real::RealStudies;
pub use summary::{AblationReport, ArmSummary, Metric, MetricSummary};
pub(crate) use training::{Training, discard, fnv_1a, kept};
