//! Radiology report generation trained against increasingly hard negative reports, on Burn.
//!
//! ITHN ("Automatic Radiology Report Generation by Learning with Increasingly Hard Negatives",
//! ECAI 2023, arXiv 2305.07176) teaches any report generator to tell an image's own report from its
//! closest peers, and keeps making those peers harder. Its base generator here is R2GenCMN: ResNet,
//! cross-modal memory, Transformer.
//!
//! From image to report:
//!
//! | step | where |
//! |---|---|
//! | image → patch features | [`backbone`] |
//! | patches and words look up one memory | [`memory`] |
//! | encoder, decoder | [`decoder`] |
//! | greedy, beam, diverse beam, sampling search | [`search`] |
//! | the whole generator | [`generators`]: [`R2GenCmn`](generators::R2GenCmn), [`R2Gen`](generators::R2Gen), [`CnnLstm`](generators::CnnLstm), or your own |
//! | image and report on one sphere, losses | [`alignment`] |
//! | negatives: hardened, scheduled, mined | [`negatives`] |
//! | the plug-in around any generator | [`plugin::Ithn`] |
//! | studies, tokenizer, images, phantoms | [`data`] |
//! | BLEU, ROUGE-L, CIDEr, findings | [`metrics`] |
//! | a run as one page to look at | [`report`] |
//! | configuration, training, checkpoints, weights from elsewhere | [`config`], [`train`], [`checkpoint`], [`import`] |
//! | first negatives of a whole annotation | [`mining`] |
//! | what hard negatives buy, measured | [`ablation`] |
//!
//! # Quick start
//!
//! One training step of a small generator with the plug-in around it:
//!
//! ```
//! use burn::tensor::{Device, Distribution, Int, Tensor};
//! use ithn::backbone::ResNetConfig;
//! use ithn::decoder::TransformerConfig;
//! use ithn::generators::R2GenCmnConfig;
//! use ithn::memory::CrossModalMemoryConfig;
//! use ithn::plugin::{IthnConfig, NegativeBatch, TrainingBatch};
//!
//! let device = Device::default().autodiff();
//! let generator = R2GenCmnConfig::new(
//!     ResNetConfig::narrow(4, vec![1, 1]),
//!     CrossModalMemoryConfig::new(16, 8, 2, 4),
//!     TransformerConfig::new(8, 16, 2, 1),
//!     11,
//! )
//! .init(&device);
//! let model = IthnConfig::default().init(generator, &device);
//!
//! let images = || Tensor::random([2, 1, 3, 32, 32], Distribution::Normal(0.0, 1.0), &device);
//! let tokens = || Tensor::<2, Int>::from_data([[0, 3, 7, 0], [0, 9, 2, 0]], &device);
//! let batch = TrainingBatch {
//!     images: images(),
//!     tokens: tokens(),
//!     token_mask: Tensor::ones([2, 4], &device),
//!     negatives: Some(NegativeBatch { images: images(), tokens: tokens() }),
//! };
//! let losses = model.losses(batch, 0.5); // λ = 0.5: half way to the hardest negative
//! let gradients = losses.total.backward();
//! assert!(model.generator.memory.matrix.grad(&gradients).is_some());
//! ```
//!
//! # Backends
//!
//! Since Burn 0.22 a tensor's backend is chosen by its [`Device`](burn::tensor::Device) at run time,
//! so there is no `B: Backend` parameter: the same binary runs on CPU or GPU ([`device`]), as far as
//! its cargo features bring the backends.

pub use ithn_alignment as alignment;
pub use ithn_backbone as backbone;
pub use ithn_data as data;
pub use ithn_decoder as decoder;
pub use ithn_generator as generator;
pub use ithn_memory as memory;
pub use ithn_metrics as metrics;
pub use ithn_negatives as negatives;
pub use ithn_search as search;

pub mod ablation;
pub mod checkpoint;
pub mod config;
pub mod device;
pub mod drawn;
pub mod generators;
pub mod import;
pub mod mining;
pub mod plugin;
pub mod report;
pub mod train;
pub mod writer;
