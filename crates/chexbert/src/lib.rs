//! CheXbert (Smit et al., EMNLP 2020) from its published weights: a report's text goes in, the 14
//! CheXpert labels and the embedding of the report come out.
//!
//! ```no_run
//! use std::path::Path;
//!
//! use burn::tensor::Device;
//! use ithn_chexbert::{CheXbert, Label, OBSERVATIONS, cosine};
//!
//! # fn main() -> Result<(), ithn_chexbert::CheXbertError> {
//! let device = Device::default();
//! let chexbert = CheXbert::load(Path::new("chexbert.pth"), Path::new("vocab.txt"), &device)?;
//! let labels = chexbert.label(&["Small left pleural effusion. No pneumothorax."]);
//! for (observation, label) in OBSERVATIONS.iter().zip(labels[0]) {
//!     if label != Label::Blank {
//!         println!("{observation}: {label:?}");
//!     }
//! }
//! let embeddings = chexbert.embed(&["No acute process.", "Lungs are clear."]);
//! println!("SembScore {:.3}", cosine(&embeddings[0], &embeddings[1]));
//! # Ok(())
//! # }
//! ```
//!
//! | part | what it is |
//! |---|---|
//! | [`Tokenizer`] | BERT's uncased WordPiece, with the ids of `transformers` |
//! | [`Cleaning`] | what CheXbert's scripts, RadEval and CXRMate-2 do to a report first |
//! | [`CheXbert`] | encoder and heads; [`CheXbert::label`], [`CheXbert::embed`], [`CheXbert::read`] |
//! | [`write_labels`] | the CSV file of CheXbert's label script |
//! | [`parity`] | a folder of golden numbers against this crate |
//!
//! The features `flex` (default, the CPU), `cuda`, `wgpu` and `ndarray` choose Burn's backends; without any, tensor
//! operations panic.

mod batches;
mod checkpoint;
mod chexbert;
mod cleaning;
mod encoder;
mod error;
mod labels;
pub mod parity;
mod sizes;
mod tokenizer;
mod unicode;
mod vocabulary;

pub use chexbert::{CheXbert, Reading, cosine, heads_of_config};
pub use cleaning::Cleaning;
pub use error::CheXbertError;
pub use labels::{Label, Labels, OBSERVATIONS, write_labels};
pub use sizes::Sizes;
pub use tokenizer::Tokenizer;
