//! Phantom studies: drawn chest radiographs whose findings are known, and the reports that a grammar
//! writes of them.
//!
//! No real chest X-ray can ship with a library, so this one draws its own. The path is
//! [`sample_cohort`] → [`draw_radiograph`] and [`write_report`] → [`write_phantom_dataset`], which
//! leaves a folder in MIMIC-CXR-JPG's layout for the ordinary reader. Of a generated report
//! [`read_findings`] parses the findings that it states, and [`PhantomScores`] scores them. Patients of several studies
//! come from [`sample_histories`] → [`write_phantom_histories`].
//!
//! ```
//! use ithn_data::phantom::{draw_radiograph, read_findings, PhantomScores};
//!
//! let truth = read_findings("There is a small left pleural effusion.");
//! let film = draw_radiograph(&truth, 64, 7);
//! assert_eq!(film.dimensions(), (64, 64));
//!
//! let claimed = read_findings("there is a small right pleural effusion .");
//! let scores = PhantomScores::of([(&truth, &claimed)]);
//! assert_eq!(scores.class_f1_micro, 1.0);
//! assert_eq!(scores.laterality.errors, 1);
//! ```

mod anatomy;
mod attributes;
mod chexpert;
mod cohort;
mod compare;
mod draw;
mod findings;
mod grammar;
mod history;
mod lateral;
mod lesions;
mod read;
mod report;
mod tables;
mod write;

pub use attributes::{Lobe, Side, Size};
pub use chexpert::{CHEXPERT_CLASSES, chexpert_labels};
pub use cohort::{HELD_OUT_PAIRS, PhantomConfig, PhantomStudy, is_held_out, sample_cohort};
pub use compare::{ErrorCount, FindingCounts, PhantomScores};
pub use draw::draw_radiograph;
pub use findings::{FindingKind, PhantomFinding, PhantomFindings};
pub use grammar::{write_compared_report, write_report};
pub use history::{
    Change, ChangeScores, FindingPlace, HistoryRates, HistoryStudy, PhantomChanges,
    PhantomHistoryConfig, is_complete_history, read_changes, sample_histories,
    write_phantom_histories,
};
pub use lateral::draw_lateral_radiograph;
pub use read::{ReportReading, read_findings, read_report};
pub use write::{
    PhantomRecord, PhantomSummary, is_complete, read_phantom_records, write_phantom_dataset,
};
