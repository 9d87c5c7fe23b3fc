//! Floors: what predictions score that never look at an image.
//!
//! A model that does not beat them has learnt nothing that its metric can show.
//!
//! | floor | function |
//! |---|---|
//! | one report for all, composed of training sentences for an overlap metric on validation | [`compose_constant`] |
//! | one set of labels for all, the best on validation | [`label_floors`] |
//! | one label for all, class by class: F1 = 2p / (1 + p) | [`label_floors`] |
//! | the most frequent training report | [`most_frequent`] |
//!
//! [`evaluate_floors`](crate::evaluation::evaluate_floors) scores all of them with every metric.

mod compose;
mod labels;
mod scorers;

pub use compose::{ComposedReport, OverlapMetric, compose_constant, most_frequent};
pub use labels::{AlwaysPositive, ConstantLabels, LabelFloors, label_floors};
