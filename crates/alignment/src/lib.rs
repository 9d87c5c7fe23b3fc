//! Image–report alignment as ITHN trains it (ECAI 2023, arXiv 2305.07176).
//!
//! [`AlignmentHeads`] project pooled images and report hidden states onto one unit sphere;
//! [`contrastive_loss`] pulls each image to its own report and away from the others and from its
//! hardened negative; [`image_separation_loss`] keeps an image apart from its negative's image.
//! The crate knows nothing of any generator: it takes and returns tensors.
//!
//! ```
//! use burn::tensor::{Device, Distribution, Tensor};
//! use ithn_alignment::{AlignmentHeadsConfig, Similarities, TemperatureConfig, contrastive_loss};
//! use ithn_alignment::HardNegativePlacement;
//!
//! let device = Device::default();
//! let heads = AlignmentHeadsConfig::new(64, 32, 16).init(&device);
//! let temperatures = TemperatureConfig::default().init(&device);
//! let random = |width| Tensor::<2>::random([4, width], Distribution::Default, &device);
//! let (images, reports) = (heads.embed_images(random(64)), heads.embed_reports(random(32)));
//! let negative_images = Some(heads.embed_images(random(64)));
//! let negative_reports = heads.embed_reports(random(32));
//! let hardened = negative_reports.clone();
//! let loss = contrastive_loss(
//!     Similarities { images, reports, negative_images, negative_reports, hardened },
//!     &temperatures,
//!     HardNegativePlacement::DiagonalPenalty,
//! );
//! assert!(loss.into_scalar::<f32>().is_finite());
//! ```

mod embedding;
mod loss;
mod pooling;
mod temperature;

pub use embedding::{AlignmentHeads, AlignmentHeadsConfig, unit};
pub use loss::{
    HardNegativePlacement, Similarities, contrastive_loss, contrastive_scores,
    image_separation_loss,
};
pub use pooling::Pooling;
pub use temperature::{TemperatureConfig, TemperatureTraining, Temperatures};
