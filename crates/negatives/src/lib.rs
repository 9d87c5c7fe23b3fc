#![doc = include_str!("../README.md")]

mod ascent;
mod bounds;
mod climb;
mod closed_form;
mod hardening;
mod hull;
mod norm;
mod schedule;
#[cfg(test)]
mod tests;

pub use ascent::{Ascent, FeasibleSet};
pub use bounds::{HardeningRange, NegativeNorm};
pub use closed_form::{ClosedForm, GradientFlow, Projection};
pub use hardening::{Hardening, harden};
pub use hull::Hull;
pub use schedule::{HardnessSchedule, TrainingPoint};
