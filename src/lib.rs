//! Radiology report generation trained against increasingly hard negative reports, on Burn.
//!
//! ITHN ("Automatic Radiology Report Generation by Learning with Increasingly Hard Negatives",
//! ECAI 2023, arXiv 2305.07176) trains any report generator to distinguish an image's own report from
//! similar reports of other studies, its negatives. During training it makes the negatives harder. The base
//! generator here is R2GenCMN: ResNet, cross-modal memory, Transformer.
//!
//! From image to report:
//!
//! | step | where |
//! |---|---|
//! | image → patch features | [`backbone`] |
//! | patches and words look up one memory | [`memory`] |
//! | encoder, decoder | [`decoder`] |
//! | greedy, beam, diverse and sampling search | [`search`] |
//! | the whole generator | [`models`]: [`R2GenCmn`](models::R2GenCmn), [`R2Gen`](models::R2Gen), [`CnnLstm`](models::CnnLstm), or your own |
//! | image and report on one sphere, losses | [`alignment`] |
//! | negatives: hardened, scheduled | [`negatives`] |
//! | the plug-in around any generator | [`plugin::Ithn`] |
//! | studies, tokenizer, images, phantoms | [`data`] |
//! | BLEU, ROUGE-L, CIDEr, findings | [`metrics`] |
//! | a run as one page to look at | [`page`] |
//! | configuration, training, checkpoints, weights from elsewhere | [`config`], [`train`], [`checkpoint`], [`import`] |
//! | first negatives, found in the training reports | [`mining`] |
//! | reports from a checkpoint, and the device to run on | [`inference`], [`device`] |
//! | measured effect of hard negatives | [`ablation`] |
//! | measured effect of previous studies, indications and further views | [`context`] |
//!
//! # A report for a film
//!
//! ```
//! use ithn::device::DeviceName;
//! use ithn::inference::ReportWriter;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let checkpoint = "tests/fixtures/old_files/checkpoints/r2gen.ithn";
//! let film = "tests/fixtures/old_files/films/test-0-0.png";
//! let writer = ReportWriter::from_checkpoint(checkpoint, &DeviceName::Cpu.open()?)?;
//! let report = writer.report([film])?; // a path,
//! let same = writer.report([std::fs::read(film)?])?; // the content of a file,
//! let again = writer.report([ithn::data::decode_image(film.as_ref())?])?; // or a decoded image
//! println!("{}", report.text);
//! # assert!(report == same && report == again);
//! # Ok(())
//! # }
//! ```
//!
//! # A training step
//!
//! One training step of a small generator with the plug-in around it:
//!
//! ```
//! use burn::tensor::{Device, Distribution, Tensor};
//! use ithn::backbone::ResNetConfig;
//! use ithn::decoder::TransformerConfig;
//! use ithn::generator::{StudyBatch, TokenBatch};
//! use ithn::models::R2GenCmnConfig;
//! use ithn::memory::CrossModalMemoryConfig;
//! use ithn::plugin::{IthnConfig, NegativeBatch, TrainingBatch};
//!
//! let device = Device::default().autodiff();
//! let generator = R2GenCmnConfig::new(
//!     ResNetConfig::narrow(4, vec![1, 1]),
//!     CrossModalMemoryConfig::new(16, 8, 2, 4),
//!     TransformerConfig::new(8, 16, 2, 1),
//! )
//! .init(11, 1, &device);
//! let model = IthnConfig::default().init(generator, &device);
//!
//! let studies = || {
//!     StudyBatch::new(Tensor::random([2, 1, 3, 32, 32], Distribution::Normal(0.0, 1.0), &device))
//! };
//! let batch = TrainingBatch {
//!     studies: studies(),
//!     reports: TokenBatch::from_ids(&[vec![0, 3, 7, 0], vec![0, 9, 2, 0]], &device),
//!     negatives: Some(NegativeBatch::new(
//!         studies(),
//!         TokenBatch::from_ids(&[vec![0, 3, 8, 0], vec![0, 9, 1, 0]], &device),
//!     )),
//! };
//! let losses = model.losses(batch, 0.5); // λ = 0.5: half way to the hardest negative
//! let gradients = losses.total.backward();
//! assert!(model.generator.memory.matrix.grad(&gradients).is_some());
//! ```
//!
//! # Backends
//!
//! Since Burn 0.22 a tensor's backend is chosen by its [`Device`](burn::tensor::Device) at run time,
//! so there is no `B: Backend` parameter: the same binary runs on CPU or GPU ([`device`]). Cargo features
//! choose which backends it contains.

pub use burn;
pub use ithn_alignment as alignment;
pub use ithn_backbone as backbone;
pub use ithn_checkpoint as checkpoint;
pub use ithn_data as data;
pub use ithn_decoder as decoder;
pub use ithn_generator as generator;
pub use ithn_inference as inference;
pub use ithn_kernels as kernels;
pub use ithn_memory as memory;
pub use ithn_metrics as metrics;
pub use ithn_mining as mining;
pub use ithn_models as models;
pub use ithn_negatives as negatives;
pub use ithn_plugin as plugin;
pub use ithn_search as search;
pub use ithn_train as train;
pub use ithn_train::page;

pub use ithn_checkpoint::{config, import};
pub use ithn_inference::device;
pub use ithn_train::{ablation, context};

/// The examples of the README are tested.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
