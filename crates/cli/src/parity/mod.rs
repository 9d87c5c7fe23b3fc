//! Golden numbers of the official PyTorch code against this library, family by family.
//!
//! Every size, temperature and vocabulary comes from the fixtures themselves, so another set of the
//! same layout runs unchanged. The tolerances are those of the fixtures' README.

mod beam;
mod check;
mod clinical;
mod cmn_transformer;
mod command;
mod decoding;
mod fixture;
mod formula;
mod gradients;
mod ithn_loss;
mod memory;
mod metrics;
mod model;
mod named;
mod precision;
mod resnet;
mod small_ckpt;
mod tokenizer;
mod train_curve;
mod transforms;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

pub use check::{Check, Outcome};
pub(crate) use command::Arguments;
use fixture::FixtureError;

/// A fixture family: the files of its own, and the function that checks it.
#[derive(Clone, Copy)]
pub struct Family {
    /// Its name in reports.
    pub name: &'static str,
    /// Folder of its files within the fixtures, which may also be that folder.
    folder: Option<&'static str>,
    files: &'static [&'static str],
    run: fn(&Path) -> Result<Vec<Check>, FixtureError>,
}

/// All families, in the order of the fixtures' README.
pub const FAMILIES: &[Family] = &[
    Family {
        name: "memory",
        folder: None,
        files: &["memory.safetensors"],
        run: memory::run,
    },
    Family {
        name: "cmn_transformer",
        folder: None,
        files: &["cmn_transformer.safetensors"],
        run: cmn_transformer::run,
    },
    Family {
        name: "ithn_loss",
        folder: None,
        files: &["ithn_loss.safetensors"],
        run: ithn_loss::run,
    },
    Family {
        name: "resnet101",
        folder: None,
        files: &["resnet101.safetensors", "resnet101.json"],
        run: resnet::run,
    },
    Family {
        name: "train_curve",
        folder: None,
        files: &["train_curve.safetensors", "train_curve.json"],
        run: train_curve::run,
    },
    Family {
        name: "beam",
        folder: None,
        files: &["beam.safetensors", "beam.json"],
        run: beam::run,
    },
    Family {
        name: "small_ckpt",
        folder: None,
        files: &[
            "small_ckpt/ithn_small.pth",
            "small_ckpt/expected.safetensors",
            "small_ckpt/expected.json",
        ],
        run: small_ckpt::run,
    },
    Family {
        name: "tokenizer",
        folder: None,
        files: &["tokenizer.json"],
        run: tokenizer::run,
    },
    Family {
        name: "metrics",
        folder: None,
        files: &["metrics.json"],
        run: metrics::run,
    },
    Family {
        name: "transforms",
        folder: None,
        files: &[
            "transforms/expected.safetensors",
            "transforms/expected.json",
        ],
        run: transforms::run,
    },
    Family {
        name: "chexbert",
        folder: clinical::FOLDER,
        files: &[
            "chexbert/chexbert.pth",
            "chexbert/chexbert_legacy.pth",
            "chexbert/config.json",
            "chexbert/expected.json",
            "chexbert/expected.safetensors",
            "chexbert/labeled_reports.csv",
            "chexbert/labeled_small.csv",
            "chexbert/reports.json",
            "chexbert/vocab.txt",
        ],
        run: clinical::chexbert,
    },
    Family {
        name: "policies",
        folder: clinical::FOLDER,
        files: &["policies/classes.json", "policies/expected.json"],
        run: |folder| clinical::metrics(folder, "policies"),
    },
    Family {
        name: "radgraph",
        folder: clinical::FOLDER,
        files: &[
            "radgraph/pred.json",
            "radgraph/ref.json",
            "radgraph/expected.json",
        ],
        run: |folder| clinical::metrics(folder, "radgraph"),
    },
    Family {
        name: "radcliq",
        folder: clinical::FOLDER,
        files: &[
            "radcliq/scores.csv",
            "radcliq/bleu_pairs.json",
            "radcliq/expected.json",
        ],
        run: |folder| clinical::metrics(folder, "radcliq"),
    },
    Family {
        name: "temporal",
        folder: clinical::FOLDER,
        files: &[
            "temporal/pairs.json",
            "temporal/arn_texts.json",
            "temporal/expected.json",
        ],
        run: |folder| clinical::metrics(folder, "temporal"),
    },
    Family {
        name: "formats",
        folder: clinical::FOLDER,
        files: &["formats/manifest.json"],
        run: |folder| clinical::metrics(folder, "formats"),
    },
];

impl Family {
    /// Checks the family: one line per quantity.
    ///
    /// One line says that it is absent if none of its files is there. It *fails* with one line if
    /// only some are there, if a file is not laid out as the README describes it, or if a tensor's
    /// shape stops the computation.
    pub fn run(&self, fixtures: &Path) -> Vec<Check> {
        let folder = self.folder.map(|folder| fixtures.join(folder));
        let fixtures = match &folder {
            Some(folder) if folder.is_dir() => folder,
            _ => fixtures,
        };
        let missing: Vec<&str> = self
            .files
            .iter()
            .copied()
            .filter(|file| !fixtures.join(file).is_file())
            .collect();
        let what = format!("no {}", missing.join(", "));
        if missing.len() == self.files.len() {
            return vec![Check::absent(self.name, what)];
        }
        if !missing.is_empty() {
            return vec![Check::failed(self.name, format!("incomplete: {what}"))];
        }
        // A shape that no code expects panics; the other families still have to be reported.
        match catch_unwind(AssertUnwindSafe(|| (self.run)(fixtures))) {
            Ok(Ok(checks)) => checks,
            Ok(Err(error)) => vec![Check::failed(self.name, error.to_string())],
            Err(panic) => {
                let message = panic
                    .downcast_ref::<String>()
                    .map(String::as_str)
                    .or_else(|| panic.downcast_ref::<&str>().copied())
                    .unwrap_or("no message");
                let line = message.lines().next().unwrap_or(message);
                vec![Check::failed(self.name, format!("panicked: {line}"))]
            }
        }
    }
}

/// Checks METEOR on the pairs of the metrics family, given the folder of METEOR's own data files;
/// one line says that it is absent without them.
pub fn meteor(fixtures: &Path, data: Option<&Path>) -> Vec<Check> {
    metrics::meteor(fixtures, data)
        .unwrap_or_else(|error| vec![Check::failed(metrics::FAMILY, error.to_string())])
}
