use std::fmt;

use burn::tensor::{Tensor, TensorData};
use serde::{Serialize, Serializer};

/// Largest relative error of what a device computes whose products round their factors to tf32, 10 bits of
/// mantissa: half a unit in the last is 5e-4, and some ten roundings follow one another.
const TF32: f64 = 5e-3;

/// How far a number may lie from its golden value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Tolerance {
    /// Largest difference of any element.
    Absolute(f64),
    /// Norm of the difference over the norm of the golden values.
    Relative(f64),
    /// Both of them.
    Both {
        /// Largest difference of any element.
        absolute: f64,
        /// Norm of the difference over the norm of the golden values.
        relative: f64,
    },
    /// Either of them.
    Either {
        /// Largest difference of any element.
        absolute: f64,
        /// Norm of the difference over the norm of the golden values.
        relative: f64,
    },
    /// No difference at all.
    Exact,
}

impl Tolerance {
    fn admits(self, absolute: f64, relative: f64) -> bool {
        match self {
            Tolerance::Absolute(most) => absolute <= most,
            Tolerance::Relative(most) => relative <= most,
            Tolerance::Both {
                absolute: most_absolute,
                relative: most_relative,
            } => absolute <= most_absolute && relative <= most_relative,
            Tolerance::Either {
                absolute: most_absolute,
                relative: most_relative,
            } => absolute <= most_absolute || relative <= most_relative,
            Tolerance::Exact => absolute == 0.0,
        }
    }
}

impl fmt::Display for Tolerance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Tolerance::Absolute(most) => write!(f, "abs {most:.0e}"),
            Tolerance::Relative(most) => write!(f, "rel {most:.0e}"),
            Tolerance::Both { absolute, relative } => {
                write!(f, "abs {absolute:.0e}, rel {relative:.0e}")
            }
            Tolerance::Either { absolute, relative } => {
                write!(f, "rel {relative:.0e} or abs {absolute:.0e}")
            }
            Tolerance::Exact => write!(f, "exact"),
        }
    }
}

impl Serialize for Tolerance {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What came of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Within the tolerance.
    Pass,
    /// Outside of it, but within what tf32 products explain; see [`Check::judged_by_tf32`].
    Tf32,
    /// Outside of it.
    Fail,
    /// The fixtures, or the data that the check needs, are not there.
    Absent,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Outcome::Pass => "pass",
            Outcome::Tf32 => "tf32",
            Outcome::Fail => "FAIL",
            Outcome::Absent => "absent",
        })
    }
}

/// One line of the report: a quantity against its golden values.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// Fixture family.
    pub family: &'static str,
    /// What was compared.
    pub quantity: String,
    /// Largest absolute difference of an element; for texts and identifiers, how many differ.
    pub absolute: f64,
    /// Norm of the difference over the norm of the golden values; for texts and identifiers, the
    /// share that differs.
    pub relative: f64,
    /// What is allowed.
    pub tolerance: Tolerance,
    /// Whether it holds.
    pub outcome: Outcome,
    /// Errors of the numbers that stand for what is exact in single precision, on a device with tf32
    /// products.
    #[serde(skip)]
    tf32_errors: Option<[f64; 2]>,
}

impl Check {
    fn new(
        family: &'static str,
        quantity: impl Into<String>,
        [absolute, relative]: [f64; 2],
        tolerance: Tolerance,
    ) -> Self {
        Check {
            family,
            quantity: quantity.into(),
            absolute,
            relative,
            tolerance,
            outcome: if tolerance.admits(absolute, relative) {
                Outcome::Pass
            } else {
                Outcome::Fail
            },
            tf32_errors: None,
        }
    }

    /// Something the fixtures cannot be checked on, and why.
    pub fn absent(family: &'static str, quantity: impl Into<String>) -> Self {
        Check {
            outcome: Outcome::Absent,
            ..Check::new(family, quantity, [f64::NAN; 2], Tolerance::Exact)
        }
    }

