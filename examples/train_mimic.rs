//! Trains, evaluates and writes reports: on phantom studies, or on MIMIC-CXR.
//!
//! ```text
//! cargo run --example train_mimic
//! cargo run --release --example train_mimic -- --data /data/mimic-cxr-jpg --backbone-weights resnet101.pth
//! ```
//!
//! MIMIC-CXR's own DICOM films are read as well, converted as MIMIC-CXR-JPG was made: lay the tables of
//! MIMIC-CXR-JPG (split, metadata, chexpert) beside its `files/`. A cache decodes them once.
//!
//! ```text
//! cargo run --release --features dicom --example train_mimic -- --data /data/mimic-cxr --cache /data/cache
//! ```

mod arguments;

use std::process::ExitCode;

use ithn::config::Preset;

fn main() -> ExitCode {
    arguments::run(Preset::MimicCxr)
}
