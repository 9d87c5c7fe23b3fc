use std::fmt;

use burn::tensor::Tensor;
use thiserror::Error;

/// A property that every generator must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Law {
    /// Results have the documented shapes and the declared widths.
    Shapes,
    /// Probabilities of the next word sum to 1.
    ProbabilitiesSumToOne,
    /// `pooled` returns the pooled features of `encode`.
    PooledIsOfEncode,
    /// `encode_both` encodes each batch as `encode` does.
    EncodeBothIsEncodeTwice,
    /// `force` returns the hidden states of `hidden_states`.
    ForceIsHiddenStates,
    /// A study's results do not depend on the other studies of its batch, nor on its place there.
    StudiesAreIndependent,
    /// The rows of an imageless context are equal.
    ImagelessRowsAreEqual,
    /// Padding does not change the hidden states before it.
    PaddingHasNoEffect,
    /// Steps give the log-probabilities of teacher forcing.
    StepsEqualTeacherForcing,
    /// `reorder` repeats, permutes and drops rows with everything that belongs to them.
    ReorderMovesRows,
    /// Attention and memory weights of `explain` sum to 1.
    ExplainedWeightsSumToOne,
    /// Attention of `explain` does not depend on later words.
    ExplainIsCausal,
    /// Pixels of a missing view change nothing, and its patches have no attention.
    MissingViewsHaveNoEffect,
    /// The order of a previous study's films changes nothing, if their projections move with them.
    OrderOfFilmsHasNoEffect,
}

impl fmt::Display for Law {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Law::Shapes => "results have the documented shapes and the declared widths",
            Law::ProbabilitiesSumToOne => "probabilities of the next word sum to 1",
            Law::PooledIsOfEncode => "`pooled` returns the pooled features of `encode`",
            Law::EncodeBothIsEncodeTwice => "`encode_both` encodes each batch as `encode` does",
            Law::ForceIsHiddenStates => "`force` returns the hidden states of `hidden_states`",
            Law::StudiesAreIndependent => {
                "results of a study do not depend on the other studies of its batch"
            }
            Law::ImagelessRowsAreEqual => "the rows of an imageless context are equal",
            Law::PaddingHasNoEffect => "padding does not change the hidden states before it",
            Law::StepsEqualTeacherForcing => "steps give the log-probabilities of teacher forcing",
            Law::ReorderMovesRows => "`reorder` moves rows with everything that belongs to them",
            Law::ExplainedWeightsSumToOne => "weights of `explain` sum to 1",
            Law::ExplainIsCausal => "attention of `explain` does not depend on later words",
            Law::MissingViewsHaveNoEffect => "a missing view has no effect",
            Law::OrderOfFilmsHasNoEffect => "the order of a previous study's films has no effect",
        })
    }
}

/// The first law that a generator breaks, and where.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum LawBroken {
    /// A result has another shape than documented or declared.
    #[error("law broken: {law}: {what}: shape {found:?} instead of {expected:?}")]
    Shape {
        /// The law.
        law: Law,
        /// The result.
        what: String,
        /// Its shape.
        found: Vec<usize>,
        /// The shape it must have.
        expected: Vec<usize>,
    },
    /// Values differ by more than the tolerance.
    #[error(
        "law broken: {law}: {what}: the largest difference, {difference:e}, is at {index:?}: \
         {found} instead of {expected}"
    )]
    Values {
        /// The law.
        law: Law,
        /// The result.
        what: String,
        /// Where it differs most.
        index: Vec<usize>,
        /// The largest difference; NaN if one of the values is NaN.
        difference: f64,
        /// The value there.
        found: f64,
        /// The value that belongs there.
        expected: f64,
    },
}

impl LawBroken {
    /// The law.
    pub fn law(&self) -> Law {
        match self {
            LawBroken::Shape { law, .. } | LawBroken::Values { law, .. } => *law,
        }
    }
}

/// Compares shapes.
pub(super) fn check_shape<const D: usize>(
    law: Law,
    what: impl fmt::Display,
    found: [usize; D],
    expected: [usize; D],
) -> Result<(), LawBroken> {
    if found == expected {
        return Ok(());
    }
    Err(LawBroken::Shape {
        law,
        what: what.to_string(),
        found: found.to_vec(),
        expected: expected.to_vec(),
    })
}

/// Compares shapes, then values: `|found − expected| ≤ tolerance · (1 + |expected|)`.
pub(super) fn check_close<const D: usize>(
    law: Law,
    what: impl fmt::Display,
    found: Tensor<D>,
    expected: Tensor<D>,
    tolerance: f64,
) -> Result<(), LawBroken> {
    let dims = found.dims();
    check_shape(law, &what, dims, expected.dims())?;
    let (found, expected) = (found.into_data(), expected.into_data());
    let worst = found
        .iter::<f64>()
        .zip(expected.iter::<f64>())
        .enumerate()
        .map(|(at, (found, expected))| {
            let difference = (found - expected).abs();
            // A difference that is not a number is the largest of all.
            let excess = match difference.is_nan() {
                true => f64::INFINITY,
                false => difference / (1.0 + expected.abs()),
            };
            (excess, at, difference, found, expected)
        })
        .reduce(|worst, next| if next.0 > worst.0 { next } else { worst });
    match worst {
        Some((excess, at, difference, found, expected)) if excess > tolerance => {
            Err(LawBroken::Values {
                law,
                what: what.to_string(),
                index: index_of(at, &dims),
                difference,
                found,
                expected,
            })
        }
        _ => Ok(()),
    }
}

/// Checks that values sum to 1 along the last axis.
pub(super) fn check_sums<const D: usize>(
    law: Law,
    what: impl fmt::Display,
    values: Tensor<D>,
    tolerance: f64,
) -> Result<(), LawBroken> {
    let sums = values.sum_dim(D - 1);
    let ones = sums.ones_like();
    check_close(law, what, sums, ones, tolerance)
}

/// Index of the value at `at` of a tensor laid out row by row.
fn index_of(mut at: usize, dims: &[usize]) -> Vec<usize> {
    let mut index: Vec<usize> = dims
        .iter()
        .rev()
        .map(|&size| {
            let place = at % size;
            at /= size;
            place
        })
        .collect();
    index.reverse();
    index
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    fn compare(found: [[f32; 2]; 2], expected: [[f32; 2]; 2]) -> Result<(), LawBroken> {
        let device = Device::default();
        let tensor = |values| Tensor::<2>::from_data(values, &device);
        check_close(Law::Shapes, "values", tensor(found), tensor(expected), 1e-3)
    }

    #[test]
    fn the_largest_difference_is_named() {
        let expected = [[1.0, 2.0], [3.0, 4.0]];
        assert_eq!(compare([[1.0, 2.001], [3.0, 4.0]], expected), Ok(()));
        let broken = compare([[1.0, 2.5], [3.0, 3.0]], expected).unwrap_err();
        let LawBroken::Values {
            index, difference, ..
        } = &broken
        else {
            panic!("the shapes are equal: {broken}");
        };
        assert_eq!((index.as_slice(), *difference), ([1, 1].as_slice(), 1.0));
        assert!(broken.to_string().contains("at [1, 1]: 3 instead of 4"));
    }

    #[test]
    fn a_value_that_is_no_number_is_a_difference() {
        let expected = [[1.0, 2.0], [3.0, 4.0]];
        assert!(compare([[1.0, f32::NAN], [9.0, 4.0]], expected).is_err());
        assert!(compare([[f32::NAN; 2]; 2], [[f32::NAN; 2]; 2]).is_err());
    }
}
