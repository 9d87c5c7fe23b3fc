use ithn_generator::config::{Positive, no_options};
use serde::{Deserialize, Serialize};

/// Gradient clipping, and the reaction to NaN or infinite values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Guards {
    /// Largest Euclidean norm of all gradients together; larger ones are scaled down to it (Pascanu
    /// et al., 2013). None: as they are, which is how the method was published.
    pub largest_gradient_norm: Option<Positive>,
    /// Reaction to a NaN or infinite loss or gradient.
    pub non_finite: NonFinite,
}

/// Reaction to a NaN or infinite loss or gradient.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum NonFinite {
    /// Training stops with the weights before it saved, and its studies in `non-finite.json`.
    #[default]
    #[serde(deserialize_with = "no_options")]
    Stop,
    /// The step is skipped and counted.
    Skip {
        /// Most batches that a run may skip; one more stops it.
        at_most: usize,
    },
}
