//! What configurations are made of: numbers that cannot be out of range, and the error that names a
//! key.

use std::fmt;
use std::num::ParseFloatError;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;

/// Largest width of a layer: hidden states, channels, projections.
pub const LARGEST_WIDTH: usize = 65_536;

/// Most layers, blocks of a stage or slots.
pub const MOST_LAYERS: usize = 1_000;

/// An invalid value in a configuration: its key, the reason, and the file if there is one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct ConfigError {
    key: String,
    reason: String,
    file: Option<PathBuf>,
}

impl ConfigError {
    /// An error at `key`, a path as in `config.json`: `transformer.heads`. An empty key is the whole
    /// configuration.
    pub fn new(key: impl Into<String>, reason: impl fmt::Display) -> Self {
        ConfigError {
            key: key.into(),
            reason: reason.to_string(),
            file: None,
        }
    }

    /// [`new`](Self::new) for `map_err`: the mapped error becomes the reason.
    pub fn at<E: fmt::Display>(key: &str) -> impl FnOnce(E) -> Self + '_ {
        move |reason| ConfigError::new(key, reason)
    }

    /// Prefixes the error's key with `parent`.
    #[must_use]
    pub fn within(mut self, parent: &str) -> Self {
        self.key = match (parent, self.key.as_str()) {
            (parent, "") => parent.to_owned(),
            ("", key) => key.to_owned(),
            (parent, key) => format!("{parent}.{key}"),
        };
        self
    }

    /// Adds the file that the configuration was read from.
    #[must_use]
    pub fn in_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.file = Some(file.into());
        self
    }

    /// Path of the key, as in `config.json`; empty for the whole configuration.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Why the value is invalid, and which values are valid.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The file that the configuration was read from.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("configuration")?;
        if let Some(file) = &self.file {
            write!(formatter, " {}", file.display())?;
        }
        if !self.key.is_empty() {
            write!(formatter, ": {}", self.key)?;
        }
        write!(formatter, ": {}", self.reason)
    }
}

/// Checks that a size or count lies in `1..=most`.
///
/// # Errors
///
/// [`ConfigError`] at `key`, naming the value and the range.
pub fn check_count(key: &str, value: usize, most: usize) -> Result<(), ConfigError> {
    if (1..=most).contains(&value) {
        return Ok(());
    }
    Err(ConfigError::new(
        key,
        format!("must lie in 1..={most}, got {value}"),
    ))
}

/// Checks a width, `1..=`[`LARGEST_WIDTH`], and attention heads, which must divide it.
///
/// # Errors
///
/// [`ConfigError`] at `d_model` or `heads`.
pub fn check_heads(d_model: usize, heads: usize) -> Result<(), ConfigError> {
    check_count("d_model", d_model, LARGEST_WIDTH)?;
    if heads > 0 && d_model.is_multiple_of(heads) {
        return Ok(());
    }
    Err(ConfigError::new(
        "heads",
        format!("{heads} heads do not divide a width of {d_model} (d_model)"),
    ))
}

/// Checks a dropout rate.
///
/// # Errors
///
/// [`ConfigError`] at `key` unless `rate` is a [`Probability`].
pub fn check_dropout(key: &str, rate: f64) -> Result<(), ConfigError> {
    Probability::new(rate)
        .map(|_| ())
        .map_err(ConfigError::at(key))
}

/// Reads a unit variant of an internally tagged enum, for `deserialize_with`. Serde's
/// `deny_unknown_fields` ignores further keys beside such a variant's tag.
///
/// # Errors
///
/// If there is a key beside the tag.
pub fn no_options<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct NoOptions {}
    NoOptions::deserialize(deserializer).map(|NoOptions {}| ())
}

/// A number outside the range of its type.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
#[error("{value} does not lie in {range}")]
pub struct OutOfRange {
    value: f64,
    range: &'static str,
}

/// A text that is not a number of the wanted type.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum ParseNumberError {
    /// The text is not a number.
    #[error(transparent)]
    NotANumber(#[from] ParseFloatError),
    /// The number is out of range.
    #[error(transparent)]
    OutOfRange(#[from] OutOfRange),
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

            /// A constant in source code.
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

        impl FromStr for $name {
            type Err = ParseNumberError;

            fn from_str(text: &str) -> Result<Self, ParseNumberError> {
                Ok($name::new(text.parse()?)?)
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
    /// A fraction in `[0, 1]`.
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
        assert_eq!("0.5".parse(), Fraction::new(0.5).map_err(Into::into));
        let texts = ["2", "half"].map(|text| text.parse::<Fraction>().unwrap_err().to_string());
        assert_eq!(texts, ["2 does not lie in [0, 1]", "invalid float literal"]);
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
        let error = ConfigError::new("", "not JSON").within("model");
        assert_eq!(error.key(), "model");
        assert_eq!(
            error.in_file("run/config.json").to_string(),
            "configuration run/config.json: model: not JSON"
        );
    }

    #[test]
    fn sizes_and_heads_are_refused_by_key_and_range() {
        let error = check_count("layers", 0, 10).expect_err("no layer");
        assert_eq!(
            (error.key(), error.reason()),
            ("layers", "must lie in 1..=10, got 0")
        );
        assert!(check_count("layers", 10, 10).is_ok() && check_count("layers", 11, 10).is_err());
        assert_eq!(check_heads(8, 3).expect_err("8 / 3").key(), "heads");
        assert_eq!(check_heads(8, 0).expect_err("no head").key(), "heads");
        assert_eq!(check_heads(0, 1).expect_err("no width").key(), "d_model");
        assert!(check_heads(8, 4).is_ok());
        assert_eq!(
            check_dropout("dropout", 1.0).expect_err("all").key(),
            "dropout"
        );
    }
}
