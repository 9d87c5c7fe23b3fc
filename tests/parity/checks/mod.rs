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

use std::path::Path;

pub use check::{Check, Outcome};
pub use fixture::FixtureError;
pub use metrics::meteor;

/// A fixture family: its files, and the function that checks it.
#[derive(Clone, Copy)]
pub struct Family {
    /// Its name in reports.
    pub name: &'static str,
    files: &'static [&'static str],
    run: fn(&Path) -> Result<Vec<Check>, FixtureError>,
}

/// All families, in the order of the fixtures' README.
pub const FAMILIES: &[Family] = &[
    Family {
        name: "memory",
        files: &["memory.safetensors"],
        run: memory::run,
    },
    Family {
        name: "cmn_transformer",
        files: &["cmn_transformer.safetensors"],
        run: cmn_transformer::run,
    },
    Family {
        name: "ithn_loss",
        files: &["ithn_loss.safetensors"],
        run: ithn_loss::run,
    },
    Family {
        name: "resnet101",
        files: &["resnet101.safetensors", "resnet101.json"],
        run: resnet::run,
    },
    Family {
        name: "train_curve",
        files: &["train_curve.safetensors", "train_curve.json"],
        run: train_curve::run,
    },
    Family {
        name: "beam",
        files: &["beam.safetensors", "beam.json"],
        run: beam::run,
    },
    Family {
        name: "small_ckpt",
        files: &[
            "small_ckpt/ithn_small.pth",
            "small_ckpt/expected.safetensors",
            "small_ckpt/expected.json",
            "train_curve.safetensors",
        ],
        run: small_ckpt::run,
    },
    Family {
        name: "tokenizer",
        files: &["tokenizer.json"],
        run: tokenizer::run,
    },
    Family {
        name: "metrics",
        files: &["metrics.json"],
        run: metrics::run,
    },
    Family {
        name: "transforms",
        files: &[
            "transforms/expected.safetensors",
            "transforms/expected.json",
        ],
        run: transforms::run,
    },
];

impl Family {
    /// Checks the family, or says that its files are not there.
    ///
    /// # Errors
    ///
    /// If a file of the family is there but cannot be read as the README describes it.
    pub fn run(&self, fixtures: &Path) -> Result<Vec<Check>, FixtureError> {
        let missing: Vec<&str> = self
            .files
            .iter()
            .copied()
            .filter(|file| !Path::is_file(&fixtures.join(file)))
            .collect();
        if missing.is_empty() {
            (self.run)(fixtures)
        } else {
            let what = format!("no {}", missing.join(", "));
            Ok(vec![Check::absent(self.name, what)])
        }
    }
}
