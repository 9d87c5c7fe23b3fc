//! Generates reports of radiographs from a trained checkpoint, with the attention of every word.
//!
//! [`ReportWriter`] loads a checkpoint and writes reports of image files; [`device`] chooses the
//! device. A [`StudySheet`] shows one study: its images, its report, and the cross-attention of
//! every word.
//!
//! The features `flex` (default, the CPU), `cuda`, `wgpu` and `ndarray` choose Burn's backends; without any, tensor
//! operations panic. `dicom` reads DICOM films.

mod context;
pub mod device;
mod error;
mod film;
mod findings;
mod marks;
mod sheet;
mod tensors;
mod writer;

pub use context::{FilmContext, PriorFilmStudy};
pub use error::InferenceError;
pub use film::{Film, FilmReader, PreparedFilm};
pub use findings::{ClassCounts, ClassScores, FindingsReader, FindingsScores};
pub use marks::{Mark, MarkedReport, mark_report};
pub use sheet::{AttentionMaps, SheetMaker, StudySheet};
pub use tensors::{study_batch, token_batch};
pub use writer::{FilmStudy, FoundStudies, ReportWriter, WrittenReport, find_studies};

/// The examples of the README are tested.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
