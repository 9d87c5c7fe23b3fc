//! Phantom patients with a history: findings that come, go, grow and shrink from study to study, reports that say so,
//! indications that hint at them, and studies of one to three films.
//!
//! [`sample_histories`] → [`write_phantom_histories`], which leaves a folder in MIMIC-CXR-JPG's layout: several studies
//! per subject with dates, several films per study with projections. Of a report [`read_changes`] parses the changes
//! that it states, and [`ChangeScores`] scores them.

mod change;
mod cohort;
mod indication;
mod phrases;
mod read;
mod scores;
mod write;

pub use change::{Change, FindingPlace, PhantomChanges};
pub use cohort::{HistoryRates, HistoryStudy, PhantomHistoryConfig, sample_histories};
pub(super) use phrases::{compared, gone_phrase};
pub use read::read_changes;
pub use scores::ChangeScores;
pub use write::{is_complete_history, write_phantom_histories};
