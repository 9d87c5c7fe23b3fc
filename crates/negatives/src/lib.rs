//! Increasingly hard negative reports, made in feature space (ITHN, ECAI 2023, arXiv 2305.07176).
//!
//! - [`harden`] moves a negative report embedding towards the point on its line to the true report
//!   that lies nearest the image, in closed form or by ascent;
//! - [`harden_against`] moves it to where any alignment loss is largest, by projected gradient
//!   ascent;
//! - [`HardnessSchedule`] says how far, growing over training.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use ithn_negatives::{HardeningConfig, harden};
//!
//! let device = Device::default();
//! let image = Tensor::<2>::from_data([[1.0, 1.0]], &device);
//! let report = Tensor::<2>::from_data([[2.0, 0.0]], &device);
//! let negative = Tensor::<2>::from_data([[0.0, 0.0]], &device);
//! let config = HardeningConfig::default();
//! // λ = 0: all the way to the point of the line nearest the image, here (1, 0).
//! let hardest = harden(image, report, negative, 0.0, &config);
//! assert_eq!(hardest.into_data().to_vec::<f32>().unwrap(), [1.0, 0.0]);
//! ```

mod ascent;
mod harden;
#[cfg(test)]
mod laws;
mod norm;
mod schedule;

pub use ascent::{AscentConfig, FeasibleSet};
pub use harden::{
    GradientFlow, HardeningConfig, HardeningRange, MaxStep, NegativeNorm, Projection, harden,
    harden_against,
};
pub use schedule::{HardnessSchedule, TrainingPoint};
