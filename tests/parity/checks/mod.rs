//! Golden numbers of the released PyTorch code against this library, family by family.
//!
//! Every size, temperature and vocabulary comes from the fixtures themselves, so another set of the
//! same layout runs unchanged. The tolerances are those of the fixtures' README.

mod beam;
mod check;
mod cmn_transformer;
mod decoding;
mod fixture;
mod formula;
mod gradients;
mod ithn_loss;
mod memory;
mod metrics;
mod model;
mod named;
mod resnet;
mod small_ckpt;
mod tokenizer;
mod train_curve;
mod transforms;

use std::path::{Path, PathBuf};

pub use check::{Check, Outcome};
pub use fixture::FixtureError;

/// Where golden numbers, and what some checks need beside them, lie.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// Directory of the fixtures.
    pub fixtures: PathBuf,
    /// Directory of METEOR's word lists, for the METEOR checks.
    pub meteor_data: Option<PathBuf>,
}

/// A fixture family: its files, and the function that checks it.
#[derive(Clone, Copy)]
pub struct Family {
    /// Its name in reports.
    pub name: &'static str,
    files: &'static [&'static str],
    run: fn(&Inputs) -> Result<Vec<Check>, FixtureError>,
}

/// All families, in the order of the fixtures' README.
pub const FAMILIES: &[Family] = &[
    Family {
        name: "memory",
        files: &["memory.safetensors"],
        run: |inputs| memory::run(&inputs.fixtures),
    },
    Family {
        name: "cmn_transformer",
        files: &["cmn_transformer.safetensors"],
        run: |inputs| cmn_transformer::run(&inputs.fixtures),
    },
    Family {
        name: "ithn_loss",
        files: &["ithn_loss.safetensors"],
        run: |inputs| ithn_loss::run(&inputs.fixtures),
    },
    Family {
        name: "resnet101",
        files: &["resnet101.safetensors", "resnet101.json"],
        run: |inputs| resnet::run(&inputs.fixtures),
    },
    Family {
        name: "train_curve",
        files: &["train_curve.safetensors", "train_curve.json"],
        run: |inputs| train_curve::run(&inputs.fixtures),
    },
    Family {
        name: "beam",
        files: &["beam.safetensors", "beam.json"],
        run: |inputs| beam::run(&inputs.fixtures),
    },
    Family {
        name: "small_ckpt",
        files: &[
            "small_ckpt/ithn_small.pth",
            "small_ckpt/expected.safetensors",
            "small_ckpt/expected.json",
            "train_curve.safetensors",
        ],
        run: |inputs| small_ckpt::run(&inputs.fixtures),
    },
    Family {
        name: "tokenizer",
        files: &["tokenizer.json"],
        run: |inputs| tokenizer::run(&inputs.fixtures),
    },
    Family {
        name: "metrics",
        files: &["metrics.json"],
        run: |inputs| metrics::run(&inputs.fixtures),
    },
    Family {
        name: "transforms",
        files: &[
            "transforms/expected.safetensors",
            "transforms/expected.json",
        ],
        run: |inputs| transforms::run(&inputs.fixtures),
    },
];

impl Family {
    /// Checks the family, or says that its files are not there.
    ///
    /// # Errors
    ///
    /// If a file of the family is there but cannot be read as the README describes it.
    pub fn run(&self, inputs: &Inputs) -> Result<Vec<Check>, FixtureError> {
        let missing: Vec<&str> = self
            .files
            .iter()
            .copied()
            .filter(|file| !Path::is_file(&inputs.fixtures.join(file)))
            .collect();
        if missing.is_empty() {
            (self.run)(inputs)
        } else {
            let what = format!("no {}", missing.join(", "));
            Ok(vec![Check::absent(self.name, what)])
        }
    }
}