    /// Something that could not be compared at all, and why.
    pub fn failed(family: &'static str, reason: impl Into<String>) -> Self {
        Check::new(family, reason, [f64::INFINITY; 2], Tolerance::Exact)
    }

    /// A largest absolute difference that was found elsewhere, of numbers or, under the exact tolerance, of entries
    /// that differ. Its relative error is not known, unless there is none.
    pub fn difference(
        family: &'static str,
        quantity: impl Into<String>,
        absolute: f64,
        tolerance: Tolerance,
    ) -> Self {
        let relative = if absolute == 0.0 { 0.0 } else { f64::NAN };
        Check::new(family, quantity, [absolute, relative], tolerance)
    }

    /// Adds the numbers that a device with tf32 products is judged by instead, such as the scores of rows that it
    /// chose: rows whose scores differ by less than tf32 rounds may change places there.
    pub fn with_tf32_numbers(mut self, actual: &[f64], golden: &[f64]) -> Self {
        self.tf32_errors = Some(errors(actual, golden));
        self
    }

    /// The check by the tolerances of a device with tf32 products: what fails is in that class if the
    /// relative error, or of numbers that are zero but for rounding the absolute one, is at most
    /// 5e-3. Texts, tokens and identifiers have no such class, unless
    /// [numbers stand for them](Self::with_tf32_numbers).
    pub fn judged_by_tf32(mut self) -> Self {
        let own = (self.tolerance != Tolerance::Exact).then_some([self.absolute, self.relative]);
        let error = self.tf32_errors.or(own);
        let error = error.map(|[absolute, relative]| relative.min(absolute));
        if self.outcome == Outcome::Fail && error.is_some_and(|error| error <= TF32) {
            self.outcome = Outcome::Tf32;
        }
        self
    }

    /// A number against its golden value.
    pub fn number(
        family: &'static str,
        quantity: impl Into<String>,
        actual: f64,
        golden: f64,
        tolerance: Tolerance,
    ) -> Self {
        Check::new(family, quantity, errors(&[actual], &[golden]), tolerance)
    }

    /// A sequence of numbers against its golden values.
    pub fn numbers(
        family: &'static str,
        quantity: impl Into<String>,
        actual: &[f64],
        golden: &[f64],
        tolerance: Tolerance,
    ) -> Self {
        Check::new(family, quantity, errors(actual, golden), tolerance)
    }

    /// A tensor against golden data of the same shape.
    pub fn tensor<const D: usize>(
        family: &'static str,
        quantity: impl Into<String>,
        actual: Tensor<D>,
        golden: &TensorData,
        tolerance: Tolerance,
    ) -> Self {
        Check::data(family, quantity, &actual.into_data(), golden, tolerance)
    }

    /// Data against golden data of the same shape.
    pub fn data(
        family: &'static str,
        quantity: impl Into<String>,
        actual: &TensorData,
        golden: &TensorData,
        tolerance: Tolerance,
    ) -> Self {
        let quantity = quantity.into();
        if actual.shape() != golden.shape() {
            let shapes = format!("{:?} for {:?}", actual.shape(), golden.shape());
            return Check::new(
                family,
                format!("{quantity} (shape {shapes})"),
                [f64::INFINITY; 2],
                tolerance,
            );
        }
        let values = |data: &TensorData| -> Vec<f64> { data.iter::<f64>().collect() };
        Check::numbers(
            family,
            quantity,
            &values(actual),
            &values(golden),
            tolerance,
        )
    }

    /// Texts or identifiers, which must be equal one by one.
    pub fn equal<T: PartialEq>(
        family: &'static str,
        quantity: impl Into<String>,
        actual: &[T],
        golden: &[T],
    ) -> Self {
        let longest = actual.len().max(golden.len());
        let equal = actual.iter().zip(golden).filter(|(a, g)| a == g).count();
        let differing = (longest - equal) as f64;
        Check::new(
            family,
            quantity,
            [differing, differing / longest.max(1) as f64],
            Tolerance::Exact,
        )
    }

