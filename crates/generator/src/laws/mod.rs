//! Properties that every generator must have, to be run in its tests.
//!
//! ```
//! use burn::tensor::Device;
//! use ithn_generator::laws::{LawBroken, Laws, check};
//! use ithn_generator::{ReportGenerator, StepDecoder};
//!
//! /// For a generator of 760 logits that takes two views of 64 × 64 pixels.
//! fn test<G: ReportGenerator + StepDecoder>(generator: &G) -> Result<(), LawBroken> {
//!     let laws = Laws::new(760, &Device::default());
//!     check(generator, &laws.with_views(2).with_image_size(64))
//! }
//! ```

mod broken;
mod decoding;
mod encoding;
mod inputs;
#[cfg(test)]
mod tests;

use burn::tensor::Device;

pub use broken::{Law, LawBroken};

use crate::{ReportGenerator, StepDecoder};

/// Sizes from which [`check`] makes inputs for a generator.
#[derive(Debug, Clone)]
pub struct Laws {
    vocabulary: usize,
    device: Device,
    views: usize,
    image_size: usize,
    tolerance: f64,
    context: bool,
}

impl Laws {
    /// One view of 32 × 32 pixels and a tolerance of 1e-4, for a generator of `vocabulary` logits on
    /// `device`. On an autodiff device dropout and batch statistics break the laws.
    ///
    /// # Panics
    ///
    /// If the vocabulary has fewer than two words in addition to token 0.
    pub fn new(vocabulary: usize, device: &Device) -> Self {
        assert!(vocabulary > 2, "the laws need two words and token 0");
        Laws {
            vocabulary,
            device: device.clone(),
            views: 1,
            image_size: 32,
            tolerance: 1e-4,
            context: false,
        }
    }

    /// Views per study (at least one). With several, views are also left out.
    #[must_use]
    pub fn with_views(mut self, views: usize) -> Self {
        self.views = views.max(1);
        self
    }

    /// Also checks studies with context, complete and in part: for a generator that reads
    /// [`StudyBatch::context`](crate::StudyBatch::context). Of it the laws require besides that the order of a previous
    /// study's films has no effect.
    #[must_use]
    pub fn with_context(mut self) -> Self {
        self.context = true;
        self
    }

    /// Height and width of the images, in pixels (at least one).
    #[must_use]
    pub fn with_image_size(mut self, image_size: usize) -> Self {
        self.image_size = image_size.max(1);
        self
    }

    /// Largest difference between a value and the expected one, relative to `1 + |expected|`.
    #[must_use]
    pub fn with_tolerance(mut self, tolerance: f64) -> Self {
        self.tolerance = tolerance;
        self
    }
}

/// Checks every [`Law`] on seeded inputs, the same in every run.
///
/// # Errors
///
/// The first law that is broken, with the largest difference and where it is.
///
/// # Panics
///
/// If the generator panics.
pub fn check<G: ReportGenerator + StepDecoder>(
    generator: &G,
    laws: &Laws,
) -> Result<(), LawBroken> {
    laws.check_shapes(generator)?;
    laws.check_probabilities(generator)?;
    laws.check_pooled(generator)?;
    laws.check_encode_both(generator)?;
    laws.check_force(generator)?;
    laws.check_imageless_rows(generator)?;
    laws.check_independence(generator)?;
    laws.check_padding(generator)?;
    laws.check_steps(generator)?;
    laws.check_reorder(generator)?;
    laws.check_explained_sums(generator)?;
    laws.check_explained_causality(generator)?;
    laws.check_missing_views(generator)?;
    laws.check_order_of_films(generator)
}
