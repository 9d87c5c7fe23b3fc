//! What configurations are made of: numbers that cannot be out of range, and the error that names a
//! key.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A value that a configuration cannot have, and the key that it stands under.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("configuration: {key}: {reason}")]
pub struct ConfigError {
    key: String,
    reason: String,
}

impl ConfigError {
    /// An error at `key`, a path as in `config.json`: `transformer.heads`.
    pub fn new(key: impl Into<String>, reason: impl fmt::Display) -> Self {
        ConfigError {
            key: key.into(),
            reason: reason.to_string(),
        }
    }

    /// The same error seen from outside: its key below `parent`.
    #[must_use]
    pub fn within(self, parent: &str) -> Self {
        ConfigError {
            key: format!("{parent}.{}", self.key),
            reason: self.reason,
        }
    }

    /// Path of the key, as in `config.json`.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What is wrong with its value, and what it must be.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

/// A number outside the range of its type.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
#[error("{value} does not lie in {range}")]
pub struct OutOfRange {
    value: f64,
    range: &'static str,
}

macro_rules! bounded {
    ($(#[$doc:meta])* $name:ident, $range:literal, $value:ident => $holds:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
        #[serde(try_from = "f64", into = "f64")]
        pub struct $name(f64);

        impl $name {
            /// Checks a number.
            ///
            /// # Errors
            ///
            /// [`OutOfRange`] naming the number and the range.
            pub const fn new($value: f64) -> Result<Self, OutOfRange> {
                if $holds {
                    Ok($name($value))
                } else {
                    Err(OutOfRange {
                        value: $value,
                        range: $range,
                    })
                }
            }

            /// A number written in the program.
            ///
            /// # Panics
            ///
            /// If it is out of range.
            pub const fn literal(value: f64) -> Self {
                match $name::new(value) {
                    Ok(number) => number,
                    Err(_) => panic!(concat!("the number does not lie in ", $range)),
                }
            }

            /// The number.
            pub const fn get(self) -> f64 {
                self.0
            }
        }

        impl TryFrom<f64> for $name {
            type Error = OutOfRange;

            fn try_from(value: f64) -> Result<Self, OutOfRange> {
                $name::new(value)
            }
        }

        impl From<$name> for f64 {
            fn from(number: $name) -> f64 {
                number.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, formatter)
            }
        }
    };
}

bounded! {
    /// A probability below 1, in `[0, 1)`: dropout.
    Probability, "[0, 1)", value => value >= 0.0 && value < 1.0
}

bounded! {
    /// A share, in `[0, 1]`.
    Fraction, "[0, 1]", value => value >= 0.0 && value <= 1.0
}

bounded! {
    /// A finite number above 0.
    Positive, "(0, ∞)", value => value > 0.0 && value < f64::INFINITY
}

bounded! {
    /// A finite number of at least 0.
    NonNegative, "[0, ∞)", value => value >= 0.0 && value < f64::INFINITY
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_out_of_range_are_refused_in_code_and_in_json() {
        assert!(Probability::new(1.0).is_err() && Probability::new(0.0).is_ok());
        assert!(Fraction::new(1.0).is_ok() && Fraction::new(f64::NAN).is_err());
        assert!(Positive::new(0.0).is_err() && Positive::new(f64::INFINITY).is_err());
        assert!(NonNegative::new(-1e-9).is_err() && NonNegative::new(0.0).is_ok());
        let error = serde_json::from_str::<Probability>("1.5").unwrap_err();
        assert!(error.to_string().contains("1.5 does not lie in [0, 1)"));
        let read: Fraction = serde_json::from_str("0.25").expect("in range");
        assert_eq!(serde_json::to_string(&read).expect("a number"), "0.25");
    }

    #[test]
    fn a_key_grows_from_the_inside_out() {
        let error = ConfigError::new("heads", "must be at least 1").within("transformer");
        assert_eq!(
            error.within("model").to_string(),
            "configuration: model.transformer.heads: must be at least 1"
        );
    }
}
