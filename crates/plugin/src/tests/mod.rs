//! The plug-in around a small generator with seeded weights.

mod batches;
mod classification;
mod config;
mod gradients;
mod likelihood;
mod losses;
mod peers;
mod support;