    /// Many checks of one kind as one line with the largest errors, followed by every member that
    /// fails.
    pub fn summary(family: &'static str, what: &str, members: Vec<Check>) -> Vec<Check> {
        let worst = |error: fn(&Check) -> f64| {
            members
                .iter()
                .map(error)
                .fold(0.0, |worst: f64, error| match error.is_nan() {
                    true => f64::INFINITY,
                    false => worst.max(error),
                })
        };
        let Some(first) = members.first() else {
            return vec![Check::absent(family, what)];
        };
        let failing: Vec<Check> = members
            .iter()
            .filter(|check| check.outcome != Outcome::Pass)
            .cloned()
            .collect();
        let line = Check {
            family,
            quantity: format!("{what} ({})", members.len()),
            absolute: worst(|check| check.absolute),
            relative: worst(|check| check.relative),
            tolerance: first.tolerance,
            outcome: if failing.is_empty() {
                Outcome::Pass
            } else {
                Outcome::Fail
            },
            tf32_errors: None,
        };
        std::iter::once(line).chain(failing).collect()
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<6} {:<15} ", self.outcome, self.family)?;
        if self.outcome == Outcome::Absent {
            return write!(f, "{}", self.quantity);
        }
        let relative = match self.relative.is_nan() {
            true => "-".to_owned(),
            false => format!("{:.2e}", self.relative),
        };
        write!(
            f,
            "{:<58} abs {:<9.2e} rel {relative:<9} (allowed: {})",
            self.quantity, self.absolute, self.tolerance
        )
    }
}

/// Largest absolute difference, and norm of the difference over the norm of the golden values.
///
/// Equal infinities and two NaN agree; anything else that is not finite is infinitely wrong.
fn errors(actual: &[f64], golden: &[f64]) -> [f64; 2] {
    if actual.len() != golden.len() {
        return [f64::INFINITY; 2];
    }
    let mut largest: f64 = 0.0;
    let mut squared_error = 0.0;
    let mut squared_norm = 0.0;
    for (&actual, &golden) in actual.iter().zip(golden) {
        if actual == golden || (actual.is_nan() && golden.is_nan()) {
            if golden.is_finite() {
                squared_norm += golden * golden;
            }
            continue;
        }
        let error = (actual - golden).abs();
        if !error.is_finite() {
            return [f64::INFINITY; 2];
        }
        largest = largest.max(error);
        squared_error += error * error;
        squared_norm += golden * golden;
    }
    let relative = if squared_error == 0.0 {
        0.0
    } else {
        (squared_error / squared_norm).sqrt()
    };
    [largest, relative]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tf32_is_a_class_of_numbers_alone() {
        let number = |actual: f64| {
            let tolerance = Tolerance::Absolute(1e-5);
            Check::number("memory", "a score", actual, 1.0, tolerance).judged_by_tf32()
        };
        let outcomes = [1.0, 1.001, 1.1].map(|actual| number(actual).outcome);
        assert_eq!(outcomes, [Outcome::Pass, Outcome::Tf32, Outcome::Fail]);
        let others: Vec<u32> = (1..1000).collect();
        let expected: Vec<u32> = (0..999).map(|at| at.max(1)).collect();
        let tokens = Check::equal("beam", "tokens", &others, &expected).judged_by_tf32();
        assert_eq!(tokens.outcome, Outcome::Fail);
        for (score, outcome) in [(0.999, Outcome::Tf32), (0.9, Outcome::Fail)] {
            let rows = Check::equal("memory", "rows", &[1, 2], &[2, 1]);
            let rows = rows.with_tf32_numbers(&[score], &[1.0]);
            assert_eq!(rows.outcome, Outcome::Fail);
            assert_eq!(rows.judged_by_tf32().outcome, outcome);
        }
        let unreadable = Check::failed("beam", "no such file").judged_by_tf32();
        assert_eq!(unreadable.outcome, Outcome::Fail);
    }
}
