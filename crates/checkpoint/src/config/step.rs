//! How a training step computes.

use serde::{Deserialize, Serialize};

/// Numbers in which a training step multiplies.
///
/// Whatever is chosen, weights, gradients, moments, normalisation, softmax and losses are of single
/// precision, and so is everything outside training.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// Single precision as the device multiplies it: f32 on a CPU. A GPU with tf32 units rounds the
    /// factors to tf32 (10 bits of mantissa) wherever that is found to be faster, and CubeCL has no
    /// switch against it.
    #[default]
    Single,
    /// The factors of matrix products and convolutions are rounded to bfloat16 (7 bits of mantissa):
    /// faster on GPUs with units for it, slower on a CPU.
    Bfloat16,
}

/// What of a training step's forward pass is kept for its backward pass. Losses and gradients do not depend on it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activations {
    /// All activations.
    #[default]
    Keep,
    /// Of the backbone, the inputs of its blocks; each block runs once more in the backward pass (Chen et al., 2016).
    /// It takes less memory and about the time of another forward pass of the backbone. A generator from outside this
    /// library needs a backbone of this library for that.
    Recompute,
}
